"""What is left of numbers that are not all finite: statistics over the finite ones."""

from typing import NamedTuple

import jax.numpy as jnp

from jaxrl.types import Array, Bool, Float

__all__ = [
    "Soundness",
    "deviation_of_finite",
    "mean_of_finite",
    "soundness",
    "worst_for_non_finite",
]


class Soundness(NamedTuple):
    """What to do with the gradient of a loss that is a mean over members.

    Attributes:
        usable: whether the gradient is finite; else the step is left out.
        diverged: which members' losses are not finite.
        lost: whether going on is hopeless: no member's loss is finite, or none explains the gradient.
    """

    usable: Bool[Array, ""]
    diverged: Bool[Array, " member"]
    lost: Bool[Array, ""]


def soundness(gradient_norm: Float[Array, ""], losses: Float[Array, " member"]) -> Soundness:
    """Judges the global norm of a gradient and the losses that it is a mean over."""
    usable, diverged = jnp.isfinite(gradient_norm), ~jnp.isfinite(losses)
    return Soundness(usable, diverged, jnp.all(diverged) | (~usable & ~jnp.any(diverged)))


def worst_for_non_finite(fitness: Float[Array, " member"]) -> Float[Array, " member"]:
    """Fitness in which members without a finite one count as the worst of the others; all 0 where there is none."""
    finite = jnp.isfinite(fitness)
    worst = jnp.min(jnp.where(finite, fitness, jnp.inf))
    return jnp.where(finite, fitness, jnp.where(jnp.isfinite(worst), worst, 0.0))


def mean_of_finite(values: Float[Array, "*batch"], axis: int | tuple[int, ...] | None = None) -> Float[Array, "..."]:
    """The mean over the finite entries; NaN where there are none."""
    finite = jnp.isfinite(values)
    # Scaled, so that the mean of all of them is the same to the bit.
    return jnp.mean(jnp.where(finite, values, 0.0), axis) / jnp.mean(finite.astype(values.dtype), axis)


def deviation_of_finite(values: Float[Array, "*batch"]) -> Float[Array, ""]:
    """The standard deviation of the finite entries; NaN where there are none."""
    finite = jnp.isfinite(values)
    filled = jnp.where(finite, values, mean_of_finite(values))
    return jnp.std(filled) / jnp.sqrt(jnp.mean(finite.astype(values.dtype)))
