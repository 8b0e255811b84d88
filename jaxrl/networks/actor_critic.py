"""Actor-critic networks: MLP and CNN torsos, memories, one value per objective."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.parts import zeros
from jaxrl.environments.spaces import Space
from jaxrl.errors import require_name
from jaxrl.networks.activity import module_activity
from jaxrl.networks.attention import Attention
from jaxrl.networks.encoders import encoder_of
from jaxrl.networks.initialisation import Scales, orthogonal_params
from jaxrl.networks.layers import ACTIVATIONS
from jaxrl.networks.memory import INITIAL, RECURRENT, fresh_memory
from jaxrl.networks.module import ActorCriticModule
from jaxrl.networks.table import table_functions
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["ActorCritic", "actor_critic", "values_along"]


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
        following: where it is cheaper than `sequence` and then `value`, `(params, observations, following observations,
            weights, memory, starts) -> (distribution parameters, values, values of what follows each step)`.
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
    following: Callable[..., tuple[Array, Array, Array]] | None = None


def _validate(observation: Space, network: str, activation: str, conditioning: str) -> None:
    require_name("network", network, ("auto", "mlp", "cnn", "parts", *RECURRENT, "table"))
    require_name("activation", activation, ACTIVATIONS)
    require_name("conditioning", conditioning, ("none", "input", "hypernetwork"))
    if network in RECURRENT and conditioning == "hypernetwork":
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
    attention: Attention = Attention(),  # noqa: B008
    channels: int = 16,
    conditioning: str = "none",
    hyper_features: int = 16,
    hyper_hidden: tuple[int, ...] = (128, 128),
    num_preferences: int | None = None,
    shared_parameters: int = 0,
    initial_shared: float = 0.0,
    scales: Scales = Scales(),  # noqa: B008
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
            parts as one vector), `cnn`, `parts` (an encoder for each part, see `layers.Torso`), `gru`, `lstm` or
            `attention` (a memory on a shared torso, which takes observations as `auto` does) or `table` (a row per
            `Discrete` observation). Networks of users are `networks.custom_network`'s.
        hidden_sizes: widths of the dense layers.
        activation: one of `ACTIVATIONS`.
        shared_torso: whether actor and critic share their torso; with a memory they always do.
        recurrent_size: width of the memory.
        attention: shape of a memory by attention.
        channels: filters of the 3x3 convolution.
        conditioning: how the network depends on the preference weights: `none`, `input` (they join the features), or
            `hypernetwork` (all dense layers are generated from them).
        hyper_features: features of the weights that generated layers mix.
        hyper_hidden: widths of the layers between weights and features.
        num_preferences: length of the preference weights; default one per value.
        scales: of the kernels at first.
        num_heads: heads of the policy, one per task that observations name (`environments.tasks.task_of`); 0 for one
            head without tasks.
        unseen: how many tasks observations tell apart whose name the network does not see; 0 if it sees all.

    Raises:
        ValueError: for an unknown network, activation or conditioning, a CNN without images, encoders of parts without
            parts, a table without discrete observations, an empty width, heads that do not divide the width of a
            memory, or a memory with a hypernetwork, which generates dense layers only.
    """
    _validate(observation, network, activation, conditioning)
    _validate_widths(hidden_sizes=hidden_sizes, recurrent_size=(recurrent_size,), channels=(channels,))
    _validate_widths(hyper_hidden=hyper_hidden, hyper_features=(hyper_features,))
    if network == "table":
        if shared_parameters:
            raise ValueError("network 'table' is for discrete actions; use network='mlp'")
        return ActorCritic(*table_functions(observation, num_parameters, num_objectives))
    recurrent = network in RECURRENT
    if network == "attention" and recurrent_size % attention.heads:
        raise ValueError(f"attention_heads={attention.heads} must divide recurrent_size={recurrent_size}")
    module = ActorCriticModule(
        observation=observation,
        num_parameters=num_parameters,
        shared_parameters=shared_parameters,
        initial_shared=initial_shared,
        num_objectives=num_objectives,
        hidden_sizes=tuple(hidden_sizes),
        activation=activation,
        shared_torso=shared_torso or recurrent,
        memory=network if recurrent else "",
        recurrent_size=recurrent_size,
        attention=attention,
        channels=channels,
        encoder=encoder_of(observation, network),
        conditioning=conditioning,
        hyper_features=hyper_features,
        hyper_hidden=tuple(hyper_hidden),
        num_heads=num_heads,
        unseen=unseen,
    )
    return _functions(module, num_preferences or num_objectives, scales)


def _functions(module: ActorCriticModule, num_weights: int, scales: Scales) -> ActorCritic:
    def memory(batch_shape: tuple[int, ...]) -> PyTree:
        if not module.memory:
            return ()
        return fresh_memory(module.memory, module.recurrent_size, module.attention, batch_shape)

    def init(key: PRNGKeyArray) -> PyTree:
        inputs = (zeros(module.observation, (1,)), jnp.zeros((1, num_weights)), memory((1,)), jnp.zeros((1,), bool))
        shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)["params"]
        return orthogonal_params(key, shapes, {**INITIAL, "log_std": module.initial_shared}, scales)

    def method(name: str) -> Callable:
        return lambda params, *inputs: module.apply({"params": params}, *inputs, method=name)

    apart = not module.shared_torso and module.conditioning != "hypernetwork"
    activity = module_activity(module, module.activation) if apart else None
    following = method("following") if module.memory == "attention" else None
    functions = (method("act"), method("sequence"), method("value"))
    return ActorCritic(init, memory, *functions, bool(module.memory), activity, following)


def values_along(
    network: ActorCritic,
    params: PyTree,
    observations: PyTree,
    following: PyTree,
    weights: Array,
    memory: PyTree,
    starts: Array,
) -> tuple[Array, Array, Array]:
    """Distribution parameters and values of a whole rollout, and values of what really followed each step."""
    if network.following is not None:
        return network.following(params, observations, following, weights, memory, starts)
    parameters, values, memories = network.sequence(params, observations, weights, memory, starts)
    return parameters, values, network.value(params, following, weights, memories)
