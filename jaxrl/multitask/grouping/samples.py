"""Samples of many tasks around θ*, and their losses up to second order in the projected space."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Bool, Float

__all__ = ["Quadratic", "TaskSamples", "logistic_quadratic", "squared_quadratic", "task_samples"]


class TaskSamples(NamedTuple):
    """Samples of every task.

    Attributes:
        features: g̃.
        advantage: A; its sign is the label and its magnitude the weight. 0 where there is no sample.
        offset: o, the score at θ*.
        count: N_i, samples of each task.
    """

    features: Float[Array, "task sample feature"]
    advantage: Float[Array, "task sample"]
    offset: Float[Array, "task sample"]
    count: Float[Array, " task"]


def task_samples(
    features: Float[Array, "task sample feature"],
    advantage: Float[Array, "task sample"],
    offset: Float[Array, "task sample"] | None = None,
    mask: Bool[Array, "task sample"] | None = None,
) -> TaskSamples:
    """`TaskSamples`, without offset by default; where `mask` is False there is no sample (tasks of several lengths)."""
    mask = jnp.ones(advantage.shape, bool) if mask is None else mask
    offset = jnp.zeros_like(advantage) if offset is None else offset
    return TaskSamples(features, jnp.where(mask, advantage, 0.0), offset, mask.sum(axis=1).astype(advantage.dtype))


class Quadratic(NamedTuple):
    """Σ_s ℓ_s(x) of every task up to second order: ½ xᵀ H_i x − b_iᵀ x and a constant.

    Attributes:
        curvature: H_i = Σ_s h_s g̃ g̃ᵀ.
        slope: b_i.
        count: N_i.
    """

    curvature: Float[Array, "task feature feature"]
    slope: Float[Array, "task feature"]
    count: Float[Array, " task"]


def quadratic(features: Array, curvatures: Array, slopes: Array, count: Array) -> Quadratic:
    # One task at a time: no weighted copy of all features.
    weighted = lambda task: (task[0].T * task[1]) @ task[0]  # noqa: E731
    curvature = jax.lax.map(weighted, (features, curvatures))
    return Quadratic(curvature, jnp.einsum("tsf,ts->tf", features, slopes), count)


def residual_of(
    samples: TaskSamples, scores: Float[Array, "*subset task sample"]
) -> Float[Array, "*subset task sample"]:
    """−dℓ/dz of the logistic loss: A σ(−sign(A) z)."""
    return samples.advantage * jax.nn.sigmoid(-jnp.sign(samples.advantage) * scores)


def logistic_quadratic(samples: TaskSamples) -> Quadratic:
    """The logistic losses to second order at x = 0: h = |A| σ(o)σ(−o), b = Σ A σ(−sign(A) o) g̃."""
    slopes = residual_of(samples, samples.offset)
    curvatures = jnp.abs(samples.advantage) * jax.nn.sigmoid(samples.offset) * jax.nn.sigmoid(-samples.offset)
    return quadratic(samples.features, curvatures, slopes, samples.count)


def squared_quadratic(
    features: Float[Array, "task sample feature"], residual: Float[Array, "task sample"]
) -> Quadratic:
    """Squared errors ½(residual − g̃ᵀx)² of outputs with projected gradients g̃: regression tasks, Gauss-Newton."""
    count = jnp.full(features.shape[0], float(features.shape[1]), features.dtype)
    return quadratic(features, jnp.ones_like(residual), residual, count)
