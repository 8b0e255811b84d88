"""Tabular multi-objective algorithms, each a pure function of a key and its hyperparameters."""

from jaxrl.morl.tabular.base import Episode, Result, Tabular
from jaxrl.morl.tabular.chebyshev_exploration import ChebyshevExplorationConfig, chebyshev_exploration
from jaxrl.morl.tabular.ipro import IPROConfig, ipro_2d
from jaxrl.morl.tabular.model import Model, tabulate
from jaxrl.morl.tabular.optimistic_linear_support import OLSConfig, optimistic_linear_support
from jaxrl.morl.tabular.pareto_q_learning import ParetoQLearningConfig, pareto_q_learning
from jaxrl.morl.tabular.q_learning import QLearningConfig, q_learning

__all__ = [
    "ChebyshevExplorationConfig",
    "Episode",
    "IPROConfig",
    "Model",
    "OLSConfig",
    "ParetoQLearningConfig",
    "QLearningConfig",
    "Result",
    "Tabular",
    "chebyshev_exploration",
    "ipro_2d",
    "optimistic_linear_support",
    "pareto_q_learning",
    "q_learning",
    "tabulate",
]
