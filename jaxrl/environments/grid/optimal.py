"""Exact values of grid-world levels by dynamic programming over cells and existing objects."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from jaxrl.environments.grid.dynamics import NUM_ACTIONS, GridParams, destination
from jaxrl.types import Array, Bool, Float, Int

__all__ = ["optimal_return", "policy_return", "uniform_return"]


def optimal_return(params: GridParams, limit: int) -> Float[Array, ""]:
    """The largest expected undiscounted return of an episode from the start, by any history-dependent policy.

    V₀ = 0,  V_h(c, e) = max_a U_h(c'(c, a), e),
    U_h(c', e) = r(c', e) + (1 − p(c', e)) E[V_{h−1}(c', e')],
    over cells c, flags e of existing objects and steps left h, up to h = min(max_steps, limit).
    Objects stay in the cells of `params` (no `relocate`). Costs O(limit · n² · 2ᵏ · k) for k objects.

    Args:
        params: one level; vmap over a leading axis of its leaves for many.
        limit: static bound on `max_steps`, as in `grid`.

    Raises:
        ValueError: for a limit below 1.
    """
    return _start_value(params, limit, partial(jnp.max, axis=-2))


def policy_return(params: GridParams, policy: Float[Array, "state action"], limit: int) -> Float[Array, ""]:
    """The expected undiscounted return of an episode from the start under a stationary policy.

    As in `optimal_return` with V_h(c, e) = Σ_a π(a | c, e) U_h(c'(c, a), e). Differentiable in `policy`,
    `reward`, `termination` and `respawn`.

    Args:
        params: one level.
        policy: probabilities of the five actions in each state; states are numbered as observations
            of `observation="index"`, and every row sums to 1.
        limit: static bound on `max_steps`, as in `grid`.

    Raises:
        ValueError: for a limit below 1.
    """
    num_objects, num_cells = len(params.active), params.walls.size
    table = policy.reshape((2,) * num_objects + (num_cells, NUM_ACTIONS))
    return _start_value(params, limit, lambda values: jnp.sum(jnp.swapaxes(table, -1, -2) * values, axis=-2))


def uniform_return(params: GridParams, limit: int) -> Float[Array, ""]:
    """The expected undiscounted return of uniformly random actions; see `policy_return`."""
    return _start_value(params, limit, partial(jnp.mean, axis=-2))


def _start_value(params: GridParams, limit: int, backup: Callable[[Array], Array]) -> Float[Array, ""]:
    """V_h at the start; arrays over states have one axis per object, the last object's first, and then cells."""
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    num_objects, num_cells = len(params.active), params.walls.size
    successors = _successors(params)
    reward = _collected_sum(params, params.reward)
    survival = 1.0 - jnp.minimum(_collected_sum(params, params.termination), 1.0)

    def body(values: Array, index: Array) -> tuple[Array, None]:
        arrival = reward + survival * _expected(params, values)
        updated = backup(arrival[..., successors])
        return jnp.where(index < params.max_steps, updated, values), None

    start = jnp.zeros((2,) * num_objects + (num_cells,))
    values, _ = jax.lax.scan(body, start, jnp.arange(limit))
    flags = tuple(params.active.astype(jnp.int32)[::-1])
    return values[(*flags, params.start[0] * params.walls.shape[1] + params.start[1])]


def _successors(params: GridParams) -> Int[Array, "action cell"]:
    """The cell that each action leads to from each cell, cells numbered row by row."""
    rows, columns = params.walls.shape
    cells = jnp.stack(jnp.divmod(jnp.arange(rows * columns, dtype=jnp.int32), columns), axis=-1)
    move = jax.vmap(jax.vmap(destination, (None, 0, None)), (None, None, 0))
    arrived = move(params, cells, jnp.arange(NUM_ACTIONS))
    return arrived[..., 0] * columns + arrived[..., 1]


def _at(params: GridParams, index: int) -> Bool[Array, " cell"]:
    """Whether each cell is that of one object."""
    cell = params.objects[index]
    return jnp.arange(params.walls.size) == cell[0] * params.walls.shape[1] + cell[1]


def _collected_sum(params: GridParams, amounts: Float[Array, "object"]) -> Float[Array, "..."]:
    """Σ_i e_i [c' = cell_i] amount_i for each state."""
    num_objects = len(amounts)
    total = jnp.zeros((2,) * num_objects + (params.walls.size,))
    for index in range(num_objects):
        collected = jnp.stack([jnp.zeros(params.walls.size), _at(params, index) * amounts[index]])
        axis = num_objects - 1 - index
        total += collected.reshape((1,) * axis + (2,) + (1,) * index + (-1,))
    return total


def _expected(params: GridParams, values: Float[Array, "..."]) -> Float[Array, "..."]:
    """E[V(c', e')] given the arrival cell c' and the flags e before the step, one object at a time."""
    num_objects = len(params.active)
    for index in range(num_objects):
        axis = num_objects - 1 - index
        absent, present = jnp.take(values, 0, axis), jnp.take(values, 1, axis)
        respawn = jnp.where(params.active[index], params.respawn[index], 0.0)
        reappeared = absent + respawn * (present - absent)
        values = jnp.stack([reappeared, jnp.where(_at(params, index), absent, present)], axis)
    return values
