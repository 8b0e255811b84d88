"""Learning to act continuously: DDPG, TD3, SAC and what followed them, as settings of one learner."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.agents.acting import see
from jaxrl.agents.base import Agent, Progress
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.off_policy.continuous import (
    ActorCriticConfig,
    ActorCriticHyperparameters,
    Choices,
    Parts,
    choices,
    fit_updates,
)
from jaxrl.agents.off_policy.critic_learning import learn_critics
from jaxrl.agents.off_policy.experience import Experience
from jaxrl.agents.off_policy.learner import Learner, OffPolicyState
from jaxrl.agents.off_policy.loop import off_policy, warming_up
from jaxrl.agents.off_policy.policies import uniform_action
from jaxrl.agents.off_policy.policy_learning import learn_policy, vectors
from jaxrl.agents.off_policy.temperature import FIXED, TEMPERATURE_RANGES, TUNED, init_temperature, temperature
from jaxrl.agents.optimisation import make_optimiser
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.masks import seen, seen_space
from jaxrl.environments.parts import batch_shape
from jaxrl.networks.critics import action_critics, continuous_actor
from jaxrl.networks.trunk import Layers
from jaxrl.numerics.distributions import clipped_action, flat_size
from jaxrl.ranges import POSITIVE
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, PyTree

__all__ = ["actor_critic", "entry"]


def actor_critic(spec: EnvironmentSpec, config: ActorCriticConfig, defaults: Mapping[str, Any]) -> Agent:
    """An agent that learns a policy of continuous actions by critics of an observation and an action.

    Raw actions lie in [-1, 1]ⁿ, and are mapped onto the bounds of the action space. With r the rewards, w the
    preference weights and γ the discount, every critic is fitted to r + γᵏ (Q⁻(o', a') - α log π(a'|o') 1), where of
    several Q⁻ that one is taken, whole, whose w·Q⁻ is smallest; the policy ascends w·(Q(o, a) - α log π(a|o) 1).

    Args:
        spec: the environment's, with bounded continuous actions.
        config: static settings.
        defaults: hyperparameters that differ from those of the class.

    Raises:
        UnknownNameError: for an unknown policy, head, reduction or network, with the nearest match.
        ValueError: for other actions, or settings that contradict each other.
    """
    found = choices(spec, config)
    parts = Parts(spec, config, found, *_networks(spec, config, found))
    size = flat_size(spec.action)
    learner = Learner(
        init=partial(_init, parts),
        learn=partial(_learn, parts),
        act=partial(_act, parts),
        explore=partial(_explore, parts),
        raw_action=jax.ShapeDtypeStruct((size,), jnp.float32),
        noise=lambda key, shape: jax.random.normal(key, (*shape, found.policy.num_noise)),
        action=clipped_action(spec.action),
        value=partial(_value, parts),
        actor=lambda params: {"actor": params["actor"]},
        leaves=_leaves(config, found, size),
        ranges={
            **{f"exploration.{name}": within for name, within in TEMPERATURE_RANGES.items()},
            **found.policy.ranges,
            "objective.step_size": POSITIVE,
            **{f"head.{name}": within for name, within in found.head.ranges.items()},
        },
    )
    return off_policy(spec, config, learner, _of_targets(config, defaults), ActorCriticHyperparameters)


def entry(build: Callable[..., Agent], config: ActorCriticConfig, defaults: Mapping[str, Any]) -> AgentEntry:
    """The registry's entry of an algorithm."""
    return AgentEntry(build, config, defaults, ActorCriticHyperparameters, partial(fit_updates, config))


def _networks(spec: EnvironmentSpec, config: ActorCriticConfig, found: Choices) -> tuple:
    shared = {"network": config.network, "channels": config.channels, "conditioned": config.condition_on_weights}
    plain = Layers(config.hidden_sizes, config.activation, residual=config.residual, batch_norm=config.batch_norm)
    layers = plain._replace(
        sizes=config.critic_sizes or config.hidden_sizes, layer_norm=config.layer_norm, dropout=config.dropout
    )
    space = seen_space(spec)
    actor = continuous_actor(space, found.policy.num_parameters, spec.num_objectives, layers=plain, **shared)
    critics = action_critics(
        space,
        flat_size(spec.action),
        spec.num_objectives,
        num_critics=config.num_critics,
        num_atoms=found.head.num_atoms,
        layers=layers,
        **shared,
    )
    return actor, critics


def _of_targets(config: ActorCriticConfig, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults with a rate of target networks where there are any, and without one where there are none."""
    rate = ActorCriticHyperparameters._field_defaults["target_rate"]
    return {**defaults, "target_rate": (defaults.get("target_rate") or rate) if config.target_network else None}


def _leaves(config: ActorCriticConfig, found: Choices, action_size: int) -> dict[str, dict[str, float]]:
    exploration = dict(found.policy.exploration)
    if found.policy.soft:
        exploration |= {**TUNED, "target_entropy": -float(action_size)} if config.tune_temperature else FIXED
    return {
        "exploration": exploration,
        "backup": dict(found.policy.backup),
        "head": dict(found.head.parameters),
        "objective": {"step_size": 1.0} if config.mirror_steps else {},
    }


def _init(parts: Parts, key: PRNGKeyArray, hp: Any) -> tuple[PyTree, PyTree, PyTree]:
    actor_key, critics_key = jax.random.split(key)
    params = {"actor": parts.actor.init(actor_key), "critics": parts.critics.init(critics_key)}
    optimiser = make_optimiser(parts.config, hp, 0.0)
    moments = {
        "actor": optimiser.init(params["actor"]["params"]),
        "critics": jax.vmap(optimiser.init)(params["critics"]["params"]),
    }
    names = ("critics",) if parts.choices.policy.soft else ("actor", "critics")
    target = {name: params[name] for name in names} if parts.config.target_network else {}
    if parts.choices.policy.soft and parts.config.tune_temperature:
        params["temperature"] = init_temperature(hp.exploration)
        moments["temperature"] = optimiser.init(params["temperature"])
    if parts.config.mirror_steps:
        params["previous"] = params["actor"]
    return params, target, moments


def _visible(parts: Parts, state: OffPolicyState, observation: PyTree, hp: Any) -> PyTree:
    return seen(parts.spec, see(state, observation, hp))


def _parameters(
    parts: Parts, state: OffPolicyState, observation: PyTree, weights: Array, hp: Any
) -> Float[Array, "*batch parameter"]:
    """Of the policy, under the running statistics of its network."""
    return parts.actor.apply(state.params["actor"], None, _visible(parts, state, observation, hp), weights)


def _act(
    parts: Parts,
    key: PRNGKeyArray,
    state: OffPolicyState,
    observation: PyTree,
    memory: PyTree,
    hp: Any,
    explore: bool = False,
) -> tuple[Array, PyTree]:
    """The best action under the weights of the hyperparameters, or as in training."""
    parameters = _parameters(parts, state, observation, hp.weights, hp)
    policy = parts.choices.policy
    if explore:
        batch = batch_shape(parts.spec.observation, observation)
        noise = jax.random.normal(key, (*batch, policy.num_noise))
        raw = policy.explore(parameters, noise, hp.exploration)
    else:
        raw = policy.mode(parameters)
    return clipped_action(parts.spec.action)(raw), memory


def _explore(
    parts: Parts,
    state: OffPolicyState,
    observation: PyTree,
    memory: PyTree,
    start: Bool[Array, " env"],
    weights: Float[Array, "env objective"],
    noise: Float[Array, "env noise"],
    hp: Any,
    progress: Progress,
) -> tuple[Array, PyTree]:
    """A sample of the policy's, or one of all actions alike until there is enough to learn from."""
    parameters = _parameters(parts, state, observation, weights, hp)
    raw = parts.choices.policy.explore(parameters, noise, hp.exploration)
    uniform = uniform_action(noise[..., : raw.shape[-1]])
    return jnp.where(warming_up(parts.config, progress), uniform, raw), memory


def _value(
    parts: Parts, state: OffPolicyState, observation: PyTree, memory: PyTree, hp: Any
) -> Float[Array, "*batch objective"]:
    """Of the best action, by the critics that improve the policy; of the whole state, since a policy has no critics."""
    visible = _visible(parts, state, observation, hp)
    weights = jnp.broadcast_to(hp.weights, (*batch_shape(parts.spec.observation, observation), hp.weights.shape[-1]))
    action = parts.choices.policy.mode(parts.actor.apply(state.params["actor"], None, visible, weights))
    return vectors(parts, state.params, None, visible, action, weights, hp)


def _learn(
    parts: Parts, key: PRNGKeyArray, state: OffPolicyState, experience: Experience, hp: Any, progress: Progress
) -> tuple[OffPolicyState, Float[Array, " batch"], dict[str, Array]]:
    """One gradient step of the critics and, every `policy_delay` of them, one of the policy and the temperature."""
    critics_key, policy_key = jax.random.split(key)
    experience = experience._replace(
        observation=_visible(parts, state, experience.observation, hp),
        following=_visible(parts, state, experience.following, hp),
    )
    state, errors, metrics = learn_critics(parts, critics_key, state, experience, hp, progress)
    state = _policy_in_turn(parts, policy_key, state, experience, hp, progress)
    if parts.choices.policy.soft:
        metrics["temperature"] = temperature(state.params, hp.exploration)
    return state, errors, metrics


def _policy_in_turn(
    parts: Parts, key: PRNGKeyArray, state: OffPolicyState, experience: Experience, hp: Any, progress: Progress
) -> OffPolicyState:
    learn = partial(learn_policy, parts, key, experience=experience, hp=hp, progress=progress)
    if parts.config.policy_delay == 1:
        return learn(state=state)

    def changed(state: OffPolicyState) -> tuple[PyTree, PyTree]:
        """What a step of the policy changes, so that no branch copies the rest."""
        names = ("actor", "previous", "temperature")
        trees = (state.params, state.optimiser)
        return tuple({name: tree[name] for name in names if name in tree} for tree in trees)

    due = (state.updates + 1) % parts.config.policy_delay == 0
    params, moments = jax.lax.cond(due, lambda: changed(learn(state=state)), lambda: changed(state))
    return state._replace(params={**state.params, **params}, optimiser={**state.optimiser, **moments})
