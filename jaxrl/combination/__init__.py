"""Combinations: from one gradient per task, or per objective, to the one that is descended.

An aggregator weighs advantages before a gradient is taken; a combination sees the gradients themselves, and may turn
them where they conflict.
"""

from collections.abc import Callable

from jaxrl.combination.base import Combination
from jaxrl.combination.conflict import cagrad, min_norm, pcgrad
from jaxrl.combination.mean import average, normalised_average
from jaxrl.errors import require_name

__all__ = [
    "COMBINATIONS",
    "Combination",
    "average",
    "cagrad",
    "make_combination",
    "min_norm",
    "normalised_average",
    "pcgrad",
]

COMBINATIONS: dict[str, Callable[..., Combination]] = {
    "average": average,
    "normalised_average": normalised_average,
    "pcgrad": pcgrad,
    "cagrad": cagrad,
    "min_norm": min_norm,
}


def make_combination(name: str | Combination) -> Combination:
    """The combination called `name`; a `Combination` passes through."""
    if isinstance(name, Combination):
        return name
    return COMBINATIONS[require_name("combination", name, COMBINATIONS)]()
