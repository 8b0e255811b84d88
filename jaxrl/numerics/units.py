"""Volumes beyond the range of floats: units that are powers of two, so that scaling rounds nothing."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.types import Array, Float, Int

__all__ = ["common_units", "in_units", "product", "restored"]

# Doublings that products of coordinates are kept below the largest float, for sums over a set.
_SPARE_EXPONENTS = 28
_INTEGERS = {2: jnp.int16, 4: jnp.int32, 8: jnp.int64}


def in_units(values: Float[Array, "*batch"], exponents: Int[Array, "..."]) -> Float[Array, "*batch"]:
    """values / 2^exponents, which may be one for all."""
    half = exponents // 2
    return values * _power_of_two(-half, values.dtype) * _power_of_two(half - exponents, values.dtype)


def product(sides: Float[Array, "*batch side"]) -> tuple[Float[Array, "*batch"], Int[Array, "*batch"]]:
    """The product over the last axis as `(m, e)`, m·2^e with m ≤ 1, which neither overflows nor falls to 0."""
    mantissas, exponents = jnp.frexp(sides)
    return jnp.prod(mantissas, axis=-1), jnp.sum(exponents, axis=-1)


def common_units(gains: Float[Array, "batch objective"]) -> Int[Array, " objective"]:
    """Exponents of units in which no product of coordinates overflows and the largest box of a set is about 1.

    The unit of an objective is its largest coordinate's; where that leaves every box small, as no point is large in
    all objectives, the units shrink alike.

    Args:
        gains: sides of boxes [0, gain], finite; all zero for points that do not count.
    """
    num_objectives = gains.shape[1]
    counts = gains[:, 0] > 0.0
    exponents = jnp.frexp(gains)[1]
    lowest = jnp.iinfo(exponents.dtype).min
    largest = jnp.max(exponents, axis=0, where=counts[:, None], initial=lowest)
    slack = jnp.sum(largest) - jnp.max(jnp.sum(exponents, axis=1), where=counts, initial=lowest)
    lift = jnp.minimum(slack, jnp.finfo(gains.dtype).maxexp - _SPARE_EXPONENTS)
    lifts = lift // num_objectives + (jnp.arange(num_objectives) < lift % num_objectives)
    return jnp.where(jnp.any(counts), largest - lifts, 0)


@jax.jit
def restored(
    volume: Float[Array | np.ndarray, "*batch"], exponent: Int[Array | np.ndarray, "..."]
) -> Float[Array, "*batch"]:
    """volume · 2^exponent; what no float holds becomes the largest, or the smallest positive normal one."""
    volume = jnp.asarray(volume)
    limits = jnp.finfo(volume.dtype)
    mantissa, own = jnp.frexp(volume)
    total = own + exponent - 1
    inside = 2.0 * mantissa * _power_of_two(total, volume.dtype)
    outside = jnp.where(total >= limits.maxexp, limits.max, limits.tiny).astype(volume.dtype)
    value = jnp.where((total >= limits.minexp) & (total < limits.maxexp), inside, outside)
    return jnp.where((volume == 0.0) | ~jnp.isfinite(volume), volume, value)


def _power_of_two(exponent: Int[Array, "*batch"], dtype: jnp.dtype) -> Float[Array, "*batch"]:
    """2^exponent from its bits, as `exp2` may round; the exponent is cut to those of normal floats."""
    limits = jnp.finfo(dtype)
    biased = jnp.clip(exponent, limits.minexp, limits.maxexp - 1) + (limits.maxexp - 1)
    integer = _INTEGERS[jnp.dtype(dtype).itemsize]
    return jax.lax.bitcast_convert_type(biased.astype(integer) << limits.nmant, dtype)
