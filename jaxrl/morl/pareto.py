"""Dominance and quality measures of sets of return vectors, all for maximisation.

A set is an array `[batch, objective]` and an optional mask `[batch]` of the entries that count, so
that sets of different sizes share one program. Everything here runs under `jit` and `vmap`, except
`hypervolume` of four objectives and more.
"""

import jax.numpy as jnp
import numpy as np

from jaxrl.morl.hypervolume import as_set, hypervolume
from jaxrl.types import Array, Bool, Float, Int

__all__ = [
    "additive_epsilon",
    "cardinality",
    "crowding_distance",
    "dominates",
    "expected_utility",
    "hypervolume",
    "igd",
    "igd_plus",
    "maximum_utility_loss",
    "non_dominated",
    "sparsity",
]

Points = Float[Array | np.ndarray, "batch objective"]
Front = Float[Array | np.ndarray, "front objective"]
Weights = Float[Array | np.ndarray, "member objective"]
Mask = Bool[Array | np.ndarray, "batch"]


def dominates(
    first: Float[Array | np.ndarray, "*batch objective"], second: Float[Array | np.ndarray, "*batch objective"]
) -> Bool[Array, "*batch"]:
    """Whether `first` is nowhere worse than `second` and somewhere better.

    p ≻ q  ⇔  ∀i: pᵢ ≥ qᵢ  and  ∃i: pᵢ > qᵢ

    Raises:
        ValueError: if the two have different numbers of objectives.
    """
    first, second = jnp.asarray(first), jnp.asarray(second)
    _require_equal_width(first, second, "first", "second")
    return jnp.all(first >= second, axis=-1) & jnp.any(first > second, axis=-1)


def non_dominated(points: Points, mask: Mask | None = None) -> Bool[Array, "batch"]:
    """Which points no other one dominates; of equal points the first is kept, NaN is never kept.

    Costs O(batch² objective) time and memory.

    Raises:
        ValueError: if shapes do not fit.
    """
    points, mask = as_set(points, mask)
    mask = mask & ~jnp.any(jnp.isnan(points), axis=-1)
    at_least = jnp.all(points[:, None] >= points[None], axis=-1)
    order = jnp.arange(points.shape[0])
    # Point i beats j if it is at least as good and either better somewhere or an earlier duplicate.
    beats = at_least & (~at_least.T | (order[:, None] < order[None]))
    return mask & ~jnp.any(beats & mask[:, None], axis=0)


def cardinality(points: Points, mask: Mask | None = None) -> Int[Array, ""]:
    """The number of distinct non-dominated points."""
    return jnp.sum(non_dominated(points, mask))


def expected_utility(points: Points, weights: Weights, mask: Mask | None = None) -> Float[Array, ""]:
    """EUM: the mean over weights of the best weighted return.

    EUM = 1/|W| Σ_w max_p w·p, Zintgraf et al., 2015; −∞ for an empty set.

    Raises:
        ValueError: if shapes do not fit.
    """
    return jnp.mean(_best_utility(points, weights, mask))


def maximum_utility_loss(points: Points, front: Front, weights: Weights, mask: Mask | None = None) -> Float[Array, ""]:
    """MUL: the largest loss of weighted return against a front, over weights.

    MUL = max_w (max_{z ∈ front} w·z − max_p w·p), Zintgraf et al., 2015; ∞ for an empty set, and
    negative if `points` beat the front everywhere.

    Raises:
        ValueError: if shapes do not fit.
    """
    return jnp.max(_best_utility(front, weights, None) - _best_utility(points, weights, mask))


def igd(points: Points, front: Front, mask: Mask | None = None) -> Float[Array, ""]:
    """Inverted generational distance: how far the front's points are from the set.

    IGD = 1/|Z| Σ_z min_p ‖z − p‖₂, Coello Coello and Reyes Sierra, 2004; ∞ for an empty set.

    Raises:
        ValueError: if shapes do not fit.
    """
    gaps, mask = _gaps(points, front, mask)
    return jnp.mean(_nearest(jnp.sqrt(jnp.sum(gaps**2, axis=-1)), mask))


def igd_plus(points: Points, front: Front, mask: Mask | None = None) -> Float[Array, ""]:
    """IGD that counts only what is missing, so that it never rewards a dominated set.

    IGD⁺ = 1/|Z| Σ_z min_p ‖max(z − p, 0)‖₂, Ishibuchi et al., 2015; ∞ for an empty set.

    Raises:
        ValueError: if shapes do not fit.
    """
    gaps, mask = _gaps(points, front, mask)
    return jnp.mean(_nearest(jnp.sqrt(jnp.sum(jnp.maximum(gaps, 0.0) ** 2, axis=-1)), mask))


def additive_epsilon(points: Points, front: Front, mask: Mask | None = None) -> Float[Array, ""]:
    """The least amount that, added to every return, makes the set weakly dominate the front.

    ε = max_z min_p maxᵢ (zᵢ − pᵢ), Zitzler et al., 2003; ∞ for an empty set.

    Raises:
        ValueError: if shapes do not fit.
    """
    gaps, mask = _gaps(points, front, mask)
    return jnp.max(_nearest(jnp.max(gaps, axis=-1), mask))


def sparsity(points: Points, mask: Mask | None = None) -> Float[Array, ""]:
    """Mean squared gap between neighbours, each objective sorted by itself.

    S = 1/(|P| − 1) Σⱼ Σᵢ (P̃ⱼ(i + 1) − P̃ⱼ(i))², Xu et al., 2020 (PGMORL); 0 for fewer
    than two points. Every point in `mask` counts: pass `non_dominated(points)` for the front's. A
    worse point can lower it, so it means little without the hypervolume.

    Raises:
        ValueError: if shapes do not fit.
    """
    points, mask = as_set(points, mask)
    count = jnp.sum(mask)
    ordered = jnp.sort(jnp.where(mask[:, None], points, jnp.inf), axis=0)
    is_gap = jnp.arange(1, points.shape[0])[:, None] < count
    gaps = jnp.where(is_gap, ordered[1:], 0.0) - jnp.where(is_gap, ordered[:-1], 0.0)
    return jnp.sum(gaps**2) / jnp.maximum(count - 1, 1)


def crowding_distance(points: Points, mask: Mask | None = None) -> Float[Array, "batch"]:
    """How isolated each point is: the sum over objectives of the gap between its two neighbours.

    d(p) = Σᵢ (next value − previous value) / range of objective i, Deb et al., 2002, section III-B.
    ∞ for the smallest and the largest of any objective, −∞ outside `mask`.

    Raises:
        ValueError: if shapes do not fit.
    """
    points, mask = as_set(points, mask)
    count = jnp.sum(mask)
    order = jnp.argsort(jnp.where(mask[:, None], points, jnp.inf), axis=0)
    ordered = jnp.take_along_axis(points, order, axis=0)
    low = jnp.min(jnp.where(mask[:, None], points, jnp.inf), axis=0)
    high = jnp.max(jnp.where(mask[:, None], points, -jnp.inf), axis=0)
    scale = jnp.where(high > low, high - low, 1.0)
    gap = (jnp.roll(ordered, -1, axis=0) - jnp.roll(ordered, 1, axis=0)) / scale
    rank = jnp.arange(points.shape[0])[:, None]
    gap = jnp.where((rank == 0) | (rank >= count - 1), jnp.inf, gap)
    distance = jnp.sum(jnp.take_along_axis(gap, jnp.argsort(order, axis=0), axis=0), axis=-1)
    return jnp.where(mask, distance, -jnp.inf)


def _best_utility(points: Points, weights: Weights, mask: Mask | None) -> Array:
    points, mask = as_set(points, mask)
    weights = jnp.asarray(weights)
    _require_equal_width(points, weights, "points", "weights")
    return jnp.max(jnp.where(mask, weights @ points.T, -jnp.inf), axis=-1)


def _gaps(points: Points, front: Front, mask: Mask | None) -> tuple[Array, Array]:
    """z − p for every pair, `[front, batch, objective]`, and the mask."""
    points, mask = as_set(points, mask)
    front, _ = as_set(front, None)
    _require_equal_width(points, front, "points", "front")
    return front[:, None] - points[None], mask


def _nearest(distances: Array, mask: Array) -> Array:
    return jnp.min(jnp.where(mask, distances, jnp.inf), axis=-1)


def _require_equal_width(first: Array, second: Array, first_name: str, second_name: str) -> None:
    if first.ndim == 0 or second.ndim == 0 or first.shape[-1] != second.shape[-1]:
        raise ValueError(
            f"{first_name} and {second_name} need one entry per objective on their last axis, "
            f"got shapes {first.shape} and {second.shape}"
        )
