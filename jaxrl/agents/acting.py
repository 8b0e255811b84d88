"""How an agent with a network and a distribution acts, whatever it learns by."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrl.agents.base import Progress, Rollout
from jaxrl.agents.limits import observation_limit
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.masks import seen_space
from jaxrl.environments.parts import batch_shape
from jaxrl.networks import (
    ActorCritic,
    Scales,
    actor_critic,
    custom_network,
    is_custom,
    legal_policy,
    total_parameters,
)
from jaxrl.numerics.distributions import Distribution
from jaxrl.numerics.normalisation import clip_parts, normalise_parts
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, PyTree

__all__ = ["Acting", "Score", "act", "explore", "make_acting", "score", "see", "value"]


class Score(NamedTuple):
    """What a policy says of actions that were taken.

    Attributes:
        log_prob: log π(a|o).
        entropy: of π(·|o).
    """

    log_prob: Float[Array, "time env"]
    entropy: Float[Array, "time env"]


class Acting(NamedTuple):
    """What acting takes; states have `params` and `observations` (running statistics, or None)."""

    spec: EnvironmentSpec
    distribution: Distribution
    network: ActorCritic


def make_acting(
    spec: EnvironmentSpec,
    config: Any,
    distribution: Distribution,
    num_values: int,
    copies: int = 1,
    scales: Scales = Scales(),  # noqa: B008
    **network_settings: Any,
) -> Acting:
    """Policy and second head of `num_values` outputs, with the network settings that all agents' configs have.

    Where the environment has a mask, parameters of the distribution are logits that are -∞ for what is not legal.

    Args:
        spec: the environment's spec.
        config: with `network`, `hidden_sizes`, `activation`, `shared_torso` and `channels`.
        distribution: of actions.
        num_values: outputs of the second head.
        copies: of both heads, on the same layers; see `networks.heads`.
        scales: of the network's kernels at first.
        network_settings: further ones of `actor_critic`.
    """
    num_parameters = total_parameters(copies, distribution.num_parameters, distribution.shared_parameters)
    common = {
        "shared_torso": config.shared_torso,
        "num_preferences": spec.num_objectives,
        "shared_parameters": distribution.shared_parameters,
        "initial_shared": distribution.initial_shared,
        "scales": scales,
    }
    if is_custom(config.network):
        if network_settings.get("num_heads") or network_settings.get("unseen"):
            raise ValueError("multi_head=True and observe_task=False need one of jaxrl's networks, not one's own")
        conditioning = network_settings.get("conditioning", "none")
        sizes = (seen_space(spec), num_parameters, copies * num_values)
        network = custom_network(config.network, *sizes, conditioning=conditioning, **common)
        return Acting(spec, distribution, legal_policy(spec, network, copies))
    network = actor_critic(
        seen_space(spec),
        num_parameters,
        copies * num_values,
        network=config.network,
        hidden_sizes=config.hidden_sizes,
        activation=config.activation,
        channels=config.channels,
        **common,
        **network_settings,
    )
    return Acting(spec, distribution, legal_policy(spec, network, copies))


def see(state: PyTree, observation: PyTree, hp: PyTree) -> PyTree:
    """An observation as the network takes it: under the running statistics, if there are any, and then clipped."""
    limit = observation_limit(hp)
    if state.observations is not None:
        return normalise_parts(state.observations, observation, *(() if limit is None else (limit,)))
    return observation if limit is None else clip_parts(observation, limit)


def explore(
    parts: Acting,
    state: PyTree,
    observation: PyTree,
    memory: PyTree,
    start: Bool[Array, " env"],
    weights: Float[Array, "env objective"],
    noise: Array,
    hp: PyTree,
    progress: Progress,
) -> tuple[Array, PyTree]:
    """A raw sample from the policy, with noise that was drawn before."""
    parameters, memory = parts.network.act(state.params, see(state, observation, hp), weights, memory, start)
    return parts.distribution.sample(parameters, noise), memory


def act(
    parts: Acting,
    key: PRNGKeyArray,
    state: PyTree,
    observation: PyTree,
    memory: PyTree,
    hp: PyTree,
    explore: bool = False,
) -> tuple[Array, PyTree]:
    """The most likely action, or a sample; under the weights of the hyperparameters."""
    batch = batch_shape(parts.spec.observation, observation)
    start = jnp.zeros(batch, bool)
    parameters, memory = parts.network.act(state.params, see(state, observation, hp), hp.weights, memory, start)
    if explore:
        raw = parts.distribution.sample(parameters, parts.distribution.noise(key, batch))
    else:
        raw = parts.distribution.mode(parameters)
    return parts.distribution.action(raw), memory


def value(
    parts: Acting, state: PyTree, observation: PyTree, memory: PyTree, hp: PyTree
) -> Float[Array, "*batch objective"]:
    """The critic's value of an observation that follows `memory`."""
    return parts.network.value(state.params, see(state, observation, hp), hp.weights, memory)


def score(parts: Acting, state: PyTree, rollout: Rollout, hp: PyTree) -> Score:
    """Log probabilities and entropies of a rollout under the agent's parameters, differentiable."""
    weights = jnp.broadcast_to(rollout.weights, rollout.reward.shape)
    observation = see(state, rollout.observation, hp)
    parameters, _, _ = parts.network.sequence(state.params, observation, weights, rollout.memory, rollout.start)
    return Score(parts.distribution.log_prob(parameters, rollout.raw_action), parts.distribution.entropy(parameters))
