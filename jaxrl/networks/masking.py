"""Policies that keep to legal actions, and networks that do not see which these are."""

from collections.abc import Callable
from typing import Any

from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.masks import legal_actions, masked_logits, seen
from jaxrl.networks.action_conditional import ActionConditional, Predictions
from jaxrl.networks.actor_critic import ActorCritic
from jaxrl.types import Array, PyTree

__all__ = ["legal_action_conditional", "legal_policy", "without_mask"]


def without_mask(spec: EnvironmentSpec, network: ActorCritic) -> ActorCritic:
    """A network of `masks.seen_space` as one of the environment's observations; the same where there is no mask."""
    if spec.action_mask is None:
        return network

    def on_seen(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda params, observation, *rest: function(params, seen(spec, observation), *rest)

    def following(params: PyTree, observations: PyTree, later: PyTree, *rest: PyTree) -> tuple[Array, Array, Array]:
        return network.following(params, seen(spec, observations), seen(spec, later), *rest)

    return network._replace(
        act=on_seen(network.act),
        sequence=on_seen(network.sequence),
        value=on_seen(network.value),
        activity=None if network.activity is None else on_seen(network.activity),
        following=None if network.following is None else following,
    )


def legal_policy(spec: EnvironmentSpec, network: ActorCritic, copies: int = 1) -> ActorCritic:
    """As `without_mask`, with logits that are -∞ for what is not legal (`masks.masked_logits`).

    What is computed from these logits, or stored of them, is of the masked policy, and so are their derivatives.

    Args:
        spec: of the environment.
        network: of `masks.seen_space`.
        copies: how many policies its parameters are of, one after the other.
    """
    if spec.action_mask is None:
        return network
    network = without_mask(spec, network)

    def keep_legal(parameters: Array, observation: PyTree) -> Array:
        each = parameters.reshape(*parameters.shape[:-1], copies, -1)
        legal = legal_actions(spec, observation)[..., None, :]
        return masked_logits(spec.action, each, legal).reshape(parameters.shape)

    def act(params: PyTree, observation: PyTree, *rest: PyTree) -> tuple[Array, PyTree]:
        parameters, memory = network.act(params, observation, *rest)
        return keep_legal(parameters, observation), memory

    def sequence(params: PyTree, observations: PyTree, *rest: PyTree) -> tuple[Array, Array, PyTree]:
        parameters, values, memories = network.sequence(params, observations, *rest)
        return keep_legal(parameters, observations), values, memories

    def following(params: PyTree, observations: PyTree, *rest: PyTree) -> tuple[Array, Array, Array]:
        parameters, values, later = network.following(params, observations, *rest)
        return keep_legal(parameters, observations), values, later

    return network._replace(act=act, sequence=sequence, following=None if network.following is None else following)


def legal_action_conditional(spec: EnvironmentSpec, network: ActionConditional) -> ActionConditional:
    """As `legal_policy`; the policies that a network expects after an action stay as they are."""
    if spec.action_mask is None:
        return network

    def keep_legal(logits: Array, observation: PyTree) -> Array:
        return masked_logits(spec.action, logits, legal_actions(spec, observation))

    def policy(params: PyTree, observation: PyTree) -> Array:
        return keep_legal(network.policy(params, seen(spec, observation)), observation)

    def predictions(params: PyTree, observation: PyTree) -> Predictions:
        found = network.predictions(params, seen(spec, observation))
        return found._replace(policy=keep_legal(found.policy, observation))

    return network._replace(policy=policy, predictions=predictions)
