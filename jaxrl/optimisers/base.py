"""The contract of learned optimisers."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxrl.ranges import Range
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["LearnedOptimiser", "Signals"]


class Signals(NamedTuple):
    """What a learned optimiser reads besides gradients and parameters.

    Attributes:
        key: of its noise.
        training: share of training that is over, in [0, 1].
        epoch: share of the passes over this experience that are over, in [0, 1].
        activity: a tree like the parameters; mean |activation| of the neurons that each tensor's last axis feeds.
    """

    key: PRNGKeyArray
    training: Float[Array, ""]
    epoch: Float[Array, ""]
    activity: PyTree


class LearnedOptimiser(NamedTuple):
    """One learned optimiser.

    Attributes:
        init: `key -> parameters`, defaults of the traced leaf `hyperparameters.optimiser`.
        transformation: `(parameters, places, learning_rate) -> optax transformation`, with a `Place` for every tensor
            of the agent's network; its `update` takes `signals=Signals` besides.
        learning_rate: the step size for which it is meant.
        ranges: of parameters, by name; others are any finite numbers.
    """

    init: Callable[[PRNGKeyArray | None], dict[str, Array]]
    transformation: Callable[..., Any]
    learning_rate: float
    ranges: Mapping[str, Range] = MappingProxyType({})

    def __hash__(self) -> int:
        # Of all but the ranges: a mapping has no hash, and a static argument needs one.
        return hash(self[:-1])
