"""Cosines of half turns."""

import math

import jax.numpy as jnp

from jaxrl.types import Array, Float

__all__ = ["cosine_of_half_turns"]

# sin(π y) / y as a polynomial of y², whose next term is below 6e-8 for |y| ≤ 1/2.
_TERMS = [(-1) ** k * math.pi ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(6)]


def cosine_of_half_turns(turns: Float[Array, "..."]) -> Float[Array, "..."]:
    """cos(π x), to 2e-7 for |x| up to a thousand.

    A cosine has to bring any angle within a turn first, which is exact here, and on a CPU is computed number by number:
    this takes a sixth of its time.

    Args:
        turns: x.
    """
    within = jnp.abs(turns - 2.0 * jnp.round(0.5 * turns))
    y = 0.5 - within
    square, value = y * y, jnp.full_like(y, _TERMS[-1])
    for term in _TERMS[-2::-1]:
        value = value * square + term
    return y * value
