"""The delayed chain: the first action decides what the last step pays."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.spaces import Discrete
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["DelayedChainParams", "DelayedChainState", "delayed_chain"]


class DelayedChainParams(NamedTuple):
    """What may be swept.

    Attributes:
        length: steps of an episode, in 1 .. `max_length`.
        good_action: the first action that pays 1, 0 or 1.
        noise: size of the random rewards before the last step; 0 for none.
    """

    length: Int[Array, ""]
    good_action: Int[Array, ""]
    noise: Float[Array, ""]


class DelayedChainState(NamedTuple):
    """Steps taken, and whether the first of them was `good_action`."""

    position: Int[Array, ""]
    good: Bool[Array, ""]


def delayed_chain(max_length: int = 10, noise: float = 0.0) -> Environment:
    """Builds the delayed chain.

    r_t = ±noise with equal chances for t < length − 1, and r_{length−1} = 1 if a₀ = good_action, else −1,
    which ends the episode. Later actions change nothing.

    Source: the delayed-chain tasks of Oh et al., 2020 (arXiv 2007.08794), appendix on training
    environments. Observation: steps taken, `Discrete(max_length + 1)`. Two actions. `sample_params` draws
    the length from U{1 .. max_length} and the good action from U{0, 1}, with the noise of the default.

    Args:
        max_length: bound on `length`, and its default.
        noise: default of the parameter.

    Raises:
        ValueError: for a length below 1 or negative noise.
    """
    if max_length < 1 or noise < 0.0:
        raise ValueError(f"need max_length >= 1 and noise >= 0, got {max_length} and {noise}")
    spec = EnvironmentSpec(
        name="bandit/delayed-chain",
        observation=Discrete(max_length + 1),
        action=Discrete(2),
        time_limit=max_length,
    )
    params = DelayedChainParams(jnp.int32(max_length), jnp.int32(0), jnp.float32(noise))
    sample = partial(_sample, max_length, noise)
    return Environment(_reset, partial(_step, max_length), params, spec, sample_params=sample)


def _sample(max_length: int, noise: float, key: PRNGKeyArray) -> DelayedChainParams:
    length_key, action_key = jax.random.split(key)
    length = jax.random.randint(length_key, (), 1, max_length + 1)
    return DelayedChainParams(length, jax.random.randint(action_key, (), 0, 2), jnp.float32(noise))


def _reset(key: PRNGKeyArray, params: DelayedChainParams) -> tuple[DelayedChainState, Int[Array, ""]]:
    start = jnp.int32(0)
    return DelayedChainState(start, jnp.array(False)), start


def _step(
    max_length: int, key: PRNGKeyArray, state: DelayedChainState, action: Int[Array, ""], params: DelayedChainParams
) -> tuple[DelayedChainState, Timestep]:
    good = jnp.where(state.position == 0, action == params.good_action, state.good)
    length = jnp.minimum(params.length, max_length)
    # A step past the end, which only a caller that ignores `terminated` takes, stays there.
    position = jnp.minimum(state.position + 1, length)
    terminated = position >= length
    sign = jnp.where(terminated, good, jax.random.bernoulli(key)) * 2.0 - 1.0
    reward = sign * jnp.where(terminated, 1.0, params.noise)
    return DelayedChainState(position, good), Timestep(position, reward[None], terminated, jnp.array(False), {})
