"""Networks of agents with continuous actions: an actor, and an ensemble of critics of an observation and an action."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.environments.parts import zeros
from jaxrl.environments.spaces import Space
from jaxrl.errors import require_name
from jaxrl.networks.batch_norm import STATISTICS
from jaxrl.networks.encoders import encoder_of, features_of, part_kinds
from jaxrl.networks.layers import ACTIVATIONS, Torso
from jaxrl.networks.trunk import Layers, Trunk, dense
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["Network", "action_critics", "continuous_actor"]


class Network(NamedTuple):
    """A network with running statistics as pure functions.

    `variables` are `{"params": ..., "statistics": ...}`, of which only a network with batch normalisation has the
    latter. `key` draws what dropout leaves out; None drops nothing. `inputs` are an actor's observation and preference
    weights, or a critic's observation, action and preference weights, each with any leading axes.

    Attributes:
        init: `key -> variables`.
        apply: `(variables, key, *inputs) -> outputs`, under the running statistics.
        learn: `(variables, key, *inputs) -> (outputs, variables)`, under those of the batch, which the running ones
            follow; without batch normalisation the same as `apply`.
    """

    init: Callable[[PRNGKeyArray], PyTree]
    apply: Callable[..., Array]
    learn: Callable[..., tuple[Array, PyTree]]


class _Encoder(NamedTuple):
    """How observations enter; static."""

    observation: Space
    encoder: str
    channels: int
    conditioned: bool

    def __call__(self, layers: Layers, observation: PyTree, weights: Array) -> Array:
        """Features of an observation, and preference weights beside them; within a module's `compact` method."""
        kinds = part_kinds(self.observation) if self.encoder == "parts" else ()
        torso = Torso((), layers.activation, self.encoder == "image", self.channels, kinds)
        features = features_of(self.observation, self.encoder, observation)
        return torso(features, weights if self.conditioned else None)


class _Actor(nn.Module):
    encode: _Encoder
    layers: Layers
    num_parameters: int

    @nn.compact
    def __call__(self, observation: PyTree, weights: Array) -> Array:
        features = Trunk(self.layers)(self.encode(self.layers, observation, weights))
        return dense(self.num_parameters, name="head")(features)


class _Critic(nn.Module):
    encode: _Encoder
    layers: Layers
    outputs: tuple[int, int]

    @nn.compact
    def __call__(self, observation: PyTree, action: Array, weights: Array) -> Array:
        encoded = self.encode(self.layers, observation, weights)
        features = Trunk(self.layers)(jnp.concatenate([encoded, action], axis=-1))
        num_objectives, num_atoms = self.outputs
        found = dense(num_objectives * num_atoms, name="head")(features)
        return found.reshape(*found.shape[:-1], num_objectives, num_atoms)


def continuous_actor(
    observation: Space,
    num_parameters: int,
    num_objectives: int,
    *,
    network: str = "auto",
    layers: Layers,
    channels: int = 16,
    conditioned: bool = False,
) -> Network:
    """A network from observations to the parameters of a policy, `[*batch, num_parameters]`.

    Args:
        observation: the observation space.
        num_parameters: of the policy's distribution.
        num_objectives: entries of preference weights.
        network: `auto`, `mlp`, `cnn` or `parts`.
        layers: the dense ones.
        channels: filters of the 3x3 convolution of images.
        conditioned: whether preference weights are an input.

    Raises:
        UnknownNameError: for an unknown network or activation.
        ValueError: for a network that does not fit the observations.
    """
    encode = _encoder(observation, network, layers, channels, conditioned)
    module = _Actor(encode, layers, num_parameters)
    return _network(module, zeros(observation), jnp.zeros(num_objectives))


def action_critics(
    observation: Space,
    action_size: int,
    num_objectives: int,
    *,
    num_critics: int = 2,
    num_atoms: int = 1,
    network: str = "auto",
    layers: Layers,
    channels: int = 16,
    conditioned: bool = False,
) -> Network:
    """Critics with parameters of their own, leaves `[critic, ...]`, as one batched product: all Q(o, a) in one call.

    Outputs have the shape `[critic, *batch, objective, atom]`; what is taken of the variables along their first axis
    are critics, too.

    Args:
        observation: the observation space.
        action_size: numbers of an action.
        num_objectives: numbers of a value vector.
        num_critics: how many `init` makes.
        num_atoms: numbers of each value's distribution, one for a mean alone.
        network: as of `continuous_actor`, and so are the others.
        layers: the dense ones.
        channels: filters.
        conditioned: whether preference weights are an input.

    Raises:
        UnknownNameError: for an unknown network or activation.
        ValueError: for a network that does not fit the observations.
    """
    encode = _encoder(observation, network, layers, channels, conditioned)
    module = _Critic(encode, layers, (num_objectives, num_atoms))
    return _ensemble(
        _network(module, zeros(observation), jnp.zeros(action_size), jnp.zeros(num_objectives)), num_critics
    )


def _encoder(observation: Space, network: str, layers: Layers, channels: int, conditioned: bool) -> _Encoder:
    require_name("network", network, ("auto", "mlp", "cnn", "parts"))
    require_name("activation", layers.activation, ACTIVATIONS)
    return _Encoder(observation, encoder_of(observation, network), channels, conditioned)


def _network(module: nn.Module, *example: Any) -> Network:
    def streams(key: PRNGKeyArray | None) -> dict[str, PRNGKeyArray]:
        return {} if key is None else {"dropout": key}

    def learn(variables: PyTree, key: PRNGKeyArray | None, *inputs: Any) -> tuple[Array, PyTree]:
        outputs, moved = module.apply(variables, *inputs, rngs=streams(key), mutable=[STATISTICS])
        return outputs, {**variables, **moved}

    return Network(
        init=lambda key: dict(module.init(key, *example)),
        apply=lambda variables, key, *inputs: module.apply(variables, *inputs, rngs=streams(key)),
        learn=learn,
    )


def _ensemble(network: Network, count: int) -> Network:
    """Copies of a network, all given the same inputs, and each a key of its own."""

    def over(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(variables: PyTree, key: PRNGKeyArray | None, *inputs: Any) -> Any:
            keys = None if key is None else jax.random.split(key, jax.tree.leaves(variables)[0].shape[0])
            each = lambda one, own: function(one, own, *inputs)  # noqa: E731
            return jax.vmap(each, in_axes=(0, None if keys is None else 0))(variables, keys)

        return call

    return Network(
        init=lambda key: jax.vmap(network.init)(jax.random.split(key, count)),
        apply=over(network.apply),
        learn=over(network.learn),
    )
