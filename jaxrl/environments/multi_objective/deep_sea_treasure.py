"""Deep sea treasure: a submarine trades the value of a treasure against the time to reach it."""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.spaces import Discrete, MultiDiscrete
from jaxrl.environments.transforms import time_limit
from jaxrl.errors import require_name
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["DeepSeaTreasureParams", "DeepSeaTreasureState", "deep_sea_treasure"]

# Row of the treasure in columns 0 .. 9; everything below it is rock.
_DEPTHS = (1, 2, 3, 4, 4, 4, 7, 7, 9, 10)
# Convex: Yang et al., 2019. Concave: Vamplew et al., 2011.
_CONVEX = (0.7, 8.2, 11.5, 14.0, 15.1, 16.1, 19.6, 20.3, 22.4, 23.7)
_CONCAVE = (1.0, 2.0, 3.0, 5.0, 8.0, 16.0, 24.0, 50.0, 74.0, 124.0)
_NUM_ROWS = 11
_VARIANTS = ("convex", "concave", "mirrored")
# Up, down, left, right, as (row, column).
_MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))


class DeepSeaTreasureParams(NamedTuple):
    """What may be swept.

    Attributes:
        treasure: value of the treasure in a cell, 0 where there is none; reaching a positive
            one ends the episode.
        rock: cells that cannot be entered.
        start: row and column of the first state.
        time_reward: reward of the second objective at every step.
    """

    treasure: Float[Array, "row column"]
    rock: Bool[Array, "row column"]
    start: Int[Array, "2"]
    time_reward: Float[Array, ""]


class DeepSeaTreasureState(NamedTuple):
    """Row and column of the submarine, row 0 at the surface."""

    position: Int[Array, "2"]


def deep_sea_treasure(variant: str = "convex", limit: int = 100) -> Environment:
    """Builds deep sea treasure with the map `convex`, `concave` or `mirrored`.

    r = (value of the cell entered or 0, −1) at every step, the last one included; a move off the
    map or into rock leaves the submarine where it is.

    Source: Vamplew et al., 2011; convex values of Yang et al., 2019 (arXiv 1908.08342); `mirrored`
    (Felten et al., 2022) is `concave` with an empty left half and the start in the middle.
    Observation: (row, column), `MultiDiscrete`. Actions: up, down, left, right.

    Args:
        variant: which map.
        limit: steps after which an episode is truncated.

    Raises:
        UnknownNameError: for an unknown variant.
    """
    require_name("deep sea treasure variant", variant, _VARIANTS)
    params = _params(variant)
    shape = params.treasure.shape
    spec = EnvironmentSpec(
        name="mo/deep-sea-treasure" + ("" if variant == "convex" else f"-{variant}"),
        observation=MultiDiscrete(shape),
        action=Discrete(len(_MOVES)),
        num_objectives=2,
        objective_names=("treasure", "time"),
        reference_point=(0.0, -50.0),
        discount=0.99,
    )
    return time_limit(Environment(_reset, partial(_step, shape), params, spec), limit)


def _params(variant: str) -> DeepSeaTreasureParams:
    values = _CONVEX if variant == "convex" else _CONCAVE
    # The column beyond the deepest treasure of the square maps is open down to the last row.
    floor = (*_DEPTHS[::-1], *_DEPTHS) if variant == "mirrored" else (*_DEPTHS, _NUM_ROWS - 1)
    first = len(floor) // 2 if variant == "mirrored" else 0
    treasure = np.zeros((_NUM_ROWS, len(floor)), np.float32)
    treasure[_DEPTHS, first + np.arange(len(values))] = values
    rock = np.arange(_NUM_ROWS)[:, None] > np.asarray(floor)
    start = jnp.array([0, first], jnp.int32)
    return DeepSeaTreasureParams(jnp.asarray(treasure), jnp.asarray(rock), start, jnp.float32(-1.0))


def _reset(key: PRNGKeyArray, params: DeepSeaTreasureParams) -> tuple[DeepSeaTreasureState, Int[Array, "2"]]:
    return DeepSeaTreasureState(params.start), params.start


def _step(
    shape: tuple[int, int],
    key: PRNGKeyArray,
    state: DeepSeaTreasureState,
    action: Int[Array, ""],
    params: DeepSeaTreasureParams,
) -> tuple[DeepSeaTreasureState, Timestep]:
    target = jnp.clip(state.position + jnp.array(_MOVES, jnp.int32)[action], 0, jnp.array(shape) - 1)
    # Clipping a move off the map already leaves the submarine where it is.
    position = jnp.where(params.rock[target[0], target[1]], state.position, target)
    treasure = params.treasure[position[0], position[1]]
    reward = jnp.stack([treasure, params.time_reward])
    return DeepSeaTreasureState(position), Timestep(position, reward, treasure > 0.0, jnp.array(False), {})
