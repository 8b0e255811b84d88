"""Bilevel problems: hypergradients, rewards learnt so that their learner does well by another (BARFI), and rewards
learnt from preferences over trajectories that they themselves bring about (PARL)."""

from jaxrl.bilevel.barfi import barfi
from jaxrl.bilevel.barfi_study import BarfiConfig, BarfiHyperparameters, BarfiStudy
from jaxrl.bilevel.goal_grid import goal_grid
from jaxrl.bilevel.hypergradient import Hypergradient, HypergradientConfig, hypergradient, implicit, unrolled
from jaxrl.bilevel.parl import parl
from jaxrl.bilevel.parl_study import ParlConfig, ParlHyperparameters, ParlStudy
from jaxrl.numerics.linear_solve import solve

# By the names of `jaxrl align`.
BILEVEL = {"barfi": barfi, "parl": parl}

__all__ = [
    "BILEVEL",
    "BarfiConfig",
    "BarfiHyperparameters",
    "BarfiStudy",
    "Hypergradient",
    "HypergradientConfig",
    "ParlConfig",
    "ParlHyperparameters",
    "ParlStudy",
    "barfi",
    "goal_grid",
    "hypergradient",
    "implicit",
    "parl",
    "solve",
    "unrolled",
]
