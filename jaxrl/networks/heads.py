"""Several policies and values on shared layers: one network with all their outputs, taken apart."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from jaxrl.networks.actor_critic import ActorCritic
from jaxrl.types import Array, PyTree

__all__ = ["Heads", "first_head", "split_heads", "total_parameters"]


class Heads(NamedTuple):
    """All heads of a network as pure functions.

    Attributes:
        sequence: as `ActorCritic.sequence`, with distribution parameters `[time, batch, head, parameter]` and values
            `[time, batch, head, objective]`.
        value: as `ActorCritic.value`, `[*batch, head, objective]`.
    """

    sequence: Callable[..., tuple[Array, Array, PyTree]]
    value: Callable[..., Array]


def total_parameters(num_heads: int, num_parameters: int, shared_parameters: int) -> int:
    """Outputs of a network of several policies that share the last of their parameters."""
    return num_heads * (num_parameters - shared_parameters) + shared_parameters


def split_heads(network: ActorCritic, num_heads: int, shared_parameters: int) -> Heads:
    """The heads of a network with `total_parameters` outputs and as many values for each head."""

    def policies(parameters: Array) -> Array:
        own, shared = jnp.split(parameters, [parameters.shape[-1] - shared_parameters], axis=-1)
        own = own.reshape(*own.shape[:-1], num_heads, -1)
        shared = jnp.broadcast_to(shared[..., None, :], (*own.shape[:-1], shared_parameters))
        return jnp.concatenate([own, shared], axis=-1)

    def values(outputs: Array) -> Array:
        return outputs.reshape(*outputs.shape[:-1], num_heads, -1)

    def sequence(*inputs: PyTree) -> tuple[Array, Array, PyTree]:
        parameters, outputs, memories = network.sequence(*inputs)
        return policies(parameters), values(outputs), memories

    return Heads(sequence, lambda *inputs: values(network.value(*inputs)))


def first_head(network: ActorCritic, num_heads: int, shared_parameters: int) -> ActorCritic:
    """The network as if its first head were alone."""
    heads = split_heads(network, num_heads, shared_parameters)

    def policy(parameters: Array) -> Array:
        own = (parameters.shape[-1] - shared_parameters) // num_heads
        return jnp.concatenate([parameters[..., :own], parameters[..., parameters.shape[-1] - shared_parameters :]], -1)

    def act(*inputs: PyTree) -> tuple[Array, PyTree]:
        parameters, memory = network.act(*inputs)
        return policy(parameters), memory

    def sequence(*inputs: PyTree) -> tuple[Array, Array, PyTree]:
        parameters, values, memories = heads.sequence(*inputs)
        return parameters[..., 0, :], values[..., 0, :], memories

    return network._replace(act=act, sequence=sequence, value=lambda *inputs: heads.value(*inputs)[..., 0, :])
