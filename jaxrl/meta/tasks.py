"""Distributions over tasks: parameters of an environment, and how long an agent may learn there."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment
from jaxrl.environments.registry import make
from jaxrl.ranges import COUNT
from jaxrl.types import Array, Int, PRNGKeyArray, PyTree

__all__ = ["Task", "Tasks", "check_horizon", "make_tasks"]


class Task(NamedTuple):
    """What one life is about.

    Attributes:
        environment: parameters of the environment, such as a level.
        horizon: iterations of the life.
        identity: of a level in a buffer, -1 for a fresh one.
    """

    environment: PyTree
    horizon: Int[Array, ""]
    identity: Int[Array, ""] = -1


class Tasks(NamedTuple):
    """A distribution over tasks.

    Attributes:
        sample: `key -> Task`.
        environment: the environment that all tasks are parameters of.
        min_horizon: iterations of the shortest life.
        max_horizon: iterations of the longest.
    """

    sample: Callable[[PRNGKeyArray], Task]
    environment: Environment
    min_horizon: int
    max_horizon: int


def make_tasks(
    environment: str | Environment,
    horizon: int | tuple[int, int],
    sample_params: Callable[[PRNGKeyArray], PyTree] | None = None,
) -> Tasks:
    """Builds a distribution over tasks.

    Args:
        environment: an environment or its name.
        horizon: iterations of every life, or the bounds between which they are drawn log-uniformly.
        sample_params: `key -> params`; default the environment's own distribution, if it has one, else its one
            default.

    Raises:
        ValueError: for horizons below 1 or bounds in the wrong order.
    """
    environment = make(environment) if isinstance(environment, str) else environment
    low, high = check_horizon(horizon)
    sample_params = sample_params or environment.sample_params or (lambda key: environment.params)
    return Tasks(partial(_sample, sample_params, low, high), environment, low, high)


def check_horizon(horizon: Any) -> tuple[int, int]:
    """The shortest and the longest life.

    Raises:
        ValueError: for what is neither a number of iterations nor two bounds of it.
    """
    COUNT.check_each("horizon", horizon)
    bounds = np.ravel(horizon).tolist()
    if len(bounds) not in (1, 2) or bounds[0] > bounds[-1]:
        raise ValueError(f"horizon must be at least 1, or (low, high) with 1 <= low <= high, got {horizon}")
    return int(bounds[0]), int(bounds[-1])


def _sample(sample_params: Callable[[PRNGKeyArray], PyTree], low: int, high: int, key: PRNGKeyArray) -> Task:
    params_key, horizon_key = jax.random.split(key)
    drawn = jnp.exp(jax.random.uniform(horizon_key, (), minval=jnp.log(low), maxval=jnp.log(high + 1.0)))
    horizon = jnp.clip(jnp.floor(drawn).astype(jnp.int32), low, high)
    return Task(jax.tree.map(jnp.asarray, sample_params(params_key)), horizon, jnp.asarray(-1, jnp.int32))
