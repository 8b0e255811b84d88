"""The volume under points as a union of disjoint boxes, for any number of objectives (Lacour et al., 2017).

Points enter in falling order of the last objective. Below each level, the part dominated in the
other objectives is a disjoint union of boxes, one for each local upper bound, and a box
contributes its volume times the levels through which its bound stays valid (Klamroth et al.,
2015). Coordinates are replaced by ranks (0 is best), so that no two points are level in any
objective and no case needs a tie-break. Volumes are counted in units of the largest single box, so that sets of any
scale stay within the range of floats.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.numerics.units import in_units, product
from jaxrl.types import Array, Bool, Float, Int

__all__ = ["compiled_volume", "host_volume", "most_bounds"]

# Entries of the buffer of bounds beyond which a compiled program is refused: 64 MiB.
_LARGEST_BUFFER = 2**24
# Most sets need far fewer bounds than the worst: buffers grow through these shares of the slots, unless those are few.
_SHARES = (24, 5, 1)
_SMALL_BUFFER = 1000


def most_bounds(num_points: int, width: int) -> int:
    """The largest number of local upper bounds that `num_points` points in `width` objectives can have.

    One less than the facets of the cyclic `width`-polytope with `num_points + width` vertices, which has the
    most of all (McMullen, 1970; Kaplan et al., 2008): 2n + 1 in three objectives, O(n^⌊width/2⌋) in general.
    """
    vertices, half = num_points + width, width // 2
    if width % 2:
        return 2 * math.comb(vertices - half - 1, half) - 1
    return vertices * math.comb(vertices - half, half) // (vertices - half) - 1


class _Bounds(NamedTuple):
    """Local upper bounds in a buffer of fixed size.

    Attributes:
        definers: `definers[u, i]` is the point (as ranks) from which bound `u` has its entry `i`.
        since: the level at which each bound became valid.
        count: slots in use, a leading block.
        total: volume of the boxes that are no longer valid, in units of 2^unit.
        unit: fixed; the exponent of the largest point's box.
        entered: number of points so far.
        full: whether the next point needs a larger buffer.
    """

    definers: Int[Array, "bound entry entry"]
    since: Float[Array, " bound"]
    count: Int[Array, ""]
    total: Float[Array, ""]
    unit: Int[Array, ""]
    entered: Int[Array, ""]
    full: Bool[Array, ""]


def compiled_volume(gains: Float[Array, "batch objective"]) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """Volume of the union of the boxes [0, gain], as `(v, e)` for v·2^e, inside compiled code.

    The last buffer holds as many bounds as there can ever be, so the result is always exact. Each point
    costs a pass over a buffer: O(n² d²) for four objectives, O(n³ d²) for five and six; few sets need
    more than a fifth of that.

    Args:
        gains: at least three objectives, finite; all zero for points that do not count.

    Raises:
        ValueError: if the buffer would be larger than 64 MiB.
    """
    num_points, num_objectives = gains.shape
    width = num_objectives - 1
    capacity = most_bounds(num_points, width)
    if capacity * width**2 > _LARGEST_BUFFER:
        raise ValueError(
            f"the exact hypervolume of {num_points} points in {num_objectives} objectives needs too much memory in "
            "compiled code: use hypervolume_estimate there, call it outside jit and vmap, or pass fewer points"
        )
    gains = gains[jnp.argsort(-gains[:, -1])]
    levels = gains[:, -1]
    order = jnp.argsort(-gains[:, :width], axis=0)
    ranks = jnp.argsort(order, axis=0).astype(jnp.int32) + 1
    # value[rank]: rank 0 is an unreachable ideal, the last rank is the reference.
    ordered = jnp.take_along_axis(gains[:, :width], order, axis=0)
    value = jnp.concatenate([ordered[:1], ordered, jnp.zeros((1, width), gains.dtype)])
    # Points that do not count come last, at level zero, where they would add nothing.
    num_counted = jnp.sum(levels > 0.0)
    exponents = product(gains)[1]
    # The first point counts if any does.
    unit = jnp.max(exponents, where=levels > 0.0, initial=exponents[0])
    bounds = _Bounds(
        definers=(jnp.eye(width, dtype=jnp.int32) * (num_points + 1))[None],
        since=levels[:1],
        count=jnp.ones((), jnp.int32),
        total=jnp.zeros((), gains.dtype),
        unit=unit,
        entered=jnp.zeros((), jnp.int32),
        full=jnp.array(False),
    )
    for share in _SHARES if capacity > _SMALL_BUFFER else _SHARES[-1:]:
        bounds = jax.lax.while_loop(
            lambda bounds: (bounds.entered < num_counted) & ~bounds.full,
            lambda bounds: _enter(bounds, value, ranks[bounds.entered], levels[bounds.entered]),
            _enlarged(bounds, capacity // share),
        )
    valid = jnp.arange(capacity) < bounds.count
    return bounds.total + jnp.sum(jnp.where(valid, _volumes(bounds, value, bounds.since), 0.0)), unit


def _enlarged(bounds: _Bounds, size: int) -> _Bounds:
    """The same in a buffer of `size` slots."""
    more = size - bounds.since.shape[0]
    definers = jnp.pad(bounds.definers, ((0, more), (0, 0), (0, 0)))
    return bounds._replace(definers=definers, since=jnp.pad(bounds.since, (0, more)), full=jnp.array(False))


def _enter(bounds: _Bounds, value: Array, point: Array, level: Array) -> _Bounds:
    """Lets a point in, unless the buffer is too small for what that needs."""
    after = _split(bounds, value, point, level)
    fits = after.count <= bounds.since.shape[0]
    kept = jax.tree.map(lambda new, old: jnp.where(fits, new, old), after, bounds)
    return kept._replace(full=~fits)


def _split(bounds: _Bounds, value: Array, point: Array, level: Array) -> _Bounds:
    """Replaces every bound that `point` exceeds by its children, and pays out their boxes."""
    capacity, width, _ = bounds.definers.shape
    valid = jnp.arange(capacity) < bounds.count
    hit = valid & jnp.all(point < jnp.diagonal(bounds.definers, axis1=1, axis2=2), axis=1)
    paid = jnp.where(hit, _volumes(bounds, value, bounds.since - level), 0.0)
    # Child j, with entry j from the point, is a local upper bound only if the others still define their entries.
    others = jnp.max(jnp.where(jnp.eye(width, dtype=bool), -1, bounds.definers), axis=1)
    born = hit[:, None] & (point > others)
    kept = jnp.concatenate([(valid & ~hit)[:, None], born], axis=1).reshape(-1)
    ends = jnp.cumsum(kept)
    # Of what is kept, number k comes from here: parent and child, -1 standing for the bound itself.
    source = (
        jnp.zeros(capacity, jnp.int32)
        .at[jnp.where(kept, ends - 1, capacity)]
        .set(jnp.arange(kept.shape[0], dtype=jnp.int32), mode="drop")
    )
    parent, child = source // (width + 1), source % (width + 1) - 1
    replaced = (jnp.arange(width) == child[:, None])[..., None]
    return bounds._replace(
        definers=jnp.where(replaced, point, bounds.definers[parent]),
        since=jnp.where(child < 0, bounds.since[parent], level),
        count=ends[-1].astype(jnp.int32),
        total=bounds.total + jnp.sum(paid),
        entered=bounds.entered + 1,
    )


def _volumes(bounds: _Bounds, value: Array, depths: Float[Array, " bound"]) -> Float[Array, " bound"]:
    """Volume of each bound's box, which ends where the definers of earlier entries begin."""
    definers, width = bounds.definers, value.shape[1]
    sides = []
    for j in range(width):
        low = jnp.max(definers[:, : max(j, 1), j], axis=1)
        high = value[definers[:, j, j], j] if j else 0.0
        sides.append(value[low, j] - high)
    volume, exponent = product(jnp.stack([*sides, depths], axis=-1))
    return in_units(volume, bounds.unit - exponent)


def host_volume(gains: Float[np.ndarray, "batch objective"]) -> tuple[float, int]:
    """Volume of the union of the boxes [0, gain] in float64, as `(v, e)` for v·2^e, with as many bounds as it takes.

    Args:
        gains: at least three objectives, all positive and finite.
    """
    num_points, num_objectives = gains.shape
    if num_points == 0:
        return 0.0, 0
    unit = int(np.frexp(gains)[1].sum(axis=1).max())
    gains = gains[np.argsort(-gains[:, -1], kind="stable")]
    width = num_objectives - 1
    order = np.argsort(-gains[:, :width], axis=0, kind="stable")
    ranks = np.argsort(order, axis=0) + 1
    ordered = np.take_along_axis(gains[:, :width], order, axis=0)
    value = np.concatenate([ordered[:1], ordered, np.zeros((1, width))])
    columns = np.arange(width)
    definers = np.where(np.eye(width, dtype=bool), num_points + 1, 0)[None]
    since = np.array([gains[0, -1]])
    total = 0.0

    def volumes(definers: np.ndarray, depths: np.ndarray) -> float:
        bounds = definers[:, columns, columns]
        low = np.stack([definers[:, : max(j, 1), j].max(axis=1) for j in columns], axis=1)
        high = bounds.copy()
        high[:, 0] = num_points + 1
        sides = np.column_stack([value[low, columns] - value[high, columns], depths])
        mantissas, exponents = np.frexp(sides)
        return float(np.ldexp(mantissas.prod(axis=1), exponents.sum(axis=1) - unit).sum())

    for point, level in zip(ranks, gains[:, -1], strict=True):
        hit = np.all(point < definers[:, columns, columns], axis=1)
        if not hit.any():
            continue
        split = definers[hit]
        total += volumes(split, since[hit] - level)
        children = []
        for j in columns:
            others = np.delete(split[:, :, j], j, axis=1)
            child = split[point[j] > others.max(axis=1)]
            child[:, j] = point
            children.append(child)
        definers = np.concatenate([definers[~hit], *children])
        since = np.concatenate([since[~hit], np.full(len(definers) - np.sum(~hit), level)])
    return total + volumes(definers, since), unit
