"""What an agent leaves out, filled in."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.agents.base import Act, Agent, Progress
from jaxrl.agents.settings import default_weights
from jaxrl.environments.batching import select_batch
from jaxrl.types import Array, Bool, Float, Key, PRNGKeyArray, PyTree

__all__ = ["complete", "lost"]


def complete(agent: Agent) -> Agent:
    """The agent with `explore` and `noise`, equal weights where it names none, and hyperparameters that are arrays."""
    hyperparameters = agent.hyperparameters
    if getattr(hyperparameters, "weights", 0) is None:
        hyperparameters = hyperparameters._replace(weights=default_weights(agent.spec))
    return agent._replace(
        explore=agent.explore or partial(_explore_by_acting, agent.act, agent.memory),
        noise=agent.noise or _keys,
        hyperparameters=jax.tree.map(_as_array, hyperparameters),
    )


def _as_array(leaf: Any) -> Array:
    """Numbers of Python are weakly typed, and what is computed from them would be, too."""
    array = jnp.asarray(leaf)
    return array.astype(jnp.float32) if np.issubdtype(array.dtype, np.floating) else array


def _keys(key: PRNGKeyArray, batch_shape: tuple[int, ...]) -> Key[Array, " time"]:
    """One key for each step."""
    return jax.random.split(key, batch_shape[0])


def _explore_by_acting(
    act: Act,
    fresh: Callable[[tuple[int, ...]], PyTree],
    state: PyTree,
    observation: Array,
    memory: PyTree,
    start: Bool[Array, " env"],
    weights: Float[Array, "env objective"],
    noise: PRNGKeyArray,
    hyperparameters: Any,
    progress: Progress,
) -> tuple[Array, PyTree]:
    memory = select_batch(start, fresh(start.shape), memory)
    return act(noise, state, observation, memory, hyperparameters, True)


def lost(acting: PyTree) -> Float[Array, ""]:
    """1 where a number of what acts is not finite, else 0: `non_finite` of agents that do not report it."""
    numbers = [leaf for leaf in jax.tree.leaves(acting) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    finite = jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in numbers]) if numbers else jnp.ones(1, bool)
    return 1.0 - jnp.all(finite).astype(jnp.float32)
