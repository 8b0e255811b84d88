"""Value losses, one per objective and sample."""

import jax.numpy as jnp

from jaxrl.types import Array, Float

__all__ = ["clipped_squared_error", "squared_error"]


def squared_error(
    values: Float[Array, "*batch objective"], targets: Float[Array, "*batch objective"]
) -> Float[Array, "*batch objective"]:
    """(v - G)²/2."""
    return 0.5 * jnp.square(values - targets)


def clipped_squared_error(
    values: Float[Array, "*batch objective"],
    targets: Float[Array, "*batch objective"],
    old_values: Float[Array, "*batch objective"],
    epsilon: Float[Array, ""],
) -> Float[Array, "*batch objective"]:
    """max((v - G)², (v_old + clip(v - v_old, ±ε) - G)²)/2 (Engstrom et al., 2020, section 3)."""
    clipped = old_values + jnp.clip(values - old_values, -epsilon, epsilon)
    return jnp.maximum(squared_error(values, targets), squared_error(clipped, targets))
