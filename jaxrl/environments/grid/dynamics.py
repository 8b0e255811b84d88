"""The rules of the grid-worlds: levels as traced arrays, movement, collecting, reappearing, observing."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

__all__ = [
    "NUM_ACTIONS",
    "GridParams",
    "GridState",
    "destination",
    "draw_free_cells",
    "legal_moves",
    "observe_index",
    "observe_planes",
    "passable",
    "reset",
    "step",
]

# Up, down, left, right, stay, as (row, column).
_MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1), (0, 0))
NUM_ACTIONS = len(_MOVES)


class GridParams(NamedTuple):
    """One level; every leaf is traced, and cells are (row, column).

    Shapes are those of the largest level of a distribution: `row` = `column` = its maximal size,
    `object` = its maximal number of objects. Start, walls and active objects share no cell.

    Attributes:
        size: rows and columns in use, at most the maximal size; cells beyond cannot be entered.
        walls: cells that cannot be entered.
        start: first cell.
        objects: cell of each object.
        active: which objects belong to this level.
        reward: for collecting each object.
        termination: probability that collecting it ends the episode, in [0, 1].
        respawn: probability per step that it reappears while absent, in [0, 1].
        max_steps: steps after which an episode is truncated, at least 1.
    """

    size: Int[Array, ""]
    walls: Bool[Array, "row column"]
    start: Int[Array, "2"]
    objects: Int[Array, "object 2"]
    active: Bool[Array, "object"]
    reward: Float[Array, "object"]
    termination: Float[Array, "object"]
    respawn: Float[Array, "object"]
    max_steps: Int[Array, ""]


class GridState(NamedTuple):
    """An episode in progress.

    Attributes:
        position: (row, column) of the agent.
        exists: which objects can be collected now.
        steps: steps taken in this episode.
        objects: cell of each object where objects relocate; None where `GridParams.objects` holds.
    """

    position: Int[Array, "2"]
    exists: Bool[Array, "object"]
    steps: Int[Array, ""]
    objects: Int[Array, "object 2"] | None


def reset(relocate: bool, key: PRNGKeyArray, params: GridParams) -> GridState:
    """The agent in `start` and every active object in its cell, or in a random free one if `relocate`."""
    steps = jnp.zeros((), jnp.int32)
    if not relocate:
        return GridState(params.start, params.active, steps, None)
    free = passable(params.size, params.walls) & ~_marked(params.start, params.walls.shape)
    cells, found = draw_free_cells(key, free, len(params.active))
    return GridState(params.start, params.active & found, steps, cells)


def step(
    limit: int, relocate: bool, key: PRNGKeyArray, state: GridState, action: Int[Array, ""], params: GridParams
) -> tuple[GridState, Float[Array, "1"], Bool[Array, ""], Bool[Array, ""]]:
    """State, reward, terminated and truncated after one step.

    c' = destination, k_i = exists_i ∧ (c' = cell_i), r = Σ k_i r_i, P(terminated) = min(1, Σ k_i p_i),
    exists'_i = (exists_i ∧ ¬k_i) ∨ (active_i ∧ ¬exists_i ∧ reappears_i).

    An object that reappears under the agent is not collected before the next step.
    """
    if relocate:
        key, relocation_key = jax.random.split(key)
    num_objects = len(params.active)
    uniform = jax.random.uniform(key, (num_objects + 1,))
    position = destination(params, state.position, action)
    cells = params.objects if state.objects is None else state.objects
    collected = state.exists & jnp.all(cells == position, axis=-1)
    reward = jnp.sum(jnp.where(collected, params.reward, 0.0), keepdims=True)
    terminated = uniform[num_objects] < jnp.sum(jnp.where(collected, params.termination, 0.0))
    remaining = state.exists & ~collected
    reappears = params.active & ~state.exists & (uniform[:num_objects] < params.respawn)
    moved = None
    if relocate:
        free = _free_cells(params, position, cells, remaining)
        drawn, found = draw_free_cells(relocation_key, free, num_objects)
        reappears = reappears & found
        moved = jnp.where(reappears[:, None], drawn, cells)
    steps = state.steps + 1
    truncated = (steps >= jnp.minimum(params.max_steps, limit)) & ~terminated
    return GridState(position, remaining | reappears, steps, moved), reward, terminated, truncated


def destination(params: GridParams, position: Int[Array, "2"], action: Int[Array, ""]) -> Int[Array, "2"]:
    """The cell after a move: the neighbour, or `position` where that is a wall or off the grid."""
    target = jnp.clip(position + jnp.array(_MOVES, jnp.int32)[action], 0, params.size - 1)
    return jnp.where(params.walls[target[0], target[1]], position, target)


def legal_moves(state: GridState, params: GridParams) -> Bool[Array, " action"]:
    """Moves that lead to another cell, and staying."""
    reached = jax.vmap(lambda action: destination(params, state.position, action))(jnp.arange(NUM_ACTIONS))
    moves = jnp.any(reached != state.position, axis=-1)
    return moves | ~jnp.any(jnp.asarray(_MOVES), axis=-1)


def passable(size: Int[Array, ""], walls: Bool[Array, "row column"]) -> Bool[Array, "row column"]:
    """Cells within the first `size` rows and columns that are no wall."""
    inside = jnp.arange(walls.shape[0]) < size
    return inside[:, None] & inside[None, :] & ~walls


def draw_free_cells(
    key: PRNGKeyArray, free: Bool[Array, "row column"], count: int
) -> tuple[Int[Array, "count 2"], Bool[Array, " count"]]:
    """`count` distinct cells, free ones first, each ordered subset of free cells equally likely.

    Returns:
        The cells, and which of them are free: all, unless fewer than `count` are.
    """
    scores = jnp.where(free, jax.random.uniform(key, free.shape), -1.0)
    highest, indices = jax.lax.top_k(scores.ravel(), count)
    return jnp.stack(jnp.divmod(indices.astype(jnp.int32), free.shape[1]), axis=-1), highest >= 0.0


def observe_index(state: GridState, params: GridParams) -> Int[Array, ""]:
    """row·n + column + n²·Σ_i 2ⁱ·exists_i, with n the maximal size."""
    rows, columns = params.walls.shape
    bits = jnp.sum(jnp.where(state.exists, 2 ** jnp.arange(len(state.exists), dtype=jnp.int32), 0), dtype=jnp.int32)
    return state.position[0] * columns + state.position[1] + rows * columns * bits


def observe_planes(state: GridState, params: GridParams) -> Float[Array, "row column channel"]:
    """Planes of 0 and 1: the agent, cells that cannot be entered, and each object that exists."""
    shape = params.walls.shape
    cells = params.objects if state.objects is None else state.objects
    objects = jax.vmap(lambda cell: _marked(cell, shape))(cells) & state.exists[:, None, None]
    blocked = ~passable(params.size, params.walls)
    planes = jnp.concatenate([jnp.stack([_marked(state.position, shape), blocked]), objects])
    return jnp.moveaxis(planes, 0, -1).astype(jnp.float32)


def _marked(cell: Int[Array, "2"], shape: tuple[int, ...]) -> Bool[Array, "row column"]:
    rows, columns = (jnp.arange(length) == index for length, index in zip(shape, cell))
    return rows[:, None] & columns[None, :]


def _free_cells(
    params: GridParams, position: Int[Array, "2"], cells: Int[Array, "object 2"], present: Bool[Array, "object"]
) -> Bool[Array, "row column"]:
    shape = params.walls.shape
    taken = jax.vmap(lambda cell: _marked(cell, shape))(cells) & present[:, None, None]
    return passable(params.size, params.walls) & ~_marked(position, shape) & ~jnp.any(taken, axis=0)
