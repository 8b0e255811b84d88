"""What a row of the table is: one paper, one small check of its headline beside what it claims to beat."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxrl.numerics.statistics import interval, mean
from jaxrl.types import Float

__all__ = ["Measured", "Row", "above", "below", "estimate"]


class Measured(NamedTuple):
    """What a check found; one number a seed, of independent runs.

    Attributes:
        value: of the paper's method.
        baseline: of what the paper compares with, or of a bound.
        holds: whether the headline shows.
        note: what else was measured, and the reason where it does not hold.
    """

    value: Float[np.ndarray, " seed"]
    baseline: Float[np.ndarray, " seed_baseline"]
    holds: bool
    note: str


class Row(NamedTuple):
    """One line of the table: `number` of the row, the paper, what is checked, and the check."""

    number: str
    paper: str
    check: str
    value: str
    baseline: str
    measure: Callable[[], Measured]


def estimate(scores: Float[np.ndarray, " seed"]) -> dict[str, float | list[float]]:
    """Mean over seeds, its interval of 95 % and the scores themselves."""
    scores = np.asarray(scores, np.float64)
    low, high = interval(scores, mean)
    return {"mean": float(scores.mean()), "interval_95": [low, high], "seeds": scores.tolist()}


def above(
    value: Float[np.ndarray, " seed"], baseline: Float[np.ndarray, " seed_baseline"] | float, by: float = 0.0
) -> bool:
    """Whether the interval of `value` lies above that of `baseline`, by more than `by`."""
    limit = baseline if np.ndim(baseline) == 0 else interval(np.asarray(baseline), mean)[1]
    return bool(interval(np.asarray(value), mean)[0] > limit + by)


def below(value: Float[np.ndarray, " seed"], baseline: Float[np.ndarray, " seed_baseline"] | float) -> bool:
    """Whether the interval of `value` lies below that of `baseline`."""
    return above(-np.asarray(value), -np.asarray(baseline))
