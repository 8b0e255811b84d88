"""The sets that all contenders of `metrics.py` measure, and how one call is timed; NumPy only."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def points_of(shape: str, num_points: int, num_objectives: int) -> np.ndarray:
    """Positive float32 points, larger being better: `random`, or on a `sphere`, where none is dominated."""
    points = np.abs(np.random.default_rng(num_points).normal(size=(num_points, num_objectives)))
    if shape == "sphere":
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32)


def reference_of(num_objectives: int) -> np.ndarray:
    """A corner a little below every point."""
    return np.full(num_objectives, -0.01, np.float32)


def median_seconds(call: Callable[[], Any], budget_seconds: float = 1.0) -> tuple[Any, float]:
    """The result of a call and the median wall-clock time of repeating it, 3 to 51 times within a budget."""
    result = call()
    seconds: list[float] = []
    while len(seconds) < 3 or (len(seconds) < 51 and sum(seconds) < budget_seconds):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return result, statistics.median(seconds)
