"""Combinations: from one gradient per task, or per objective, to the one that is descended.

An aggregator weighs advantages before a gradient is taken; a combination sees the gradients themselves, and may turn
them where they conflict.
"""

from jaxrl.combination.base import Combination
from jaxrl.combination.conflict import cagrad, min_norm, pcgrad
from jaxrl.combination.mean import average, normalised_average
from jaxrl.registry import Registry

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

COMBINATIONS = Registry(
    "combination",
    {
        "average": average,
        "normalised_average": normalised_average,
        "pcgrad": pcgrad,
        "cagrad": cagrad,
        "min_norm": min_norm,
    },
    Combination,
)
make_combination = COMBINATIONS.make
