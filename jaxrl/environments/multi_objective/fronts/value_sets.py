"""Value-set iteration on device: sets of returns as masked arrays of one capacity."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.multi_objective.fronts.model import FiniteModel
from jaxrl.types import Array, Bool, Float, Int

__all__ = ["FrontTooLargeError", "capacities", "pareto_set", "union"]

# Returns that differ by less in every objective are one point: they come from the same policy by
# sums in another order.
_TOLERANCE = 1e-9
# Capacity that is tried first.
_SMALLEST = 32


class FrontTooLargeError(ValueError):
    """A set of non-dominated returns outgrew its capacity."""


def pareto_set(model: FiniteModel, discount: float, horizon: int, capacity: int = 512) -> np.ndarray:
    """The non-dominated expected returns of deterministic policies from state 0.

    V₀(s) = {0},  Vₕ(s) = ND ∪ₐ {r(s, a) + γ Σₖ pₖ vₖ : vₖ ∈ Vₕ₋₁(sₖ)}

    h runs to the horizon, or until no set changes (White, 1982; Van Moffaert and Nowé, 2014). Each
    successor's return is chosen on its own, so that a policy may depend on time and on the states
    seen so far. Computed in float64; the cost is O(states · actions · capacity² · objectives) per
    step, times the size of a set for every further successor of an action.

    Args:
        model: see `tabulate`.
        discount: γ in [0, 1].
        horizon: number of steps, at least 1.
        capacity: the largest number of returns that any state may hold on the way.

    Returns:
        `[point, objective]`, float64, sorted by the first objective.

    Raises:
        FrontTooLargeError: if a set outgrew the capacity; nothing is ever truncated.
    """
    for size in capacities(_SMALLEST, capacity):
        with jax.enable_x64(True):
            run = _iterate(size, model, jnp.float64(discount), jnp.int32(horizon))
            points, mask, largest, step = jax.device_get(run)
        if largest <= size:
            return np.unique(points[mask], axis=0)
    raise FrontTooLargeError(
        f"at least {largest} non-dominated returns in one state after {step} of {horizon} steps at discount "
        f"{discount}: more than the capacity of {capacity}"
    )


def capacities(first: int, last: int) -> Iterator[int]:
    """`first`, doubled until `last`, which comes last: what to try when a set's size is unknown."""
    while first < last:
        yield first
        first *= 2
    yield last


@partial(jax.jit, static_argnums=0)
def _iterate(
    capacity: int, model: FiniteModel, discount: Float[Array, ""], horizon: Int[Array, ""]
) -> tuple[Array, Array, Array, Array]:
    """State 0's set, its mask, the size of the largest set met, and the steps taken."""
    num_states, _, num_objectives = model.rewards.shape
    model = jax.tree.map(jnp.asarray, model)
    points = jnp.zeros((num_states, capacity, num_objectives))
    mask = jnp.zeros((num_states, capacity), bool).at[:, 0].set(True)

    def unfinished(carry: tuple[Array, ...]) -> Bool[Array, ""]:
        _, _, largest, step, changed = carry
        return (step < horizon) & changed & (largest <= capacity)

    def backup(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        points, mask, largest, step, _ = carry
        new, kept, sizes = jax.lax.map(partial(_backup, points, mask, discount), model)
        changed = jnp.any(kept != mask) | jnp.any(new != points)
        return new, kept, jnp.maximum(largest, jnp.max(sizes)), step + 1, changed

    start = (points, mask, jnp.array(1), jnp.array(0, jnp.int32), jnp.array(True))
    points, mask, largest, step, _ = jax.lax.while_loop(unfinished, backup, start)
    return points[0], mask[0], largest, step


def _backup(
    points: Float[Array, "state capacity objective"],
    mask: Bool[Array, "state capacity"],
    discount: Float[Array, ""],
    row: FiniteModel,
) -> tuple[Array, Array, Array]:
    """One state's new set, its mask, and the largest size met in computing it."""
    result = jnp.zeros_like(points[0]), jnp.zeros_like(mask[0]), jnp.array(0)
    num_actions, num_outcomes = row.probabilities.shape
    for action in range(num_actions):
        size = jnp.array(0)
        for outcome in range(num_outcomes):
            chance, successor = row.probabilities[action, outcome], row.successors[action, outcome]
            shift, there = discount * chance * points[successor], mask[successor]
            if outcome == 0:
                # Nothing follows a certain termination: the set is {0}.
                there = jnp.where(chance > 0.0, there, jnp.arange(len(there)) == 0)
                total = row.rewards[action] + shift, there, size
            else:
                total = jax.lax.cond(chance > 0.0, _cross_sum, lambda total, *_: total, total, shift, there)
        merged, kept, count = union(result[0], result[1], total[0], total[1])
        result = merged, kept, jnp.maximum(jnp.maximum(result[2], total[2]), count)
    return result


def _cross_sum(total: tuple[Array, Array, Array], points: Array, mask: Array) -> tuple[Array, Array, Array]:
    """ND{u + v}, one v at a time so that no more than two sets are ever compared."""
    base, base_mask, size = total

    def add(index: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        kept, kept_mask, size = carry
        kept, kept_mask, count = union(kept, kept_mask, base + points[index], base_mask & mask[index])
        return kept, kept_mask, jnp.maximum(size, count)

    # Sets are compact: their points come first.
    empty = jnp.zeros_like(base), jnp.zeros_like(base_mask), size
    return jax.lax.fori_loop(0, jnp.sum(mask), add, empty)


def union(
    first: Float[Array, "capacity entry"],
    first_mask: Bool[Array, " capacity"],
    second: Float[Array, "capacity entry"],
    second_mask: Bool[Array, " capacity"],
    num_objectives: int | None = None,
) -> tuple[Array, Array, Array]:
    """The non-dominated part of two sets without dominated points, first come first.

    Entries beyond the objectives are carried along, and larger ones decide between equal points.

    Returns:
        The points, their mask, and their number, which may exceed the capacity.
    """
    ahead = _at_least(first, second, num_objectives) & first_mask[:, None]
    behind = _at_least(second, first, num_objectives) & second_mask[:, None]
    extra = [jnp.sum(points[:, num_objectives or points.shape[1] :], axis=1) for points in (first, second)]
    # Of equal points the first set's stays, unless the second's has more to offer.
    preferred = extra[0][:, None] >= extra[1][None]
    first_kept = first_mask & ~jnp.any(behind & ~(ahead & preferred).T, axis=0)
    second_kept = second_mask & ~jnp.any(ahead & (~behind.T | preferred), axis=0)
    kept = jnp.concatenate([first_kept, second_kept])
    front = jnp.argsort(~kept, stable=True)[: len(first)]
    points = jnp.concatenate([first, second])[front]
    return jnp.where(kept[front, None], points, 0.0), kept[front], jnp.sum(kept)


def _at_least(first: Array, second: Array, num_objectives: int | None) -> Bool[Array, "capacity capacity"]:
    first, second = first[:, :num_objectives], second[:, :num_objectives]
    return jnp.all(first[:, None] >= second[None] - _TOLERANCE, axis=-1)
