"""Volumes of unions of boxes that share a corner, by the fastest exact way for each number of objectives."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.numerics.boxes import compiled_volume, host_volume
from jaxrl.numerics.dominance import non_dominated
from jaxrl.numerics.units import common_units, in_units
from jaxrl.types import Array

__all__ = ["staircase", "sweep", "volume"]

# Points for which a set is thinned to its front first: below, looking for it costs more than it saves.
_WORTH_THINNING = 256


def volume(gains: Array) -> tuple[Array, Array]:
    """Volume of the union of the boxes [0, gain], as `(v, e)` for v·2^e."""
    num_points, num_objectives = gains.shape
    if num_points == 0:
        return jnp.zeros((), gains.dtype), jnp.zeros((), jnp.int32)
    if num_objectives == 1:
        return jnp.max(gains), jnp.zeros((), jnp.int32)
    if num_objectives <= 3:
        exponents, gains = _in_common_units(gains)
        return (_area if num_objectives == 2 else _depths)(gains), jnp.sum(exponents)
    if isinstance(gains, jax.core.Tracer):
        return compiled_volume(gains)
    volume, exponent = host_volume(np.asarray(gains, np.float64)[np.asarray(gains[:, 0] > 0.0)])
    return jnp.asarray(volume, gains.dtype), jnp.asarray(exponent)


@jax.jit
def _in_common_units(gains: Array) -> tuple[Array, Array]:
    exponents = common_units(gains)
    return exponents, in_units(gains, exponents)


def _area(gains: Array) -> Array:
    """Of two objectives."""
    return staircase(gains[jnp.argsort(-gains[:, 0])])


def staircase(gains: Array) -> Array:
    """Area under a staircase, swept from the widest point, which comes first: only the rise above it adds area."""
    widths, heights = gains[:, 0], gains[:, 1]
    highest = jnp.append(jnp.zeros_like(heights[:1]), jax.lax.cummax(heights)[:-1])
    return jnp.sum(widths * jnp.maximum(heights - highest, 0.0))


def _depths(gains: Array) -> Array:
    """Of three objectives."""
    counts = gains[:, 0] > 0.0
    if len(gains) > _WORTH_THINNING:
        counts = non_dominated(gains, counts)
    order = jnp.argsort(jnp.where(counts, -gains[:, 2], 1.0))
    return sweep(gains[order], -jnp.sort(-gains[:, 0]), jnp.sum(counts))


def sweep(gains: Array, edges: Array, count: Array | int) -> Array:
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
