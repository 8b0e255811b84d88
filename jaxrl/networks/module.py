"""The network of an actor-critic as one flax module: torsos, an optional memory, two heads."""

import flax.linen as nn
import jax.numpy as jnp

from jaxrl.environments.spaces import Dict, Space
from jaxrl.environments.tasks import TASK, task_of, without_task
from jaxrl.networks.attention import Attention
from jaxrl.networks.encoders import features_of, part_kinds
from jaxrl.networks.layers import Dense, FeatureNetwork, GeneratedDense, Torso
from jaxrl.networks.memory import make_cell, remember
from jaxrl.types import Array, PyTree

__all__ = ["ActorCriticModule"]


class ActorCriticModule(nn.Module):
    """Torsos, an optional memory (`networks.memory`; "" for none), and the two heads."""

    observation: Space
    num_parameters: int
    shared_parameters: int
    initial_shared: float
    num_objectives: int
    hidden_sizes: tuple[int, ...]
    activation: str
    shared_torso: bool
    memory: str
    recurrent_size: int
    attention: Attention
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
        if self.memory:
            self.cell = make_cell(self.memory, self.recurrent_size, self.attention)
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

    def act(self, observation: PyTree, weights: Array, memory: PyTree, start: Array) -> tuple[Array, PyTree]:
        """Distribution parameters and the next memory."""
        features = self._features(False, observation, weights)
        if self.memory:
            memory, features = remember(self.cell, features, memory, start)
        return self._policy(features, observation, weights), memory

    def value(self, observation: PyTree, weights: Array, memory: PyTree) -> Array:
        """Values of an observation that follows `memory`."""
        features = self._features(True, observation, weights)
        if self.memory:
            features = self.cell(memory, features)[1]
        return self._value(features, weights)

    def sequence(self, observations: PyTree, weights: Array, memory: PyTree, starts: Array) -> tuple:
        """Everything for a whole rollout."""
        features = self._features(False, observations, weights)
        if not self.memory:
            seen = features if self.shared_torso else self._features(True, observations, weights)
            return self._policy(features, observations, weights), self._value(seen, weights), memory

        outputs, memories = self._along(features, memory, starts)
        return self._policy(outputs, observations, weights), self._value(outputs, weights), memories

    def following(
        self, observations: PyTree, following: PyTree, weights: Array, memory: PyTree, starts: Array
    ) -> tuple[Array, Array, Array]:
        """Distribution parameters and values of a whole rollout, and values of what follows each step; by attention."""
        features = self._features(False, observations, weights), self._features(True, following, weights)
        outputs, later = self.cell.following(*features, memory, starts)
        return self._policy(outputs, observations, weights), self._value(outputs, weights), self._value(later, weights)

    def _along(self, features: Array, memory: PyTree, starts: Array) -> tuple[Array, PyTree]:
        """Outputs of the cell in all steps, and the memory after each."""
        if self.memory == "attention":
            return self.cell.sequence(features, memory, starts)

        def body(module: "ActorCriticModule", memory: PyTree, inputs: tuple[Array, Array]) -> tuple[PyTree, PyTree]:
            memory, _ = remember(module.cell, inputs[0], memory, inputs[1])
            return memory, memory

        scan = nn.scan(body, variable_broadcast="params", split_rngs={"params": False})
        memories = scan(self, memory, (features, starts))[1]
        # Of an LSTM, what it holds and what it shows.
        return (memories[1] if isinstance(memories, tuple) else memories), memories
