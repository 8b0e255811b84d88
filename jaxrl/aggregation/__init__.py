"""Aggregators: from one advantage per objective to one advantage.

Each is a set of coefficients c over objectives, A = Σᵢ cᵢ Aᵢ, which may follow a running estimate J
of the expected return vector. A non-linear utility u(J) is ascended with c = ∇u(J): a non-linear
function of advantages would not be its gradient.
"""

from jaxrl.aggregation.base import Aggregator, ReturnSummary, aggregate, standardise
from jaxrl.aggregation.constraints import lagrangian, log_barrier
from jaxrl.aggregation.distances import chebyshev, smooth_chebyshev
from jaxrl.aggregation.dynamic import gradient_guided, hypervolume_guided
from jaxrl.aggregation.fixed import decoupled_normalisation, linear
from jaxrl.aggregation.learned import learned
from jaxrl.aggregation.priorities import lexicographic
from jaxrl.aggregation.utilities import gini, lorenz, max_min, owa, utility_gradient
from jaxrl.registry import Registry

__all__ = [
    "AGGREGATORS",
    "Aggregator",
    "ReturnSummary",
    "aggregate",
    "chebyshev",
    "decoupled_normalisation",
    "gini",
    "gradient_guided",
    "hypervolume_guided",
    "lagrangian",
    "learned",
    "lexicographic",
    "linear",
    "log_barrier",
    "lorenz",
    "make_aggregator",
    "max_min",
    "owa",
    "smooth_chebyshev",
    "standardise",
    "utility_gradient",
]

AGGREGATORS = Registry(
    "aggregator",
    {
        "linear": linear,
        "chebyshev": chebyshev,
        "smooth_chebyshev": smooth_chebyshev,
        "utility_gradient": utility_gradient,
        "max_min": max_min,
        "gini": gini,
        "owa": owa,
        "lorenz": lorenz,
        "lagrangian": lagrangian,
        "log_barrier": log_barrier,
        "lexicographic": lexicographic,
        "hypervolume_guided": hypervolume_guided,
        "gradient_guided": gradient_guided,
        "decoupled_normalisation": decoupled_normalisation,
        "learned": learned,
    },
    Aggregator,
)
make_aggregator = AGGREGATORS.make
