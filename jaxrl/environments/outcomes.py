"""Steps with finitely many outcomes: one definition for simulation and for exact planning."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Outcomes, Timestep
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["chance", "sampled_step"]


def sampled_step(outcomes: Callable[[PyTree, Array, PyTree], Outcomes]) -> Callable[..., tuple[PyTree, Timestep]]:
    """A `step` that draws one of `outcomes(state, action, params)` with its probability.

    An outcome of probability zero is never drawn, one of probability one always is.
    """
    return partial(_step, outcomes)


def chance(probability: Float[Array, ""]) -> Float[Array, "2"]:
    """The probabilities (1 − p, p) of an event's absence and presence."""
    return jnp.stack([1.0 - probability, probability])


def _step(
    outcomes: Callable[[PyTree, Array, PyTree], Outcomes],
    key: PRNGKeyArray,
    state: PyTree,
    action: Array,
    params: PyTree,
) -> tuple[PyTree, Timestep]:
    probabilities, states, timesteps = outcomes(state, action, params)
    # Inverse transform with u in [0, 1): the bounds of an impossible outcome coincide.
    index = jnp.sum(jax.random.uniform(key) >= jnp.cumsum(probabilities)[:-1])
    return jax.tree.map(lambda leaf: leaf[index], (states, timesteps))
