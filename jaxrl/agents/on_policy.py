"""The on-policy agent: one loop, of which PPO, A2C, REINFORCE, MDPO and DPO are settings.

Reading order: `on_policy` builds the agent; its `update` estimates advantages for the whole
rollout with the parameters that acted, aggregates objectives, and descends in minibatches.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl import distributions, returns
from jaxrl.agents.base import Agent, Rollout
from jaxrl.agents.settings import OnPolicyConfig, OnPolicyHyperparameters, default_weights, validate
from jaxrl.aggregation import ReturnSummary, aggregate, make_aggregator, standardise
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.networks import actor_critic
from jaxrl.normalisation import (
    RunningStatistics,
    init_statistics,
    normalise,
    standard_deviation,
    update_statistics,
)
from jaxrl.objectives.surrogate import SurrogateInputs, make_surrogate
from jaxrl.objectives.value import clipped_squared_error, squared_error
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["OnPolicyState", "on_policy"]


class RewardScale(NamedTuple):
    """Running scale of rewards, per objective: the deviation of discounted sums of rewards.

    Attributes:
        sums: Σ γᵏ rₜ₋ₖ of each environment's current episode, `[env, objective]`.
        statistics: of those sums.
    """

    sums: Float[Array, "env objective"]
    statistics: RunningStatistics


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


class Batch(NamedTuple):
    """What a minibatch needs of each sample."""

    observation: Array
    raw_action: Array
    log_prob: Array
    distribution: Array
    value: Array
    advantage: Array
    target: Array
    weights: Array
    start: Array


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
    distribution = distributions.for_space(spec.action, config.distribution, config.initial_log_std)
    aggregator, surrogate = make_aggregator(config.aggregator), make_surrogate(config.surrogate)
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
    hyperparameters = OnPolicyHyperparameters(
        weights=default_weights(spec.num_objectives),
        objective=surrogate.init(None),
        aggregator=aggregator.parameters(spec.num_objectives),
    )._replace(**(defaults or {}))
    hyperparameters = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), hyperparameters)

    def see(state: OnPolicyState, observation: Array) -> Array:
        return observation if state.observations is None else normalise(state.observations, observation)

    def init(key: PRNGKeyArray, hp: OnPolicyHyperparameters) -> OnPolicyState:
        params = network.init(key)
        shape = (config.num_envs, spec.num_objectives)
        scale = RewardScale(jnp.zeros(shape), init_statistics(shape[1:])) if config.normalise_rewards else None
        return OnPolicyState(
            params=params,
            optimiser=make_optimiser(config, hp, 0.0).init(params),
            observations=init_statistics(spec.observation.shape) if config.normalise_observations else None,
            rewards=scale,
            aggregator=aggregator.init(spec.num_objectives, hp.aggregator),
            surrogate=surrogate.init_state(hp.objective),
        )

    def explore(
        state: OnPolicyState, observation: Array, memory: PyTree, start: Array, weights: Array, noise: Array, hp: PyTree
    ) -> tuple[Array, PyTree]:
        parameters, memory = network.act(state.params, see(state, observation), weights, memory, start)
        return distribution.sample(parameters, noise), memory

    def act(
        key: PRNGKeyArray,
        state: OnPolicyState,
        observation: Array,
        memory: PyTree,
        hp: OnPolicyHyperparameters,
        explore: bool = False,
    ) -> tuple[Array, PyTree]:
        batch_shape = observation.shape[: observation.ndim - len(spec.observation.shape)]
        start = jnp.zeros(batch_shape, bool)
        parameters, memory = network.act(state.params, see(state, observation), hp.weights, memory, start)
        if explore:
            raw = distribution.sample(parameters, distribution.noise(key, batch_shape))
        else:
            raw = distribution.mode(parameters)
        return distribution.action(raw), memory

    def value(
        state: OnPolicyState, observation: Array, memory: PyTree, hp: OnPolicyHyperparameters
    ) -> Float[Array, "*batch objective"]:
        return network.value(state.params, see(state, observation), hp.weights, memory)

    def prepare(
        state: OnPolicyState, rollout: Rollout, hp: OnPolicyHyperparameters
    ) -> tuple[Batch, RewardScale | None]:
        observation = see(state, rollout.observation)
        weights = jnp.broadcast_to(rollout.weights, rollout.reward.shape)
        parameters, values, memories = network.sequence(
            state.params, observation, weights, rollout.memory, rollout.start
        )
        following = network.value(state.params, see(state, rollout.final_observation), weights, memories)
        reward, scale = scale_rewards(state.rewards, rollout, hp)
        advantages = returns.generalised_advantage(
            reward, values, following, rollout.terminated, rollout.truncated, hp.discount, hp.gae_lambda
        )
        advantage = aggregate(aggregator, state.aggregator, advantages, weights, hp.aggregator)
        if config.standardise_advantages == "batch":
            advantage = standardise(advantage)
        batch = Batch(
            observation=observation,
            raw_action=rollout.raw_action,
            log_prob=distribution.log_prob(parameters, rollout.raw_action),
            distribution=parameters,
            value=values,
            advantage=advantage,
            target=advantages + values,
            weights=weights,
            start=rollout.start,
        )
        return jax.lax.stop_gradient((batch, scale))

    def loss(
        params: PyTree, batch: Batch, memory: PyTree, state: OnPolicyState, hp: OnPolicyHyperparameters, progress: Array
    ) -> tuple[Array, dict[str, Array]]:
        parameters, values, _ = network.sequence(params, batch.observation, batch.weights, memory, batch.start)
        log_ratio = distribution.log_prob(parameters, batch.raw_action) - batch.log_prob
        kl = distribution.kl(batch.distribution, parameters)
        inputs = SurrogateInputs(
            log_ratio=log_ratio,
            advantage=standardise(batch.advantage) if config.standardise_advantages == "minibatch" else batch.advantage,
            kl_from_old=kl,
            kl_to_old=distribution.kl(parameters, batch.distribution),
            progress=progress,
        )
        policy_loss = jnp.mean(surrogate.apply(inputs, hp.objective, state.surrogate))
        if config.clip_values:
            errors = clipped_squared_error(values, batch.target, batch.value, hp.value_clip)
        else:
            errors = squared_error(values, batch.target)
        value_loss = jnp.mean(errors)
        entropy = jnp.mean(distribution.entropy(parameters))
        total = policy_loss + hp.value_coefficient * value_loss - hp.entropy_coefficient * entropy
        metrics = {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": entropy,
            "kl": jnp.mean(kl),
            "non_finite": (~jnp.isfinite(total)).astype(jnp.float32),
        }
        return total, metrics

    def update(
        key: PRNGKeyArray,
        state: OnPolicyState,
        rollout: Rollout,
        summary: ReturnSummary,
        hp: OnPolicyHyperparameters,
        progress: Float[Array, ""],
    ) -> tuple[OnPolicyState, dict[str, Array]]:
        batch, scale = prepare(state, rollout, hp)
        optimiser = make_optimiser(config, hp, progress)
        minibatches = make_minibatches(config, network.recurrent, key, batch, rollout.memory)

        def descend(carry: tuple[PyTree, PyTree], indices: Array) -> tuple[tuple[PyTree, PyTree], dict[str, Array]]:
            params, optimiser_state = carry
            minibatch, memory = minibatches.take(indices)
            gradient, metrics = jax.grad(loss, has_aux=True)(params, minibatch, memory, state, hp, progress)
            changes, optimiser_state = optimiser.update(gradient, optimiser_state, params)
            return (optax.apply_updates(params, changes), optimiser_state), metrics

        carry = (state.params, state.optimiser)
        (params, optimiser_state), metrics = jax.lax.scan(descend, carry, minibatches.indices)
        last_kl = metrics["kl"][-config.num_minibatches :].mean()
        non_finite = metrics.pop("non_finite").sum()
        metrics = {**jax.tree.map(jnp.mean, metrics), "non_finite": non_finite}
        observations = state.observations
        if observations is not None:
            observations = update_statistics(observations, rollout.observation)
        weights = rollout.weights.mean(axis=0)
        return (
            OnPolicyState(
                params=params,
                optimiser=optimiser_state,
                observations=observations,
                rewards=scale,
                aggregator=aggregator.update(state.aggregator, summary, weights, hp.aggregator),
                surrogate=surrogate.update(state.surrogate, last_kl, hp.objective),
            ),
            metrics,
        )

    return Agent(
        init=init,
        memory=network.memory,
        noise=distribution.noise,
        explore=explore,
        action=distribution.action,
        act=act,
        value=value,
        update=update,
        hyperparameters=hyperparameters,
        config=config,
        spec=spec,
    )


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


def scale_rewards(
    scale: RewardScale | None, rollout: Rollout, hp: OnPolicyHyperparameters
) -> tuple[Float[Array, "time env objective"], RewardScale | None]:
    """Rewards over the deviation seen before this rollout, and the scale after it."""
    if scale is None:
        return rollout.reward, None
    done = rollout.terminated | rollout.truncated

    def body(sums: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        reward, done = inputs
        sums = hp.discount * sums + reward
        return jnp.where(done[..., None], 0.0, sums), sums

    sums, seen = jax.lax.scan(body, scale.sums, (rollout.reward, done))
    statistics = update_statistics(scale.statistics, seen)
    return rollout.reward / standard_deviation(scale.statistics), RewardScale(sums, statistics)


class Minibatches(NamedTuple):
    """`indices` `[epochs * minibatches, size]` and how to take such a row of them."""

    indices: Array
    take: Callable[[Array], tuple[Batch, PyTree]]


def make_minibatches(
    config: OnPolicyConfig, recurrent: bool, key: PRNGKeyArray, batch: Batch, memory: PyTree
) -> Minibatches:
    """One permutation per epoch, drawn in one call; samples are steps, or whole sequences if recurrent."""
    count = config.num_envs if recurrent else config.num_envs * config.num_steps
    keys = jax.random.bits(key, (config.num_epochs, count))
    order = jnp.argsort(keys, axis=1) if config.num_minibatches > 1 else jnp.zeros((config.num_epochs, 0), jnp.int32)
    indices = order.reshape(config.num_epochs * config.num_minibatches, -1)
    if config.num_minibatches == 1:
        return Minibatches(indices, lambda _: (batch, memory))
    if recurrent:

        def take_sequences(rows: Array) -> tuple[Batch, PyTree]:
            return jax.tree.map(lambda leaf: leaf[:, rows], batch), memory[rows]

        return Minibatches(indices, take_sequences)
    rows, unpack = pack(jax.tree.map(lambda leaf: leaf.reshape(count, *leaf.shape[2:]), batch))
    return Minibatches(indices, lambda chosen: (unpack(rows[chosen]), ()))


def pack(batch: Batch) -> tuple[Array, Callable[[Array], Batch]]:
    """Samples as rows of one float32 matrix, so that a minibatch is one gather; bits are kept exactly."""
    leaves, structure = jax.tree.flatten(batch)
    columns = []
    for leaf in leaves:
        flat = leaf.reshape(leaf.shape[0], -1)
        if flat.dtype == jnp.bool_:
            flat = flat.astype(jnp.float32)
        elif flat.dtype != jnp.float32:
            flat = jax.lax.bitcast_convert_type(flat.astype(jnp.int32), jnp.float32)
        columns.append(flat)

    def unpack(rows: Array) -> Batch:
        position, unpacked = 0, []
        for leaf, column in zip(leaves, columns):
            part = rows[:, position : position + column.shape[1]]
            position += column.shape[1]
            if leaf.dtype == jnp.bool_:
                part = part != 0.0
            elif leaf.dtype != jnp.float32:
                part = jax.lax.bitcast_convert_type(part, jnp.int32).astype(leaf.dtype)
            unpacked.append(part.reshape(rows.shape[0], *leaf.shape[1:]))
        return jax.tree.unflatten(structure, unpacked)

    return jnp.concatenate(columns, axis=1), unpack
