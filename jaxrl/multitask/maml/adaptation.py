"""Adapting a policy to a task by gradient steps on its own rollouts, and what the adapted policy is worth."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.acting import see
from jaxrl.agents.base import Agent, Progress, Rollout
from jaxrl.agents.minibatches import Batch
from jaxrl.agents.on_policy_loss import loss
from jaxrl.agents.on_policy_parts import Parts
from jaxrl.aggregation import standardise
from jaxrl.environments.batching import BatchedEnvironment
from jaxrl.multitask.maml.linear_baseline import baseline_advantage
from jaxrl.objectives.surrogate import Surrogate
from jaxrl.training.rollouts import collect, start_run
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree
from jaxrl.validity import all_finite, choose

__all__ = ["Adaptation", "Experience", "adapt_on", "experience", "outer_loss"]


class Adaptation(NamedTuple):
    """What adapting takes; static.

    Attributes:
        parts: of the policy; its surrogate is that of the outer loss.
        inner: the surrogate of inner steps.
        agent: that acts.
        environment: copies of it, of one task.
        second_order: whether gradients go through inner gradients.
    """

    parts: Parts
    inner: Surrogate
    agent: Agent
    environment: BatchedEnvironment
    second_order: bool


class Experience(NamedTuple):
    """A rollout of one task as learning takes it; several have leading axes.

    Attributes:
        batch: observations, actions and their probabilities, standardised advantages.
        memory: the policy's before the first step.
    """

    batch: Batch
    memory: PyTree


def experience(
    adaptation: Adaptation, key: PRNGKeyArray, params: PyTree, hp: Any
) -> tuple[Experience, Float[Array, ""]]:
    """Fresh episodes of the task `hp.environment` under a policy, and their mean return (NaN if none ended)."""
    start_key, act_key = jax.random.split(key)
    run = start_run(start_key, adaptation.agent, adaptation.environment, hp)
    run = run._replace(agent=run.agent._replace(params=params))
    _, rollout, summary = collect(act_key, run, adaptation.agent, adaptation.environment, hp)
    batch = _batch(adaptation.parts, params, run.agent, rollout, hp)
    value = jnp.where(summary.count[0] > 0, summary.returns[0], jnp.nan)
    return jax.lax.stop_gradient((Experience(batch, rollout.memory), value))


def _batch(parts: Parts, params: PyTree, state: PyTree, rollout: Rollout, hp: Any) -> Batch:
    observation = see(state, rollout.observation, hp)
    weights = jnp.broadcast_to(rollout.weights, rollout.reward.shape)
    parameters, _, _ = parts.network.sequence(params, observation, weights, rollout.memory, rollout.start)
    advantage = baseline_advantage(parts.spec.observation, rollout, hp.discount, hp.gae_lambda)
    unused = jnp.zeros_like(rollout.reward)
    return Batch(
        observation=observation,
        raw_action=rollout.raw_action,
        log_prob=parts.distribution.log_prob(parameters, rollout.raw_action),
        distribution=parameters[..., :0],
        value=unused,
        advantage=standardise(advantage, valid=rollout.valid),
        target=unused,
        weights=weights,
        start=rollout.start,
        valid=rollout.valid,
    )


def adapt_on(
    adaptation: Adaptation, params: PyTree, seen: Experience, rate: Float[Array, ""], state: PyTree, hp: Any
) -> PyTree:
    """θ' = θ − α ∇L(θ) of one task's experience; without second order, ∇L is taken for a constant.

    A step that is not finite is not taken.
    """
    parts = adaptation.parts._replace(surrogate=adaptation.inner)
    slope = jax.grad(lambda params: _policy_loss(parts, params, seen, state, hp))(params)
    if not adaptation.second_order:
        slope = jax.lax.stop_gradient(slope)
    adapted = jax.tree.map(lambda leaf, gradient: leaf - rate * gradient, params, slope)
    return choose(all_finite(slope), adapted, params)


def outer_loss(
    adaptation: Adaptation,
    params: PyTree,
    before: list[Experience],
    after: Experience,
    rates: Float[Array, " step"],
    state: PyTree,
    hp: Any,
) -> Float[Array, ""]:
    """L(U(θ)) of one task: the loss on what the adapted policy saw, U being one inner step for each rollout before.

    Args:
        adaptation: see there.
        params: θ.
        before: what each inner step learns from, in order.
        after: what the adapted policy saw.
        rates: of the inner steps.
        state: of the agent, for its surrogate.
        hp: of the agent; the entropy bonus is that of the outer loss.
    """
    plain = hp._replace(entropy_coefficient=jnp.zeros(()))
    for i, seen in enumerate(before):
        params = adapt_on(adaptation, params, seen, rates[i], state, plain)
    return _policy_loss(adaptation.parts, params, after, state, hp)


def _policy_loss(parts: Parts, params: PyTree, seen: Experience, state: PyTree, hp: Any) -> Float[Array, ""]:
    start = Progress(jnp.zeros(()), jnp.ones(()))
    return loss(parts, params, seen.batch, seen.memory, state, hp, start)[0]
