"""The contract of combinations of gradients."""

from collections.abc import Callable
from typing import NamedTuple

from jaxrl.types import Array

__all__ = ["Combination", "no_parameters"]


class Combination(NamedTuple):
    """One way to combine gradients.

    Attributes:
        combine: `(key, gradients [task, parameter], parameters) -> [parameter]`; None if it is their sum, for which
            one gradient of the summed loss is enough. Gradients that are all zero belong to tasks without samples.
        parameters: `() -> dict`, defaults of the traced leaf `hyperparameters.combination`.
    """

    combine: Callable[..., Array] | None
    parameters: Callable[[], dict[str, Array]]


def no_parameters() -> dict[str, Array]:
    """Of combinations that have none."""
    return {}
