"""Tabular grid-worlds with objects to collect, ids `grid/...`: the task family of LPG and GROOVE."""

from typing import Any

from jaxrl.environments.base import Environment
from jaxrl.environments.grid.dynamics import GridParams, GridState
from jaxrl.environments.grid.environment import grid
from jaxrl.environments.grid.levels import LEVELS, LevelDistribution, drawn_levels, random_levels
from jaxrl.environments.grid.optimal import optimal_return, policy_return, uniform_return

__all__ = [
    "LEVELS",
    "GridParams",
    "GridState",
    "LevelDistribution",
    "drawn_levels",
    "grid",
    "make",
    "names",
    "optimal_return",
    "policy_return",
    "random_levels",
    "uniform_return",
]


def names() -> tuple[str, ...]:
    """Every id of this suite, without its prefix: the names of `LEVELS` with hyphens."""
    return tuple(name.replace("_", "-") for name in LEVELS)


def make(name: str, **options: Any) -> Environment:
    """Builds `grid/{name}`; `options` are those of `grid` but for `levels`."""
    return grid(name.replace("-", "_"), **options)
