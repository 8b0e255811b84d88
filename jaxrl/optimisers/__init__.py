"""Learned optimisers: update rules whose parameters are a traced leaf of an agent's hyperparameters."""

from jaxrl.optimisers.base import LearnedOptimiser, Signals
from jaxrl.optimisers.open import OpenState, open_features, open_optimiser, open_optimiser_large
from jaxrl.optimisers.published import load_open, save_open
from jaxrl.registry import Registry

__all__ = [
    "OPTIMISERS",
    "LearnedOptimiser",
    "OpenState",
    "Signals",
    "load_open",
    "open_features",
    "open_optimiser",
    "open_optimiser_large",
    "save_open",
]

OPTIMISERS = Registry("optimiser", {"open": open_optimiser, "open_large": open_optimiser_large}, LearnedOptimiser)
