"""The hypervolume indicator: compiled for up to three objectives, exact on the host beyond."""

import warnings
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.types import Array, Bool, Float

__all__ = ["as_set", "hypervolume"]


def hypervolume(
    points: Float[Array | np.ndarray, "batch objective"],
    reference: Float[Array | np.ndarray, "objective"] | Sequence[float],
    mask: Bool[Array | np.ndarray, "batch"] | None = None,
) -> Float[Array, ""]:
    """The volume that the points dominate above a reference point (maximisation).

    HV(P, r) = λ(∪ₚ [r, p]), Zitzler and Thiele, 1999. Points that do not exceed the reference in
    every objective contribute nothing; dominated points and duplicates change nothing.

    One objective: the best gain. Two: a sweep, O(n log n). Three: one sweep per slice,
    O(n²). These run under `jit` and `vmap` in the points' own precision. Four and more:
    a box decomposition on the host in float64 (Lacour et al., 2017), rounded at the end.

    Args:
        points: return vectors.
        reference: lower corner, one entry per objective.
        mask: which points count; default all.

    Returns:
        A scalar array; 0, with a warning outside tracing, if no point exceeds the reference.

    Raises:
        ValueError: if shapes do not fit, or for four or more objectives under tracing.
    """
    points, mask = as_set(points, mask)
    reference = jnp.asarray(reference, points.dtype)
    num_objectives = points.shape[-1]
    if reference.shape != (num_objectives,):
        raise ValueError(f"reference needs {num_objectives} entries, one per objective, got shape {reference.shape}")
    gains = points - reference
    # A NaN compares false, so such a point contributes nothing either.
    counts = mask & jnp.all(gains > 0.0, axis=-1)
    traced = isinstance(counts, jax.core.Tracer)
    if not traced and not np.any(counts):
        warnings.warn(
            f"no point exceeds the reference {np.asarray(reference).tolist()}: its hypervolume is 0", stacklevel=2
        )
    gains = jnp.where(counts[:, None], gains, 0.0)
    if num_objectives == 1:
        return jnp.max(gains, initial=0.0)
    if num_objectives == 2:
        return _area(gains)
    if num_objectives == 3:
        return _volume(gains)
    if traced:
        raise ValueError(
            f"the exact hypervolume of {num_objectives} objectives runs on the host and cannot be traced: call it "
            "outside jit and vmap, or track expected_utility in compiled code"
        )
    return jnp.asarray(_box_decomposition(np.asarray(gains, np.float64)[np.asarray(counts)]), points.dtype)


def as_set(points: Array | np.ndarray, mask: Array | np.ndarray | None) -> tuple[Array, Array]:
    """`points` as a float array `[batch, objective]` and a full mask.

    Raises:
        ValueError: if `points` has no two axes or `mask` is not one flag per point.
    """
    points = jnp.asarray(points)
    if points.ndim != 2:
        raise ValueError(f"points need the shape [batch, objective], got {points.shape}")
    if not jnp.issubdtype(points.dtype, jnp.floating):
        points = points.astype(jnp.float32)
    mask = jnp.ones(points.shape[0], bool) if mask is None else jnp.asarray(mask)
    if mask.shape != points.shape[:1] or mask.dtype != jnp.bool_:
        raise ValueError(f"mask needs {points.shape[0]} booleans, one per point, got {mask.dtype}{list(mask.shape)}")
    return points, mask


def _highest_before(heights: Array) -> Array:
    """The running maximum of what comes before each entry of the last axis, 0 at the first."""
    running = jax.lax.cummax(heights, axis=heights.ndim - 1)
    return jnp.concatenate([jnp.zeros_like(heights[..., :1]), running[..., :-1]], axis=-1)


def _area(gains: Array) -> Array:
    """Area under a staircase, swept from the widest point: only the rise above it adds area."""
    gains = gains[jnp.argsort(-gains[:, 0])]
    widths, heights = gains[:, 0], gains[:, 1]
    return jnp.sum(widths * jnp.maximum(heights - _highest_before(heights), 0.0))


def _volume(gains: Array) -> Array:
    """Volume as slices between successive values of the third objective, each with its area."""
    gains = gains[jnp.argsort(-gains[:, 0])]
    widths, heights, depths = gains.T
    levels = -jnp.sort(-depths)
    thickness = levels - jnp.append(levels[1:], 0.0)
    # Row k holds the points that reach down to slice k, still ordered by width.
    reaching = jnp.where(depths[None] >= levels[:, None], heights[None], 0.0)
    areas = jnp.sum(widths * jnp.maximum(reaching - _highest_before(reaching), 0.0), axis=-1)
    return jnp.sum(areas * thickness)


def _box_decomposition(gains: np.ndarray) -> float:
    """Volume from the local upper bounds of a sweep over the last objective.

    Points enter in falling order of the last objective. Below each level, the part dominated in the
    other objectives is a disjoint union of boxes, one for each local upper bound, and a box
    contributes its volume times the levels through which its bound stays valid (Klamroth et al.,
    2015; Lacour et al., 2017). Coordinates are replaced by ranks (0 is
    best), so that no two points are level in any objective and no case needs a tie-break.
    """
    num_points, num_objectives = gains.shape
    if num_points == 0:
        return 0.0
    gains = gains[np.argsort(-gains[:, -1], kind="stable")]
    width = num_objectives - 1
    order = np.argsort(-gains[:, :width], axis=0, kind="stable")
    ranks = np.argsort(order, axis=0) + 1
    # value[rank]: rank 0 is an unreachable ideal, the last rank is the reference.
    ordered = np.take_along_axis(gains[:, :width], order, axis=0)
    value = np.concatenate([ordered[:1], ordered, np.zeros((1, width))])
    columns = np.arange(width)

    # definers[u, i] is the point (as ranks) from which bound u has its i-th entry.
    definers = np.where(np.eye(width, dtype=bool), num_points + 1, 0)[None]
    since = np.array([gains[0, -1]])
    total = 0.0

    def volumes(definers: np.ndarray) -> np.ndarray:
        bounds = definers[:, columns, columns]
        low = np.stack([definers[:, : max(j, 1), j].max(axis=1) for j in columns], axis=1)
        high = bounds.copy()
        high[:, 0] = num_points + 1
        return np.prod(value[low, columns] - value[high, columns], axis=1)

    for point, level in zip(ranks, gains[:, -1], strict=True):
        hit = np.all(point < definers[:, columns, columns], axis=1)
        if not hit.any():
            continue
        split = definers[hit]
        total += float(volumes(split) @ (since[hit] - level))
        children = []
        for j in columns:
            others = np.delete(split[:, :, j], j, axis=1)
            child = split[point[j] > others.max(axis=1)]
            child[:, j] = point
            children.append(child)
        definers = np.concatenate([definers[~hit], *children])
        since = np.concatenate([since[~hit], np.full(len(definers) - np.sum(~hit), level)])
    return total + float(volumes(definers) @ since)
