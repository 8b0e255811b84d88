"""Actor-critic networks: MLP, CNN and GRU torsos, one value per objective."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.spaces import Box, Space, encode
from jaxrl.errors import require_name
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["ACTIVATIONS", "ActorCritic", "actor_critic", "encode"]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": nn.tanh,
    "relu": nn.relu,
    "swish": nn.swish,
    "elu": nn.elu,
    "gelu": nn.gelu,
}


class ActorCritic(NamedTuple):
    """A network as pure functions. Feed-forward networks have memory `()` and ignore `start`.

    Attributes:
        init: `key -> params`.
        memory: `batch_shape -> memory` at the start of an episode.
        act: `(params, observation, weights, memory, start) -> (distribution parameters, memory)`,
            one step; `start` is true where a new episode begins, so that memory is forgotten.
        sequence: `(params, observations [time, ...], weights, memory, starts [time, batch]) ->
            (distribution parameters, values, memories after each step)`.
        value: `(params, observation, weights, memory) -> values [*batch, objective]` of an
            observation that follows `memory`.
        recurrent: whether memory matters.
    """

    init: Callable[[PRNGKeyArray], PyTree]
    memory: Callable[[tuple[int, ...]], PyTree]
    act: Callable[..., tuple[Array, PyTree]]
    sequence: Callable[..., tuple[Array, Array, PyTree]]
    value: Callable[..., Array]
    recurrent: bool


def is_image(space: Space) -> bool:
    """Whether observations are height x width x channels."""
    return isinstance(space, Box) and len(space.shape) == 3


def patches(
    image: Float[Array, "*batch height width channel"],
) -> Float[Array, "*batch inner_height inner_width patch"]:
    """Every 3x3 neighbourhood as one vector of 9 x channels entries.

    A dense layer on it is the 3x3 convolution without padding. As one matrix product it is much faster on a CPU than
    XLA's convolution, above all batched over members, where that becomes a grouped convolution.
    """
    height, width = image.shape[-3] - 2, image.shape[-2] - 2
    shifted = [image[..., i : i + height, j : j + width, :] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifted, axis=-1)


class Torso(nn.Module):
    """Features to features: an optional convolution, then dense layers."""

    hidden_sizes: tuple[int, ...]
    activation: str
    convolve: bool
    channels: int

    @nn.compact
    def __call__(self, features: Array, weights: Array | None) -> Array:
        activation = ACTIVATIONS[self.activation]
        if self.convolve:
            features = activation(nn.Dense(self.channels, name="Convolution")(patches(features)))
            features = features.reshape(*features.shape[:-3], -1)
        if weights is not None:
            weights = jnp.broadcast_to(weights, (*features.shape[:-1], weights.shape[-1]))
            features = jnp.concatenate([features, weights], axis=-1)
        for size in self.hidden_sizes:
            features = activation(nn.Dense(size)(features))
        return features


class ActorCriticModule(nn.Module):
    """Torsos, an optional recurrent cell, and the two heads."""

    observation: Space
    num_parameters: int
    shared_parameters: int
    initial_shared: float
    num_objectives: int
    hidden_sizes: tuple[int, ...]
    activation: str
    shared_torso: bool
    recurrent_size: int
    channels: int
    convolve: bool
    condition_on_weights: bool

    def setup(self) -> None:
        def torso(name: str) -> Torso:
            return Torso(self.hidden_sizes, self.activation, self.convolve, self.channels, name=name)

        self.actor_torso = torso("torso" if self.shared_torso else "actor_torso")
        self.critic_torso = self.actor_torso if self.shared_torso else torso("critic_torso")
        if self.recurrent_size:
            self.cell = nn.GRUCell(self.recurrent_size)
        self.actor_head = nn.Dense(self.num_parameters - self.shared_parameters)
        self.critic_head = nn.Dense(self.num_objectives)
        if self.shared_parameters:
            initial = nn.initializers.constant(self.initial_shared)
            self.log_std = self.param("log_std", initial, (self.shared_parameters,))

    def __call__(self, observation: Array, weights: Array, memory: PyTree, start: Array) -> tuple:
        """One step with both heads; used to initialise."""
        parameters, memory = self.act(observation, weights, memory, start)
        return parameters, self.value(observation, weights, memory), memory

    def _features(self, torso: Torso, observation: Array, weights: Array) -> Array:
        features = encode(self.observation, observation, keep_image=self.convolve)
        return torso(features, weights if self.condition_on_weights else None)

    def _policy(self, features: Array) -> Array:
        parameters = self.actor_head(features)
        if not self.shared_parameters:
            return parameters
        shared = jnp.broadcast_to(self.log_std, (*parameters.shape[:-1], self.shared_parameters))
        return jnp.concatenate([parameters, shared], axis=-1)

    def _remember(self, features: Array, memory: Array, start: Array) -> Array:
        return self.cell(jnp.where(start[..., None], 0.0, memory), features)[0]

    def act(self, observation: Array, weights: Array, memory: PyTree, start: Array) -> tuple[Array, PyTree]:
        """Distribution parameters and the next memory."""
        features = self._features(self.actor_torso, observation, weights)
        if self.recurrent_size:
            memory = features = self._remember(features, memory, start)
        return self._policy(features), memory

    def value(self, observation: Array, weights: Array, memory: PyTree) -> Array:
        """Values of an observation that follows `memory`."""
        features = self._features(self.critic_torso, observation, weights)
        if self.recurrent_size:
            features = self.cell(memory, features)[0]
        return self.critic_head(features)

    def sequence(self, observations: Array, weights: Array, memory: PyTree, starts: Array) -> tuple:
        """Everything for a whole rollout."""
        features = self._features(self.actor_torso, observations, weights)
        if not self.recurrent_size:
            values = self.critic_head(
                features if self.shared_torso else self._features(self.critic_torso, observations, weights)
            )
            return self._policy(features), values, memory

        def body(module: "ActorCriticModule", memory: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            memory = module._remember(inputs[0], memory, inputs[1])
            return memory, memory

        scan = nn.scan(body, variable_broadcast="params", split_rngs={"params": False})
        _, memories = scan(self, memory, (features, starts))
        return self._policy(memories), self.critic_head(memories), memories


# Gains of the field's usual orthogonal initialisation (Engstrom et al., 2020; Andrychowicz et al., 2021).
_GAINS = {"actor_head": 0.01, "critic_head": 1.0, "cell": 1.0}
_HIDDEN_GAIN = float(np.sqrt(2.0))


def orthogonal_params(key: PRNGKeyArray, shapes: PyTree, constants: dict[str, float]) -> PyTree:
    """Orthogonal kernels (Saxe et al., 2014), zero biases, and named constants.

    All kernels are made of one draw of normal numbers, because every further draw lengthens compilation.
    """
    flat, structure = jax.tree_util.tree_flatten_with_path(shapes)
    names = [[entry.key for entry in path] for path, _ in flat]
    sizes = [leaf.size if name[-1] == "kernel" else 0 for name, (_, leaf) in zip(names, flat)]
    draws = jnp.split(jax.random.normal(key, (sum(sizes),)), np.cumsum(sizes)[:-1])
    leaves = []
    for name, (_, leaf), draw in zip(names, flat, draws):
        if name[-1] == "kernel":
            leaves.append(_GAINS.get(name[0], _HIDDEN_GAIN) * _orthogonal(draw, leaf.shape))
        else:
            leaves.append(jnp.full(leaf.shape, constants.get(name[-1], 0.0), leaf.dtype))
    return jax.tree.unflatten(structure, leaves)


def _orthogonal(draw: Float[Array, " size"], shape: tuple[int, ...]) -> Array:
    """An array of `shape` whose columns (or rows, the fewer) are orthonormal, uniform over such matrices.

    Gram-Schmidt, each column projected twice (Giraud et al., 2005), instead of LAPACK's QR: batched over members,
    that call holds every thread of a CPU while it waits for one, and a vmapped run would hang.
    """
    columns = shape[-1]
    rows = draw.size // columns
    matrix = draw.reshape(max(rows, columns), min(rows, columns))

    def body(i: Array, basis: Array) -> Array:
        column = matrix[:, i]
        for _ in range(2):
            column = column - basis @ (column @ basis)
        return basis.at[:, i].set(column / jnp.linalg.norm(column))

    basis = jax.lax.fori_loop(0, matrix.shape[1], body, jnp.zeros_like(matrix))
    return (basis if rows >= columns else basis.T).reshape(shape)


def actor_critic(
    observation: Space,
    num_parameters: int,
    num_objectives: int,
    *,
    network: str = "auto",
    hidden_sizes: tuple[int, ...] = (64, 64),
    activation: str = "tanh",
    shared_torso: bool = False,
    recurrent_size: int = 64,
    channels: int = 16,
    condition_on_weights: bool = False,
    shared_parameters: int = 0,
    initial_shared: float = 0.0,
) -> ActorCritic:
    """Builds the network of an actor-critic agent.

    Args:
        observation: the observation space.
        num_parameters: number of distribution parameters, `shared_parameters` of them
            independent of the observation (log standard deviations).
        num_objectives: number of values.
        network: `auto` (CNN for images, else MLP), `mlp`, `cnn` or `gru` (a GRU on a shared torso).
        hidden_sizes: widths of the dense layers.
        activation: one of `ACTIVATIONS`.
        shared_torso: whether actor and critic share their torso; a GRU always does.
        recurrent_size: width of the GRU.
        channels: filters of the 3x3 convolution.
        condition_on_weights: whether the preference weights are an input.

    Raises:
        ValueError: for an unknown network or activation, a CNN without images, or an empty width.
    """
    require_name("network", network, ("auto", "mlp", "cnn", "gru"))
    require_name("activation", activation, ACTIVATIONS)
    if network == "cnn" and not is_image(observation):
        raise ValueError(f"network 'cnn' needs height x width x channels observations, got {observation}")
    if any(size < 1 for size in hidden_sizes) or recurrent_size < 1:
        raise ValueError(f"layer widths must be at least 1, got {hidden_sizes} and recurrent_size={recurrent_size}")
    recurrent = network == "gru"
    module = ActorCriticModule(
        observation=observation,
        num_parameters=num_parameters,
        shared_parameters=shared_parameters,
        initial_shared=initial_shared,
        num_objectives=num_objectives,
        hidden_sizes=tuple(hidden_sizes),
        activation=activation,
        shared_torso=shared_torso or recurrent,
        recurrent_size=recurrent_size if recurrent else 0,
        channels=channels,
        convolve=is_image(observation) and network != "mlp",
        condition_on_weights=condition_on_weights,
    )

    def memory(batch_shape: tuple[int, ...]) -> PyTree:
        return jnp.zeros((*batch_shape, recurrent_size)) if recurrent else ()

    def init(key: PRNGKeyArray) -> PyTree:
        example = jnp.zeros((1, *observation.shape), observation.dtype)
        inputs = (example, jnp.zeros((1, num_objectives)), memory((1,)), jnp.zeros((1,), bool))
        shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)["params"]
        return orthogonal_params(key, shapes, {"log_std": initial_shared})

    def method(name: str) -> Callable:
        return lambda params, *inputs: module.apply({"params": params}, *inputs, method=name)

    return ActorCritic(init, memory, method("act"), method("sequence"), method("value"), recurrent)
