"""Networks that predict for a state and for each of its actions."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.parts import zeros
from jaxrl.environments.spaces import Discrete, Space
from jaxrl.errors import require_name
from jaxrl.networks.encoders import encoder_of, features_of, part_kinds
from jaxrl.networks.layers import ACTIVATIONS, Dense, Torso
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["ActionConditional", "Predictions", "action_conditional"]

# Scale of the heads on the state, so that policies start almost uniform.
_HEAD_DEVIATION = 1e-2


class Predictions(NamedTuple):
    """Logits of all that an agent predicts of an observation.

    Attributes:
        policy: π(·|s).
        prediction: y(s).
        action_prediction: z(s, a).
        action_value: q(s, a), a categorical over bins.
        next_policy: p(s, a), the policy that follows the action.
    """

    policy: Float[Array, "*batch action"]
    prediction: Float[Array, "*batch prediction"]
    action_prediction: Float[Array, "*batch action prediction"]
    action_value: Float[Array, "*batch action bin"]
    next_policy: Float[Array, "*batch action action"]


class ActionConditional(NamedTuple):
    """A network as pure functions.

    Attributes:
        init: `key -> params`.
        policy: `(params, observation [*batch, ...]) -> logits [*batch, action]`.
        predictions: `(params, observation) -> Predictions`.
    """

    init: Callable[[PRNGKeyArray], PyTree]
    policy: Callable[[PyTree, PyTree], Array]
    predictions: Callable[[PyTree, PyTree], Predictions]


class ActionConditionalModule(nn.Module):
    """A torso, linear heads on the state, and an LSTM step per action with heads of one hidden layer."""

    observation: Space
    num_actions: int
    num_predictions: int
    num_bins: int
    hidden_sizes: tuple[int, ...]
    model_size: int
    activation: str
    channels: int
    encoder: str

    def setup(self) -> None:
        kinds = part_kinds(self.observation) if self.encoder == "parts" else ()
        self.torso = Torso(self.hidden_sizes, self.activation, self.encoder == "image", self.channels, kinds)
        self.policy_head = Dense(self.num_actions)
        self.prediction_head = Dense(self.num_predictions)
        self.root = Dense(self.model_size)
        self.recurrence = Dense(4 * self.model_size)
        self.action = nn.Embed(self.num_actions, 4 * self.model_size)
        sizes = (self.num_predictions, self.num_bins, self.num_actions)
        self.model_hidden = [Dense(self.model_size) for _ in sizes]
        self.model_heads = [Dense(size) for size in sizes]

    def _features(self, observation: PyTree) -> Array:
        return self.torso(features_of(self.observation, self.encoder, observation), None)

    def policy(self, observation: PyTree) -> Array:
        """Logits alone, for acting."""
        return self.policy_head(self._features(observation))

    def __call__(self, observation: PyTree) -> Predictions:
        """All predictions."""
        features = self._features(observation)
        cell = self.root(features)
        gates = self.recurrence(jnp.tanh(cell))[..., None, :] + self.action(jnp.arange(self.num_actions))
        enter, new, forget, leave = jnp.split(gates, 4, axis=-1)
        cell = nn.sigmoid(forget + 1.0) * cell[..., None, :] + nn.sigmoid(enter) * jnp.tanh(new)
        seen = nn.sigmoid(leave) * jnp.tanh(cell)
        of_action = [head(nn.relu(hidden(seen))) for hidden, head in zip(self.model_hidden, self.model_heads)]
        return Predictions(self.policy_head(features), self.prediction_head(features), *of_action)


def action_conditional(
    observation: Space,
    num_actions: int,
    num_predictions: int,
    num_bins: int,
    *,
    network: str = "auto",
    hidden_sizes: tuple[int, ...] = (64, 64),
    model_size: int = 64,
    activation: str = "relu",
    channels: int = 16,
) -> ActionConditional:
    """Builds an action-conditional network: a torso, and one LSTM step from its features for every action.

    The architecture of DiscoRL's agents (Oh et al., 2025, methods), after Muesli (Hessel et al., 2021).

    Args:
        observation: the observation space.
        num_actions: number of discrete actions.
        num_predictions: categories of y and z.
        num_bins: categories of q.
        network: `auto`, `mlp`, `cnn` or `parts`, as for `actor_critic`, or `table` (all logits are rows, looked up by a
            `Discrete` observation, which start at zero).
        hidden_sizes: widths of the torso.
        model_size: width of the LSTM and of its heads' hidden layers.
        activation: of the torso, one of `ACTIVATIONS`.
        channels: filters of the 3x3 convolution.

    Raises:
        UnknownNameError: for an unknown network or activation, with the nearest match.
        ValueError: for a size below 1, a CNN without images, encoders of parts without parts, or a table without
            discrete observations.
    """
    require_name("network", network, ("auto", "mlp", "cnn", "parts", "table"))
    require_name("activation", activation, ACTIVATIONS)
    sizes = {"num_predictions": num_predictions, "num_bins": num_bins, "model_size": model_size, "channels": channels}
    for name, size in {**sizes, "hidden_sizes": min(hidden_sizes, default=1)}.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    if network == "table":
        return _table(observation, num_actions, num_predictions, num_bins)
    module = ActionConditionalModule(
        observation,
        num_actions,
        num_predictions,
        num_bins,
        tuple(hidden_sizes),
        model_size,
        activation,
        channels,
        encoder_of(observation, network),
    )

    def init(key: PRNGKeyArray) -> PyTree:
        example = zeros(observation, (1,))
        return _scaled_params(key, jax.eval_shape(module.init, jax.random.key(0), example)["params"])

    def policy(params: PyTree, observation: PyTree) -> Array:
        return module.apply({"params": params}, observation, method="policy")

    return ActionConditional(init, policy, lambda params, observation: module.apply({"params": params}, observation))


def _scaled_params(key: PRNGKeyArray, shapes: PyTree) -> PyTree:
    """Normal kernels of variance 1/fan-in (small ones for the heads on the state) from one draw; zero biases."""
    flat, structure = jax.tree_util.tree_flatten_with_path(shapes)
    names = [[entry.key for entry in path] for path, _ in flat]
    sizes = [0 if name[-1] == "bias" else leaf.size for name, (_, leaf) in zip(names, flat)]
    draws = jnp.split(jax.random.normal(key, (sum(sizes),)), np.cumsum(sizes)[:-1])
    leaves = []
    for name, (_, leaf), draw in zip(names, flat, draws):
        deviation = _HEAD_DEVIATION if name[0] in ("policy_head", "prediction_head") else leaf.shape[0] ** -0.5
        leaves.append(jnp.zeros(leaf.shape) if name[-1] == "bias" else deviation * draw.reshape(leaf.shape))
    return jax.tree.unflatten(structure, leaves)


def _table(observation: Space, num_actions: int, num_predictions: int, num_bins: int) -> ActionConditional:
    if not isinstance(observation, Discrete):
        raise ValueError(f"network 'table' needs Discrete observations, got {observation}; use network='mlp'")
    shapes = Predictions(
        (num_actions,),
        (num_predictions,),
        (num_actions, num_predictions),
        (num_actions, num_bins),
        (num_actions, num_actions),
    )

    def init(key: PRNGKeyArray) -> PyTree:
        return {name: jnp.zeros((observation.n, *shape)) for name, shape in shapes._asdict().items()}

    def predictions(params: PyTree, observation: PyTree) -> Predictions:
        return Predictions(**{name: rows[observation] for name, rows in params.items()})

    return ActionConditional(init, lambda params, observation: params["policy"][observation], predictions)
