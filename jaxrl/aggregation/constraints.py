"""Maximisation of some objectives subject to bounds on others."""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp

from jaxrl.aggregation.base import Aggregator, ReturnSummary
from jaxrl.types import Array, Float, PyTree

__all__ = ["Multipliers", "lagrangian"]


class Multipliers(NamedTuple):
    """Dual variables λ ≥ 0, one per objective."""

    values: Float[Array, " objective"]


def lagrangian() -> Aggregator:
    """Maximise w·J subject to Jᵢ ≥ bᵢ, by gradient ascent on A and dual ascent on λ.

    c = (w + λ)/(1 + Σλ) and λ ← [λ + η (b - J)]₊ with J the mean undiscounted return of the
    episodes that ended (Altman, 1999; Tessler et al., 2019, section 4). Costs are objectives with
    negative rewards: cost ≤ d reads J ≥ -d. A threshold of -inf leaves an objective free; the
    weight of a pure constraint is 0.
    """

    def parameters(num_objectives: int) -> dict[str, Array]:
        return {
            "thresholds": jnp.full(num_objectives, -jnp.inf),
            "multiplier_rate": jnp.asarray(0.01),
            "initial_multiplier": jnp.asarray(0.0),
        }

    def init(num_objectives: int, parameters: Mapping[str, Array]) -> Multipliers:
        bound = parameters["thresholds"] > -jnp.inf
        return Multipliers(jnp.where(bound, parameters["initial_multiplier"], jnp.zeros(num_objectives)))

    def coefficients(state: Multipliers, weights: Array, parameters: Mapping[str, Array]) -> Array:
        return (weights + state.values) / (1.0 + state.values.sum())

    def update(state: Multipliers, summary: ReturnSummary, weights: Array, parameters: Mapping[str, Array]) -> PyTree:
        bound = parameters["thresholds"] > -jnp.inf
        shortfall = jnp.where(bound, parameters["thresholds"] - summary.returns, 0.0)
        values = jnp.maximum(0.0, state.values + parameters["multiplier_rate"] * shortfall)
        return Multipliers(jnp.where(summary.count > 0, values, state.values))

    return Aggregator(parameters, init, coefficients, update, needs_estimate=True)
