"""Copies of several environments side by side, each block of copies with a program of its own."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Timestep
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["draw_blocks", "reset_blocks", "step_blocks"]


def reset_blocks(resets: Sequence[Callable[..., tuple[PyTree, PyTree]]]) -> Callable[..., tuple[PyTree, PyTree]]:
    """`(key, params, group_size) -> (state, observation)`: a state per block, all copies' observations."""

    def reset(key: PRNGKeyArray, params: Sequence[PyTree], group_size: int = 1) -> tuple[PyTree, PyTree]:
        keys = jax.random.split(key, len(resets))
        started = [reset(*inputs, group_size) for reset, *inputs in zip(resets, keys, params, strict=True)]
        states, observations = zip(*started, strict=True)
        return states, jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *observations)

    return reset


def draw_blocks(draws: Sequence[Callable[[PRNGKeyArray, int, PyTree], Any]]) -> Callable[..., tuple[Any, ...]]:
    """`(key, num_steps, params) -> draws` of every block."""

    def draw(key: PRNGKeyArray, num_steps: int, params: Sequence[PyTree]) -> tuple[Any, ...]:
        keys = jax.random.split(key, len(draws))
        return tuple(draw(key, num_steps, own) for draw, key, own in zip(draws, keys, params, strict=True))

    return draw


def step_blocks(
    steps: Sequence[Callable[..., tuple[PyTree, Timestep]]], sizes: Sequence[int]
) -> Callable[..., tuple[tuple[PyTree, ...], Timestep]]:
    """`(draws, state, action, params) -> (state, Timestep)`: block i steps its own `sizes[i]` copies."""
    ends = np.cumsum([0, *sizes]).tolist()

    def step(
        draws: Sequence[Any], state: Sequence[PyTree], action: Array, params: Sequence[PyTree]
    ) -> tuple[tuple[PyTree, ...], Timestep]:
        actions = [action[start:end] for start, end in pairwise(ends)]
        stepped = [step(*inputs) for step, *inputs in zip(steps, draws, state, actions, params, strict=True)]
        states, timesteps = zip(*stepped, strict=True)
        return states, jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *timesteps)

    return step
