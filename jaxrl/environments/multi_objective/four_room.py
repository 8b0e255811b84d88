"""Four rooms: collect shapes of three kinds on the way to the goal, under discounting."""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.spaces import Discrete, MultiDiscrete
from jaxrl.environments.transforms import time_limit
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["FourRoomParams", "FourRoomState", "four_room"]

# Left, up, right, down, as (row, column).
_MOVES = ((0, -1), (-1, 0), (0, 1), (1, 0))
_KINDS = ("1", "2", "3")
_NAMES = ("blue_squares", "green_triangles", "red_circles")
_MAZE = (
    "1    2X     G",
    "      X      ",
    "      1      ",
    "             ",
    "      X      ",
    "2    3X      ",
    "XX3 XXXXX 1XX",
    "      X2    3",
    "      X      ",
    "             ",
    "      2      ",
    "      X      ",
    "_     X3    1",
)


class FourRoomParams(NamedTuple):
    """What may be swept; cells are (row, column), no two of them the same.

    Attributes:
        walls: cells that cannot be entered.
        start: first cell.
        goal: reaching it ends the episode.
        shapes: cell of each shape; a shape is collected on the first visit.
        rewards: reward of each shape; its kind's objective is 1 by default.
        goal_reward: reward for reaching the goal, 1 in every objective by default.
    """

    walls: Bool[Array, "row column"]
    start: Int[Array, "2"]
    goal: Int[Array, "2"]
    shapes: Int[Array, "shape 2"]
    rewards: Float[Array, "shape objective"]
    goal_reward: Float[Array, " objective"]


class FourRoomState(NamedTuple):
    """Row and column, and which shapes have been collected."""

    position: Int[Array, "2"]
    collected: Bool[Array, " shape"]


def four_room(maze: tuple[str, ...] = _MAZE, limit: int = 200) -> Environment:
    """Builds the four rooms.

    r = the kind's unit vector on entering the cell of a shape that is still there, (1, 1, 1) on
    reaching the goal, which ends the episode, else 0. A move off the map or into a wall stays.

    Source: Barreto et al., 2017 (arXiv 1606.05312), on the grid of MO-Gymnasium's `four-room-v0`.
    Observation: (row, column, one flag per shape collected, shapes by column and then row),
    `MultiDiscrete`. Actions: left, up, right, down.

    Args:
        maze: rows of equal length of the letters `X` wall, `_` start, `G` goal, `1` to `3` a shape of that
            kind; anything else is empty.
        limit: steps after which an episode is truncated.

    Raises:
        ValueError: for a maze whose rows differ in length, or without one start, one goal and some shape.
    """
    params = _params(maze)
    spec = EnvironmentSpec(
        name="mo/four-room",
        observation=MultiDiscrete(params.walls.shape + (2,) * len(params.shapes)),
        action=Discrete(len(_MOVES)),
        num_objectives=len(_KINDS),
        objective_names=_NAMES,
        reference_point=(0.0,) * len(_KINDS),
        discount=0.99,
    )
    return time_limit(Environment(_reset, partial(_step, params.walls.shape), params, spec), limit)


def _params(maze: tuple[str, ...]) -> FourRoomParams:
    if len({len(row) for row in maze}) != 1:
        raise ValueError(f"a maze needs rows of one length, got lengths {[len(row) for row in maze]}")
    cells = np.array([list(row) for row in maze])
    starts, goals = np.argwhere(cells == "_"), np.argwhere(cells == "G")
    # By column and then row, the peer's order.
    shapes = np.argwhere(np.isin(cells.T, _KINDS))[:, ::-1]
    if len(starts) != 1 or len(goals) != 1 or not len(shapes):
        raise ValueError(
            f"a maze needs one start, one goal and some shape, got {len(starts)}, {len(goals)} and {len(shapes)}"
        )
    kinds = [_KINDS.index(cells[row, column]) for row, column in shapes]
    return FourRoomParams(
        walls=jnp.asarray(cells == "X"),
        start=jnp.asarray(starts[0], jnp.int32),
        goal=jnp.asarray(goals[0], jnp.int32),
        shapes=jnp.asarray(shapes, jnp.int32),
        rewards=jnp.eye(len(_KINDS))[jnp.asarray(kinds)],
        goal_reward=jnp.ones(len(_KINDS)),
    )


def _reset(key: PRNGKeyArray, params: FourRoomParams) -> tuple[FourRoomState, Int[Array, " choice"]]:
    state = FourRoomState(params.start, jnp.zeros(len(params.shapes), bool))
    return state, _observe(state)


def _observe(state: FourRoomState) -> Int[Array, " choice"]:
    return jnp.concatenate([state.position, state.collected.astype(jnp.int32)])


def _step(
    size: tuple[int, int], key: PRNGKeyArray, state: FourRoomState, action: Int[Array, ""], params: FourRoomParams
) -> tuple[FourRoomState, Timestep]:
    target = jnp.clip(state.position + jnp.array(_MOVES, jnp.int32)[action], 0, jnp.array(size) - 1)
    position = jnp.where(params.walls[target[0], target[1]], state.position, target)
    found = jnp.all(position == params.shapes, axis=-1)
    terminated = jnp.all(position == params.goal)
    reward = jnp.sum(jnp.where((found & ~state.collected)[:, None], params.rewards, 0.0), axis=0)
    reward = reward + jnp.where(terminated, params.goal_reward, 0.0)
    after = FourRoomState(position, state.collected | found)
    return after, Timestep(_observe(after), reward, terminated, jnp.array(False), {})
