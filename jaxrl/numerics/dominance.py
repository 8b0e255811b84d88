"""Which return vectors dominate which, for maximisation.

A set is an array `[batch, objective]` and an optional mask `[batch]` of the entries that count, so
that sets of different sizes share one program. A point with a NaN, such as a diverged policy's, never counts.
"""

from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.numerics.one_program import one_program
from jaxrl.types import Array, Bool, Float

__all__ = [
    "Mask",
    "Points",
    "as_set",
    "difference",
    "dominates",
    "non_dominated",
    "require_equal_width",
]

Points = Float[Array | np.ndarray, "batch objective"]
Mask = Bool[Array | np.ndarray, "batch"]

# Points compared with one another at a time: what fits a core's cache.
_BLOCK = 256


def as_set(points: Array | np.ndarray, mask: Array | np.ndarray | None) -> tuple[Array, Array]:
    """`points` as a float array `[batch, objective]` and a full mask, in which points with NaN never count.

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
    return points, mask & ~jnp.any(jnp.isnan(points), axis=-1)


def require_equal_width(first: Array, second: Array, first_name: str, second_name: str) -> None:
    """Raises a ValueError that names both unless their last axes are equally long."""
    if first.ndim == 0 or second.ndim == 0 or first.shape[-1] != second.shape[-1]:
        raise ValueError(
            f"{first_name} and {second_name} need one entry per objective on their last axis, "
            f"got shapes {first.shape} and {second.shape}"
        )


def difference(high: Float[Array, "..."], low: Float[Array, "..."]) -> Float[Array, "..."]:
    """high − low, and 0 of equal infinities."""
    return jnp.where(high == low, 0.0, high - low)


@one_program()
def dominates(
    first: Float[Array | np.ndarray, "*batch objective"], second: Float[Array | np.ndarray, "*batch objective"]
) -> Bool[Array, "*batch"]:
    """Whether `first` is nowhere worse than `second` and somewhere better.

    p ≻ q  ⇔  ∀i: pᵢ ≥ qᵢ  and  ∃i: pᵢ > qᵢ

    Raises:
        ValueError: if the two have different numbers of objectives.
    """
    first, second = jnp.asarray(first), jnp.asarray(second)
    require_equal_width(first, second, "first", "second")
    return jnp.all(first >= second, axis=-1) & jnp.any(first > second, axis=-1)


@one_program()
def non_dominated(points: Points, mask: Mask | None = None) -> Bool[Array, " batch"]:
    """Which points no other one dominates; of equal points the first is kept, NaN is never kept.

    Two objectives: one sweep, O(n log n). Otherwise each point is compared with the non-dominated
    ones before it in falling lexicographic order, which only they can dominate (Kung et al., 1975,
    and the cell-wise filters since): O(n·f·d) time for f points on the front, O(n·d) memory.

    Raises:
        ValueError: if shapes do not fit.
    """
    points, mask = as_set(points, mask)
    num_points, num_objectives = points.shape
    # NaN compares false: what does not count dominates nothing, and sorts to the end.
    columns = jnp.where(mask, points.T, jnp.nan)
    if num_points <= _BLOCK and num_objectives != 2:
        at_least = _at_least(columns, columns)
        order = jnp.arange(num_points)
        # Point i beats j if it is at least as good and either better somewhere or an earlier duplicate.
        return mask & ~jnp.any(at_least & (~at_least.T | (order[:, None] < order[None])), axis=0)
    order = jnp.lexsort(tuple(-columns[::-1]))
    ordered = columns[:, order]
    beaten = _beaten_by_sweep(ordered[1]) if num_objectives == 2 else _beaten_by_blocks(ordered)
    return mask & ~jnp.zeros(num_points, bool).at[order].set(beaten)


def _at_least(rivals: Float[Array, "objective rival"], columns: Float[Array, "objective batch"]) -> Array:
    """Whether each rival is nowhere worse than each point, `[rival, batch]`."""
    pairs = (rival[:, None] >= column[None] for rival, column in zip(rivals, columns, strict=True))
    return reduce(jnp.logical_and, pairs, jnp.ones((rivals.shape[1], columns.shape[1]), bool))


def _beaten_by_sweep(heights: Float[Array, " batch"]) -> Bool[Array, " batch"]:
    """In falling order of width: is an earlier one at least as high?"""
    highest = jax.lax.cummax(heights)
    return jnp.append(jnp.zeros_like(heights[:1], bool), highest[:-1] >= heights[1:])


def _beaten_by_blocks(ordered: Float[Array, "objective batch"]) -> Bool[Array, " batch"]:
    """In falling lexicographic order: is an earlier one, or an earlier equal, nowhere worse?"""
    num_objectives, num_points = ordered.shape
    num_blocks = -(-num_points // _BLOCK)
    padded = jnp.full((num_objectives, num_blocks * _BLOCK), jnp.nan, ordered.dtype).at[:, :num_points].set(ordered)
    earlier = jnp.triu(jnp.ones((_BLOCK, _BLOCK), bool), 1)

    def filter_block(carry: tuple[Array, Array], block: Array) -> tuple[tuple[Array, Array], Array]:
        front, count = carry

        def compare(index: Array, beaten: Array) -> Array:
            rivals = jax.lax.dynamic_slice_in_dim(front, index * _BLOCK, _BLOCK, axis=1)
            return beaten | jnp.any(_at_least(rivals, block), axis=0)

        beaten = jnp.any(_at_least(block, block) & earlier, axis=0)
        beaten = jax.lax.fori_loop(0, (count + _BLOCK - 1) // _BLOCK, compare, beaten)
        kept = ~beaten & ~jnp.isnan(block[0])
        packing = jnp.argsort(~kept, stable=True)
        packed = jnp.where(kept[packing], block[:, packing], jnp.nan)
        return (jax.lax.dynamic_update_slice_in_dim(front, packed, count, axis=1), count + jnp.sum(kept)), beaten

    # One block more than there are points, because whole blocks are written at the end of what is kept.
    front = jnp.full((num_objectives, (num_blocks + 1) * _BLOCK), jnp.nan, ordered.dtype)
    blocks = padded.reshape(num_objectives, num_blocks, _BLOCK).swapaxes(0, 1)
    _, beaten = jax.lax.scan(filter_block, (front, jnp.zeros((), jnp.int32)), blocks)
    return beaten.reshape(-1)[:num_points]
