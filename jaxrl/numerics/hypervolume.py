"""The hypervolume indicator, exact: of a set, of what each point adds to it, and of what others would add."""

import warnings
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.numerics.boxes import compiled_volume, host_volume
from jaxrl.numerics.dominance import Mask, Points, as_set, non_dominated, require_equal_width
from jaxrl.types import Array, Float

__all__ = ["gains_above", "hypervolume", "hypervolume_contributions", "hypervolume_improvement"]

Reference = Float[Array | np.ndarray, "objective"] | Sequence[float]

# Points for which a set is thinned to its front first: below, looking for it costs more than it saves.
_WORTH_THINNING = 256
# Exclusive volumes computed side by side.
_CANDIDATES = 32


def hypervolume(points: Points, reference: Reference, mask: Mask | None = None) -> Float[Array, ""]:
    """The volume that the points dominate above a reference point (maximisation).

    HV(P, r) = λ(∪ₚ [r, p]), Zitzler and Thiele, 1999. Points that do not exceed the reference in
    every objective contribute nothing; dominated points and duplicates change nothing.

    One objective: the best gain. Two: a sweep, O(n log n). Three: a sweep over the points of the front
    with a vector over all widths, O(f n) time, O(n) memory. Four and more: a box decomposition; inside
    compiled code with a buffer for the most boxes there can be, O(n²) for four objectives and O(n³) for five and
    six, meant for up to 200 points; outside on the host, in float64, as large as it gets.

    Args:
        points: return vectors.
        reference: lower corner, one entry per objective.
        mask: which points count; default all.

    Returns:
        A scalar array in the points' precision; 0, with a warning outside tracing, if no point
        exceeds the reference.

    Raises:
        ValueError: if shapes do not fit, or for more boxes than compiled code should hold.
    """
    points, mask = as_set(points, mask)
    gains, reference = gains_above(points, reference, mask)
    if not isinstance(gains, jax.core.Tracer) and not np.any(gains):
        warnings.warn(
            f"no point exceeds the reference {np.asarray(reference).tolist()}: its hypervolume is 0", stacklevel=2
        )
    return _volume(gains)


def hypervolume_contributions(points: Points, reference: Reference, mask: Mask | None = None) -> Float[Array, " batch"]:
    """What the hypervolume would lose without each point; 0 for dominated and for duplicated points.

    c(p) = HV(P) − HV(P ∖ {p}) = λ([r, p]) − HV({min(p, q) : q ∈ P ∖ {p}}), where the second form loses no
    precision to the rest of the set (While et al., 2012). Dominated points reduce the contribution of those
    that dominate them, as in the definition; mask them out to ignore them. n hypervolumes of n
    points: O(n² log n) for two objectives, O(n³) for three.

    Raises:
        ValueError: as `hypervolume`.
    """
    points, mask = as_set(points, mask)
    gains, _ = gains_above(points, reference, mask)
    return _exclusive(gains, gains, jnp.arange(points.shape[0]))


def hypervolume_improvement(
    points: Points,
    candidates: Float[Array | np.ndarray, "candidate objective"],
    reference: Reference,
    mask: Mask | None = None,
) -> Float[Array, " candidate"]:
    """What the hypervolume would gain from each candidate by itself.

    I(c) = HV(P ∪ {c}) − HV(P) = λ([r, c]) − HV({min(c, p) : p ∈ P}), one hypervolume per candidate.

    Args:
        points: the set so far, such as an archive's points.
        candidates: return vectors, each judged alone; those with NaN improve nothing.
        reference: lower corner, one entry per objective.
        mask: which of `points` count; default all.

    Raises:
        ValueError: as `hypervolume`.
    """
    points, mask = as_set(points, mask)
    candidates, every = as_set(candidates, None)
    require_equal_width(points, candidates, "points", "candidates")
    gains, reference = gains_above(points, reference, mask)
    rivals, _ = gains_above(candidates.astype(points.dtype), reference, every)
    return _exclusive(rivals, gains, jnp.full(candidates.shape[0], -1))


def gains_above(points: Array, reference: Reference, mask: Array) -> tuple[Array, Array]:
    """How far each point exceeds the reference, zeros where it does not in every objective, and the reference."""
    reference = jnp.asarray(reference, points.dtype)
    num_objectives = points.shape[-1]
    if reference.shape != (num_objectives,):
        raise ValueError(f"reference needs {num_objectives} entries, one per objective, got shape {reference.shape}")
    gains = points - reference
    counts = mask & jnp.all(gains > 0.0, axis=-1)
    return jnp.where(counts[:, None], gains, 0.0), reference


def _volume(gains: Array) -> Array:
    """Volume of the union of the boxes [0, gain]."""
    num_points, num_objectives = gains.shape
    if num_points == 0:
        return jnp.zeros((), gains.dtype)
    if num_objectives == 1:
        return jnp.max(gains)
    if num_objectives == 2:
        return _area(gains[jnp.argsort(-gains[:, 0])])
    if num_objectives == 3:
        counts = gains[:, 0] > 0.0
        if num_points > _WORTH_THINNING:
            counts = non_dominated(gains, counts)
        order = jnp.argsort(jnp.where(counts, -gains[:, 2], 1.0))
        return _sweep(gains[order], -jnp.sort(-gains[:, 0]), jnp.sum(counts))
    if isinstance(gains, jax.core.Tracer):
        return compiled_volume(gains)
    return jnp.asarray(_host_volume(np.asarray(gains, np.float64)), gains.dtype)


def _host_volume(gains: np.ndarray) -> float:
    return host_volume(gains[gains[:, 0] > 0.0])


def _area(gains: Array) -> Array:
    """Area under a staircase, swept from the widest point, which comes first: only the rise above it adds area."""
    widths, heights = gains[:, 0], gains[:, 1]
    highest = jnp.append(jnp.zeros_like(heights[:1]), jax.lax.cummax(heights)[:-1])
    return jnp.sum(widths * jnp.maximum(heights - highest, 0.0))


def _sweep(gains: Array, edges: Array, count: Array | int) -> Array:
    """Volume of the first `count` boxes, the deepest first: each adds the area that it newly covers, all the way down.

    `edges` are all widths, the widest first: cell k lies between edge k + 1 and edge k, and a point covers the cells
    that end at or before its width.
    """
    widths, heights, depths = gains.T
    cells = edges - jnp.append(edges[1:], 0.0)

    def cover(index: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        skyline, total = carry
        raised = jnp.where(edges <= widths[index], jnp.maximum(skyline, heights[index]), skyline)
        return raised, total + depths[index] * jnp.sum(cells * (raised - skyline))

    start = (jnp.zeros_like(edges), jnp.zeros((), gains.dtype))
    return jax.lax.fori_loop(0, count, cover, start)[1]


def _exclusive(candidates: Array, gains: Array, itself: Array) -> Array:
    """Volume of each candidate's box outside the union of all others; `itself` is its own row in `gains`, or −1."""
    num_points, num_objectives = gains.shape
    if num_points == 0:
        return jnp.prod(candidates, axis=-1)
    # Clipping keeps an order, so that one sort serves all candidates.
    order = jnp.argsort(-gains[:, 2 if num_objectives == 3 else 0])
    itself = jnp.where(itself < 0, -1, jnp.argsort(order)[itself])
    gains, edges = gains[order], -jnp.sort(-gains[:, 0])

    def others(candidate: Array, itself: Array) -> Array:
        # A box without height is none, and stays in its place.
        own = (jnp.arange(num_points) == itself)[:, None] & (jnp.arange(num_objectives) == 1)
        return jnp.where(own, 0.0, jnp.minimum(gains, candidate))

    def exclusive(row: tuple[Array, Array]) -> Array:
        candidate, rivals = row[0], others(*row)
        if num_objectives == 2:
            covered = _area(rivals)
        elif num_objectives == 3:
            covered = _sweep(rivals, jnp.minimum(edges, candidate[0]), num_points)
        else:
            covered = _volume(rivals)
        return jnp.prod(candidate) - covered

    rows = (candidates, itself)
    if num_objectives <= 3 or isinstance(gains, jax.core.Tracer) or isinstance(candidates, jax.core.Tracer):
        return jnp.maximum(jax.lax.map(exclusive, rows, batch_size=_CANDIDATES), 0.0)
    # On the host, where the difference is taken in float64.
    pairs = [(np.asarray(row[0], np.float64), np.asarray(others(*row), np.float64)) for row in zip(*rows, strict=True)]
    volumes = [np.prod(candidate) - _host_volume(rivals[np.all(rivals > 0.0, axis=1)]) for candidate, rivals in pairs]
    return jnp.maximum(jnp.asarray(volumes, gains.dtype), 0.0)
