"""What a number may be: said once, checked when a program is built and printed by `--help`."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

__all__ = [
    "COUNT",
    "EPISODES",
    "LARGEST_INTEGER",
    "LARGEST_NUMBER",
    "LIMIT",
    "NOT_NEGATIVE",
    "NUMBER",
    "NUM_WEIGHTS",
    "POSITIVE",
    "PROBABILITY",
    "SAMPLES",
    "SEED",
    "SEEDS",
    "SOME",
    "STEPS",
    "TASKS",
    "UNBOUNDED",
    "Range",
]

LARGEST_INTEGER = 2**31 - 1
"""The largest 32-bit integer, which programs count with."""
LARGEST_NUMBER = float(np.finfo(np.float32).max)
"""The largest 32-bit number; a larger one is as good as infinite."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included unless open. A number that is no number is never among them."""

    low: float | int = -math.inf
    high: float | int = math.inf
    low_open: bool = False
    high_open: bool = False
    integer: bool = False
    """Whole numbers alone, and none beyond 32 bits unless `high` says so."""
    finite: bool = True
    """Whether an infinite number is out of it."""

    def __str__(self) -> str:
        """For help and errors: `in [0, 1]`, `at least 1`, `above 0`."""
        below, above = math.isinf(self.low), math.isinf(self.high)
        if below and above:
            return "any integer" if self.integer else "any number"
        if above:
            return f"{'above' if self.low_open else 'at least'} {_text(self.low)}"
        if below:
            return f"{'below' if self.high_open else 'at most'} {_text(self.high)}"
        brackets = "(" if self.low_open else "[", ")" if self.high_open else "]"
        return f"in {brackets[0]}{_text(self.low)}, {_text(self.high)}{brackets[1]}"

    def check(self, name: str, value: Any) -> None:
        """Raises ValueError, in one sentence, unless `value` is one number of the range.

        Args:
            name: what the sentence calls it.
            value: a number, not traced.
        """
        if isinstance(value, list | tuple) or getattr(value, "ndim", 0):
            raise ValueError(self._takes(name, value))
        self.check_each(name, value)

    def check_each(self, name: str, value: Any) -> None:
        """The same of every entry of an array of numbers, which may be empty."""
        entries = _entries(value)
        if entries is None:
            raise ValueError(self._takes(name, value))
        for entry in entries:
            if math.isnan(entry) or (self.integer and entry % 1):
                raise ValueError(f"{name} takes {self._kind}, got {_text(entry)}")
            demand = self._broken(entry)
            if demand:
                raise ValueError(f"{name} must {demand}, got {_text(entry)}")

    @property
    def _kind(self) -> str:
        return "an integer" if self.integer else "a number"

    def _takes(self, name: str, value: Any) -> str:
        return f"{name} takes {self._kind}, got {value!r} of type {type(value).__name__}"

    def _broken(self, entry: float | int) -> str:
        """What `entry` should do, where it does not."""
        bounded = not self.integer and not math.isinf(self.low) and not math.isinf(self.high)
        low = entry > self.low if self.low_open else entry >= self.low
        high = entry < self.high if self.high_open else entry <= self.high
        if not low or not high:
            one_sided = replace(self, high=math.inf) if not low else replace(self, low=-math.inf)
            return f"lie {self}" if bounded else f"be {one_sided}"
        if self.integer and math.isinf(self.high) and not -LARGEST_INTEGER <= entry <= LARGEST_INTEGER:
            return f"be at most {LARGEST_INTEGER}" if entry > 0 else f"be at least {-LARGEST_INTEGER}"
        return "be finite" if self.finite and not -LARGEST_NUMBER <= entry <= LARGEST_NUMBER else ""


def _entries(value: Any) -> list[float | int] | None:
    """The numbers of an array, or the number alone; None for what is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return [value if abs(value) <= LARGEST_NUMBER else (math.inf if value > 0 else -math.inf)]
    if isinstance(value, str | bytes | bool) or value is None:
        return None
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return array.ravel().tolist() if array.dtype.kind in "iuf" else None


def _text(number: float | int) -> str:
    return f"{number:g}" if isinstance(number, float) and number.is_integer() and abs(number) < 1e6 else f"{number}"


NUMBER = Range()
UNBOUNDED = Range(finite=False)
POSITIVE = Range(0, low_open=True)
# Of what is clipped; infinity clips nothing.
LIMIT = Range(0, low_open=True, finite=False)
NOT_NEGATIVE = Range(0)
COUNT = Range(1, integer=True)
SOME = Range(0, integer=True)
STEPS = Range(1, 10**15, integer=True)
PROBABILITY = Range(0, 1)

# What several commands and functions ask for.
SEED = Range(0, 2**32 - 1, integer=True)
SEEDS = Range(1, 100_000, integer=True)
EPISODES = Range(1, 2**20, integer=True)
TASKS = Range(1, 2**20, integer=True)
SAMPLES = Range(1, 100_000, integer=True)
NUM_WEIGHTS = Range(1, 10_000, integer=True)
