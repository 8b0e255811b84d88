"""Distances to a utopia point that the estimated returns approach."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jaxrl.aggregation.base import RETURNS, SCALE, Aggregator
from jaxrl.aggregation.estimates import ReturnEstimate, estimating
from jaxrl.types import Array

__all__ = ["chebyshev", "smooth_chebyshev"]


def _regrets(returns: Array, state: ReturnEstimate, weights: Array, parameters: Mapping[str, Array]) -> Array:
    utopia = jnp.maximum(parameters["utopia"], jnp.where(state.seen, state.best, returns))
    return weights * (jax.lax.stop_gradient(utopia) + parameters["margin"] - returns)


def chebyshev() -> Aggregator:
    """Ascends -maxᵢ wᵢ (zᵢ - Jᵢ), the weighted Chebyshev distance to the utopia point z.

    z is the larger of `utopia` (default -inf) and the best estimate so far, plus `margin`. The
    subgradient puts all weight on the objective that is furthest behind (Miettinen, 1998, 3.4).
    """

    def utility(returns: Array, state: ReturnEstimate, weights: Array, parameters: Mapping[str, Array]) -> Array:
        return -jnp.max(_regrets(returns, state, weights, parameters))

    return estimating(utility, {"margin": 0.1}, {"utopia": -jnp.inf}, {"utopia": RETURNS})


def smooth_chebyshev() -> Aggregator:
    """Ascends -μ log Σᵢ exp(wᵢ (zᵢ - Jᵢ)/μ), the smooth Chebyshev distance (Lin et al., 2024, equation 4).

    μ is `smoothing`, in units of weighted return; μ → 0 gives `chebyshev`.
    """

    def utility(returns: Array, state: ReturnEstimate, weights: Array, parameters: Mapping[str, Array]) -> Array:
        smoothing = parameters["smoothing"]
        return -smoothing * jax.nn.logsumexp(_regrets(returns, state, weights, parameters) / smoothing)

    ranges = {"utopia": RETURNS, "smoothing": SCALE}
    return estimating(utility, {"margin": 0.1, "smoothing": 0.1}, {"utopia": -jnp.inf}, ranges)
