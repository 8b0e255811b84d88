"""Quality measures of sets of return vectors, all for maximisation, and the filters they rest on.

A set is an array `[batch, objective]` and an optional mask `[batch]` of the entries that count, so
that sets of different sizes share one program; a point with a NaN, such as a diverged policy's, never
counts. Everything here runs under `jit` and `vmap`.

Infinite entries are ordered like others: equal infinities are no gap, others an infinite one; weighted returns
leave out objectives without weight, and −∞ outweighs ∞. What a set is compared with (references, fronts, weights)
must be numbers: NaN among them is a ValueError, or a result of NaN where they are traced.
"""

import jax.numpy as jnp
import numpy as np

from jaxrl.morl.coverage import convex_coverage
from jaxrl.morl.estimate import hypervolume_estimate
from jaxrl.numerics.dominance import (
    Mask,
    Points,
    as_set,
    difference,
    dominates,
    non_dominated,
    require_equal_width,
)
from jaxrl.numerics.hypervolume import hypervolume, hypervolume_contributions, hypervolume_improvement, log_hypervolume
from jaxrl.numerics.one_program import one_program
from jaxrl.types import Array, Float, Int

__all__ = [
    "additive_epsilon",
    "cardinality",
    "convex_coverage",
    "crowding_distance",
    "dominates",
    "expected_utility",
    "hypervolume",
    "hypervolume_contributions",
    "hypervolume_estimate",
    "hypervolume_improvement",
    "igd",
    "igd_plus",
    "log_hypervolume",
    "maximum_utility_loss",
    "non_dominated",
    "sparsity",
]

Front = Float[Array | np.ndarray, "front objective"]
Weights = Float[Array | np.ndarray, "member objective"]


@one_program()
def cardinality(points: Points, mask: Mask | None = None) -> Int[Array, ""]:
    """The number of distinct non-dominated points."""
    return jnp.sum(non_dominated(points, mask))


@one_program("weights")
def expected_utility(points: Points, weights: Weights, mask: Mask | None = None) -> Float[Array, ""]:
    """EUM: the mean over weights of the best weighted return.

    EUM = 1/|W| Σ_w max_p w·p, Zintgraf et al., 2015; −∞ for an empty set.

    Raises:
        ValueError: if shapes do not fit, or for weights that are not numbers.
    """
    return jnp.mean(_best_utility(points, weights, mask))


@one_program("front", "weights")
def maximum_utility_loss(points: Points, front: Front, weights: Weights, mask: Mask | None = None) -> Float[Array, ""]:
    """MUL: the largest loss of weighted return against a front, over weights.

    MUL = max_w (max_{z ∈ front} w·z − max_p w·p), Zintgraf et al., 2015; ∞ for an empty set, and
    negative if `points` beat the front everywhere.

    Raises:
        ValueError: if shapes do not fit, or for a front or weights that are not numbers.
    """
    loss = difference(_best_utility(front, weights, None), _best_utility(points, weights, mask))
    return jnp.where(jnp.any(jnp.isnan(jnp.asarray(front))), jnp.nan, jnp.max(loss))


@one_program("front")
def igd(points: Points, front: Front, mask: Mask | None = None) -> Float[Array, ""]:
    """Inverted generational distance: how far the front's points are from the set.

    IGD = 1/|Z| Σ_z min_p ‖z − p‖₂, Coello Coello and Reyes Sierra, 2004; ∞ for an empty set.

    Raises:
        ValueError: if shapes do not fit, or for a front that is not made of numbers.
    """
    gaps, mask = _gaps(points, front, mask)
    return jnp.mean(_nearest(jnp.sqrt(jnp.sum(gaps**2, axis=-1)), mask))


@one_program("front")
def igd_plus(points: Points, front: Front, mask: Mask | None = None) -> Float[Array, ""]:
    """IGD that counts only what is missing, so that it never rewards a dominated set.

    IGD⁺ = 1/|Z| Σ_z min_p ‖max(z − p, 0)‖₂, Ishibuchi et al., 2015; ∞ for an empty set.

    Raises:
        ValueError: if shapes do not fit, or for a front that is not made of numbers.
    """
    gaps, mask = _gaps(points, front, mask)
    return jnp.mean(_nearest(jnp.sqrt(jnp.sum(jnp.maximum(gaps, 0.0) ** 2, axis=-1)), mask))


@one_program("front")
def additive_epsilon(points: Points, front: Front, mask: Mask | None = None) -> Float[Array, ""]:
    """The least amount that, added to every return, makes the set weakly dominate the front.

    ε = max_z min_p maxᵢ (zᵢ − pᵢ), Zitzler et al., 2003; ∞ for an empty set.

    Raises:
        ValueError: if shapes do not fit, or for a front that is not made of numbers.
    """
    gaps, mask = _gaps(points, front, mask)
    return jnp.max(_nearest(jnp.max(gaps, axis=-1), mask))


@one_program()
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
    gaps = difference(jnp.where(is_gap, ordered[1:], 0.0), jnp.where(is_gap, ordered[:-1], 0.0))
    return jnp.sum(gaps**2) / jnp.maximum(count - 1, 1)


@one_program()
def crowding_distance(points: Points, mask: Mask | None = None) -> Float[Array, " batch"]:
    """How isolated each point is: the sum over objectives of the gap between its two neighbours.

    d(p) = Σᵢ (next value − previous value) / range of objective i, Deb et al., 2002, section III-B.
    ∞ for the smallest and the largest of any objective and beside infinite values, −∞ outside `mask`.

    Raises:
        ValueError: if shapes do not fit.
    """
    points, mask = as_set(points, mask)
    count = jnp.sum(mask)
    order = jnp.argsort(jnp.where(mask[:, None], points, jnp.inf), axis=0)
    ordered = jnp.take_along_axis(points, order, axis=0)
    low = jnp.min(points, axis=0, where=mask[:, None], initial=jnp.inf)
    high = jnp.max(points, axis=0, where=mask[:, None], initial=-jnp.inf)
    scale = jnp.where(high > low, high - low, 1.0)
    gap = difference(jnp.roll(ordered, -1, axis=0), jnp.roll(ordered, 1, axis=0))
    rank = jnp.arange(points.shape[0])[:, None]
    gap = jnp.where((rank == 0) | (rank >= count - 1) | jnp.isinf(gap), jnp.inf, gap / scale)
    distance = jnp.sum(jnp.take_along_axis(gap, jnp.argsort(order, axis=0), axis=0), axis=-1)
    return jnp.where(mask, distance, -jnp.inf)


def _best_utility(points: Points, weights: Weights, mask: Mask | None) -> Array:
    points, mask = as_set(points, mask)
    weights = jnp.asarray(weights)
    require_equal_width(points, weights, "points", "weights")
    # Some devices round products of matrices to fewer digits unless told otherwise.
    utility = jnp.matmul(weights, jnp.where(jnp.isfinite(points), points, 0.0).T, precision="highest")
    utility = jnp.where(_any_weighted(weights, points == jnp.inf), jnp.inf, utility)
    utility = jnp.where(_any_weighted(weights, points == -jnp.inf), -jnp.inf, utility)
    best = jnp.max(utility, axis=-1, where=mask, initial=-jnp.inf)
    return jnp.where(jnp.any(jnp.isnan(weights), axis=-1), jnp.nan, best)


def _any_weighted(weights: Array, flags: Array) -> Array:
    """Whether any objective with a weight has its flag, `[*weight, point]`."""
    return jnp.matmul((weights > 0.0).astype(jnp.float32), flags.T.astype(jnp.float32)) > 0.0


def _gaps(points: Points, front: Front, mask: Mask | None) -> tuple[Array, Array]:
    """z − p for every pair, `[front, batch, objective]`, and the mask."""
    points, mask = as_set(points, mask)
    front, _ = as_set(front, None)
    require_equal_width(points, front, "points", "front")
    return difference(front[:, None], points[None]), mask


def _nearest(distances: Array, mask: Array) -> Array:
    return jnp.min(distances, axis=-1, where=mask, initial=jnp.inf)
