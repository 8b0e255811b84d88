"""DiscoRL's agent (Oh et al., 2025, Nature): policy, predictions and action values, pulled towards a rule's targets."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl.agents.acting import Acting, act, explore, score, value
from jaxrl.agents.base import Agent, Collection, Progress, Rollout
from jaxrl.agents.disco_settings import DiscoConfig, DiscoHyperparameters
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.settings import default_weights
from jaxrl.aggregation import ReturnSummary
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.masks import seen_space
from jaxrl.environments.spaces import Discrete
from jaxrl.networks import ActorCritic, legal_action_conditional
from jaxrl.networks.action_conditional import ActionConditional, Predictions, action_conditional
from jaxrl.numerics import distributions
from jaxrl.objectives.disco import (
    DiscoCoefficients,
    DiscoSizes,
    Experience,
    RuleState,
    disco_loss,
    disco_targets,
    init_disco,
    init_rule_state,
    load_disco,
)
from jaxrl.objectives.disco_values import scalar_values
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree
from jaxrl.validity import all_finite, choose, constant_unless

__all__ = ["CONFIG", "DEFAULTS", "DISCO", "DiscoConfig", "DiscoHyperparameters", "DiscoState", "disco", "load_disco"]


class DiscoState(NamedTuple):
    """Network, Adam's moments, target network, and what the rule remembers; no running statistics of observations."""

    params: PyTree
    optimiser: optax.ScaleByAdamState
    target: PyTree
    rule: RuleState
    observations: None = None


class Parts(NamedTuple):
    """What the builder put together; static."""

    acting: Acting
    config: DiscoConfig
    network: ActionConditional


CONFIG = DiscoConfig()
DEFAULTS: dict[str, float] = {}


def disco(spec: EnvironmentSpec, config: DiscoConfig = CONFIG) -> Agent:
    """Builds an agent whose update rule is the leaf `objective`: random, to be meta-learned, or read from a file.

    On-policy: every rollout is used once (the paper's agents replay).

    Raises:
        UnknownNameError: for an unknown network or activation, with the nearest match.
        ValueError: for actions that are not `Discrete`, sizes below 1, or a file that does not fit.
        FileNotFoundError: if there is no file `parameters`.
    """
    if not isinstance(spec.action, Discrete):
        raise ValueError(f"disco needs Discrete actions, {spec.name} has {spec.action}; allowed agents: ppo, a2c, ...")
    sizes = DiscoSizes(config.num_predictions, config.trajectory_size, config.lifetime_size)
    init_objective = partial(init_disco, sizes=sizes)
    if config.parameters:
        loaded = load_disco(config.parameters, sizes)
        init_objective = lambda key: loaded  # noqa: E731
    network = _network(spec, config)
    distribution = distributions.for_space(spec.action, masked=spec.action_mask is not None)
    parts = Parts(Acting(spec, distribution, _actor_critic(network, config)), config, network)
    hyperparameters = DiscoHyperparameters(weights=default_weights(spec), objective=init_objective(jax.random.key(0)))
    return Agent(
        init=partial(init, parts),
        collects=Collection(num_envs=config.num_envs, num_steps=config.num_steps),
        memory=parts.acting.network.memory,
        noise=distribution.noise,
        explore=partial(explore, parts.acting),
        action=distribution.action,
        act=partial(act, parts.acting),
        actor=lambda state: state._replace(optimiser=(), target=(), rule=()),
        value=partial(value, parts.acting),
        update=partial(update, parts),
        hyperparameters=jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), hyperparameters),
        config=config,
        spec=spec,
        score=partial(score, parts.acting),
        initialisers={"objective": init_objective},
    )


def _network(spec: EnvironmentSpec, config: DiscoConfig) -> ActionConditional:
    network = action_conditional(
        seen_space(spec),
        spec.action.n,
        config.num_predictions,
        config.num_bins,
        network=config.network,
        hidden_sizes=config.hidden_sizes,
        model_size=config.model_size,
        activation=config.activation,
        channels=config.channels,
    )
    return legal_action_conditional(spec, network)


def _actor_critic(network: ActionConditional, config: DiscoConfig) -> ActorCritic:
    """Policy and value Σ π q of the network, for acting."""

    def value(params: PyTree, observation: PyTree, weights: Array, memory: PyTree) -> Array:
        predictions = network.predictions(params, observation)
        action_value = scalar_values(predictions.action_value, config.max_value)
        return jnp.sum(jax.nn.softmax(predictions.policy) * action_value, axis=-1, keepdims=True)

    def sequence(params: PyTree, observations: PyTree, weights: Array, memory: PyTree, starts: Array) -> tuple:
        return network.policy(params, observations), value(params, observations, weights, memory), memory

    def act(params: PyTree, observation: PyTree, weights: Array, memory: PyTree, start: Array) -> tuple:
        return network.policy(params, observation), memory

    return ActorCritic(network.init, lambda batch_shape: (), act, sequence, value, recurrent=False)


def init(parts: Parts, key: PRNGKeyArray, hp: DiscoHyperparameters) -> DiscoState:
    """Fresh parameters, which the target network shares, and a rule that remembers nothing."""
    params = parts.network.init(key)
    return DiscoState(params, optax.scale_by_adam().init(params), params, init_rule_state(parts.config.lifetime_size))


def update(
    parts: Parts,
    key: PRNGKeyArray,
    state: DiscoState,
    rollout: Rollout,
    summary: ReturnSummary,
    hp: DiscoHyperparameters,
    progress: Progress,
) -> tuple[DiscoState, dict[str, Array]]:
    """The rule's targets of the rollout, then one step of Adam; the target network follows the old parameters.

    An update that is not finite changes nothing.
    """
    max_value = parts.config.max_value
    experience = _experience(parts, state, rollout, hp)
    coefficients = DiscoCoefficients(*(getattr(hp, f"{name}_coefficient") for name in DiscoCoefficients._fields))
    targets, returns, rule = disco_targets(
        hp.objective, state.rule, experience, max_value, hp.discount, hp.retrace_lambda
    )

    def loss(params: PyTree) -> tuple[Array, dict[str, Array]]:
        predictions = constant_unless(rollout.valid, parts.network.predictions(params, rollout.observation))
        total, metrics = disco_loss(predictions, targets, returns, experience, coefficients, max_value)
        entropy = parts.acting.distribution.entropy(predictions.policy).mean()
        non_finite = (~jnp.isfinite(total)).astype(jnp.float32)
        return total, {**metrics, "entropy": entropy, "non_finite": non_finite}

    gradient, metrics = jax.grad(loss, has_aux=True)(state.params)
    rate = hp.learning_rate * (1.0 - progress.fraction) if parts.config.anneal_learning_rate else hp.learning_rate
    changes, optimiser = adam(gradient, state.optimiser, hp.max_update)
    params = jax.tree.map(lambda leaf, change: leaf - rate * change, state.params, changes)
    target = jax.tree.map(
        lambda old, new: hp.target_decay * old + (1.0 - hp.target_decay) * new, state.target, state.params
    )
    taken = all_finite(gradient) & (metrics["non_finite"] == 0.0)
    lost = {"non_finite": 1.0 - taken, "skipped_updates": 1.0 - taken}
    return choose(taken, DiscoState(params, optimiser, target, rule), state), metrics | lost


def adam(
    gradient: PyTree, state: optax.ScaleByAdamState, max_update: Float[Array, ""] | float
) -> tuple[PyTree, optax.ScaleByAdamState]:
    """Adam's direction, clipped entry by entry; no meta-gradient through its denominator (Oh et al., 2025, methods).

    clip(m̂/(√v̂ + ε), ±max_update) with decays 0.9 and 0.999 and ε = 1e-8.
    """
    _, following = optax.scale_by_adam().update(gradient, state)
    first = optax.tree.bias_correction(following.mu, 0.9, following.count)
    second = jax.lax.stop_gradient(optax.tree.bias_correction(following.nu, 0.999, following.count))
    direction = jax.tree.map(lambda m, v: jnp.clip(m / (jnp.sqrt(v) + 1e-8), -max_update, max_update), first, second)
    return direction, following


def _experience(parts: Parts, state: DiscoState, rollout: Rollout, hp: DiscoHyperparameters) -> Experience:
    """The rollout with the predictions of both networks, one pass each."""
    num_steps = rollout.reward.shape[0]
    pair = rollout.observation, rollout.final_observation
    observations = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *pair)

    def along(params: PyTree) -> tuple[Predictions, Predictions]:
        leaves, structure = jax.tree.flatten(parts.network.predictions(params, observations))
        return structure.unflatten(x[:num_steps] for x in leaves), structure.unflatten(x[num_steps:] for x in leaves)

    (current, following), (target, target_following) = along(state.params), along(state.target)
    return Experience(
        current=current,
        following=following,
        target=target,
        target_following=target_following,
        behaviour=current.policy,
        action=rollout.raw_action,
        reward=rollout.reward @ hp.weights,
        terminated=rollout.terminated,
        truncated=rollout.truncated,
        valid=rollout.valid,
        possible=None if parts.acting.spec.action_mask is None else current.policy > -jnp.inf,
    )


DISCO = AgentEntry(disco, CONFIG, DEFAULTS, DiscoHyperparameters)
