"""The utility of an episode's own return vector (ESR): what it must see, and what it is paid.

E[u(R)] of the return R of single episodes is not u(E[R]): for a non-linear u an optimal policy depends
on what has been collected so far. `accrued_reward` shows it, `utility_reward` pays u.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, Timestep
from jaxrl.environments.episodes import EpisodeState, EpisodeStatistics, accumulate, start_episode
from jaxrl.environments.masks import beside_mask, beside_mask_space, seen, seen_space
from jaxrl.environments.parts import zeros
from jaxrl.environments.spaces import Box, Space, encode
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["AccruedParams", "UtilityParams", "accrued_reward", "utility_reward"]


class AccruedParams(NamedTuple):
    """Traced parameters of an environment that shows what an episode has accrued.

    Attributes:
        inner: the wrapped environment's parameters.
        accrued_discount: γ of the accrued return.
        accrued_scale: what the accrued return is divided by before it is shown, per objective.
    """

    inner: PyTree
    accrued_discount: Float[Array, ""]
    accrued_scale: Float[Array, " objective"]


class UtilityParams(NamedTuple):
    """Traced parameters of an environment that pays a utility.

    Attributes:
        inner: the wrapped environment's parameters.
        utility_discount: γ of the return whose utility is paid.
        utility: the utility's own parameters.
    """

    inner: PyTree
    utility_discount: Float[Array, ""]
    utility: dict[str, Array]


def accrued_reward(
    environment: Environment, discount: float = 1.0, scale: Sequence[float] | float = 1.0
) -> Environment:
    """Appends the accrued return vector and a clock to the observation.

    o'ₜ = [o, R₀…ₜ₋₁/scale, clock] with R₀…ₜ₋₁ = Σ_{k<t} γᵏ rₖ (Roijers et al., 2018). The clock is
    t/limit where the spec has a time limit, else γᵗ: what one more reward would count. Integer
    observations become one-hot, images flat and parts one after the other, so that the result is one float32 vector; a
    mask of legal actions stays beside it.

    Args:
        environment: with observations that its spec describes.
        discount: γ in [0, 1], the traced leaf `environment.accrued_discount`.
        scale: one value or one per objective, > 0, the traced leaf `environment.accrued_scale`.

    Raises:
        ValueError: for a discount or scale out of range.
    """
    spec = environment.spec
    _check_discount(discount)
    scales = jnp.broadcast_to(jnp.asarray(scale, jnp.float32), (spec.num_objectives,))
    if not bool(jnp.all(scales > 0.0)):
        raise ValueError(f"the scale of accrued returns must be positive, got {scale}")

    def see(observation: PyTree, episode: EpisodeStatistics, params: AccruedParams) -> PyTree:
        accrued = episode.discounted_returns / params.accrued_scale
        clock = episode.length / spec.time_limit if spec.time_limit else episode.discount_power[0]
        features = encode(seen_space(spec), seen(spec, observation))
        return beside_mask(spec, jnp.concatenate([features, accrued, clock[None]]), observation)

    def reset(key: PRNGKeyArray, params: AccruedParams) -> tuple[EpisodeState, PyTree]:
        inner, observation = environment.reset(key, params.inner)
        episode = start_episode((), spec.num_objectives)
        return EpisodeState(inner, episode), see(observation, episode, params)

    def step(
        key: PRNGKeyArray, state: EpisodeState, action: Array, params: AccruedParams
    ) -> tuple[EpisodeState, Timestep]:
        inner, timestep = environment.step(key, state.inner, action, params.inner)
        episode = accumulate(state.episode, timestep.reward, params.accrued_discount)
        observation = see(timestep.observation, episode, params)
        return EpisodeState(inner, episode), timestep._replace(observation=observation)

    params = AccruedParams(environment.params, jnp.asarray(discount, jnp.float32), scales)
    space = _with_accrued(seen_space(spec), spec.num_objectives)
    wider = replace(spec, observation=beside_mask_space(spec, space))
    return Environment(reset, step, params, wider)


def utility_reward(
    environment: Environment,
    utility: Callable[..., Array],
    discount: float = 1.0,
    parameters: Mapping[str, float | Sequence[float]] | None = None,
) -> Environment:
    """Puts the gain in utility of the episode's return before its objectives.

    r'ₜ = (u(R₀…ₜ) - u(R₀…ₜ₋₁), rₜ) with R₀…ₜ = Σ_{k≤t} γᵏ rₖ. Over an episode objective 0 sums to u(R) - u(0),
    so that an agent with weights (1, 0, …) and discount 1 maximises E[u(R)], the expected scalarised
    return (ESR; Roijers et al., 2018; Hayes et al., 2022). With a smaller discount the
    agent prefers early gains.

    The return of an episode is final at its time limit, hence truncation becomes termination: there
    is no utility to bootstrap. The policy must see what it has accrued and the time: wrap in
    `accrued_reward` first.

    Args:
        environment: an environment whose episodes end.
        utility: `(returns [objective], **parameters) -> scalar`, of any shape; see
            `aggregation.welfare`.
        discount: γ in [0, 1] of the return, the traced leaf `environment.utility_discount`.
        parameters: the utility's parameters and defaults, traced leaves `environment.utility.NAME`.

    Returns:
        An environment with `num_objectives` + 1 objectives, `utility` first.

    Raises:
        ValueError: for a discount out of range or a utility that is not a scalar.
    """
    spec = environment.spec
    _check_discount(discount)
    own = {name: jnp.asarray(value, jnp.float32) for name, value in (parameters or {}).items()}
    shape = jax.eval_shape(utility, jnp.zeros(spec.num_objectives), **own).shape
    if shape != ():
        raise ValueError(f"a utility must return a scalar, this one returns shape {shape}")

    def reset(key: PRNGKeyArray, params: UtilityParams) -> tuple[EpisodeState, PyTree]:
        inner, observation = environment.reset(key, params.inner)
        return EpisodeState(inner, start_episode((), spec.num_objectives)), observation

    def step(
        key: PRNGKeyArray, state: EpisodeState, action: Array, params: UtilityParams
    ) -> tuple[EpisodeState, Timestep]:
        inner, timestep = environment.step(key, state.inner, action, params.inner)
        episode = accumulate(state.episode, timestep.reward, params.utility_discount)
        after, before = (
            utility(sums.discounted_returns, **params.utility).astype(jnp.float32) for sums in (episode, state.episode)
        )
        timestep = timestep._replace(
            reward=jnp.concatenate([(after - before)[None], timestep.reward]),
            terminated=timestep.terminated | timestep.truncated,
            truncated=jnp.zeros_like(timestep.truncated),
        )
        return EpisodeState(inner, episode), timestep

    params = UtilityParams(environment.params, jnp.asarray(discount, jnp.float32), own)
    names = ("utility", *spec.objective_names)
    longer = replace(spec, num_objectives=spec.num_objectives + 1, objective_names=names, reference_point=None)
    return Environment(reset, step, params, longer)


def _check_discount(discount: float) -> None:
    if not 0.0 <= discount <= 1.0:
        raise ValueError(f"the discount of a return must lie in [0, 1], got {discount}")


def _with_accrued(space: Space, num_objectives: int) -> Box:
    """The space of features, then of unbounded accrued returns, then of a clock in [0, 1]."""
    low, high = (space.low, space.high) if isinstance(space, Box) else (0.0, 1.0)
    size = jax.eval_shape(lambda: encode(space, zeros(space))).shape[-1]
    bounds = []
    for bound, accrued, clock in ((low, -jnp.inf, 0.0), (high, jnp.inf, 1.0)):
        features = jnp.ravel(jnp.broadcast_to(jnp.asarray(bound), space.shape if isinstance(space, Box) else (size,)))
        bounds.append(jnp.concatenate([features, jnp.full(num_objectives, accrued), jnp.full(1, clock)]))
    return Box.from_arrays(*bounds, (size + num_objectives + 1,))
