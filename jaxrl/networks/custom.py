"""Networks of users: a flax module that makes features of observations, or a builder of a whole actor-critic."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl import plugins
from jaxrl.environments.parts import zeros
from jaxrl.environments.spaces import Space
from jaxrl.errors import require_name
from jaxrl.networks.actor_critic import ActorCritic
from jaxrl.networks.encoders import encoder_of, features_of
from jaxrl.networks.initialisation import Scales, orthogonal_params
from jaxrl.networks.layers import Dense
from jaxrl.networks.memory import RECURRENT
from jaxrl.registry import Registry
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["NETWORKS", "custom_network", "is_custom", "register_network"]

# Names besides those that come with jaxrl.
NETWORKS = Registry("network")
_BUILT_IN = ("auto", "mlp", "cnn", "parts", *RECURRENT, "table")


def is_custom(network: Any) -> bool:
    """Whether a network is a user's own: a module, a builder, or the name of one."""
    return not isinstance(network, str) or network not in _BUILT_IN


def register_network(name: str, build: Any = None) -> Any:
    """Makes a network available by name, `network="my_net"`; also a decorator of modules and builders.

    Args:
        name: letters, digits and _ . -.
        build: a flax module or its class, which is built without arguments: `features = module(observation)`; or a
            builder `(observation space, num_parameters, num_values) -> ActorCritic`, of the distribution's parameters
            and of values.

    Returns:
        `build`, or the decorator that registers one.

    Raises:
        ValueError: if the name is taken, or for anything else than a module or a builder.
    """
    NETWORKS.check_name(name)
    if build is None:
        return lambda build: register_network(name, build)
    if name in _BUILT_IN or not callable(build):
        what = "a built-in network's name" if name in _BUILT_IN else f"neither a flax module nor a builder: {build!r}"
        raise ValueError(f"network {name!r} cannot be registered: it is {what}")
    NETWORKS.register(name, build, plugins.module_of(build))
    return build


def custom_network(
    network: Any,
    observation: Space,
    num_parameters: int,
    num_values: int,
    *,
    shared_parameters: int = 0,
    initial_shared: float = 0.0,
    scales: Scales = Scales(),  # noqa: B008
    shared_torso: bool = False,
    conditioning: str = "none",
    num_preferences: int = 0,
) -> ActorCritic:
    """The actor-critic of a user's network.

    A module is called as `module(observation)`, with any leading batch axes, and returns features `[*batch, feature]`.
    It sees observations as float32: integers one-hot, the rest flat unless they are images, and preference weights
    after them where `conditioning` is "input". Of several parts it sees one vector, or, if one of them is an image, a
    dict or tuple of the parts; of a mask of actions, nothing. Actor and critic each have a copy with parameters of its
    own, unless `shared_torso`, and a linear head on it. Kernels start as the module says, those of heads as jaxrl's.

    Args:
        network: a module, its class, a builder, or a registered name.
        observation: the observation space.
        num_parameters: of the distribution, `shared_parameters` of them independent of the observation.
        num_values: outputs of the critic.
        shared_parameters: log standard deviations.
        initial_shared: what they are at first.
        scales: of the heads' kernels at first.
        shared_torso: whether actor and critic share all but their heads.
        conditioning: none or input.
        num_preferences: length of the preference weights.

    Raises:
        UnknownNameError: for an unknown name, with the nearest match.
        ValueError: for a module that cannot be a torso, or a builder that returns something else than an `ActorCritic`.
    """
    if isinstance(network, str):
        network = _named(network)
    if isinstance(network, type) and issubclass(network, nn.Module):
        network = network()
    if isinstance(network, nn.Module):
        if conditioning == "hypernetwork" or (conditioning == "input" and encoder_of(observation, "auto") != "flat"):
            raise ValueError(f"network {_name(network)} cannot be conditioned on weights by {conditioning!r} here")
        weights = num_preferences if conditioning == "input" else 0
        module = _WithHeads(
            network, network.clone(), observation, num_parameters, shared_parameters, initial_shared, num_values,
            shared_torso, weights,
        )  # fmt: skip
        return _of_module(module, observation, num_preferences, scales)
    try:
        built = network(observation, num_parameters, num_values)
    except TypeError as error:
        raise ValueError(f"network {_name(network)} fails: TypeError: {error}") from error
    if not isinstance(built, ActorCritic):
        raise ValueError(f"network {_name(network)} must build an ActorCritic, it returns {type(built).__name__}")
    return built


def _named(name: str) -> Any:
    if name not in NETWORKS:
        plugins.load_installed()
        require_name("network", name, (*_BUILT_IN, *NETWORKS))
    return NETWORKS[name]


def _name(network: Any) -> str:
    return getattr(network, "__name__", type(network).__name__)


class _WithHeads(nn.Module):
    """A user's torso, once or twice, under the heads of an actor-critic."""

    actor_torso: nn.Module
    critic_torso: nn.Module
    observation: Space
    num_parameters: int
    shared_parameters: int
    initial_shared: float
    num_values: int
    shared_torso: bool
    num_weights: int

    def setup(self) -> None:
        self.actor_head = Dense(self.num_parameters - self.shared_parameters)
        self.critic_head = Dense(self.num_values)
        if self.shared_parameters:
            initial = nn.initializers.constant(self.initial_shared)
            self.log_std = self.param("log_std", initial, (self.shared_parameters,))

    def _features(self, critic: bool, observation: PyTree, weights: Array) -> Array:
        seen = features_of(self.observation, encoder_of(self.observation, "auto"), observation)
        if self.num_weights:
            weights = jnp.broadcast_to(weights, (*seen.shape[:-1], self.num_weights))
            seen = jnp.concatenate([seen, weights], axis=-1)
        return (self.critic_torso if critic and not self.shared_torso else self.actor_torso)(seen)

    def _policy(self, features: Array) -> Array:
        parameters = self.actor_head(features)
        if not self.shared_parameters:
            return parameters
        shared = jnp.broadcast_to(self.log_std, (*parameters.shape[:-1], self.shared_parameters))
        return jnp.concatenate([parameters, shared], axis=-1)

    def __call__(self, observation: PyTree, weights: Array) -> tuple[Array, Array]:
        """Distribution parameters and values."""
        features = self._features(False, observation, weights)
        critic = features if self.shared_torso else self._features(True, observation, weights)
        return self._policy(features), self.critic_head(critic)

    def act(self, observation: PyTree, weights: Array) -> Array:
        """Distribution parameters."""
        return self._policy(self._features(False, observation, weights))

    def value(self, observation: PyTree, weights: Array) -> Array:
        """Values."""
        return self.critic_head(self._features(True, observation, weights))


def _of_module(module: _WithHeads, observation: Space, num_preferences: int, scales: Scales) -> ActorCritic:
    inputs = (zeros(observation, (1,)), jnp.zeros((1, num_preferences)))

    def shapes(key: PRNGKeyArray) -> PyTree:
        return module.init(key, *inputs)

    _check_torso(module, inputs)

    def init(key: PRNGKeyArray) -> PyTree:
        own, heads = jax.random.split(key)
        params = shapes(own)["params"]
        found = {name: params[name] for name in ("actor_head", "critic_head")}
        return {**params, **orthogonal_params(heads, found, {}, scales)}

    def apply(method: str) -> Callable[..., Any]:
        return lambda params, *seen: module.apply({"params": params}, *seen, method=method)

    act, value, both = apply("act"), apply("value"), apply("__call__")

    def step(params: PyTree, observation: PyTree, weights: Array, memory: PyTree, start: Array) -> tuple[Array, PyTree]:
        return act(params, observation, weights), memory

    def sequence(params: PyTree, observations: PyTree, weights: Array, memory: PyTree, starts: Array) -> tuple:
        return *both(params, observations, weights), memory

    return ActorCritic(
        init,
        lambda batch_shape: (),
        step,
        sequence,
        lambda params, observation, weights, memory: value(params, observation, weights),
        recurrent=False,
    )


def _check_torso(module: _WithHeads, inputs: tuple) -> None:
    """Raises ValueError for a module that makes no features of observations, or holds more than parameters."""
    name = _name(module.actor_torso)
    batch = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (3, 2, *leaf.shape[1:])), inputs)
    try:
        variables, outputs = jax.eval_shape(lambda key: module.init_with_output(key, *batch)[::-1], jax.random.key(0))
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), "")
        raise ValueError(f"network {name} fails on observations: {type(error).__name__}: {reason}") from error
    if set(variables) != {"params"}:
        more = ", ".join(sorted(set(variables) - {"params"})) or "no parameters"
        raise ValueError(f"network {name} must hold parameters and nothing else, it has {more}")
    if outputs[1].shape[:-1] != (3, 2):
        raise ValueError(f"network {name} must keep batch axes: of [3, 2, ...] it makes {list(outputs[1].shape)}")
