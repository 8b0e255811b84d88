"""Actor-critic networks: MLP, CNN and GRU torsos, one value per objective."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.environments.parts import zeros
from jaxrl.environments.spaces import Dict, Space
from jaxrl.environments.tasks import TASK, task_of, without_task
from jaxrl.errors import require_name
from jaxrl.networks.activity import module_activity
from jaxrl.networks.encoders import encoder_of, features_of, part_kinds
from jaxrl.networks.initialisation import orthogonal_params
from jaxrl.networks.layers import ACTIVATIONS, Dense, FeatureNetwork, GeneratedDense, Torso
from jaxrl.networks.table import table_functions
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["ActorCritic", "actor_critic"]


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
        activity: as `sequence`, but `-> tree like params`, mean |activation| of the neurons of each tensor's layer;
            None where actor and critic share layers or layers are generated.
    """

    init: Callable[[PRNGKeyArray], PyTree]
    memory: Callable[[tuple[int, ...]], PyTree]
    act: Callable[..., tuple[Array, PyTree]]
    sequence: Callable[..., tuple[Array, Array, PyTree]]
    value: Callable[..., Array]
    recurrent: bool
    activity: Callable[..., PyTree] | None = None


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
    encoder: str
    conditioning: str
    hyper_features: int
    hyper_hidden: tuple[int, ...]
    num_heads: int
    unseen: int

    def setup(self) -> None:
        def torso(name: str) -> Torso:
            kinds = part_kinds(self._seen_space) if self.encoder == "parts" else ()
            return Torso(self.hidden_sizes, self.activation, self.encoder == "image", self.channels, kinds, name=name)

        self.actor_torso = torso("torso" if self.shared_torso else "actor_torso")
        self.critic_torso = self.actor_torso if self.shared_torso else torso("critic_torso")
        if self.recurrent_size:
            self.cell = nn.GRUCell(self.recurrent_size)
        generated = self.conditioning == "hypernetwork"
        head = GeneratedDense if generated else Dense
        self.actor_head = head((self.num_parameters - self.shared_parameters) * max(1, self.num_heads))
        self.critic_head = head(self.num_objectives)
        if generated:
            # Policy and value function have features of their own (MORLAX's `dual`), unless they share a torso.
            arguments = (self.hyper_hidden, self.hyper_features, self.activation)
            self.actor_preference = FeatureNetwork(*arguments)
            self.critic_preference = self.actor_preference if self.shared_torso else FeatureNetwork(*arguments)
        if self.shared_parameters:
            initial = nn.initializers.constant(self.initial_shared)
            self.log_std = self.param("log_std", initial, (self.shared_parameters,))

    def __call__(self, observation: PyTree, weights: Array, memory: PyTree, start: Array) -> tuple:
        """One step with both heads; used to initialise."""
        parameters, memory = self.act(observation, weights, memory, start)
        return parameters, self.value(observation, weights, memory), memory

    def _preference(self, critic: bool, weights: Array) -> tuple[Array, ...]:
        """What generated layers take besides their input: nothing, or features of the weights."""
        if self.conditioning != "hypernetwork":
            return ()
        return ((self.critic_preference if critic else self.actor_preference)(weights),)

    @property
    def _seen_space(self) -> Space:
        """Less the part that names the task, where that is not seen."""
        hidden = self.unseen and isinstance(self.observation, Dict)
        return self.observation.without(TASK) if hidden else self.observation

    def _features(self, critic: bool, observation: PyTree, weights: Array) -> Array:
        features = features_of(self._seen_space, self.encoder, observation)
        if self.unseen and self._seen_space is self.observation:
            features = without_task(self.observation, self.unseen, features)
        torso = self.critic_torso if critic else self.actor_torso
        return torso(features, weights if self.conditioning == "input" else None, *self._preference(critic, weights))

    def _value(self, features: Array, weights: Array) -> Array:
        return self.critic_head(features, *self._preference(True, weights))

    def _policy(self, features: Array, observation: PyTree, weights: Array) -> Array:
        parameters = self.actor_head(features, *self._preference(False, weights))
        if self.num_heads > 1:
            heads = parameters.reshape(*parameters.shape[:-1], self.num_heads, -1)
            parameters = jnp.sum(task_of(self.observation, self.num_heads, observation)[..., None] * heads, axis=-2)
        if not self.shared_parameters:
            return parameters
        shared = jnp.broadcast_to(self.log_std, (*parameters.shape[:-1], self.shared_parameters))
        return jnp.concatenate([parameters, shared], axis=-1)

    def _remember(self, features: Array, memory: Array, start: Array) -> Array:
        return self.cell(jnp.where(start[..., None], 0.0, memory), features)[0]

    def act(self, observation: PyTree, weights: Array, memory: PyTree, start: Array) -> tuple[Array, PyTree]:
        """Distribution parameters and the next memory."""
        features = self._features(False, observation, weights)
        if self.recurrent_size:
            memory = features = self._remember(features, memory, start)
        return self._policy(features, observation, weights), memory

    def value(self, observation: PyTree, weights: Array, memory: PyTree) -> Array:
        """Values of an observation that follows `memory`."""
        features = self._features(True, observation, weights)
        if self.recurrent_size:
            features = self.cell(memory, features)[0]
        return self._value(features, weights)

    def sequence(self, observations: PyTree, weights: Array, memory: PyTree, starts: Array) -> tuple:
        """Everything for a whole rollout."""
        features = self._features(False, observations, weights)
        if not self.recurrent_size:
            seen = features if self.shared_torso else self._features(True, observations, weights)
            return self._policy(features, observations, weights), self._value(seen, weights), memory

        def body(module: "ActorCriticModule", memory: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            memory = module._remember(inputs[0], memory, inputs[1])
            return memory, memory

        scan = nn.scan(body, variable_broadcast="params", split_rngs={"params": False})
        _, memories = scan(self, memory, (features, starts))
        return self._policy(memories, observations, weights), self._value(memories, weights), memories


def _validate(observation: Space, network: str, activation: str, conditioning: str) -> None:
    require_name("network", network, ("auto", "mlp", "cnn", "parts", "gru", "table"))
    require_name("activation", activation, ACTIVATIONS)
    require_name("conditioning", conditioning, ("none", "input", "hypernetwork"))
    if network == "gru" and conditioning == "hypernetwork":
        raise ValueError("conditioning='hypernetwork' generates dense layers only; use network='mlp', 'cnn' or 'parts'")
    if network == "table" and conditioning != "none":
        raise ValueError(f"network 'table' has no input for preference weights: conditioning={conditioning!r}")
    encoder_of(observation, network)


def _validate_widths(**widths: tuple[int, ...]) -> None:
    for name, values in widths.items():
        if any(width < 1 for width in values):
            raise ValueError(f"layer widths must be at least 1, got {name}={', '.join(map(str, values))}")


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
    conditioning: str = "none",
    hyper_features: int = 16,
    hyper_hidden: tuple[int, ...] = (128, 128),
    num_preferences: int | None = None,
    shared_parameters: int = 0,
    initial_shared: float = 0.0,
    num_heads: int = 0,
    unseen: int = 0,
) -> ActorCritic:
    """Builds the network of an actor-critic agent.

    Args:
        observation: the observation space.
        num_parameters: number of distribution parameters, `shared_parameters` of them
            independent of the observation (log standard deviations).
        num_objectives: number of values.
        network: `auto` (`cnn` for an image, `parts` where one of several parts is an image, else `mlp`), `mlp` (all
            parts as one vector), `cnn`, `parts` (an encoder for each part, see `layers.Torso`), `gru` (a GRU on a
            shared torso, which takes observations as `auto` does) or `table` (a row per `Discrete` observation).
            Networks of users are `networks.custom_network`'s.
        hidden_sizes: widths of the dense layers.
        activation: one of `ACTIVATIONS`.
        shared_torso: whether actor and critic share their torso; a GRU always does.
        recurrent_size: width of the GRU.
        channels: filters of the 3x3 convolution.
        conditioning: how the network depends on the preference weights: `none`, `input` (they join the features), or
            `hypernetwork` (all dense layers are generated from them).
        hyper_features: features of the weights that generated layers mix.
        hyper_hidden: widths of the layers between weights and features.
        num_preferences: length of the preference weights; default one per value.
        num_heads: heads of the policy, one per task that observations name (`environments.tasks.task_of`); 0 for one
            head without tasks.
        unseen: how many tasks observations tell apart whose name the network does not see; 0 if it sees all.

    Raises:
        ValueError: for an unknown network, activation or conditioning, a CNN without images, encoders of parts without
            parts, a table without discrete observations, an empty width, or a GRU with a hypernetwork, which generates
            dense layers only.
    """
    _validate(observation, network, activation, conditioning)
    _validate_widths(hidden_sizes=hidden_sizes, recurrent_size=(recurrent_size,), channels=(channels,))
    _validate_widths(hyper_hidden=hyper_hidden, hyper_features=(hyper_features,))
    if network == "table":
        if shared_parameters:
            raise ValueError("network 'table' is for discrete actions; use network='mlp'")
        return ActorCritic(*table_functions(observation, num_parameters, num_objectives))
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
        encoder=encoder_of(observation, network),
        conditioning=conditioning,
        hyper_features=hyper_features,
        hyper_hidden=tuple(hyper_hidden),
        num_heads=num_heads,
        unseen=unseen,
    )
    return _functions(module, num_preferences or num_objectives)


def _functions(module: ActorCriticModule, num_weights: int) -> ActorCritic:
    recurrent = module.recurrent_size > 0

    def memory(batch_shape: tuple[int, ...]) -> PyTree:
        return jnp.zeros((*batch_shape, module.recurrent_size)) if recurrent else ()

    def init(key: PRNGKeyArray) -> PyTree:
        inputs = (zeros(module.observation, (1,)), jnp.zeros((1, num_weights)), memory((1,)), jnp.zeros((1,), bool))
        shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)["params"]
        return orthogonal_params(key, shapes, {"log_std": module.initial_shared})

    def method(name: str) -> Callable:
        return lambda params, *inputs: module.apply({"params": params}, *inputs, method=name)

    apart = not module.shared_torso and module.conditioning != "hypernetwork"
    activity = module_activity(module, module.activation) if apart else None
    return ActorCritic(init, memory, method("act"), method("sequence"), method("value"), recurrent, activity)
