"""Tabular multi-objective algorithms, each a pure function of a key and its hyperparameters."""

from jaxrl.morl.tabular.acting import Episode
from jaxrl.morl.tabular.base import Found, Result, Tabular
from jaxrl.morl.tabular.chebyshev_exploration import (
    ChebyshevExplorationConfig,
    ChebyshevExplorationHyperparameters,
    chebyshev_exploration,
)
from jaxrl.morl.tabular.ipro import IPROConfig, IPROHyperparameters, ipro_2d
from jaxrl.morl.tabular.model import Model, tabulate
from jaxrl.morl.tabular.optimistic_linear_support import OLSConfig, OLSHyperparameters, optimistic_linear_support
from jaxrl.morl.tabular.pareto_q_learning import (
    ParetoQLearningConfig,
    ParetoQLearningHyperparameters,
    pareto_q_learning,
)
from jaxrl.morl.tabular.q_learning import QLearningConfig, QLearningHyperparameters, q_learning

__all__ = [
    "ChebyshevExplorationConfig",
    "ChebyshevExplorationHyperparameters",
    "Episode",
    "Found",
    "IPROConfig",
    "IPROHyperparameters",
    "Model",
    "OLSConfig",
    "OLSHyperparameters",
    "ParetoQLearningConfig",
    "ParetoQLearningHyperparameters",
    "QLearningConfig",
    "QLearningHyperparameters",
    "Result",
    "Tabular",
    "chebyshev_exploration",
    "ipro_2d",
    "optimistic_linear_support",
    "pareto_q_learning",
    "q_learning",
    "tabulate",
]
