"""Learning from a rollout: estimate, aggregate, descend in minibatches."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jaxrl.agents.acting import see
from jaxrl.agents.base import Progress, Rollout
from jaxrl.agents.kl_stopping import mean_of_seen, until_too_far
from jaxrl.agents.limits import clipped_rewards
from jaxrl.agents.minibatches import Batch, make_minibatches
from jaxrl.agents.objective_gradients import follow_gradients
from jaxrl.agents.on_policy_loss import standardised
from jaxrl.agents.on_policy_parts import OnPolicyState, Parts
from jaxrl.agents.optimisation import learned_steps, optimiser_of, signals
from jaxrl.agents.scheduling import scheduled
from jaxrl.agents.settings import OnPolicyConfig, OnPolicyHyperparameters
from jaxrl.agents.task_gradients import combination_keys, combined_gradient
from jaxrl.aggregation import ReturnSummary, aggregate
from jaxrl.environments.tasks import paying
from jaxrl.networks import values_along
from jaxrl.numerics import returns
from jaxrl.numerics.normalisation import RewardScale, scale_rewards, update_parts
from jaxrl.types import Array, PRNGKeyArray, PyTree
from jaxrl.validity import all_finite, choose

__all__ = ["paid_rewards", "prepare", "scalarise", "update"]


def update(
    parts: Parts,
    key: PRNGKeyArray,
    state: OnPolicyState,
    rollout: Rollout,
    summary: ReturnSummary,
    hp: OnPolicyHyperparameters,
    progress: Progress,
    extra: Callable[[PyTree], Array] | None = None,
) -> tuple[OnPolicyState, dict[str, Array]]:
    """Estimate, aggregate, descend in minibatches; statistics move only afterwards.

    `extra` is a loss of the parameters that joins the one of every minibatch.
    """
    config = parts.config
    hp = scheduled(config, hp, progress.fraction)
    batch, scale = prepare(parts, state, rollout, hp)
    state = follow_gradients(parts, state, batch, rollout.memory, hp)
    batch = batch._replace(advantage=scalarise(parts, state, batch, hp, progress))
    params, optimiser, metrics = descend(parts, key, state, batch, rollout.memory, hp, progress, extra)
    means, last_kl = _means(config, metrics)
    observations = state.observations
    if observations is not None:
        observations = update_parts(observations, rollout.observation, rollout.valid)
    weights = rollout.weights.mean(axis=0)
    state = OnPolicyState(
        params=params,
        optimiser=optimiser,
        observations=observations,
        rewards=scale,
        aggregator=parts.aggregator.update(state.aggregator, summary, weights, hp.aggregator),
        surrogate=parts.surrogate.update(state.surrogate, last_kl, hp.objective),
    )
    return state, {**means, "skipped_updates": metrics["non_finite"].sum()}


def _means(config: OnPolicyConfig, metrics: dict[str, Array]) -> tuple[dict[str, Array], Array]:
    """Means over the minibatches of an iteration, and the mean divergence in its last epoch."""
    if config.stop_at_kl:
        return mean_of_seen(metrics, config.num_minibatches)
    return jax.tree.map(jnp.mean, metrics), metrics["kl"][-config.num_minibatches :].mean()


def prepare(
    parts: Parts, state: OnPolicyState, rollout: Rollout, hp: OnPolicyHyperparameters
) -> tuple[Batch, RewardScale | None]:
    """Advantages per objective and targets of a whole rollout, under the parameters and statistics that acted.

    Nothing here is cut from differentiation: `descend` takes gradients with respect to the parameters of a minibatch's
    loss alone, and a meta-gradient goes through all the rest.
    """
    observation = see(state, rollout.observation, hp)
    weights = jnp.broadcast_to(rollout.weights, rollout.reward.shape)
    final = see(state, rollout.final_observation, hp)
    parameters, values, following = values_along(
        parts.network, state.params, observation, final, weights, rollout.memory, rollout.start
    )
    reward, scale, paid = paid_rewards(parts, state, rollout, hp)
    if paid is not None and parts.config.scalarise != "before_estimation":
        values, following = paid * values, paid * following
    if parts.config.group_size:
        done = rollout.terminated | rollout.truncated
        advantages = returns.group_relative_advantage(reward, done, parts.config.group_size, valid=rollout.valid)
    else:
        advantages = returns.generalised_advantage(
            reward, values, following, rollout.terminated, rollout.truncated, hp.discount, hp.gae_lambda, rollout.valid
        )
    batch = Batch(
        observation=observation,
        raw_action=rollout.raw_action,
        log_prob=parts.distribution.log_prob(parameters, rollout.raw_action),
        distribution=parameters if parts.surrogate.uses_divergence else parameters[..., :0],
        value=values,
        advantage=advantages,
        target=advantages + values,
        weights=weights,
        start=rollout.start,
        paying=paid,
        valid=rollout.valid,
    )
    return batch, scale


def paid_rewards(
    parts: Parts, state: OnPolicyState, rollout: Rollout, hp: OnPolicyHyperparameters
) -> tuple[Array, RewardScale | None, Array | None]:
    """Rewards `[time, env, value]`, scaled and then clipped, the running scale afterwards, and which tasks pay."""
    done, paid = rollout.terminated | rollout.truncated, paying(parts.spec, rollout.observation)
    reward, scale = scale_rewards(state.rewards, rollout.reward, done, hp.discount, paid, rollout.valid)
    reward = clipped_rewards(reward, hp)
    if parts.config.scalarise == "before_estimation":
        if jnp.ndim(hp.discount):
            raise ValueError(
                "one discount per objective needs a critic per objective, not scalarise='before_estimation'"
            )
        reward = jnp.sum(jnp.broadcast_to(rollout.weights, reward.shape) * reward, axis=-1, keepdims=True)
    return reward, scale, paid


def scalarise(
    parts: Parts, state: OnPolicyState, batch: Batch, hp: OnPolicyHyperparameters, progress: Progress
) -> Array:
    """One advantage per sample, or one per objective where each gets a surrogate of its own."""
    advantage = batch.advantage
    if parts.config.scalarise == "before_estimation":
        advantage = advantage[..., 0]
    elif parts.config.scalarise == "after_estimation":
        advantage = aggregate(
            parts.aggregator, state.aggregator, advantage, batch.weights, hp.aggregator, progress.fraction,
            batch.paying, batch.valid,
        )  # fmt: skip
    return standardised(batch, advantage) if parts.config.standardise_advantages == "batch" else advantage


def descend(
    parts: Parts,
    key: PRNGKeyArray,
    state: OnPolicyState,
    batch: Batch,
    memory: PyTree,
    hp: OnPolicyHyperparameters,
    progress: Progress,
    extra: Callable[[PyTree], Array] | None = None,
) -> tuple[PyTree, PyTree, dict[str, Array]]:
    """Parameters and optimiser state after all epochs, and metrics per minibatch.

    A step whose loss, gradient or change is not finite is not taken; `non_finite` is 1 for it.
    """
    optimiser = optimiser_of(parts, hp, progress.fraction, state.params)
    minibatches = make_minibatches(parts.config, parts.network.recurrent, key, batch, memory)

    def body(carry: tuple[PyTree, PyTree], inputs: tuple[Array, PyTree, PyTree]) -> tuple:
        (params, optimiser_state), (indices, step, key) = carry, inputs
        minibatch, memory = minibatches.take(indices)
        gradient, metrics = combined_gradient(parts, key, params, minibatch, memory, state, hp, progress)
        if extra is not None:
            gradient = jax.tree.map(jnp.add, gradient, jax.grad(extra)(params))
        seen = signals(parts, step, params, minibatch, memory, progress)
        changes, following = optimiser.update(gradient, optimiser_state, params, **seen)
        # What other optimisers than these make of a finite gradient may not be finite.
        sound = all_finite(gradient if parts.config.optimiser in ("adam", "rmsprop", "sgd") else (gradient, changes))
        taken = sound & (metrics["non_finite"] == 0.0)
        following = choose(taken, (optax.apply_updates(params, changes), following), (params, optimiser_state))
        return following, {**metrics, "non_finite": 1.0 - taken}

    inputs = (minibatches.indices, learned_steps(parts, key), combination_keys(parts, key))
    start = (state.params, state.optimiser)
    if parts.config.stop_at_kl:
        (params, optimiser_state), metrics = until_too_far(body, start, inputs, hp.limits["target_kl"])
    else:
        (params, optimiser_state), metrics = jax.lax.scan(body, start, inputs)
    return params, optimiser_state, metrics
