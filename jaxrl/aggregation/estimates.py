"""Aggregators that follow a running estimate of the policy's expected return vector."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.aggregation.base import Aggregator, ReturnSummary
from jaxrl.types import Array, Float

__all__ = ["ReturnEstimate", "estimating"]


class ReturnEstimate(NamedTuple):
    """Running estimates of one policy's expected return vector.

    Attributes:
        mean: exponential average of discounted episode returns.
        best: the best value of `mean` per objective so far, a utopia point.
        seen: whether any episode has ended.
    """

    mean: Float[Array, " objective"]
    best: Float[Array, " objective"]
    seen: Array


def init_estimate(num_objectives: int, parameters: Mapping[str, Array]) -> ReturnEstimate:
    zeros = jnp.zeros(num_objectives)
    return ReturnEstimate(zeros, zeros - jnp.inf, jnp.array(False))


def update_estimate(
    state: ReturnEstimate, summary: ReturnSummary, weights: Array, parameters: Mapping[str, Array]
) -> ReturnEstimate:
    rate = jnp.where(state.seen, parameters["estimate_rate"], 1.0)
    mean = state.mean + rate * (summary.discounted_returns - state.mean)
    fresh = ReturnEstimate(mean, jnp.maximum(state.best, mean), jnp.array(True))
    return jax.tree.map(lambda new, old: jnp.where(summary.count > 0, new, old), fresh, state)


def estimating(utility: Callable[[Array, ReturnEstimate, Array, Mapping], Array], defaults: dict) -> Aggregator:
    """c = ∂u/∂J at the running estimate J; before the first episode ends, c = w."""

    def parameters(num_objectives: int) -> dict[str, Array]:
        vector = {name: jnp.full(num_objectives, value) for name, value in defaults.get("vectors", {}).items()}
        scalar = {name: jnp.asarray(value) for name, value in defaults.get("scalars", {}).items()}
        return {"estimate_rate": jnp.asarray(0.1), **scalar, **vector}

    def coefficients(state: ReturnEstimate, weights: Array, parameters: Mapping[str, Array]) -> Array:
        # One gradient per weight vector: u over a whole batch of weights would be a sum over it.
        gradient = jnp.vectorize(lambda w: jax.grad(utility)(state.mean, state, w, parameters), signature="(n)->(n)")
        return jnp.where(state.seen, gradient(weights), weights)

    return Aggregator(parameters, init_estimate, coefficients, update_estimate, needs_estimate=True)
