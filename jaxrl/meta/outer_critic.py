"""Outer critics of meta-gradients: each agent's own estimate of what its states are worth under the outer loss."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl.agents.base import Rollout
from jaxrl.networks import ActorCritic
from jaxrl.numerics import returns
from jaxrl.objectives.value import squared_error
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree
from jaxrl.validity import constant_unless

__all__ = ["Critic", "OuterCritic", "Target", "outer_critic"]


class Critic(NamedTuple):
    """One agent's critic: parameters and optimiser state."""

    params: PyTree
    optimiser: PyTree


class Target(NamedTuple):
    """What a critic estimates.

    Attributes:
        weights: under which rewards are summed.
        discount: γ.
        gae_lambda: λ.
    """

    weights: Float[Array, " objective"]
    discount: Float[Array, ""]
    gae_lambda: Float[Array, ""]


class OuterCritic(NamedTuple):
    """Critics as pure functions.

    Attributes:
        init: `key -> Critic`.
        advantage: `(Critic, Rollout, Target) -> [time, env]`, generalised advantages.
        fit: `(Critic, Rollout, Target, learning_rate) -> Critic`, some epochs on the rollout's λ-returns.
    """

    init: Callable[[PRNGKeyArray], Critic]
    advantage: Callable[[Critic, Rollout, Target], Float[Array, "time env"]]
    fit: Callable[[Critic, Rollout, Target, Array], Critic]


def outer_critic(network: ActorCritic, num_epochs: int) -> OuterCritic:
    """Critics that share an architecture, each with parameters of its own; Adam fits them."""
    return OuterCritic(partial(_init, network), partial(_advantage, network), partial(_fit, network, num_epochs))


def _init(network: ActorCritic, key: PRNGKeyArray) -> Critic:
    params = network.init(key)
    return Critic(params, optax.scale_by_adam().init(params))


def _values(network: ActorCritic, params: PyTree, observation: PyTree) -> Float[Array, "time env 1"]:
    return network.value(params, observation, jnp.ones(1), ())


def _advantage(network: ActorCritic, critic: Critic, rollout: Rollout, target: Target) -> Float[Array, "time env"]:
    values = _values(network, critic.params, rollout.observation)
    return _estimate(network, critic.params, rollout, target, values)[..., 0]


def _estimate(
    network: ActorCritic, params: PyTree, rollout: Rollout, target: Target, values: Array
) -> Float[Array, "time env 1"]:
    reward = (rollout.reward @ target.weights)[..., None]
    following = _values(network, params, rollout.final_observation)
    ends = rollout.terminated, rollout.truncated
    return returns.generalised_advantage(
        reward, values, following, *ends, target.discount, target.gae_lambda, rollout.valid
    )


def _fit(
    network: ActorCritic, num_epochs: int, critic: Critic, rollout: Rollout, target: Target, learning_rate: Array
) -> Critic:
    values = _values(network, critic.params, rollout.observation)
    returned = values + _estimate(network, critic.params, rollout, target, values)

    def loss(params: PyTree) -> Float[Array, ""]:
        values = constant_unless(rollout.valid, _values(network, params, rollout.observation))
        return squared_error(values, returned).mean()

    def body(critic: Critic, _: None) -> tuple[Critic, None]:
        changes, optimiser = optax.scale_by_adam().update(jax.grad(loss)(critic.params), critic.optimiser)
        params = jax.tree.map(lambda leaf, change: leaf - learning_rate * change, critic.params, changes)
        return Critic(params, optimiser), None

    return jax.lax.scan(body, critic, None, num_epochs)[0]
