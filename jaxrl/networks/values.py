"""Networks of action values: one vector of objectives, or of their distributions, for every discrete action."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.environments.parts import zeros
from jaxrl.environments.spaces import Space
from jaxrl.errors import require_name
from jaxrl.networks.activity import module_activity
from jaxrl.networks.attention import Attention
from jaxrl.networks.encoders import encoder_of, features_of, part_kinds
from jaxrl.networks.layers import ACTIVATIONS, Torso
from jaxrl.networks.memory import fresh_memory, make_cell, remember
from jaxrl.networks.trunk import Layers, Trunk, dense
from jaxrl.numerics.waves import cosine_of_half_turns
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["ValueNetwork", "value_network"]


class ValueNetwork(NamedTuple):
    """A network of action values as pure functions.

    Values have the shape `[*batch, action, objective, atom]`; an atom is a number of a distribution's, one for a mean
    alone. `key` gives noisy layers their noise, the same for a whole batch; None leaves it out. `taus` are the
    fractions that an implicit quantile network is asked for, `[*batch, atom]`; others take None.

    Attributes:
        init: `key -> params`.
        memory: `batch_shape -> memory` at the start of an episode, `()` without one.
        values: `(params, observation, weights, taus, key, memory=()) -> values` of an observation after `memory`.
        act: `(params, observation, weights, memory, start, taus, key) -> (values, memory)`: one step.
        sequence: `(params, observations, following, weights, memory, starts, taus, key) -> (values, values of what
            follows each step, memory)`: leaves `[time, batch, ...]`, with a memory.
        recurrent: whether there is a memory.
        activity: `(params, observation, weights, taus) -> tree like params`: mean |activation| of neurons; None for
            other layers than plain dense ones.
    """

    init: Callable[[PRNGKeyArray], PyTree]
    memory: Callable[[tuple[int, ...]], PyTree]
    values: Callable[..., Array]
    act: Callable[..., tuple[Array, PyTree]]
    sequence: Callable[..., tuple[Array, Array, PyTree]]
    recurrent: bool
    activity: Callable[..., PyTree] | None


class _Values(nn.Module):
    observation: Space
    encoder: str
    channels: int
    layers: Layers
    memory: str
    recurrent_size: int
    outputs: tuple[int, int, int]
    dueling: bool
    cosines: int
    conditioned: bool
    product: bool

    def setup(self) -> None:
        kinds = part_kinds(self.observation) if self.encoder == "parts" else ()
        self.encode = Torso((), self.layers.activation, self.encoder == "image", self.channels, kinds)
        shared = self.layers.sizes[:-1] if self.dueling else self.layers.sizes
        if self.product:
            self.seen_layer, self.preferred_layer = (dense(self.layers.sizes[0], self.layers.noisy) for _ in range(2))
        self.shared = Trunk(self.layers._replace(sizes=shared))
        if self.memory:
            self.cell = make_cell(self.memory, self.recurrent_size, Attention())
        num_actions, num_objectives, num_atoms = self.outputs
        # An implicit network is asked for one atom at a time.
        per_action = num_objectives * (1 if self.cosines else num_atoms)
        if self.dueling:
            last = self.layers._replace(sizes=self.layers.sizes[-1:])
            self.value_layer, self.advantage_layer = Trunk(last), Trunk(last)
            self.value_head = dense(per_action, self.layers.noisy)
        self.head = dense(num_actions * per_action, self.layers.noisy)

    def features(self, observation: PyTree, weights: Array) -> Array:
        own = features_of(self.observation, self.encoder, observation)
        if not self.product:
            return self.shared(self.encode(own, self._seen(weights)))
        activation, encoded = ACTIVATIONS[self.layers.activation], self.encode(own, None)
        weights = jnp.broadcast_to(weights, (*encoded.shape[:-1], weights.shape[-1]))
        return self.shared(activation(self.seen_layer(encoded)) * activation(self.preferred_layer(weights)))

    def _seen(self, weights: Array) -> Array | None:
        return weights if self.conditioned else None

    def values(self, features: Array, taus: Array | None) -> Array:
        """Of features, `[*batch, action, objective, atom]`."""
        num_actions, num_objectives, _ = self.outputs
        if self.cosines:
            features = self._with_fractions(features, taus)
        advantages = self.head(self.advantage_layer(features) if self.dueling else features)
        found = advantages.reshape(*advantages.shape[:-1], num_actions, num_objectives, -1)
        if self.dueling:
            value = self.value_head(self.value_layer(features)).reshape(*found.shape[:-3], 1, *found.shape[-2:])
            found = value + found - found.mean(axis=-3, keepdims=True)
        # Fractions lead actions and objectives; atoms are last.
        return jnp.moveaxis(found[..., 0], -3, -1) if self.cosines else found

    @nn.compact
    def _with_fractions(self, features: Array, taus: Float[Array, "*batch atom"]) -> Array:
        """φ(o) ⊙ relu(W cos(π i τ) + b), i from 0 on (Dabney et al., 2018, equation 4)."""
        waves = cosine_of_half_turns(jnp.arange(self.cosines) * taus[..., None])
        embedded = nn.relu(dense(features.shape[-1], self.layers.noisy, "fractions")(waves))
        return features[..., None, :] * embedded

    def __call__(self, observation: PyTree, weights: Array, taus: Array | None, memory: PyTree = None) -> Array:
        features = self.features(observation, weights)
        if self.memory:
            features = self.cell(memory, features)[1]
        return self.values(features, taus)

    def act(self, observation: PyTree, weights: Array, memory: PyTree, start: Array, taus: Array | None) -> tuple:
        features = self.features(observation, weights)
        if self.memory:
            memory, features = remember(self.cell, features, memory, start)
        return self.values(features, taus), memory

    def sequence(
        self, observations: PyTree, following: PyTree, weights: Array, memory: PyTree, starts: Array, taus: Array | None
    ) -> tuple[Array, Array, PyTree]:
        def body(module: "_Values", memory: PyTree, inputs: tuple[Array, Array, Array]) -> tuple[PyTree, tuple]:
            memory, output = remember(module.cell, inputs[0], memory, inputs[2])
            # What follows may be the last of an episode, of which the next step's memory knows nothing.
            return memory, (output, module.cell(memory, inputs[1])[1])

        scan = nn.scan(body, variable_broadcast="params", split_rngs={"params": False})
        inputs = self.features(observations, weights), self.features(following, weights), starts
        memory, (outputs, later) = scan(self, memory, inputs)
        return self.values(outputs, taus), self.values(later, taus), memory


def _is_more_than_dense(layers: Layers) -> bool:
    return layers.noisy or layers.layer_norm or layers.residual or layers.batch_norm != "none"


def value_network(
    observation: Space,
    num_actions: int,
    num_objectives: int,
    *,
    num_atoms: int = 1,
    network: str = "auto",
    layers: Layers,
    channels: int = 16,
    recurrent_size: int = 64,
    dueling: bool = False,
    cosines: int = 0,
    conditioned: bool = False,
    product: bool = False,
    num_preferences: int | None = None,
) -> ValueNetwork:
    """Builds a network of action values.

    Args:
        observation: the observation space, without a mask.
        num_actions: discrete actions.
        num_objectives: numbers of a value vector.
        num_atoms: numbers of each value's distribution.
        network: `auto`, `mlp`, `cnn` or `parts`, or with a memory `gru` or `lstm`.
        layers: the dense ones.
        channels: filters of the 3x3 convolution of images.
        recurrent_size: width of the memory.
        dueling: q = v + a - mean_a a, each from a last layer of its own (Wang et al., 2016, equation 9).
        cosines: of an implicit quantile network; 0 for others.
        conditioned: whether preference weights are an input.
        product: whether they are one by multiplying features of the observation, σ(W₁o) ⊙ σ(W₂w), as in GPI-PD (Alegre
            et al., 2023).
        num_preferences: length of these; default one per objective.

    Raises:
        UnknownNameError: for an unknown network or activation.
        ValueError: for a network that does not fit the observations.
    """
    require_name("network", network, ("auto", "mlp", "cnn", "parts", "gru", "lstm"))
    require_name("activation", layers.activation, ACTIVATIONS)
    memory = network if network in ("gru", "lstm") else ""
    encoder = encoder_of(observation, "auto" if memory else network)
    module = _Values(
        observation,
        encoder,
        channels,
        layers,
        memory,
        recurrent_size,
        (num_actions, num_objectives, num_atoms),
        dueling,
        cosines,
        conditioned,
        product,
    )
    fresh = lambda batch: fresh_memory(memory, recurrent_size, Attention(), batch) if memory else ()  # noqa: E731

    def run(params: PyTree, key: PRNGKeyArray | None, *inputs: Any, method: str = "__call__") -> Any:
        streams = {} if key is None else {"noise": key, "dropout": jax.random.fold_in(key, 1)}
        return module.apply({"params": params}, *inputs, rngs=streams, method=method)

    def init(key: PRNGKeyArray) -> PyTree:
        weights, taus = jnp.zeros(num_preferences or num_objectives), jnp.zeros(num_atoms) if cosines else None
        return module.init(key, zeros(observation), weights, taus, fresh(()))["params"]

    return ValueNetwork(
        init=init,
        memory=fresh,
        values=lambda params, observation, weights, taus, key, memory=(): run(
            params, key, observation, weights, taus, memory
        ),
        act=lambda params, observation, weights, memory, start, taus, key: run(
            params, key, observation, weights, memory, start, taus, method="act"
        ),
        sequence=lambda params, observations, following, weights, memory, starts, taus, key: run(
            params, key, observations, following, weights, memory, starts, taus, method="sequence"
        ),
        recurrent=bool(memory),
        activity=None
        if memory or cosines or product or _is_more_than_dense(layers)
        else module_activity(module, layers.activation, lambda layer: len(layer) > 1, "__call__"),
    )
