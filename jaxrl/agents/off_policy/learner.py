"""What an off-policy algorithm is to the loop, and what an agent keeps between iterations."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax

from jaxrl.optimisers import LearnedOptimiser
from jaxrl.ranges import Range
from jaxrl.replay import Buffer
from jaxrl.types import Array, Int, PyTree

__all__ = ["Learner", "OffPolicyState"]


class OffPolicyState(NamedTuple):
    """What is kept between iterations.

    Attributes:
        params: of all networks.
        target: of target networks.
        optimiser: states of optimisers.
        observations: running statistics, or None.
        updates: gradient steps so far, those that were left out included. It follows from how far the run is, so that
            within an iteration all members of a sweep share it, and what waits for it is a branch.
        buffer: the past.
    """

    params: PyTree
    target: PyTree
    optimiser: PyTree
    observations: PyTree
    updates: Int[Array, ""]
    buffer: Buffer | tuple[()]


class Learner(NamedTuple):
    """An algorithm within the loop.

    Attributes:
        init: `(key, hyperparameters) -> (params, target, optimiser)`.
        learn: `(key, state, Experience, hyperparameters, progress) -> (state, errors [batch], metrics)`: one gradient
            step, with a memory on `Sequences`; errors are what priorities are made of, not negative.
        act: see `Agent`.
        explore: see `Agent`.
        raw_action: shape and type of what `explore` returns of one copy.
        noise: see `Agent`.
        action: see `Agent`.
        memory: see `Agent`; None without one. With one, `explore` returns as extras the memory that it was given.
        sequence_length: steps that are learned from together, with a memory.
        value: see `Agent`.
        actor: `params -> params` of what acts, where that is not all of them.
        leaves: defaults of the fields of hyperparameters that are dicts of leaves, by field.
        ranges: of these leaves, by path.
        optimiser: where it is a learned one.
    """

    init: Callable[..., tuple[PyTree, PyTree, PyTree]]
    learn: Callable[..., tuple[OffPolicyState, Array, dict[str, Array]]]
    act: Callable[..., tuple[Array, PyTree]]
    explore: Callable[..., tuple]
    raw_action: jax.ShapeDtypeStruct
    noise: Callable[..., PyTree] | None = None
    action: Callable[[Array], Array] = lambda raw_action: raw_action
    memory: Callable[[tuple[int, ...]], PyTree] | None = None
    sequence_length: int = 0
    value: Callable[..., Array] | None = None
    actor: Callable[[PyTree], PyTree] = lambda params: params
    leaves: Mapping[str, Mapping[str, float]] = MappingProxyType({})
    ranges: Mapping[str, Range] = MappingProxyType({})
    optimiser: LearnedOptimiser | None = None
