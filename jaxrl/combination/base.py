"""The contract of combinations of gradients."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from jaxrl.ranges import Range
from jaxrl.types import Array

__all__ = ["Combination", "no_parameters"]


class Combination(NamedTuple):
    """One way to combine gradients.

    Attributes:
        combine: `(key, gradients [task, parameter], parameters) -> [parameter]`; None if it is their sum, for which
            one gradient of the summed loss is enough. Gradients that are all zero belong to tasks without samples.
        parameters: `() -> dict`, defaults of the traced leaf `hyperparameters.combination`.
        ranges: of parameters, by name; others are any finite numbers.
    """

    combine: Callable[..., Array] | None
    parameters: Callable[[], dict[str, Array]]
    ranges: Mapping[str, Range] = MappingProxyType({})

    def __hash__(self) -> int:
        # Of all but the ranges: a mapping has no hash, and a static argument needs one.
        return hash(self[:-1])


def no_parameters() -> dict[str, Array]:
    """Of combinations that have none."""
    return {}
