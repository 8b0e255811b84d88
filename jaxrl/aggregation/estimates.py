"""Aggregators that follow a running estimate J of the policy's expected return vector."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.aggregation.base import Aggregator, ReturnSummary, make_parameters
from jaxrl.ranges import PROBABILITY, Range
from jaxrl.types import Array, Bool, Float

__all__ = [
    "ESTIMATE_RANGES",
    "ESTIMATE_SCALARS",
    "ReturnEstimate",
    "chosen_returns",
    "estimating",
    "init_estimate",
    "update_estimate",
]

# Leaves that every aggregator with an estimate has: the rate of its average, and whether it averages
# discounted returns (1, the quantity whose gradient the advantages estimate) or plain ones (0).
ESTIMATE_SCALARS = {"estimate_rate": 0.1, "discounted": 1.0}
ESTIMATE_RANGES = {"estimate_rate": PROBABILITY, "discounted": PROBABILITY}

Utility = Callable[[Array, "ReturnEstimate", Array, Mapping[str, Array]], Array]


class ReturnEstimate(NamedTuple):
    """Running estimates of one policy's expected return vector.

    Attributes:
        mean: exponential average of episode returns.
        best: the best value of `mean` per objective so far, a utopia point.
        seen: whether any episode that pays the objective has ended.
    """

    mean: Float[Array, " objective"]
    best: Float[Array, " objective"]
    seen: Bool[Array, " objective"]


def chosen_returns(summary: ReturnSummary, parameters: Mapping[str, Array]) -> Float[Array, " objective"]:
    """Mean discounted returns, or plain ones where the leaf `discounted` is 0."""
    return jnp.where(parameters["discounted"] > 0.0, summary.discounted_returns, summary.returns)


def init_estimate(num_objectives: int, parameters: Mapping[str, Array]) -> ReturnEstimate:
    """An estimate that has seen nothing."""
    zeros = jnp.zeros(num_objectives)
    return ReturnEstimate(zeros, zeros - jnp.inf, jnp.zeros(num_objectives, bool))


def update_estimate(
    state: ReturnEstimate, summary: ReturnSummary, weights: Array, parameters: Mapping[str, Array]
) -> ReturnEstimate:
    """J ← J + rate (R - J), J ← R at first; unchanged if no episode ended."""
    rate = jnp.where(state.seen, parameters["estimate_rate"], 1.0)
    mean = state.mean + rate * (chosen_returns(summary, parameters) - state.mean)
    fresh = ReturnEstimate(mean, jnp.maximum(state.best, mean), jnp.ones_like(state.seen))
    return jax.tree.map(lambda new, old: jnp.where(summary.count > 0, new, old), fresh, state)


def estimating(
    utility: Utility,
    scalars: Mapping[str, float] | None = None,
    vectors: Mapping[str, float] | None = None,
    ranges: Mapping[str, Range] | None = None,
) -> Aggregator:
    """c = ∂u/∂J at the running estimate J; before the first episode ends, c = w.

    Args:
        utility: `(returns, estimate, weights, parameters) -> scalar`.
        scalars: defaults of the utility's own scalar leaves.
        vectors: defaults of its leaves with one entry per objective.
        ranges: of both.
    """

    def coefficients(state: ReturnEstimate, weights: Array, parameters: Mapping[str, Array]) -> Array:
        # One gradient per weight vector: u over a whole batch of weights would be a sum over it.
        gradient = jnp.vectorize(lambda w: jax.grad(utility)(state.mean, state, w, parameters), signature="(n)->(n)")
        return jnp.where(jnp.all(state.seen), gradient(weights), weights)

    parameters = partial(make_parameters, {**ESTIMATE_SCALARS, **(scalars or {})}, vectors or {})
    ranges = {**ESTIMATE_RANGES, **(ranges or {})}
    return Aggregator(parameters, init_estimate, coefficients, update_estimate, needs_estimate=True, ranges=ranges)
