"""Tabular actor-critics: one row of parameters per observation, looked up instead of multiplied."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from jaxrl.environments.spaces import Discrete, MultiDiscrete, Space
from jaxrl.networks.activity import mean_size
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["table_functions"]


def table_functions(observation: Space, num_parameters: int, num_values: int) -> tuple:
    """The fields of a tabular `ActorCritic`, in their order; all entries start at zero.

    Raises:
        ValueError: for observations that are neither `Discrete` nor `MultiDiscrete`.
    """
    size, row = _rows(observation)

    def init(key: PRNGKeyArray) -> PyTree:
        return {"actor": jnp.zeros((size, num_parameters)), "critic": jnp.zeros((size, num_values))}

    def act(params: PyTree, observation: Array, weights: Array, memory: PyTree, start: Array) -> tuple:
        return params["actor"][row(observation)], memory

    def value(params: PyTree, observation: Array, weights: Array, memory: PyTree) -> Array:
        return params["critic"][row(observation)]

    def sequence(params: PyTree, observations: Array, weights: Array, memory: PyTree, starts: Array) -> tuple:
        rows = row(observations)
        return params["actor"][rows], params["critic"][rows], memory

    def activity(params: PyTree, observations: Array, *_: PyTree) -> PyTree:
        return {name: mean_size(table[row(observations)]) for name, table in params.items()}

    return init, lambda batch_shape: (), act, sequence, value, False, activity


def _rows(observation: Space) -> tuple[int, Callable[[Array], Array]]:
    """How many there are, and the row of an observation."""
    if isinstance(observation, Discrete):
        return observation.n, lambda index: index
    if not isinstance(observation, MultiDiscrete):
        raise ValueError(
            f"network 'table' needs Discrete or MultiDiscrete observations, got {observation}; use network='mlp'"
        )
    strides = np.cumprod([1, *observation.sizes[:0:-1]])[::-1]
    return int(np.prod(observation.sizes)), lambda indices: indices @ jnp.asarray(strides, indices.dtype)
