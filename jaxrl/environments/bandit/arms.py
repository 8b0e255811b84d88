"""Multi-armed bandits: episodes of one step without anything to observe."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.spaces import Discrete
from jaxrl.errors import require_name
from jaxrl.types import Array, Float, Int, PRNGKeyArray

__all__ = ["BanditParams", "bandit"]


class BanditParams(NamedTuple):
    """What may be swept.

    Attributes:
        means: expected reward of each arm; of a Bernoulli arm the probability of reward 1, in [0, 1].
        deviation: standard deviation of Gaussian rewards, at least 0; Bernoulli arms have no use for it.
    """

    means: Float[Array, " action"]
    deviation: Float[Array, ""]


def bandit(arms: Literal["bernoulli", "gaussian"] | str = "bernoulli", num_arms: int = 10) -> Environment:
    """Builds a bandit: pulling arm a ends the episode.

    bernoulli: P(r = 1) = means_a, else r = 0;  gaussian: r = means_a + deviation·ε, ε ~ N(0, 1).

    Source: Sutton and Barto, 2018, chapter 2. Observation: 0, `Discrete(1)`. Actions: the arms.
    By default the means rise evenly from 0.1 to 0.9 and the deviation is 1; `sample_params` draws them
    from U(0, 1) for Bernoulli arms and from N(0, 1) for Gaussian ones.

    Raises:
        UnknownNameError: for unknown arms.
        ValueError: for fewer than one arm.
    """
    require_name("bandit arms", arms, ("bernoulli", "gaussian"))
    if num_arms < 1:
        raise ValueError(f"num_arms must be at least 1, got {num_arms}")
    spec = EnvironmentSpec(
        name=f"bandit/{arms}",
        observation=Discrete(1),
        action=Discrete(num_arms),
        time_limit=1,
        unswept=(("deviation", "it is that of Gaussian arms"),) if arms == "bernoulli" else (),
    )
    params = BanditParams(jnp.linspace(0.1, 0.9, num_arms), jnp.ones(()))
    reward, prior = (_bernoulli, jax.random.uniform) if arms == "bernoulli" else (_gaussian, jax.random.normal)
    sample = partial(_sample, prior, num_arms)
    return Environment(_reset, partial(_step, reward), params, spec, sample_params=sample)


def _sample(prior: Callable[..., Array], num_arms: int, key: PRNGKeyArray) -> BanditParams:
    return BanditParams(prior(key, (num_arms,)), jnp.ones(()))


def _reset(key: PRNGKeyArray, params: BanditParams) -> tuple[tuple[()], Int[Array, ""]]:
    return (), jnp.int32(0)


def _step(
    reward: Callable[..., Array], key: PRNGKeyArray, state: tuple[()], action: Int[Array, ""], params: BanditParams
) -> tuple[tuple[()], Timestep]:
    drawn = reward(key, params.means[action], params.deviation)
    return (), Timestep(jnp.int32(0), drawn[None], jnp.array(True), jnp.array(False), {})


def _bernoulli(key: PRNGKeyArray, mean: Float[Array, ""], deviation: Float[Array, ""]) -> Float[Array, ""]:
    return (jax.random.uniform(key) < mean).astype(jnp.float32)


def _gaussian(key: PRNGKeyArray, mean: Float[Array, ""], deviation: Float[Array, ""]) -> Float[Array, ""]:
    return mean + deviation * jax.random.normal(key)
