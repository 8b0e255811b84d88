"""Tabular actor-critics: one row of parameters per observation, looked up instead of multiplied."""

import jax.numpy as jnp

from jaxrl.environments.spaces import Discrete, Space
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["table_functions"]


def table_functions(observation: Space, num_parameters: int, num_values: int) -> tuple:
    """Init, memory, act, sequence and value of a tabular `ActorCritic`; all entries start at zero.

    Raises:
        ValueError: for observations that are not `Discrete`.
    """
    if not isinstance(observation, Discrete):
        raise ValueError(f"network 'table' needs Discrete observations, got {observation}; use network='mlp'")
    size = observation.n

    def init(key: PRNGKeyArray) -> PyTree:
        return {"actor": jnp.zeros((size, num_parameters)), "critic": jnp.zeros((size, num_values))}

    def act(params: PyTree, observation: Array, weights: Array, memory: PyTree, start: Array) -> tuple:
        return params["actor"][observation], memory

    def value(params: PyTree, observation: Array, weights: Array, memory: PyTree) -> Array:
        return params["critic"][observation]

    def sequence(params: PyTree, observations: Array, weights: Array, memory: PyTree, starts: Array) -> tuple:
        return params["actor"][observations], params["critic"][observations], memory

    return init, lambda batch_shape: (), act, sequence, value
