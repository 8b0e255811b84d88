"""A Pareto archive of fixed capacity: a pytree that is filled inside compiled code."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.numerics.dominance import difference, non_dominated
from jaxrl.numerics.one_program import one_program
from jaxrl.types import Array, Bool, Float, Int, PyTree

__all__ = ["Archive", "extent", "init", "insert"]


class Archive(NamedTuple):
    """Mutually non-dominated points, each with a payload.

    Attributes:
        points: return vectors; zeros where `mask` is False.
        mask: which slots are filled, always a leading block.
        payload: pytree with leading axis `capacity`: an index, parameters, weights; None for none.
    """

    points: Float[Array, "*batch capacity objective"]
    mask: Bool[Array, "*batch capacity"]
    payload: PyTree


def init(capacity: int, num_objectives: int, payload: PyTree = None) -> Archive:
    """An empty archive.

    Args:
        capacity: most points that it holds, at least 1.
        num_objectives: length of the points.
        payload: one entry's payload, for its structure, shapes and dtypes.

    Raises:
        ValueError: for sizes below 1.
    """
    for name, size in (("capacity", capacity), ("num_objectives", num_objectives)):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    slots = jax.tree.map(lambda leaf: jnp.zeros((capacity, *jnp.shape(leaf)), jnp.asarray(leaf).dtype), payload)
    return Archive(jnp.zeros((capacity, num_objectives)), jnp.zeros(capacity, bool), slots)


@one_program()
def insert(
    archive: Archive,
    points: Float[Array, "batch objective"],
    payload: PyTree = None,
    mask: Bool[Array, " batch"] | None = None,
) -> Archive:
    """Adds a batch of points and keeps what no other point dominates.

    Equal points and equally crowded ones: the older stays. Beyond the capacity, the most crowded
    point goes, one at a time (Deb et al., 2002, section III-B, with distances recomputed after
    each, as Kukkonen and Deb, 2006, advise); the extremes of every objective go last.

    Args:
        archive: what to add to.
        points: return vectors; those with NaN are ignored.
        payload: pytree like the archive's, leading axis `batch`.
        mask: which of the batch to consider; default all.

    Raises:
        ValueError: if widths or payload structures differ.
    """
    if points.ndim != 2 or points.shape[-1] != archive.points.shape[-1]:
        raise ValueError(f"the archive holds {archive.points.shape[-1]} objectives, got points of shape {points.shape}")
    if jax.tree.structure(payload) != jax.tree.structure(archive.payload):
        raise ValueError(
            f"the archive's payload is {jax.tree.structure(archive.payload)}, got {jax.tree.structure(payload)}"
        )
    capacity = archive.mask.shape[0]
    mask = jnp.ones(points.shape[0], bool) if mask is None else mask
    all_points = jnp.concatenate([archive.points, points.astype(archive.points.dtype)])
    kept = _thin(all_points, non_dominated(all_points, jnp.concatenate([archive.mask, mask])), capacity)
    slots = jnp.argsort(~kept, stable=True)[:capacity]
    mask = kept[slots]

    def pack(old: Array, new: Array) -> Array:
        packed = jnp.concatenate([old, jnp.asarray(new, old.dtype)])[slots]
        return jnp.where(mask.reshape(-1, *(1,) * (packed.ndim - 1)), packed, jnp.zeros_like(packed))

    return Archive(pack(archive.points, points), mask, jax.tree.map(pack, archive.payload, payload))


class _Neighbours(NamedTuple):
    """What is left of a set, and who follows whom: in each objective a ring through all points in rising order.

    The ring closes through row `batch`, which is no point: after it comes the smallest, before it the largest.

    Attributes:
        mask: which points are left.
        before: the point just below, by objective.
        after: the point just above, by objective.
    """

    mask: Bool[Array, " batch"]
    before: Int[Array, "place objective"]
    after: Int[Array, "place objective"]


def _thin(points: Float[Array, "batch objective"], mask: Bool[Array, " batch"], capacity: int) -> Bool[Array, " batch"]:
    """Drops the most crowded point until `capacity` are left; each costs O(batch objective), as no order changes."""
    size, num_objectives = points.shape
    columns = jnp.arange(num_objectives)
    padded = jnp.concatenate([points, jnp.zeros_like(points[:1])])

    def distances(left: _Neighbours) -> Array:
        """As `morl.pareto.crowding_distance`."""
        span = difference(padded[left.before[size], columns], padded[left.after[size], columns])
        gaps = difference(padded[left.after[:size], columns], padded[left.before[:size], columns])
        is_extreme = (left.after[:size] == size) | (left.before[:size] == size) | jnp.isinf(gaps)
        return jnp.sum(jnp.where(is_extreme, jnp.inf, gaps / jnp.where(span > 0.0, span, 1.0)), axis=-1)

    def drop(left: _Neighbours) -> _Neighbours:
        distance = distances(left)
        most_crowded = left.mask & (distance == jnp.min(distance, where=left.mask, initial=jnp.inf))
        newest = size - 1 - jnp.argmax(most_crowded[::-1])
        before, after = left.before[newest], left.after[newest]
        return _Neighbours(
            mask=left.mask.at[newest].set(False),
            before=left.before.at[after, columns].set(before),
            after=left.after.at[before, columns].set(after),
        )

    return jax.lax.while_loop(lambda left: jnp.sum(left.mask) > capacity, drop, _neighbours(points, mask)).mask


def _neighbours(points: Array, mask: Array) -> _Neighbours:
    size, num_objectives = points.shape
    columns = jnp.arange(num_objectives)
    count = jnp.sum(mask)
    order = jnp.argsort(jnp.where(mask[:, None], points, jnp.inf), axis=0).astype(jnp.int32)
    order = jnp.where(jnp.arange(size)[:, None] < count, order, size)
    ring = jnp.pad(order, ((1, 1), (0, 0)), constant_values=size)
    nobody = jnp.full((size + 1, num_objectives), size, jnp.int32)
    return _Neighbours(
        mask=mask,
        before=nobody.at[order, columns].set(ring[:-2]).at[size].set(ring[count]),
        after=nobody.at[order, columns].set(ring[2:]).at[size].set(ring[1]),
    )


def extent(archive: Archive) -> Float[Array, " objective"]:
    """Largest less smallest return of each objective; 0 for an empty archive."""
    mask = archive.mask[:, None]
    most = jnp.max(archive.points, axis=0, where=mask, initial=-jnp.inf)
    least = jnp.min(archive.points, axis=0, where=mask, initial=jnp.inf)
    return jnp.maximum(0.0, difference(most, least))
