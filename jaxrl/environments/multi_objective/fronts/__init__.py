"""Exact fronts by dynamic programming on device; for minecart, attainable returns by search."""

from jaxrl.environments.multi_objective.fronts.exact import coverage_set, finite_coverage_set, finite_front, front
from jaxrl.environments.multi_objective.fronts.hull import convex_coverage_set, optimistic_linear_support
from jaxrl.environments.multi_objective.fronts.minecart_plans import minecart_plans
from jaxrl.environments.multi_objective.fronts.model import FiniteModel, tabulate
from jaxrl.environments.multi_objective.fronts.value_sets import FrontTooLargeError, pareto_set
from jaxrl.environments.multi_objective.fronts.weighted import weighted_solver

__all__ = [
    "FiniteModel",
    "FrontTooLargeError",
    "convex_coverage_set",
    "coverage_set",
    "finite_coverage_set",
    "finite_front",
    "front",
    "minecart_plans",
    "optimistic_linear_support",
    "pareto_set",
    "tabulate",
    "weighted_solver",
]
