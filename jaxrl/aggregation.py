"""Aggregators: from one advantage per objective to one advantage.

Each is a set of coefficients c over objectives, A = Σᵢ cᵢ Aᵢ, which may follow a running estimate J
of the expected return vector. A non-linear utility u(J) is ascended with c = ∇u(J): a non-linear
function of advantages would not be its gradient.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.errors import require_name
from jaxrl.types import Array, Float, PyTree

__all__ = ["AGGREGATORS", "Aggregator", "ReturnSummary", "make_aggregator", "standardise"]


class ReturnSummary(NamedTuple):
    """Mean returns of the episodes that ended during one iteration.

    Attributes:
        returns: mean undiscounted return, zeros if none ended.
        discounted_returns: mean of Σ γᵗ rₜ.
        length: mean length in steps.
        count: how many episodes ended.
    """

    returns: Float[Array, " objective"]
    discounted_returns: Float[Array, " objective"]
    length: Float[Array, ""]
    count: Float[Array, ""]


class Aggregator(NamedTuple):
    """One aggregator.

    Attributes:
        parameters: `num_objectives -> dict`, defaults of the traced leaf `hyperparameters.aggregator`.
        init: `(num_objectives, parameters) -> state`.
        coefficients: `(state, weights [*batch, objective], parameters) -> [*batch, objective]`.
        update: `(state, ReturnSummary, weights, parameters) -> state`, once per iteration.
        standardise_each: whether each objective's advantages are standardised before the sum.
        needs_estimate: whether the state depends on one policy's returns, so that one network
            cannot serve many weights at once.
    """

    parameters: Callable[[int], dict[str, Array]]
    init: Callable[[int, Mapping[str, Array]], PyTree]
    coefficients: Callable[[PyTree, Array, Mapping[str, Array]], Array]
    update: Callable[[PyTree, ReturnSummary, Array, Mapping[str, Array]], PyTree]
    standardise_each: bool = False
    needs_estimate: bool = False


def standardise(
    advantages: Float[Array, "*batch"], axes: tuple[int, ...] | None = None, epsilon: float = 1e-8
) -> Float[Array, "*batch"]:
    """(A - mean)/(std + ε) over `axes` (all axes by default)."""
    mean = advantages.mean(axis=axes, keepdims=True)
    deviation = advantages - mean
    return deviation / (jnp.sqrt(jnp.mean(deviation**2, axis=axes, keepdims=True)) + epsilon)


def _no_parameters(num_objectives: int) -> dict[str, Array]:
    return {}


def _no_state(num_objectives: int, parameters: Mapping[str, Array]) -> tuple[()]:
    return ()


def _unchanged(state: PyTree, summary: ReturnSummary, weights: Array, parameters: Mapping[str, Array]) -> PyTree:
    return state


def _weights(state: PyTree, weights: Array, parameters: Mapping[str, Array]) -> Array:
    return weights


def linear() -> Aggregator:
    """c = w: the weighted sum Σ wᵢ Aᵢ."""
    return Aggregator(_no_parameters, _no_state, _weights, _unchanged)


def decoupled_normalisation() -> Aggregator:
    """Each objective's advantages are standardised, then summed with weights (GDPO, arXiv 2601.05242, section 3)."""
    return linear()._replace(standardise_each=True)


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


def _init_estimate(num_objectives: int, parameters: Mapping[str, Array]) -> ReturnEstimate:
    zeros = jnp.zeros(num_objectives)
    return ReturnEstimate(zeros, zeros - jnp.inf, jnp.array(False))


def _update_estimate(
    state: ReturnEstimate, summary: ReturnSummary, weights: Array, parameters: Mapping[str, Array]
) -> ReturnEstimate:
    rate = jnp.where(state.seen, parameters["estimate_rate"], 1.0)
    mean = state.mean + rate * (summary.discounted_returns - state.mean)
    fresh = ReturnEstimate(mean, jnp.maximum(state.best, mean), jnp.array(True))
    return jax.tree.map(lambda new, old: jnp.where(summary.count > 0, new, old), fresh, state)


def _estimating(utility: Callable[[Array, ReturnEstimate, Array, Mapping], Array], defaults: dict) -> Aggregator:
    """c = ∂u/∂J at the running estimate J; before the first episode ends, c = w."""

    def parameters(num_objectives: int) -> dict[str, Array]:
        vector = {name: jnp.full(num_objectives, value) for name, value in defaults.get("vectors", {}).items()}
        scalar = {name: jnp.asarray(value) for name, value in defaults.get("scalars", {}).items()}
        return {"estimate_rate": jnp.asarray(0.1), **scalar, **vector}

    def coefficients(state: ReturnEstimate, weights: Array, parameters: Mapping[str, Array]) -> Array:
        # One gradient per weight vector: u over a whole batch of weights would be a sum over it.
        gradient = jnp.vectorize(lambda w: jax.grad(utility)(state.mean, state, w, parameters), signature="(n)->(n)")
        return jnp.where(state.seen, gradient(weights), weights)

    return Aggregator(parameters, _init_estimate, coefficients, _update_estimate, needs_estimate=True)


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

    return _estimating(utility, {"scalars": {"margin": 0.1}, "vectors": {"utopia": -jnp.inf}})


def smooth_chebyshev() -> Aggregator:
    """Ascends -μ log Σᵢ exp(wᵢ (zᵢ - Jᵢ)/μ), the smooth Chebyshev distance (Lin et al., 2024, equation 4).

    μ is `smoothing`, in units of weighted return; μ → 0 gives `chebyshev`.
    """

    def utility(returns: Array, state: ReturnEstimate, weights: Array, parameters: Mapping[str, Array]) -> Array:
        smoothing = parameters["smoothing"]
        return -smoothing * jax.nn.logsumexp(_regrets(returns, state, weights, parameters) / smoothing)

    return _estimating(utility, {"scalars": {"margin": 0.1, "smoothing": 0.1}, "vectors": {"utopia": -jnp.inf}})


def utility_gradient(utility: Callable[[Array, Array], Array] | None = None) -> Aggregator:
    """c = ∇u(J) for a concave utility of the expected return vector (Agarwal et al., 2022, section 4).

    Args:
        utility: `(returns [objective], weights [objective]) -> scalar`; default the weighted
            α-fair welfare Σ wᵢ Jᵢ^(1-α)/(1-α) of returns shifted by `offset`, where α = 0 is the
            linear sum, α = 1 Nash welfare (Σ wᵢ log Jᵢ) and α → ∞ max-min. α and the offset are
            the traced leaves `fairness` and `offset`.
    """
    if utility is not None:
        return _estimating(lambda returns, state, weights, parameters: utility(returns, weights), {})

    def welfare(returns: Array, state: ReturnEstimate, weights: Array, parameters: Mapping[str, Array]) -> Array:
        alpha = parameters["fairness"]
        shifted = jnp.maximum(returns - parameters["offset"], 1e-3)
        # d/dx of x^(1-α)/(1-α) is x^-α for every α, log at α = 1 included.
        return jnp.sum(weights * jax.lax.stop_gradient(shifted**-alpha) * returns)

    return _estimating(welfare, {"scalars": {"fairness": 1.0}, "vectors": {"offset": 0.0}})


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


AGGREGATORS: dict[str, Callable[..., Aggregator]] = {
    "linear": linear,
    "chebyshev": chebyshev,
    "smooth_chebyshev": smooth_chebyshev,
    "utility_gradient": utility_gradient,
    "lagrangian": lagrangian,
    "decoupled_normalisation": decoupled_normalisation,
}


def make_aggregator(name: str | Aggregator) -> Aggregator:
    """The aggregator called `name`; an `Aggregator` passes through."""
    if isinstance(name, Aggregator):
        return name
    return AGGREGATORS[require_name("aggregator", name, AGGREGATORS)]()


def aggregate(
    aggregator: Aggregator,
    state: PyTree,
    advantages: Float[Array, "*batch objective"],
    weights: Float[Array, "*batch objective"],
    parameters: Any,
) -> Float[Array, "*batch"]:
    """A = Σᵢ cᵢ Aᵢ with the aggregator's coefficients, gradients stopped through c."""
    if aggregator.standardise_each:
        advantages = standardise(advantages, tuple(range(advantages.ndim - 1)))
    coefficients = jax.lax.stop_gradient(aggregator.coefficients(state, weights, parameters))
    return jnp.sum(coefficients * advantages, axis=-1)
