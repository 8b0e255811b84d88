"""One gradient step of critics of continuous actions: what they are to say, and how they come to say it."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxrl.agents.base import Progress
from jaxrl.agents.off_policy.continuous import Parts
from jaxrl.agents.off_policy.ensembles import chosen_critics
from jaxrl.agents.off_policy.experience import Experience
from jaxrl.agents.off_policy.learner import OffPolicyState
from jaxrl.agents.off_policy.temperature import temperature
from jaxrl.agents.optimisation import make_optimiser
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["dropout_key", "learn_critics"]


def dropout_key(parts: Parts, key: PRNGKeyArray) -> PRNGKeyArray | None:
    """None where nothing is dropped."""
    return key if parts.config.dropout else None


def learn_critics(
    parts: Parts, key: PRNGKeyArray, state: OffPolicyState, experience: Experience, hp: Any, progress: Progress
) -> tuple[OffPolicyState, Float[Array, " batch"], dict[str, Array]]:
    """Fits every critic to r + γ (Q⁻(o', a') - α log π(a'|o') 1), a' ~ π(o'), entropy a part of every objective.

    Args:
        parts: of the agent.
        key: of all that is drawn.
        state: of the agent.
        experience: a minibatch, whose observations are as networks take them.
        hp: hyperparameters.
        progress: how far the run is.

    Returns:
        The state, the temporal-difference errors |w·δ|, a mean over critics, and metrics.
    """
    noise_key, subset_key, later_key, now_key = jax.random.split(key, 4)
    action, log_probability = _following(parts, noise_key, state, experience, hp)
    rewards = _rewards(parts, state, experience, log_probability, hp)
    joint = parts.config.batch_norm != "none"
    apart = () if joint else _later(parts, subset_key, dropout_key(parts, later_key), state, experience, action)

    def loss_of(params: PyTree) -> tuple[Array, tuple]:
        variables = {**state.params["critics"], "params": params}
        own_key = dropout_key(parts, now_key)
        if joint:
            outputs, following, variables = _jointly(parts, variables, own_key, experience, action)
            following = _subset(parts, subset_key, following)
        else:
            inputs = (experience.observation, experience.action, experience.weights)
            outputs, following = parts.critics.apply(variables, own_key, *inputs), apart
        target = _target(parts, rewards, experience, following, hp)
        losses = jax.vmap(lambda own: parts.choices.head.loss(own, target, None, hp.head))(outputs)
        # Every critic has a loss of its own, and their sum the gradients of all.
        loss = jnp.sum(jnp.mean(experience.importance * losses.mean(axis=-1), axis=-1))
        return loss, (outputs, target, losses, variables)

    critics = state.params["critics"]["params"]
    (loss, (outputs, target, losses, variables)), gradient = jax.value_and_grad(loss_of, has_aux=True)(critics)
    optimiser = make_optimiser(parts.config, hp, progress.fraction)
    # As if each had an optimiser of its own: norms are theirs, and shapes tell matrices from vectors.
    updates, moments = jax.vmap(optimiser.update)(gradient, state.optimiser["critics"], critics)
    learnt = {**variables, "params": optax.apply_updates(critics, updates)}
    state = state._replace(
        params={**state.params, "critics": learnt}, optimiser={**state.optimiser, "critics": moments}
    )
    metrics = {"loss": loss / outputs.shape[0], **_metrics(parts, outputs, experience, log_probability, hp)}
    return state, _errors(parts, outputs, target, losses, experience.weights), metrics


def _following(
    parts: Parts, key: PRNGKeyArray, state: OffPolicyState, experience: Experience, hp: Any
) -> tuple[Float[Array, "batch action"], Float[Array, " batch"]]:
    """The next action and its log-probability, under the target policy where there is one."""
    actor = state.target["actor"] if "actor" in state.target else state.params["actor"]
    parameters = parts.actor.apply(actor, None, experience.following, experience.weights)
    noise = jax.random.normal(key, (*experience.action.shape[:-1], parts.choices.policy.num_noise))
    return parts.choices.policy.following(parameters, noise, hp.backup)


def _rewards(
    parts: Parts, state: OffPolicyState, experience: Experience, log_probability: Float[Array, " batch"], hp: Any
) -> Float[Array, "batch objective"]:
    """r - γ α log π(a'|o'): the entropy of the next step, where the episode goes on, in every objective."""
    if not parts.choices.policy.soft:
        return experience.reward
    entropy = temperature(state.params, hp.exploration) * log_probability
    return experience.reward - experience.factor * entropy[..., None]


def _later(
    parts: Parts,
    subset_key: PRNGKeyArray,
    key: PRNGKeyArray | None,
    state: OffPolicyState,
    experience: Experience,
    action: Float[Array, "batch action"],
) -> Float[Array, "critic batch objective atom"]:
    """What critics say of the next step: target ones where there are any, and none but those that are asked."""
    critics = state.target["critics"] if "critics" in state.target else state.params["critics"]
    asked = _subset(parts, subset_key, critics)
    return parts.critics.apply(asked, key, experience.following, action, experience.weights)


def _subset(parts: Parts, key: PRNGKeyArray, critics: PyTree) -> PyTree:
    return chosen_critics(key, critics, parts.config.subset_size) if parts.choices.reduction.subset else critics


def _jointly(
    parts: Parts,
    variables: PyTree,
    key: PRNGKeyArray | None,
    experience: Experience,
    action: Float[Array, "batch action"],
) -> tuple[Array, Array, PyTree]:
    """Both steps of every transition as one batch, whose statistics are those of both (CrossQ, section 3.1)."""
    join = lambda now, later: jnp.concatenate([now, later], axis=0)  # noqa: E731
    observation = jax.tree.map(join, experience.observation, experience.following)
    weights = join(experience.weights, experience.weights)
    outputs, variables = parts.critics.learn(variables, key, observation, join(experience.action, action), weights)
    now, later = jnp.split(outputs, 2, axis=1)
    return now, later, variables


def _target(
    parts: Parts,
    rewards: Float[Array, "batch objective"],
    experience: Experience,
    later: Float[Array, "critic batch objective atom"],
    hp: Any,
) -> Float[Array, "batch objective target_atom"]:
    head = parts.choices.head
    reduced = parts.choices.reduction.reduce(later, head.mean(later, hp.head), experience.weights)
    factor = jnp.broadcast_to(experience.factor, rewards.shape)
    return jax.lax.stop_gradient(head.target(rewards, factor, reduced, hp.head))


def _errors(
    parts: Parts, outputs: Array, target: Array, losses: Float[Array, "critic batch objective"], weights: Array
) -> Float[Array, " batch"]:
    """|w·δ| of means, a mean over critics; of logits w·loss."""
    if not parts.choices.head.averages:
        return jnp.sum(losses * weights, axis=-1).mean(axis=0)
    errors = target.mean(axis=-1) - outputs.mean(axis=-1)
    return jnp.abs(jnp.sum(errors * weights, axis=-1)).mean(axis=0)


def _metrics(
    parts: Parts, outputs: Array, experience: Experience, log_probability: Float[Array, " batch"], hp: Any
) -> dict[str, Array]:
    means = parts.choices.head.mean(outputs, hp.head)
    value = {"value": jnp.sum(means * experience.weights, axis=-1).mean()}
    return {**value, "entropy": -log_probability.mean()} if parts.choices.policy.soft else value
