"""A Monte-Carlo estimate of the hypervolume, for sets whose exact one costs too much."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.numerics.dominance import Mask, Points, as_set
from jaxrl.numerics.hypervolume import Reference, finite_boxes, gains_above
from jaxrl.numerics.units import in_units, product, restored
from jaxrl.types import Array, Float, PRNGKeyArray

__all__ = ["HypervolumeEstimate", "hypervolume_estimate"]

# Samples compared with all points at a time.
_SAMPLES = 1024


class HypervolumeEstimate(NamedTuple):
    """An estimate and how far off it may be.

    Attributes:
        value: unbiased.
        standard_error: of `value`; 68% of estimates lie within one of the truth.
    """

    value: Float[Array, "*batch"]
    standard_error: Float[Array, "*batch"]


def hypervolume_estimate(
    key: PRNGKeyArray, points: Points, reference: Reference, num_samples: int, mask: Mask | None = None
) -> HypervolumeEstimate:
    """The hypervolume from random draws, with its standard error; inside compiled code for any number of objectives.

    HV = Σₚ λ([r, p]) · E[1 / c(x)], where x is uniform in a box that is drawn in proportion to its volume, and c(x)
    counts the boxes around it (Karp and Luby, 1983; Bringmann and Friedrich, 2010). As 1/n ≤ 1/c ≤ 1, the relative
    error stays below √(n / num_samples) however small the set's share of its bounding box, which in
    many objectives is tiny. Infinite and very large or small volumes as in `hypervolume`; an infinite one is certain.
    Costs O(num_samples · n · d) time and O(n + num_samples) memory.

    Args:
        key: PRNG key.
        points: return vectors.
        reference: lower corner, one entry per objective.
        num_samples: draws, at least 2.
        mask: which points count; default all.

    Raises:
        ValueError: if shapes do not fit, for a reference that is not a number, or for fewer than two samples.
    """
    if num_samples < 2:
        raise ValueError(f"num_samples must be at least 2, got {num_samples}")
    points, mask = as_set(points, mask)
    gains, reference = gains_above(points, reference, mask)
    if gains.shape[0] == 0:
        return HypervolumeEstimate(jnp.zeros((), gains.dtype), jnp.zeros((), gains.dtype))
    share, error, unit = _estimate(key, finite_boxes(gains), num_samples)
    unbounded, unknown = jnp.any(jnp.isinf(gains)), jnp.any(jnp.isnan(reference))
    value = jnp.where(unbounded, jnp.inf, restored(share, unit))
    standard_error = jnp.where(unbounded, 0.0, restored(error, unit))
    return HypervolumeEstimate(*(jnp.where(unknown, jnp.nan, number) for number in (value, standard_error)))


def _estimate(key: PRNGKeyArray, gains: Array, num_samples: int) -> tuple[Array, Array, Array]:
    """Estimate and standard error in units of 2^e, and e: the size of the largest box."""
    mantissas, exponents = product(gains)
    unit = jnp.max(exponents, where=mantissas > 0.0, initial=jnp.iinfo(exponents.dtype).min)
    unit = jnp.where(jnp.any(mantissas > 0.0), unit, 0)
    volumes = in_units(mantissas, unit - exponents)
    shares = jnp.cumsum(volumes)
    box_key, place_key = jax.random.split(key)
    uniform = jax.random.uniform(box_key, (num_samples,), gains.dtype)
    # The first box whose cumulated share exceeds the draw; boxes without volume are never that one.
    boxes = jnp.minimum(jnp.searchsorted(shares, uniform * shares[-1], side="right"), len(volumes) - 1)
    places = jax.random.uniform(place_key, (num_samples, gains.shape[1]), gains.dtype) * gains[boxes]

    def around(place: Array) -> Array:
        return jnp.sum(jnp.all(gains >= place, axis=-1) & (volumes > 0.0))

    counts = jax.lax.map(around, places, batch_size=_SAMPLES)
    fractions = 1.0 / jnp.maximum(counts, 1).astype(gains.dtype)
    error = shares[-1] * jnp.std(fractions, ddof=1) / num_samples**0.5
    return shares[-1] * jnp.mean(fractions), error, unit
