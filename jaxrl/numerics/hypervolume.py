"""The hypervolume indicator, exact: of a set, of what each point adds to it, and of what others would add.

Infinite entries are in order: a box with an infinite side has an infinite volume. A reference that is not a number is
an error, and gives NaN where it is traced. A finite volume that no float of its precision holds becomes the largest
float or the smallest positive normal one, so that only what is infinite is infinite and only what is empty is 0;
`log_hypervolume` tells such volumes apart.
"""

import warnings
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.numerics.boxes import host_volume
from jaxrl.numerics.dominance import Mask, Points, as_set, require_equal_width
from jaxrl.numerics.one_program import one_program, refuse_nan
from jaxrl.numerics.units import in_units, restored
from jaxrl.numerics.volumes import staircase, sweep, volume
from jaxrl.types import Array, Float

__all__ = [
    "finite_boxes",
    "gains_above",
    "hypervolume",
    "hypervolume_contributions",
    "hypervolume_improvement",
    "log_hypervolume",
]

Reference = Float[Array | np.ndarray, "objective"] | Sequence[float]

# Exclusive volumes computed side by side.
_CANDIDATES = 32
# Objectives up to which volumes outside of programs are computed by one; beyond, by the host in float64.
_COMPILED = 3


def hypervolume(points: Points, reference: Reference, mask: Mask | None = None) -> Float[Array, ""]:
    """The volume that the points dominate above a reference point (maximisation).

    HV(P, r) = λ(∪ₚ [r, p]), Zitzler and Thiele, 1999. Points that do not exceed the reference in
    every objective contribute nothing; dominated points and duplicates change nothing. One point that
    does, and is infinitely far above it in any, makes the volume infinite.

    One objective: the best gain. Two: a sweep, O(n log n). Three: a sweep over the points of the front
    with a vector over all widths, O(f n) time, O(n) memory. Four and more: a box decomposition; inside
    compiled code with a buffer for the most boxes there can be, O(n²) for four objectives and O(n³) for five and
    six, meant for up to 200 points; outside on the host, in float64, as large as it gets.

    Args:
        points: return vectors.
        reference: lower corner, one entry per objective, which may be infinite.
        mask: which points count; default all.

    Returns:
        A scalar array in the points' precision; 0, with a warning outside tracing, if no point
        exceeds the reference.

    Raises:
        ValueError: if shapes do not fit, for a reference that is not a number, or for more boxes than compiled code
            should hold.
    """
    refuse_nan(reference, "reference")
    of_any = _volume_above if np.ndim(points) != 2 or np.shape(points)[1] > _COMPILED else _compiled_volume_above
    value = of_any(points, reference, mask)
    if not isinstance(value, jax.core.Tracer):
        _warn_of_extremes(float(value), np.asarray(reference, value.dtype))
    return value


def _volume_above(points: Points, reference: Reference, mask: Mask | None) -> Array:
    points, mask = as_set(points, mask)
    gains, reference = gains_above(points, reference, mask)
    return _bounded(restored(*volume(finite_boxes(gains))), gains, reference)


_compiled_volume_above = one_program()(_volume_above)


def log_hypervolume(points: Points, reference: Reference, mask: Mask | None = None) -> Float[Array, ""]:
    """The natural logarithm of `hypervolume`, also of volumes that no float holds; −∞ for 0.

    Raises:
        ValueError: as `hypervolume`.
    """
    points, mask = as_set(points, mask)
    gains, reference = gains_above(points, reference, mask)
    size, exponent = volume(finite_boxes(gains))
    return _bounded(jnp.log(size) + exponent * np.log(2.0).astype(gains.dtype), gains, reference)


def _bounded(value: Array, gains: Array, reference: Array) -> Array:
    """The value for finite boxes, unless there are infinite ones or no reference."""
    value = jnp.where(jnp.any(jnp.isinf(gains)), jnp.inf, value)
    return jnp.where(jnp.any(jnp.isnan(reference)), jnp.nan, value)


def _warn_of_extremes(value: float, reference: np.ndarray) -> None:
    limits = jnp.finfo(reference.dtype)
    if value == 0.0:
        warnings.warn(f"no point exceeds the reference {reference.tolist()}: its hypervolume is 0", stacklevel=3)
    elif value in (float(limits.max), float(limits.tiny)):
        warnings.warn(f"the hypervolume is beyond the range of {reference.dtype}; use log_hypervolume", stacklevel=3)


def hypervolume_contributions(points: Points, reference: Reference, mask: Mask | None = None) -> Float[Array, " batch"]:
    """What the hypervolume would lose without each point; 0 for dominated and for duplicated points.

    c(p) = HV(P) − HV(P ∖ {p}) = λ([r, p]) − HV({min(p, q) : q ∈ P ∖ {p}}), where the second form loses no
    precision to the rest of the set (While et al., 2012). Dominated points reduce the contribution of those
    that dominate them, as in the definition; mask them out to ignore them. n hypervolumes of n
    points: O(n² log n) for two objectives, O(n³) for three.

    A point with an infinite box contributes ∞, unless another is nowhere worse, and then 0; what a point with a finite
    box adds to infinite ones is finite.

    Raises:
        ValueError: as `hypervolume`.
    """
    points, mask = as_set(points, mask)
    gains, reference = gains_above(points, reference, mask)
    return _exclusive(gains, gains, jnp.arange(points.shape[0]), reference)


def hypervolume_improvement(
    points: Points,
    candidates: Float[Array | np.ndarray, "candidate objective"],
    reference: Reference,
    mask: Mask | None = None,
) -> Float[Array, " candidate"]:
    """What the hypervolume would gain from each candidate by itself.

    I(c) = HV(P ∪ {c}) − HV(P) = λ([r, c]) − HV({min(c, p) : p ∈ P}), one hypervolume per candidate;
    infinite candidates as in `hypervolume_contributions`.

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
    return _exclusive(rivals, gains, jnp.full(candidates.shape[0], -1), reference)


def gains_above(points: Array, reference: Reference, mask: Array) -> tuple[Array, Array]:
    """How far each point exceeds the reference, zeros where it does not in every objective, and the reference."""
    refuse_nan(reference, "reference")
    reference = jnp.asarray(reference, points.dtype)
    num_objectives = points.shape[-1]
    if reference.shape != (num_objectives,):
        raise ValueError(f"reference needs {num_objectives} entries, one per objective, got shape {reference.shape}")
    # An infinite point above an equally infinite reference differs from it by NaN, which exceeds nothing.
    gains = points - reference
    counts = mask & jnp.all(gains > 0.0, axis=-1)
    return jnp.where(counts[:, None], gains, 0.0), reference


def finite_boxes(gains: Float[Array, "*batch objective"]) -> Float[Array, "*batch objective"]:
    """Gains with zeros in place of infinite boxes."""
    return jnp.where(jnp.any(jnp.isinf(gains), axis=-1, keepdims=True), 0.0, gains)


def _exclusive(candidates: Array, gains: Array, itself: Array, reference: Array) -> Array:
    """Volume of each candidate's box outside the union of all others; `itself` is its own row in `gains`, or −1."""
    if gains.shape[0] == 0:
        gains = jnp.zeros((1, gains.shape[1]), gains.dtype)
    on_host = gains.shape[1] > 3 and not any(isinstance(array, jax.core.Tracer) for array in (candidates, gains))
    volumes = (_host_exclusive if on_host else _compiled_exclusive)(finite_boxes(candidates), gains, itself)
    return _with_infinite(volumes, candidates, gains, itself, reference)


@jax.jit
def _with_infinite(volumes: Array, candidates: Array, gains: Array, itself: Array, reference: Array) -> Array:
    """An infinite box reaches infinitely far beyond all others; and any within another has nothing outside of it."""

    def within(row: tuple[Array, Array]) -> Array:
        return jnp.any((jnp.arange(len(gains)) != row[1]) & jnp.all(gains >= row[0], axis=-1))

    volumes = jnp.where(jnp.any(jnp.isinf(candidates), axis=-1), jnp.inf, volumes)
    volumes = jnp.where(jax.lax.map(within, (candidates, itself), batch_size=_CANDIDATES), 0.0, volumes)
    return jnp.where(jnp.any(jnp.isnan(reference)), jnp.nan, volumes)


@jax.jit
def _compiled_exclusive(candidates: Array, gains: Array, itself: Array) -> Array:
    """As `_exclusive`, of finite candidates, each in units of its own."""
    num_points, num_objectives = gains.shape
    # Clipping keeps an order, so that one sort serves all candidates.
    order = jnp.argsort(-gains[:, 2 if num_objectives == 3 else 0])
    itself = jnp.where(itself < 0, -1, jnp.argsort(order)[itself])
    gains, edges = gains[order], -jnp.sort(-gains[:, 0])

    def others(candidate: Array, itself: Array) -> Array:
        # A box without height is none, and stays in its place.
        own = (jnp.arange(num_points) == itself)[:, None] & (jnp.arange(num_objectives) == 1)
        return jnp.where(own, 0.0, jnp.minimum(gains, candidate))

    def exclusive(row: tuple[Array, Array, Array]) -> Array:
        candidate, itself, unit = row
        rivals = in_units(others(candidate, itself), unit)
        if num_objectives == 2:
            covered = staircase(rivals)
        elif num_objectives == 3:
            covered = sweep(rivals, in_units(jnp.minimum(edges, candidate[0]), unit[0]), num_points)
        else:
            covered = restored(*volume(rivals))
        return jnp.prod(in_units(candidate, unit)) - covered

    units = jnp.frexp(candidates)[1]
    volumes = jax.lax.map(exclusive, (candidates, itself, units), batch_size=_CANDIDATES)
    return restored(jnp.maximum(volumes, 0.0), jnp.sum(units, axis=-1))


def _host_exclusive(candidates: Array, gains: Array, itself: Array) -> Array:
    """As `_compiled_exclusive`, where the difference is taken in float64."""
    every, sizes = np.asarray(gains, np.float64), np.asarray(candidates, np.float64)
    units = np.frexp(sizes)[1]

    def exclusive(candidate: np.ndarray, itself: int, unit: np.ndarray) -> float:
        rivals = np.ldexp(np.minimum(every, candidate), -unit)[np.arange(len(every)) != itself]
        covered = np.ldexp(*host_volume(rivals[np.all(rivals > 0.0, axis=1)]))
        return max(0.0, float(np.prod(np.ldexp(candidate, -unit)) - covered))

    volumes = [exclusive(*row) for row in zip(sizes, itself.tolist(), units, strict=True)]
    return restored(jnp.asarray(volumes, gains.dtype), units.sum(axis=-1))
