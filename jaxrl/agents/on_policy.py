"""The on-policy agent: one loop, of which PPO, A2C, REINFORCE, MDPO and DPO are settings.

Here it is built and acts; `on_policy_update` is how it learns.
"""

from functools import partial

import jax
import jax.numpy as jnp

from jaxrl.agents.base import Agent
from jaxrl.agents.on_policy_parts import OnPolicyState, Parts, make_parts, see
from jaxrl.agents.on_policy_update import make_optimiser, update
from jaxrl.agents.settings import OnPolicyConfig, OnPolicyHyperparameters, default_weights, validate
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.normalisation import RewardScale, init_statistics
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, PyTree

__all__ = ["OnPolicyState", "on_policy"]


def on_policy(spec: EnvironmentSpec, config: OnPolicyConfig, defaults: dict[str, float] | None = None) -> Agent:
    """Builds an on-policy actor-critic agent.

    Args:
        spec: the environment's spec.
        config: static settings.
        defaults: default hyperparameters that differ from `OnPolicyHyperparameters`'.

    Raises:
        ValueError: for settings that do not fit each other or the environment.
    """
    validate(config, spec)
    parts = make_parts(spec, config)
    return Agent(
        init=partial(init, parts),
        memory=parts.network.memory,
        noise=parts.distribution.noise,
        explore=partial(explore, parts),
        action=parts.distribution.action,
        act=partial(act, parts),
        value=partial(value, parts),
        inherit=inherit,
        update=partial(update, parts),
        hyperparameters=make_hyperparameters(parts, defaults or {}),
        config=config,
        spec=spec,
    )


def make_hyperparameters(parts: Parts, defaults: dict[str, float]) -> OnPolicyHyperparameters:
    """Traced defaults as float32 arrays."""
    hyperparameters = OnPolicyHyperparameters(
        weights=default_weights(parts.spec.num_objectives),
        objective=parts.surrogate.init(None),
        aggregator=parts.aggregator.parameters(parts.spec.num_objectives),
    )._replace(**defaults)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), hyperparameters)


def init(parts: Parts, key: PRNGKeyArray, hp: OnPolicyHyperparameters) -> OnPolicyState:
    """Fresh parameters, optimiser, statistics, multipliers."""
    config, num_objectives = parts.config, parts.spec.num_objectives
    params = parts.network.init(key)
    scale = RewardScale(jnp.zeros((config.num_envs, num_objectives)), init_statistics((num_objectives,)))
    return OnPolicyState(
        params=params,
        optimiser=make_optimiser(config, hp, 0.0).init(params),
        observations=init_statistics(parts.spec.observation.shape) if config.normalise_observations else None,
        rewards=scale if config.normalise_rewards else None,
        aggregator=parts.aggregator.init(num_objectives, hp.aggregator),
        surrogate=parts.surrogate.init_state(hp.objective),
    )


def inherit(fresh: OnPolicyState, parent: OnPolicyState) -> OnPolicyState:
    """The parent's networks, optimiser and statistics under a fresh aggregator and surrogate."""
    return parent._replace(aggregator=fresh.aggregator, surrogate=fresh.surrogate)


def explore(
    parts: Parts,
    state: OnPolicyState,
    observation: Array,
    memory: PyTree,
    start: Bool[Array, " env"],
    weights: Float[Array, "env objective"],
    noise: Array,
    hp: OnPolicyHyperparameters,
) -> tuple[Array, PyTree]:
    """A raw sample from the policy, with noise that was drawn before."""
    parameters, memory = parts.network.act(state.params, see(state, observation), weights, memory, start)
    return parts.distribution.sample(parameters, noise), memory


def act(
    parts: Parts,
    key: PRNGKeyArray,
    state: OnPolicyState,
    observation: Array,
    memory: PyTree,
    hp: OnPolicyHyperparameters,
    explore: bool = False,
) -> tuple[Array, PyTree]:
    """The most likely action, or a sample; under the weights of the hyperparameters."""
    batch_shape = observation.shape[: observation.ndim - len(parts.spec.observation.shape)]
    start = jnp.zeros(batch_shape, bool)
    parameters, memory = parts.network.act(state.params, see(state, observation), hp.weights, memory, start)
    if explore:
        raw = parts.distribution.sample(parameters, parts.distribution.noise(key, batch_shape))
    else:
        raw = parts.distribution.mode(parameters)
    return parts.distribution.action(raw), memory


def value(
    parts: Parts, state: OnPolicyState, observation: Array, memory: PyTree, hp: OnPolicyHyperparameters
) -> Float[Array, "*batch objective"]:
    """The critic's value of an observation that follows `memory`."""
    return parts.network.value(state.params, see(state, observation), hp.weights, memory)
