"""Combinations that keep one task's progress from being undone by another's.

All are formed from the Gram matrix G of the gradients: the result is gᵀx for some x over tasks, so that the cost
beyond the gradients does not grow with the number of parameters.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jaxrl.combination.base import Combination, no_parameters
from jaxrl.ranges import NOT_NEGATIVE
from jaxrl.types import Array, Float, PRNGKeyArray

__all__ = ["cagrad", "min_norm", "pcgrad"]

# Steps of the solver per task.
_STEPS = 10


def pcgrad() -> Combination:
    """Projected conflicting gradients (Yu et al., 2020, algorithm 1).

    hᵢ starts as gᵢ; for every other task j in random order, if hᵢ·gⱼ < 0, hᵢ ← hᵢ - (hᵢ·gⱼ/‖gⱼ‖²) gⱼ. The result is
    Σᵢ hᵢ. Without conflicts it is Σᵢ gᵢ.
    """
    return Combination(_pcgrad, no_parameters)


def _pcgrad(
    key: PRNGKeyArray, gradients: Float[Array, "task parameter"], parameters: Mapping[str, Array]
) -> Float[Array, " parameter"]:
    gram = gradients @ gradients.T
    count = gram.shape[0]
    orders = jax.vmap(lambda key: jax.random.permutation(key, count))(jax.random.split(key, count))

    def project(own: Array, order: Array) -> Array:
        """Coefficients over tasks of hᵢ."""

        def body(coefficients: Array, other: Array) -> tuple[Array, None]:
            along = jnp.where(other == own, 0.0, coefficients @ gram[other])
            share = jnp.minimum(along, 0.0) / jnp.maximum(gram[other, other], 1e-20)
            return coefficients.at[other].add(-share), None

        return jax.lax.scan(body, jax.nn.one_hot(own, count), order)[0]

    return jax.vmap(project)(jnp.arange(count), orders).sum(axis=0) @ gradients


def cagrad() -> Combination:
    """Conflict-averse gradient descent (Liu et al., 2021, algorithm 1 and equation 4).

    With the mean gradient g₀ = Σ gᵢ/n, d maximises minᵢ gᵢ·d subject to ‖d - g₀‖ ≤ c ‖g₀‖:
    d = g₀ + √φ/‖g_w‖ g_w with φ = c² ‖g₀‖², g_w = Σ wᵢ gᵢ and w on the simplex minimising g_w·g₀ + √φ ‖g_w‖. The
    result is n d, of the size of a sum.

    Traced leaf: `radius` c in [0, 1), 0.4; 0 is the sum.
    """
    return Combination(_cagrad, lambda: {"radius": jnp.asarray(0.4)}, {"radius": NOT_NEGATIVE})


def _cagrad(
    key: PRNGKeyArray, gradients: Float[Array, "task parameter"], parameters: Mapping[str, Array]
) -> Float[Array, " parameter"]:
    count = gradients.shape[0]
    gram = gradients @ gradients.T
    scale = jnp.maximum(jnp.trace(gram) / count, 1e-20)
    unit, mean = gram / scale, jnp.full(count, 1.0 / count)
    root = parameters["radius"] * jnp.sqrt(jnp.maximum(mean @ unit @ mean, 1e-12))

    weights = _on_simplex(unit, unit @ mean, root)
    norm = jnp.sqrt(jnp.maximum(weights @ unit @ weights, 1e-12))
    return count * (mean + root / norm * weights) @ gradients


def min_norm() -> Combination:
    """Multiple gradient descent (Désidéri, 2012; Sener and Koltun, 2018): the shortest convex combination, times n.

    w on the simplex minimises ‖Σ wᵢ gᵢ‖²; the result n Σ wᵢ gᵢ descends every task, or is zero where none gains without
    another's loss.
    """
    return Combination(_min_norm, no_parameters)


def _min_norm(
    key: PRNGKeyArray, gradients: Float[Array, "task parameter"], parameters: Mapping[str, Array]
) -> Float[Array, " parameter"]:
    count = gradients.shape[0]
    gram = gradients @ gradients.T
    unit = gram / jnp.maximum(jnp.trace(gram) / count, 1e-20)
    weights = _on_simplex(unit, jnp.zeros(count), 1.0)
    return count * weights @ gradients


def _on_simplex(
    gram: Float[Array, "task task"], linear: Float[Array, " task"], root: Float[Array, ""] | float
) -> Float[Array, " task"]:
    """The w on the simplex that minimises linear·w + root √(wᵀ gram w), by exact steps between two weights.

    Each step moves weight from the task of the steepest ascent that has any to that of the steepest descent, as
    sequential minimal optimisation does (Platt, 1998): convergence is linear, and a step costs one row of `gram`.
    """
    count = linear.size

    def body(_: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        weights, image = carry
        length = jnp.sqrt(jnp.maximum(weights @ image, 1e-20))
        slope = linear + root * image / length
        to, source = jnp.argmin(slope), jnp.argmax(jnp.where(weights > 0.0, slope, -jnp.inf))
        step = _exact_step(
            linear[to] - linear[source],
            root,
            length**2,
            image[to] - image[source],
            gram[to, to] - 2.0 * gram[to, source] + gram[source, source],
        )
        step = jnp.clip(step, 0.0, weights[source])
        weights = weights.at[to].add(step).at[source].add(-step)
        return weights, image + step * (gram[to] - gram[source])

    weights = jnp.full(count, 1.0 / count)
    return jax.lax.fori_loop(0, _STEPS * count, body, (weights, gram @ weights))[0]


def _exact_step(slope: Array, root: Array | float, start: Array, half: Array, curvature: Array) -> Array:
    """The t that minimises slope t + root √(start + 2 half t + curvature t²); ±inf where there is no minimum."""
    curvature = jnp.maximum(curvature, 1e-20)
    rest = jnp.maximum(start * curvature - half**2, 0.0)
    share = slope**2 / jnp.maximum(root**2 * curvature, 1e-20)
    turn = jnp.sqrt(share * rest / jnp.maximum(1.0 - share, 1e-20))
    step = (-jnp.sign(slope) * turn - half) / curvature
    return jnp.where(share < 1.0, step, -jnp.sign(slope) * jnp.inf)
