"""The on-policy agent: one loop, of which PPO, A2C, REINFORCE, MDPO and DPO are settings.

Reading order: `on_policy` builds the agent out of module-level functions; `update` prepares the whole
rollout with the parameters that acted, and `descend` follows the loss in minibatches.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl import distributions, returns
from jaxrl.agents.base import Agent, Rollout
from jaxrl.agents.minibatches import Batch, make_minibatches
from jaxrl.agents.settings import OnPolicyConfig, OnPolicyHyperparameters, default_weights, validate
from jaxrl.aggregation import Aggregator, ReturnSummary, aggregate, make_aggregator, standardise
from jaxrl.distributions import Distribution
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.networks import ActorCritic, actor_critic
from jaxrl.normalisation import (
    RewardScale,
    RunningStatistics,
    init_statistics,
    normalise,
    scale_rewards,
    update_statistics,
)
from jaxrl.objectives.surrogate import Surrogate, SurrogateInputs, make_surrogate
from jaxrl.objectives.value import clipped_squared_error, squared_error
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, PyTree

__all__ = ["OnPolicyState", "on_policy"]


class OnPolicyState(NamedTuple):
    """Everything the agent carries from one update to the next.

    Attributes:
        params: network parameters.
        optimiser: optax state.
        observations: running statistics of observations, or None.
        rewards: running scale of rewards, or None.
        aggregator: the aggregator's state, such as multipliers.
        surrogate: the surrogate's state, such as an adaptive coefficient.
    """

    params: PyTree
    optimiser: PyTree
    observations: RunningStatistics | None
    rewards: RewardScale | None
    aggregator: PyTree
    surrogate: PyTree


class Parts(NamedTuple):
    """What the builder put together; static."""

    spec: EnvironmentSpec
    config: OnPolicyConfig
    distribution: Distribution
    network: ActorCritic
    aggregator: Aggregator
    surrogate: Surrogate


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
        update=partial(update, parts),
        hyperparameters=make_hyperparameters(parts, defaults or {}),
        config=config,
        spec=spec,
    )


def make_parts(spec: EnvironmentSpec, config: OnPolicyConfig) -> Parts:
    """Distribution, network, aggregator and surrogate for an environment."""
    distribution = distributions.for_space(spec.action, config.distribution, config.initial_log_std)
    network = actor_critic(
        spec.observation,
        distribution.num_parameters,
        spec.num_objectives,
        network=config.network,
        hidden_sizes=config.hidden_sizes,
        activation=config.activation,
        shared_torso=config.shared_torso,
        recurrent_size=config.recurrent_size,
        channels=config.channels,
        condition_on_weights=config.condition_on_weights,
        shared_parameters=distribution.shared_parameters,
        initial_shared=distribution.initial_shared,
    )
    aggregator, surrogate = make_aggregator(config.aggregator), make_surrogate(config.surrogate)
    return Parts(spec, config, distribution, network, aggregator, surrogate)


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


def see(state: OnPolicyState, observation: Array) -> Array:
    """An observation under the running statistics, if there are any."""
    return observation if state.observations is None else normalise(state.observations, observation)


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


def prepare(
    parts: Parts, state: OnPolicyState, rollout: Rollout, hp: OnPolicyHyperparameters
) -> tuple[Batch, RewardScale | None]:
    """Advantages and targets of a whole rollout, under the parameters and statistics that acted."""
    observation = see(state, rollout.observation)
    weights = jnp.broadcast_to(rollout.weights, rollout.reward.shape)
    parameters, values, memories = parts.network.sequence(
        state.params, observation, weights, rollout.memory, rollout.start
    )
    following = parts.network.value(state.params, see(state, rollout.final_observation), weights, memories)
    done = rollout.terminated | rollout.truncated
    reward, scale = scale_rewards(state.rewards, rollout.reward, done, hp.discount)
    advantages = returns.generalised_advantage(
        reward, values, following, rollout.terminated, rollout.truncated, hp.discount, hp.gae_lambda
    )
    advantage = aggregate(parts.aggregator, state.aggregator, advantages, weights, hp.aggregator)
    if parts.config.standardise_advantages == "batch":
        advantage = standardise(advantage)
    batch = Batch(
        observation=observation,
        raw_action=rollout.raw_action,
        log_prob=parts.distribution.log_prob(parameters, rollout.raw_action),
        distribution=parameters if parts.surrogate.uses_divergence else parameters[..., :0],
        value=values,
        advantage=advantage,
        target=advantages + values,
        weights=weights,
        start=rollout.start,
    )
    return jax.lax.stop_gradient((batch, scale))


def loss(
    parts: Parts,
    params: PyTree,
    batch: Batch,
    memory: PyTree,
    state: OnPolicyState,
    hp: OnPolicyHyperparameters,
    progress: Float[Array, ""],
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Surrogate + c_v value loss - c_e entropy of one minibatch, and its metrics."""
    distribution, config = parts.distribution, parts.config
    parameters, values, _ = parts.network.sequence(params, batch.observation, batch.weights, memory, batch.start)
    log_ratio = distribution.log_prob(parameters, batch.raw_action) - batch.log_prob
    if parts.surrogate.uses_divergence:
        kl, kl_to_old = distribution.kl(batch.distribution, parameters), distribution.kl(parameters, batch.distribution)
        mean_kl = jnp.mean(kl)
    else:
        kl = kl_to_old = jnp.zeros_like(log_ratio)
        # E_old[r - 1 - log r] = KL(old ‖ new), without the old distribution.
        mean_kl = jnp.mean(jnp.expm1(log_ratio) - log_ratio)
    inputs = SurrogateInputs(
        log_ratio=log_ratio,
        advantage=standardise(batch.advantage) if config.standardise_advantages == "minibatch" else batch.advantage,
        kl_from_old=kl,
        kl_to_old=kl_to_old,
        progress=jnp.asarray(progress),
    )
    policy_loss = jnp.mean(parts.surrogate.apply(inputs, hp.objective, state.surrogate))
    if config.clip_values:
        errors = clipped_squared_error(values, batch.target, batch.value, hp.value_clip)
    else:
        errors = squared_error(values, batch.target)
    value_loss, entropy = jnp.mean(errors), jnp.mean(distribution.entropy(parameters))
    total = policy_loss + hp.value_coefficient * value_loss - hp.entropy_coefficient * entropy
    metrics = {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "kl": mean_kl,
        "non_finite": (~jnp.isfinite(total)).astype(jnp.float32),
    }
    return total, metrics


def update(
    parts: Parts,
    key: PRNGKeyArray,
    state: OnPolicyState,
    rollout: Rollout,
    summary: ReturnSummary,
    hp: OnPolicyHyperparameters,
    progress: Float[Array, ""],
) -> tuple[OnPolicyState, dict[str, Array]]:
    """Estimate, aggregate, descend in minibatches; statistics move only afterwards."""
    config = parts.config
    batch, scale = prepare(parts, state, rollout, hp)
    params, optimiser, metrics = descend(parts, key, state, batch, rollout.memory, hp, progress)
    last_kl = metrics["kl"][-config.num_minibatches :].mean()
    non_finite = metrics.pop("non_finite").sum()
    observations = state.observations
    if observations is not None:
        observations = update_statistics(observations, rollout.observation)
    weights = rollout.weights.mean(axis=0)
    state = OnPolicyState(
        params=params,
        optimiser=optimiser,
        observations=observations,
        rewards=scale,
        aggregator=parts.aggregator.update(state.aggregator, summary, weights, hp.aggregator),
        surrogate=parts.surrogate.update(state.surrogate, last_kl, hp.objective),
    )
    return state, {**jax.tree.map(jnp.mean, metrics), "non_finite": non_finite}


def descend(
    parts: Parts,
    key: PRNGKeyArray,
    state: OnPolicyState,
    batch: Batch,
    memory: PyTree,
    hp: OnPolicyHyperparameters,
    progress: Float[Array, ""],
) -> tuple[PyTree, PyTree, dict[str, Array]]:
    """Parameters and optimiser state after all epochs, and metrics per minibatch."""
    optimiser = make_optimiser(parts.config, hp, progress)
    minibatches = make_minibatches(parts.config, parts.network.recurrent, key, batch, memory)

    def body(carry: tuple[PyTree, PyTree], indices: Array) -> tuple[tuple[PyTree, PyTree], dict[str, Array]]:
        params, optimiser_state = carry
        minibatch, memory = minibatches.take(indices)
        gradient_and_metrics = jax.grad(partial(loss, parts), has_aux=True)
        gradient, metrics = gradient_and_metrics(params, minibatch, memory, state, hp, progress)
        changes, optimiser_state = optimiser.update(gradient, optimiser_state, params)
        return (optax.apply_updates(params, changes), optimiser_state), metrics

    (params, optimiser_state), metrics = jax.lax.scan(body, (state.params, state.optimiser), minibatches.indices)
    return params, optimiser_state, metrics


def make_optimiser(
    config: OnPolicyConfig, hp: OnPolicyHyperparameters, progress: Float[Array, ""] | float
) -> optax.GradientTransformation:
    """Global-norm clipping, then Adam or RMSProp, as one flat vector (fewer, larger operations)."""
    rate = hp.learning_rate * (1.0 - progress) if config.anneal_learning_rate else hp.learning_rate
    scalers: dict[str, Callable[[], optax.GradientTransformation]] = {
        "adam": lambda: optax.scale_by_adam(eps=1e-5),
        "rmsprop": lambda: optax.scale_by_rms(decay=0.99, eps=1e-5),
        "sgd": optax.identity,
    }
    chain = optax.chain(
        optax.clip_by_global_norm(hp.max_gradient_norm), scalers[config.optimiser](), optax.scale_by_learning_rate(rate)
    )
    return optax.flatten(chain)
