"""Resource gathering: fetch gold and a diamond past two enemies, and come home alive."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec, Outcomes, Timestep
from jaxrl.environments.outcomes import chance, sampled_step
from jaxrl.environments.spaces import Discrete, MultiDiscrete
from jaxrl.environments.transforms import time_limit
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["ResourceGatheringParams", "ResourceGatheringState", "resource_gathering"]

_SIZE = 5
# Up, down, left, right, as (row, column).
_MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))


class ResourceGatheringParams(NamedTuple):
    """What may be swept; cells are (row, column) in 0 .. 4, no two of them the same.

    Attributes:
        home: where every episode starts, and where it ends with what was gathered.
        gold: cell of the gold.
        diamond: cell of the diamond.
        enemies: cell of each enemy.
        death_probability: of being killed at every step that ends in that enemy's cell, in [0, 1].
    """

    home: Int[Array, "2"]
    gold: Int[Array, "2"]
    diamond: Int[Array, "2"]
    enemies: Int[Array, "enemy 2"]
    death_probability: Float[Array, " enemy"]


class ResourceGatheringState(NamedTuple):
    """Row and column of the gatherer, and whether it has (gold, diamond)."""

    position: Int[Array, "2"]
    gathered: Bool[Array, "2"]


def resource_gathering(limit: int = 100) -> Environment:
    """Builds resource gathering.

    r = (−1 if killed, 1 if home with gold, 1 if home with the diamond): each ends the episode, and
    so does coming home with nothing. A move off the map stays: beside home's wall it ends the
    episode at once, on an enemy's cell it draws its chance again.

    Source: Barrett and Narayanan, 2008; as in MO-Gymnasium's `resource-gathering-v0`.
    Observation: (row, column, has gold, has diamond), `MultiDiscrete`. Actions: up, down, left, right.

    Args:
        limit: steps after which an episode is truncated.
    """
    spec = EnvironmentSpec(
        name="mo/resource-gathering",
        observation=MultiDiscrete((_SIZE, _SIZE, 2, 2)),
        action=Discrete(len(_MOVES)),
        num_objectives=3,
        objective_names=("death", "gold", "diamond"),
        # Below zero, so that a return with gold alone has a volume too.
        reference_point=(-1.0, -1.0, -1.0),
        discount=0.99,
    )
    params = ResourceGatheringParams(
        home=jnp.array([4, 2], jnp.int32),
        gold=jnp.array([0, 2], jnp.int32),
        diamond=jnp.array([1, 4], jnp.int32),
        enemies=jnp.array([[1, 2], [0, 3]], jnp.int32),
        death_probability=jnp.full(2, 0.1),
    )
    return time_limit(Environment(_reset, sampled_step(_outcomes), params, spec, outcomes=_outcomes), limit)


def _reset(key: PRNGKeyArray, params: ResourceGatheringParams) -> tuple[ResourceGatheringState, Int[Array, "4"]]:
    state = ResourceGatheringState(params.home, jnp.zeros(2, bool))
    return state, _observe(state)


def _observe(state: ResourceGatheringState) -> Int[Array, "4"]:
    return jnp.concatenate([state.position, state.gathered.astype(jnp.int32)])


def _outcomes(state: ResourceGatheringState, action: Int[Array, ""], params: ResourceGatheringParams) -> Outcomes:
    """Alive, killed."""
    position = jnp.clip(state.position + jnp.array(_MOVES, jnp.int32)[action], 0, _SIZE - 1)
    found = jnp.all(position == jnp.stack([params.gold, params.diamond]), axis=-1)
    after = ResourceGatheringState(position, state.gathered | found)
    at_home = jnp.all(position == params.home)
    attacked = jnp.all(position == params.enemies, axis=-1)
    alive = jnp.concatenate([jnp.zeros(1), jnp.where(at_home, after.gathered, False).astype(jnp.float32)])
    timesteps = Timestep(
        observation=jnp.stack([_observe(after)] * 2),
        reward=jnp.stack([alive, jnp.array([-1.0, 0.0, 0.0])]),
        terminated=jnp.stack([at_home, jnp.array(True)]),
        truncated=jnp.zeros(2, bool),
        info={},
    )
    states = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), after)
    return Outcomes(chance(jnp.sum(jnp.where(attacked, params.death_probability, 0.0))), states, timesteps)
