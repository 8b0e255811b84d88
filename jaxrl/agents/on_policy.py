"""The on-policy agent: one loop, of which PPO, A2C, REINFORCE, MDPO and DPO are settings.

Here it is built and acts; `on_policy_update` is how it learns.
"""

from collections.abc import Callable
from dataclasses import fields
from functools import partial

import jax
import jax.numpy as jnp

from jaxrl.agents.acting import Acting, act, explore, score, value
from jaxrl.agents.base import Agent, Collection
from jaxrl.agents.fitting import validate_minibatches
from jaxrl.agents.limits import LIMIT_RANGES, default_limits
from jaxrl.agents.natural_gradient import NATURAL, NATURAL_RANGES
from jaxrl.agents.on_policy_parts import OnPolicyState, Parts, make_parts
from jaxrl.agents.on_policy_update import update
from jaxrl.agents.optimisation import optimiser_of
from jaxrl.agents.scheduling import default_schedules, schedule_ranges
from jaxrl.agents.settings import (
    OnPolicyConfig,
    OnPolicyHyperparameters,
    default_weights,
    validate,
)
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.tasks import measured_parts
from jaxrl.numerics.normalisation import RewardScale, init_parts, init_statistics
from jaxrl.optimisers.plain import PLAIN
from jaxrl.ranges import Range
from jaxrl.types import PRNGKeyArray, PyTree

__all__ = ["OnPolicyState", "on_policy"]


def on_policy(
    spec: EnvironmentSpec,
    config: OnPolicyConfig,
    defaults: dict[str, float] | None = None,
    auxiliary_heads: int = 0,
) -> Agent:
    """Builds an on-policy actor-critic agent.

    Args:
        spec: the environment's spec.
        config: static settings.
        defaults: default hyperparameters that differ from `OnPolicyHyperparameters`'.
        auxiliary_heads: policies and values on the same layers besides those that act.

    Raises:
        ValueError: for settings that do not fit each other or the environment.
    """
    validate(config, spec)
    parts = make_parts(spec, config, auxiliary_heads)
    validate_minibatches(config, parts.network.recurrent)
    acting = Acting(spec, parts.distribution, parts.network)
    return Agent(
        init=partial(init, parts),
        collects=collection(config),
        memory=parts.network.memory,
        noise=parts.distribution.noise,
        explore=partial(explore, acting),
        action=parts.distribution.action,
        act=partial(act, acting),
        actor=actor,
        value=partial(value, acting),
        inherit=inherit,
        update=partial(update, parts),
        hyperparameters=make_hyperparameters(parts, defaults or {}),
        config=config,
        spec=spec,
        score=partial(score, acting),
        initialisers=initialisers(parts),
        ranges=ranges(parts),
    )


def collection(config: OnPolicyConfig) -> Collection:
    """What those settings say of acting."""
    names = (field.name for field in fields(Collection) if hasattr(config, field.name))
    return Collection(**{name: getattr(config, name) for name in names})


def initialisers(parts: Parts) -> dict[str, Callable[[PRNGKeyArray], PyTree]]:
    """How leaves that may be learned begin."""
    found = {"objective": parts.surrogate.init, "aggregator": parts.aggregator.init_parameters}
    if parts.optimiser is not None:
        found["optimiser"] = parts.optimiser.init
    return {name: init for name, init in found.items() if init is not None}


def ranges(parts: Parts) -> dict[str, Range]:
    """Of the leaves that the agent's parts bring, by path."""
    optimiser = getattr(parts.optimiser or PLAIN.get(parts.config.optimiser), "ranges", NATURAL_RANGES)
    found = {"objective": parts.surrogate.ranges, "aggregator": parts.aggregator.ranges, "optimiser": optimiser}
    found |= {"combination": parts.combination.ranges, "limits": LIMIT_RANGES}
    found["schedules"] = schedule_ranges(parts.config)
    return {f"{leaf}.{name}": within for leaf, own in found.items() for name, within in own.items()}


def make_hyperparameters(parts: Parts, defaults: dict[str, float]) -> OnPolicyHyperparameters:
    """Traced defaults as float32 arrays; a learned optimiser brings its own learning rate."""
    plain = PLAIN.get(parts.config.optimiser)
    optimiser: PyTree = dict(plain.settings) or () if plain else dict(NATURAL)
    if parts.optimiser is not None:
        defaults = {**defaults, "learning_rate": parts.optimiser.learning_rate}
        optimiser = parts.optimiser.init(None)
    hyperparameters = OnPolicyHyperparameters(
        weights=default_weights(parts.spec),
        objective=parts.surrogate.init(None),
        aggregator=parts.aggregator.parameters(parts.spec.num_objectives),
        combination=parts.combination.parameters(),
        optimiser=optimiser,
        schedules=default_schedules(parts.config),
        limits=default_limits(parts.config),
    )._replace(**defaults)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), hyperparameters)


def init(parts: Parts, key: PRNGKeyArray, hp: OnPolicyHyperparameters) -> OnPolicyState:
    """Fresh parameters, optimiser, statistics, multipliers."""
    config, num_objectives = parts.config, parts.spec.num_objectives
    params = parts.network.init(key)
    spec = parts.spec
    statistics = init_statistics((num_objectives,), count_each=bool(spec.num_tasks))
    scale = RewardScale(jnp.zeros((config.num_envs, num_objectives)), statistics)
    return OnPolicyState(
        params=params,
        optimiser=optimiser_of(parts, hp, 0.0, params).init(params),
        observations=init_parts(measured_parts(spec)) if config.normalise_observations else None,
        rewards=scale if config.normalise_rewards else None,
        aggregator=parts.aggregator.init(num_objectives, hp.aggregator),
        surrogate=parts.surrogate.init_state(hp.objective),
    )


def actor(state: OnPolicyState) -> OnPolicyState:
    """Networks and statistics of observations."""
    return state._replace(optimiser=(), rewards=None, aggregator=(), surrogate=())


def inherit(fresh: OnPolicyState, parent: OnPolicyState) -> OnPolicyState:
    """The parent's networks, optimiser and statistics under a fresh aggregator and surrogate."""
    return parent._replace(aggregator=fresh.aggregator, surrogate=fresh.surrogate)
