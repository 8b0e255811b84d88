"""Designs of a sweep: which settings of the traced leaves are tried."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxrl.ranges import NUMBER, SAMPLES, Range

__all__ = ["Integer", "LogUniform", "Uniform", "grid", "random_design", "sobol_design"]


@dataclass(frozen=True)
class Uniform:
    """Uniform between `low` and `high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_bounds(self, NUMBER)

    def at(self, quantile: np.ndarray) -> np.ndarray:
        """The value at each quantile in [0, 1)."""
        return self.low + quantile * (self.high - self.low)


@dataclass(frozen=True)
class LogUniform:
    """Uniform in the logarithm between `low` > 0 and `high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_bounds(self, NUMBER)
        if not self.low > 0:
            raise ValueError(f"LogUniform needs 0 < low <= high, got low={self.low}, high={self.high}")

    def at(self, quantile: np.ndarray) -> np.ndarray:
        """The value at each quantile in [0, 1)."""
        return np.exp(np.log(self.low) + quantile * (np.log(self.high) - np.log(self.low)))


@dataclass(frozen=True)
class Integer:
    """Integers `low` .. `high`, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        _check_bounds(self, Range(integer=True))

    def at(self, quantile: np.ndarray) -> np.ndarray:
        """The value at each quantile in [0, 1)."""
        return np.minimum(self.low + np.floor(quantile * (self.high - self.low + 1)), self.high)


def _check_bounds(bounds: Uniform | LogUniform | Integer, within: Range) -> None:
    name = type(bounds).__name__
    within.check(f"low of {name}", bounds.low)
    within.check(f"high of {name}", bounds.high)
    if bounds.low > bounds.high:
        raise ValueError(f"{name} needs low <= high, got low={bounds.low}, high={bounds.high}")


def grid(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every combination, the last name varying fastest.

    Raises:
        ValueError: for a name without values.
    """
    for name, choices in values.items():
        if isinstance(choices, str) or not hasattr(choices, "__len__") or len(choices) == 0:
            raise ValueError(f"sweep over {name!r} needs a list of values, got {choices!r}")
    return [dict(zip(values, row)) for row in itertools.product(*values.values())]


def random_design(ranges: Mapping[str, Any], count: int, seed: int = 0) -> list[dict[str, Any]]:
    """`count` independent draws from `ranges` (Uniform, LogUniform, Integer)."""
    SAMPLES.check("samples", count)
    return _at_quantiles(ranges, np.random.default_rng(seed).random((count, len(ranges))))


def sobol_design(ranges: Mapping[str, Any], count: int, seed: int = 0) -> list[dict[str, Any]]:
    """The first `count` points of a scrambled Sobol sequence, spread evenly over `ranges`."""
    from scipy.stats import qmc

    SAMPLES.check("samples", count)
    if not ranges:
        raise ValueError("a design needs at least one range")
    sampler = qmc.Sobol(len(ranges), seed=seed)
    power = int(np.ceil(np.log2(max(1, count))))
    return _at_quantiles(ranges, sampler.random_base2(power)[:count])


def _at_quantiles(ranges: Mapping[str, Any], quantiles: np.ndarray) -> list[dict[str, Any]]:
    for name, values in ranges.items():
        if not isinstance(values, Uniform | LogUniform | Integer):
            raise ValueError(
                f"{name!r} needs Uniform, LogUniform or Integer in a random or Sobol design, got {values!r}"
            )
    columns = {name: values.at(quantiles[:, i]) for i, (name, values) in enumerate(ranges.items())}
    return [{name: column[i].item() for name, column in columns.items()} for i in range(len(quantiles))]
