"""Fishwood: spend each step fishing or collecting wood, both by chance."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec, Outcomes, Timestep
from jaxrl.environments.outcomes import chance, sampled_step
from jaxrl.environments.spaces import Discrete, MultiDiscrete
from jaxrl.environments.transforms import time_limit
from jaxrl.types import Array, Float, Int, PRNGKeyArray

__all__ = ["FishwoodParams", "FishwoodState", "fishwood"]

_RIVER, _WOODS = range(2)


class FishwoodParams(NamedTuple):
    """What may be swept.

    Attributes:
        fish_probability: of catching a fish in a step that starts at the river, in [0, 1].
        wood_probability: of finding wood in a step that starts in the woods, in [0, 1].
    """

    fish_probability: Float[Array, ""]
    wood_probability: Float[Array, ""]


class FishwoodState(NamedTuple):
    """Where the fisher is: 0 at the river, 1 in the woods."""

    place: Int[Array, "1"]


def fishwood(limit: int = 200) -> Environment:
    """Builds fishwood; every episode starts in the woods.

    r = (1 with `fish_probability` if the step starts at the river,
         1 with `wood_probability` if it starts in the woods), then the action moves.

    Source: Roijers et al., 2018; as in MO-Gymnasium's `fishwood-v0`, which flags step 200 as both
    terminated and truncated. Nothing in the task ends there, and the observation does not show the
    time, so here it is a time limit: truncated only.
    Observation: the place, `MultiDiscrete`. Actions: go to the river, go to the woods.

    Args:
        limit: steps after which an episode is truncated.
    """
    spec = EnvironmentSpec(
        name="mo/fishwood",
        observation=MultiDiscrete((2,)),
        action=Discrete(2),
        num_objectives=2,
        objective_names=("fish", "wood"),
        # Below zero, so that a return of wood alone has a volume too.
        reference_point=(-1.0, -1.0),
        discount=0.99,
    )
    params = FishwoodParams(jnp.float32(0.1), jnp.float32(0.9))
    return time_limit(Environment(_reset, sampled_step(_outcomes), params, spec, outcomes=_outcomes), limit)


def _reset(key: PRNGKeyArray, params: FishwoodParams) -> tuple[FishwoodState, Int[Array, "1"]]:
    place = jnp.array([_WOODS], jnp.int32)
    return FishwoodState(place), place


def _outcomes(state: FishwoodState, action: Int[Array, ""], params: FishwoodParams) -> Outcomes:
    """Nothing found, something found."""
    in_woods = state.place[0] == _WOODS
    found = chance(jnp.where(in_woods, params.wood_probability, params.fish_probability))
    place = jnp.broadcast_to(jnp.asarray(action, jnp.int32), (2, 1))
    timesteps = Timestep(
        observation=place,
        reward=jnp.stack([jnp.zeros(2), jax.nn.one_hot(state.place[0], 2)]),
        terminated=jnp.zeros(2, bool),
        truncated=jnp.zeros(2, bool),
        info={},
    )
    return Outcomes(found, FishwoodState(place), timesteps)
