"""Coefficients that do not depend on returns: the weights themselves."""

from collections.abc import Mapping

from jaxrl.aggregation.base import Aggregator, ReturnSummary
from jaxrl.types import Array, PyTree

__all__ = ["decoupled_normalisation", "linear"]


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
