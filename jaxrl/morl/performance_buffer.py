"""Policies kept by direction of return: in every bin those furthest out (Xu et al., 2020, section 3.3)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.numerics.weights import equally_spaced
from jaxrl.types import Array, Bool, Float, PyTree

__all__ = ["PerformanceBuffer", "empty_buffer", "fill"]


class PerformanceBuffer(NamedTuple):
    """Bins as one flat array, `bin_size` places each.

    Attributes:
        points: returns of the policies.
        mask: which places are filled.
        payload: the policies.
        directions: unit vectors of the bins.
    """

    points: Float[Array, "place objective"]
    mask: Bool[Array, " place"]
    payload: PyTree
    directions: Float[Array, "bin objective"]


def empty_buffer(num_bins: int, bin_size: int, num_objectives: int, example: PyTree) -> PerformanceBuffer:
    """A buffer without policies.

    Args:
        num_bins: evenly spaced directions, at least one per objective.
        bin_size: policies in each.
        num_objectives: length of the points.
        example: one policy, for its structure, shapes and dtypes.

    Raises:
        ValueError: for sizes out of range.
    """
    if bin_size < 1 or num_bins < num_objectives:
        raise ValueError(
            f"a performance buffer needs at least {num_objectives} directions and 1 place in each, "
            f"got {num_bins} and {bin_size}"
        )
    directions = equally_spaced(num_objectives, num_bins)
    directions = directions / jnp.linalg.norm(directions, axis=1, keepdims=True)
    count = num_bins * bin_size
    payload = jax.tree.map(lambda leaf: jnp.zeros((count, *jnp.shape(leaf)), jnp.asarray(leaf).dtype), example)
    return PerformanceBuffer(jnp.zeros((count, num_objectives)), jnp.zeros(count, bool), payload, directions)


def fill(
    buffer: PerformanceBuffer,
    points: Float[Array, "batch objective"],
    payload: PyTree,
    reference: Float[Array, " objective"],
    scale: Float[Array, " objective"],
) -> PerformanceBuffer:
    """Adds policies; every bin keeps those with the largest ‖(J − reference)/scale‖.

    The bin of a policy is the direction nearest to (J − reference)/scale. Points that are not finite or do not exceed
    the reference anywhere are left out.
    """
    num_bins, size = buffer.directions.shape[0], buffer.mask.shape[0] // buffer.directions.shape[0]
    usable = jnp.all(jnp.isfinite(points), axis=-1)
    everything = jnp.concatenate([buffer.points, jnp.where(usable[:, None], points, 0.0)])
    gains = jnp.maximum((everything - reference) / scale, 0.0)
    distance = jnp.linalg.norm(gains, axis=-1)
    valid = jnp.concatenate([buffer.mask, usable]) & (distance > 0.0)
    home = jnp.argmax(gains @ buffer.directions.T, axis=-1)
    # One row per bin: its own policies first, furthest first.
    rank = jnp.where(valid & (home == jnp.arange(num_bins)[:, None]), distance, -jnp.inf)
    order = jnp.argsort(-rank, axis=1, stable=True)[:, :size]
    mask = jnp.isfinite(jnp.take_along_axis(rank, order, axis=1)).reshape(-1)
    places = order.reshape(-1)

    def pack(old: Array, new: Array) -> Array:
        packed = jnp.concatenate([old, jnp.asarray(new, old.dtype)])[places]
        return jnp.where(mask.reshape(-1, *(1,) * (packed.ndim - 1)), packed, jnp.zeros_like(packed))

    kept = jnp.where(mask[:, None], everything[places], 0.0)
    return PerformanceBuffer(kept, mask, jax.tree.map(pack, buffer.payload, payload), buffer.directions)
