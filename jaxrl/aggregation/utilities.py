"""Utilities of the expected return vector (SER), ascended by their gradient."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from jaxrl.aggregation.base import Aggregator
from jaxrl.aggregation.estimates import ReturnEstimate, estimating
from jaxrl.types import Array

__all__ = ["utility_gradient"]


def utility_gradient(utility: Callable[[Array, Array], Array] | None = None) -> Aggregator:
    """c = ∇u(J) for a concave utility of the expected return vector (Agarwal et al., 2022, section 4).

    Args:
        utility: `(returns [objective], weights [objective]) -> scalar`; default the weighted
            α-fair welfare Σ wᵢ Jᵢ^(1-α)/(1-α) of returns shifted by `offset`, where α = 0 is the
            linear sum, α = 1 Nash welfare (Σ wᵢ log Jᵢ) and α → ∞ max-min. α and the offset are
            the traced leaves `fairness` and `offset`.
    """
    if utility is not None:
        return estimating(lambda returns, state, weights, parameters: utility(returns, weights), {})

    def welfare(returns: Array, state: ReturnEstimate, weights: Array, parameters: Mapping[str, Array]) -> Array:
        alpha = parameters["fairness"]
        shifted = jnp.maximum(returns - parameters["offset"], 1e-3)
        # d/dx of x^(1-α)/(1-α) is x^-α for every α, log at α = 1 included.
        return jnp.sum(weights * jax.lax.stop_gradient(shifted**-alpha) * returns)

    return estimating(welfare, {"scalars": {"fairness": 1.0}, "vectors": {"offset": 0.0}})
