"""Per-sample and per-task gradients, projected as they are made."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax

from jaxrl.multitask.grouping.projection import Projection
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["ProjectedGradients", "projected_gradients"]


class ProjectedGradients(NamedTuple):
    """What `projected_gradients` returns of every sample.

    Attributes:
        values: f(θ, sample).
        features: Pᵀ ∇f(θ, sample).
    """

    values: Float[Array, "*sample"]
    features: Float[Array, "*sample feature"]


def projected_gradients(
    scalar_fn: Callable[[PyTree, PyTree], Array],
    params: PyTree,
    samples: PyTree,
    projection: Projection,
    key: PRNGKeyArray,
    chunk: int = 256,
) -> ProjectedGradients:
    """f and Pᵀ ∇_θ f at θ = `params` for every sample: log π(a|o), a logit margin, or a loss of one sample.

    `chunk` gradients exist at a time, each of the size of `params`; P is drawn anew for every chunk. Reverse mode and a
    product with P take about 6p + 2pd floating-point operations a sample, d forward-mode products 4pd (each carries a
    tangent through every layer twice: into its weights, and on to the next), so the former is the cheaper wherever
    `chunk` is large enough to pay for the numbers of P; see results/benchmarks/subset_estimation.json for both.

    Args:
        scalar_fn: `(params, sample) -> number`.
        params: θ.
        samples: leaves with a leading axis of samples; keep a task axis by vmapping or, in bounded memory, by
            `jax.lax.map` over tasks.
        projection: of parameters like `params`.
        key: of the projection.
        chunk: samples at a time; where it does not divide their number, what is left is compiled once more.

    Raises:
        ValueError: for a chunk below 1.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    return jax.lax.map(partial(_one, scalar_fn, params, projection, key), samples, batch_size=chunk)


def _one(
    scalar_fn: Callable[[PyTree, PyTree], Array],
    params: PyTree,
    projection: Projection,
    key: PRNGKeyArray,
    sample: PyTree,
) -> ProjectedGradients:
    value, gradient = jax.value_and_grad(scalar_fn)(params, sample)
    return ProjectedGradients(value, projection.project(key, gradient))
