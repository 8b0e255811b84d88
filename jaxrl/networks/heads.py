"""Several policies and values on shared layers: one network with all their outputs, taken apart."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.networks.actor_critic import ActorCritic, values_along
from jaxrl.types import Array, PyTree

__all__ = ["Heads", "first_head", "split_heads", "total_parameters"]


class Heads(NamedTuple):
    """All heads of a network as pure functions.

    Attributes:
        policies: distribution parameters `[*batch, head, parameter]` of the network's output.
        sequence: as `ActorCritic.sequence`, with distribution parameters `[time, batch, head, parameter]` and values
            `[time, batch, head, objective]`.
        value: as `ActorCritic.value`, `[*batch, head, objective]`.
        along: as `values_along`, of all heads.
    """

    policies: Callable[[Array], Array]
    sequence: Callable[..., tuple[Array, Array, PyTree]]
    value: Callable[..., Array]
    along: Callable[..., tuple[Array, Array, Array]]


def total_parameters(num_heads: int, num_parameters: int, shared_parameters: int) -> int:
    """Outputs of a network of several policies that share the last of their parameters."""
    return num_heads * (num_parameters - shared_parameters) + shared_parameters


def split_heads(network: ActorCritic, num_heads: int, shared_parameters: int) -> Heads:
    """The heads of a network with `total_parameters` outputs and as many values for each head.

    Parameters that policies share (log standard deviations) are the first head's: the others do not move them.
    """

    def policies(parameters: Array) -> Array:
        own, shared = jnp.split(parameters, [parameters.shape[-1] - shared_parameters], axis=-1)
        own = own.reshape(*own.shape[:-1], num_heads, -1)
        others = jnp.repeat(jax.lax.stop_gradient(shared)[..., None, :], num_heads - 1, axis=-2)
        shared = jnp.concatenate([shared[..., None, :], others], axis=-2)
        return jnp.concatenate([own, shared], axis=-1)

    def values(outputs: Array) -> Array:
        return outputs.reshape(*outputs.shape[:-1], num_heads, -1)

    def sequence(*inputs: PyTree) -> tuple[Array, Array, PyTree]:
        parameters, outputs, memories = network.sequence(*inputs)
        return policies(parameters), values(outputs), memories

    def along(*inputs: PyTree) -> tuple[Array, Array, Array]:
        parameters, outputs, following = values_along(network, *inputs)
        return policies(parameters), values(outputs), values(following)

    return Heads(policies, sequence, lambda *inputs: values(network.value(*inputs)), along)


def first_head(network: ActorCritic, num_heads: int, shared_parameters: int) -> ActorCritic:
    """The network as if its first head were alone."""
    heads = split_heads(network, num_heads, shared_parameters)

    def act(*inputs: PyTree) -> tuple[Array, PyTree]:
        parameters, memory = network.act(*inputs)
        return heads.policies(parameters)[..., 0, :], memory

    def sequence(*inputs: PyTree) -> tuple[Array, Array, PyTree]:
        parameters, values, memories = heads.sequence(*inputs)
        return parameters[..., 0, :], values[..., 0, :], memories

    def following(*inputs: PyTree) -> tuple[Array, Array, Array]:
        parameters, values, later = heads.along(*inputs)
        return parameters[..., 0, :], values[..., 0, :], later[..., 0, :]

    value = lambda *inputs: heads.value(*inputs)[..., 0, :]  # noqa: E731
    return network._replace(act=act, sequence=sequence, value=value, following=network.following and following)
