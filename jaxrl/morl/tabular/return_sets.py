"""Sets of return vectors for every state and action, in fixed capacity, and their dynamic programme."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.morl.pareto import cardinality
from jaxrl.morl.tabular.model import Model
from jaxrl.numerics import archive
from jaxrl.types import Array, Bool, Float, Int, PyTree

__all__ = ["Plan", "ReturnSets", "bounded", "plan", "q_sets", "state_set"]


class ReturnSets(NamedTuple):
    """Q(s, a) = {r(s, a) + γ v : v ∈ continuation(s, a)}, at most `capacity` vectors each.

    Attributes:
        reward: expected reward of an action.
        continuation: non-dominated return vectors from the state that follows.
        mask: which of them are filled.
    """

    reward: Float[Array, "state action objective"]
    continuation: Float[Array, "state action capacity objective"]
    mask: Bool[Array, "state action capacity"]


class Plan(NamedTuple):
    """The outcome of `plan`.

    Attributes:
        sets: for every state and action, with the whole horizon to go.
        points: the non-dominated return vectors from the start.
        mask: which of them are filled.
        converged: whether the sets stopped changing within the horizon, so that they describe
            policies that need not know the time.
        evicted: vectors dropped for want of capacity; 0 means that the front is exact.
    """

    sets: ReturnSets
    points: Float[Array, "capacity objective"]
    mask: Bool[Array, " capacity"]
    converged: Bool[Array, ""]
    evicted: Int[Array, ""]


def bounded(
    points: Float[Array, "batch objective"], mask: Bool[Array, " batch"], capacity: int
) -> tuple[Float[Array, "capacity objective"], Bool[Array, " capacity"], Int[Array, ""]]:
    """The non-dominated of at least `capacity` points, at most `capacity`, and how many more there were.

    Beyond the capacity the most crowded goes first, extremes last, as in `jaxrl.numerics.archive`.
    """
    # The first points stand as an archive to which the rest is added: no slots are compared in vain.
    held = archive.insert(
        archive.Archive(points[:capacity], mask[:capacity], None), points[capacity:], mask=mask[capacity:]
    )
    return held.points, held.mask, cardinality(points, mask) - jnp.sum(held.mask)


def q_sets(
    sets: ReturnSets, state: Int[Array, ""], discount: Float[Array, ""]
) -> tuple[Float[Array, "action capacity objective"], Bool[Array, "action capacity"]]:
    """The set of every action in one state."""
    return sets.reward[state][:, None] + discount * sets.continuation[state], sets.mask[state]


def state_set(
    sets: ReturnSets, state: Int[Array, ""], discount: Float[Array, ""]
) -> tuple[Float[Array, "capacity objective"], Bool[Array, " capacity"], Int[Array, ""]]:
    """V(s) = ND ∪ₐ Q(s, a), and how many of its vectors had to go."""
    points, mask = q_sets(sets, state, discount)
    return bounded(points.reshape(-1, points.shape[-1]), mask.reshape(-1), mask.shape[-1])


def plan(model: Model, discount: Float[Array, ""], capacity: int, horizon: int) -> Plan:
    """All non-dominated returns of a deterministic model, by dynamic programming over sets.

    V₀(s) = {0},  Qₕ(s, a) = {r(s, a) + γ v : v ∈ Vₕ₋₁(s′)},  Vₕ(s) = ND ∪ₐ Qₕ(s, a), with V = {0}
    after termination; h runs to `horizon`, or until no set changes (White, 1982). Evictions are
    counted over all states and sweeps.
    """
    count, _, num_objectives = model.reward.shape
    every_state = jnp.arange(count)
    nothing = jnp.zeros((count, capacity, num_objectives)), jnp.zeros((count, capacity), bool).at[:, 0].set(True)

    def q(values: tuple[Array, Array]) -> ReturnSets:
        ended = model.terminated[..., None]
        continuation = jnp.where(ended[..., None], 0.0, values[0][model.successor])
        return ReturnSets(model.reward, continuation, jnp.where(ended, nothing[1][0], values[1][model.successor]))

    def sweep(carry: PyTree) -> PyTree:
        step, values, _, evicted = carry
        points, mask, dropped = jax.vmap(state_set, (None, 0, None))(q(values), every_state, discount)
        same = jnp.array_equal(points, values[0]) & jnp.array_equal(mask, values[1])
        return step + 1, (points, mask), same, evicted + jnp.sum(dropped)

    # One sweep fewer than the horizon: the last one is that of `sets`.
    _, values, converged, evicted = jax.lax.while_loop(
        lambda carry: (carry[0] < horizon - 1) & ~carry[2], sweep, (0, nothing, jnp.array(False), jnp.int32(0))
    )
    sets = q(values)
    points, mask, dropped = state_set(sets, model.start, discount)
    return Plan(sets, points, mask, converged, evicted + dropped)
