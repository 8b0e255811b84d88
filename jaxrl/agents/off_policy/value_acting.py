"""How agents act by action values: by what a preference makes of their means, and at random now and then."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.acting import see
from jaxrl.agents.base import Progress
from jaxrl.agents.off_policy.backups import at
from jaxrl.agents.off_policy.ensembles import least
from jaxrl.agents.off_policy.exploring import (
    Chances,
    epsilon,
    greedy,
    legal_scores,
    sometimes_random,
)
from jaxrl.agents.off_policy.heads import Head
from jaxrl.agents.off_policy.loop import warming_up
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.masks import legal_actions, seen, seen_space
from jaxrl.environments.parts import batch_shape
from jaxrl.environments.spaces import Discrete
from jaxrl.networks.trunk import Layers
from jaxrl.networks.values import ValueNetwork, value_network
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray, PyTree

__all__ = [
    "Acting",
    "act",
    "explore",
    "make_acting",
    "of_critics",
    "of_each_critic",
    "require_discrete",
    "scores_of",
    "value",
    "visible",
    "wide",
]


class Acting(NamedTuple):
    """What acting takes; states have `params["values"]` and `observations` (running statistics, or None).

    Attributes:
        spec: the environment's.
        config: with `noisy`.
        network: of action values.
        head: what its outputs mean.
    """

    spec: EnvironmentSpec
    config: Any
    network: ValueNetwork
    head: Head


def require_discrete(spec: EnvironmentSpec) -> None:
    """Raises ValueError unless one of a number of actions is to be chosen."""
    if not isinstance(spec.action, Discrete):
        raise ValueError(
            f"action values need one of a number of actions to be chosen, {spec.name} takes {spec.action}; agents for "
            "continuous actions: sac, td3, tqc; for either: ppo"
        )


def make_acting(spec: EnvironmentSpec, config: Any, head: Head, **settings: Any) -> Acting:
    """The network of an agent with action values, from the settings that all their configs have.

    Args:
        spec: the environment's, with discrete actions.
        config: with the settings of `Layers`, `network` and `channels`.
        head: what outputs mean.
        settings: further ones of `value_network`.
    """
    require_discrete(spec)
    layers = Layers(
        config.hidden_sizes, config.activation, config.layer_norm, config.noisy, config.dropout, config.residual
    )
    network = value_network(
        seen_space(spec),
        spec.action.n,
        spec.num_objectives,
        num_atoms=head.num_atoms,
        network=config.network,
        layers=layers,
        channels=config.channels,
        conditioned=config.condition_on_weights,
        product=getattr(config, "conditioning", "input") == "product",
        **settings,
    )
    return Acting(spec, config, network, head)


def visible(parts: Acting, state: PyTree, observation: PyTree, hp: Any) -> PyTree:
    """An observation as the network takes it."""
    return seen(parts.spec, see(state, observation, hp))


def scores_of(
    parts: Acting, outputs: Float[Array, "*batch choice objective atom"], weights: Array, observation: PyTree, hp: Any
) -> Float[Array, "*batch choice"]:
    """w·E[Z(o, a)] of every action, of each policy in turn; -∞ where it is not legal."""
    means = parts.head.mean(outputs, hp.head)
    scores = jnp.sum(means * weights[..., None, :], axis=-1)
    return legal_scores(legal_actions(parts.spec, observation), scores)


def wide(
    outputs: Callable[[Array], Float[Array, "*batch action objective atom"]],
    candidates: Float[Array, "policy objective"],
) -> Float[Array, "*batch choice objective atom"]:
    """Outputs under the preferences of several policies, one choice for each policy and action.

    Args:
        outputs: `weights [objective] -> outputs`.
        candidates: whose preferences.
    """
    found = jnp.moveaxis(jax.vmap(outputs)(candidates), 0, -4)
    return found.reshape(*found.shape[:-4], -1, *found.shape[-2:])


def _outputs(
    parts: Acting,
    state: PyTree,
    observation: PyTree,
    weights: Array,
    memory: PyTree,
    start: Bool[Array, "*batch"],
    key: PRNGKeyArray | None,
    hp: Any,
) -> tuple[Array, PyTree]:
    fractions = parts.head.fractions
    taus = None if fractions is None else jnp.broadcast_to(fractions, (*start.shape, *fractions.shape))
    seen_now = visible(parts, state, observation, hp)
    if parts.network.recurrent:
        return parts.network.act(state.params["values"], seen_now, weights, memory, start, taus, key)

    def run(params: PyTree, key: PRNGKeyArray | None) -> Array:
        under = lambda other: parts.network.values(params, seen_now, other, taus, key)  # noqa: E731
        improves = getattr(parts.config, "policies", "own") in ("acting", "support")
        return wide(under, hp.support) if improves else under(weights)

    return of_critics(parts, state.params, run, key, weights, hp), memory


def of_each_critic(
    parts: Acting, params: PyTree, run: Callable[[PyTree, PRNGKeyArray | None], Array], key: PRNGKeyArray | None
) -> Array:
    """Outputs `[critic, ...]`, of one critic alone without that axis; each has noise of its own.

    Args:
        parts: whose network.
        params: of all networks.
        run: `(params of one critic, key) -> outputs`.
        key: of noise, or None.
    """
    count = num_critics(parts.config)
    if count == 1:
        return run(params["values"], key)
    if key is None:
        return jax.vmap(lambda own: run(own, None))(params["values"])
    return jax.vmap(run)(params["values"], jax.random.split(key, count))


def of_critics(
    parts: Acting,
    params: PyTree,
    run: Callable[[PyTree, PRNGKeyArray | None], Array],
    key: PRNGKeyArray | None,
    weights: Array,
    hp: Any,
) -> Float[Array, "*batch choice objective atom"]:
    """For every choice the outputs of the critic whose mean, weighted, is smallest; see `of_each_critic`."""
    found = of_each_critic(parts, params, run, key)
    if num_critics(parts.config) == 1:
        return found
    return least(found, jnp.sum(parts.head.mean(found, hp.head) * weights[..., None, :], axis=-1))


def num_critics(config: Any) -> int:
    """Networks of action values; 1 where there is no such setting."""
    return getattr(config, "num_critics", 1)


def _action(parts: Acting, choice: Int[Array, "*batch"]) -> Int[Array, "*batch"]:
    """The action of a choice among policies and actions."""
    return choice % parts.spec.action.n


def act(
    parts: Acting,
    key: PRNGKeyArray,
    state: PyTree,
    observation: PyTree,
    memory: PyTree,
    hp: Any,
    explore: bool = False,
) -> tuple[Array, PyTree]:
    """The best action under the weights of the hyperparameters, or as at the end of training."""
    noisy = parts.config.noisy and explore
    start = jnp.zeros(batch_shape(parts.spec.observation, observation), bool)
    outputs, memory = _outputs(parts, state, observation, hp.weights, memory, start, key if noisy else None, hp)
    scores = scores_of(parts, outputs, hp.weights, observation, hp)
    if not explore or parts.config.noisy:
        return _action(parts, greedy(scores)), memory
    uniform = jax.random.uniform(key, (2, *scores.shape[:-1]))
    choice = sometimes_random(Chances(uniform[0], uniform[1], key), hp.exploration["epsilon_end"], scores)
    return _action(parts, choice), memory


def explore(
    parts: Acting,
    state: PyTree,
    observation: PyTree,
    memory: PyTree,
    start: Bool[Array, " env"],
    weights: Float[Array, "env objective"],
    noise: Chances,
    hp: Any,
    progress: Progress,
) -> tuple[Array, PyTree] | tuple[Array, PyTree, PyTree]:
    """One step of training; with a memory, the one before the step is returned as well, to be stored."""
    config = parts.config
    key = noise.key if config.noisy else None
    outputs, following = _outputs(parts, state, observation, weights, memory, start, key, hp)
    scores = scores_of(parts, outputs, weights, observation, hp)
    probability = jnp.zeros(()) if config.noisy else epsilon(hp.exploration, progress)
    if getattr(config, "learning_starts", 0):
        probability = jnp.where(warming_up(config, progress), 1.0, probability)
    action = _action(parts, sometimes_random(noise, probability, scores))
    return (action, following, memory) if parts.network.recurrent else (action, following)


def value(
    parts: Acting, state: PyTree, observation: PyTree, memory: PyTree, hp: Any
) -> Float[Array, "*batch objective"]:
    """The mean vector of the best action at an observation that follows `memory`."""
    start = jnp.zeros(batch_shape(parts.spec.observation, observation), bool)
    outputs, _ = _outputs(parts, state, observation, hp.weights, memory, start, None, hp)
    best = greedy(scores_of(parts, outputs, hp.weights, observation, hp))
    return parts.head.mean(at(outputs, best), hp.head)
