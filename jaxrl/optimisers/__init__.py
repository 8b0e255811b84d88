"""Learned optimisers: update rules whose parameters are a traced leaf of an agent's hyperparameters."""

from collections.abc import Callable

from jaxrl.optimisers.base import LearnedOptimiser, Signals
from jaxrl.optimisers.open import OpenState, open_features, open_optimiser, open_optimiser_large
from jaxrl.optimisers.published import load_open, save_open

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

OPTIMISERS: dict[str, Callable[[], LearnedOptimiser]] = {"open": open_optimiser, "open_large": open_optimiser_large}
