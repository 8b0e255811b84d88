"""One gradient step of a policy of continuous actions, and of its temperature."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxrl.agents.base import Progress
from jaxrl.agents.off_policy.continuous import Parts
from jaxrl.agents.off_policy.critic_learning import dropout_key
from jaxrl.agents.off_policy.ensembles import IMPROVEMENTS
from jaxrl.agents.off_policy.experience import Experience
from jaxrl.agents.off_policy.learner import OffPolicyState
from jaxrl.agents.off_policy.temperature import temperature, temperature_gradient
from jaxrl.agents.optimisation import make_optimiser
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["learn_policy", "vectors"]


def learn_policy(
    parts: Parts, key: PRNGKeyArray, state: OffPolicyState, experience: Experience, hp: Any, progress: Progress
) -> OffPolicyState:
    """Ascends w·(Q(o, a) - α log π(a|o) 1), a ~ π(o), whose entropy counts in every objective, at each observation.

    Equation 7 of Haarnoja et al. (2018) with a vector of objectives, as CAPQL has it (Lu et al., 2023, equation 6);
    without an entropy the deterministic policy gradient. With `mirror_steps`, less KL(π(o) ‖ π_old(o)) / tₖ (MDPO). Of
    a mixture, see `_worth_of_experts`. Samples that are not valid have no part in it.

    Args:
        parts: of the agent.
        key: of all that is drawn.
        state: of the agent.
        experience: a minibatch, whose observations are as networks take them.
        hp: hyperparameters.
        progress: how far the run is.
    """
    noise_key, drop_key = jax.random.split(key)
    valid = (experience.importance > 0.0).astype(jnp.float32)
    state = _with_previous(parts, state)
    worth_of = _worth_of_experts if parts.choices.policy.experts else _worth_of_sample

    def loss_of(params: PyTree) -> tuple[Array, tuple]:
        variables = {**state.params["actor"], "params": params}
        parameters, variables = parts.actor.learn(variables, None, experience.observation, experience.weights)
        worth, log_probability = worth_of(parts, noise_key, drop_key, state.params, parameters, experience, hp)
        if parts.config.mirror_steps:
            worth = worth - _divergence(parts, state.params, parameters, experience, hp, progress)
        return -jnp.mean(valid * worth), (jnp.mean(valid * log_probability), variables)

    actor = state.params["actor"]["params"]
    gradient, (log_probability, variables) = jax.grad(loss_of, has_aux=True)(actor)
    optimiser = make_optimiser(parts.config, hp, progress.fraction)
    updates, moments = optimiser.update(gradient, state.optimiser["actor"], actor)
    learnt = {**variables, "params": optax.apply_updates(actor, updates)}
    state = state._replace(params={**state.params, "actor": learnt}, optimiser={**state.optimiser, "actor": moments})
    if "temperature" not in state.params:
        return state
    share = jnp.maximum(valid.mean(), 1e-9)
    slope = jnp.where(valid.any(), temperature_gradient(log_probability / share, hp.exploration), 0.0)
    updates, moments = optimiser.update(slope, state.optimiser["temperature"], state.params["temperature"])
    params = {**state.params, "temperature": state.params["temperature"] + updates}
    return state._replace(params=params, optimiser={**state.optimiser, "temperature": moments})


def _worth_of_sample(
    parts: Parts,
    key: PRNGKeyArray,
    drop_key: PRNGKeyArray,
    params: PyTree,
    parameters: Float[Array, "batch parameter"],
    experience: Experience,
    hp: Any,
) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
    """w·(Q(o, a) - α log π(a|o) 1) of one action each, and log π(a|o)."""
    noise = jax.random.normal(key, experience.action.shape)
    action, log_probability = parts.choices.policy.sample(parameters, noise)
    return _soft_worth(parts, drop_key, params, experience, hp, action, log_probability), log_probability


def _soft_worth(
    parts: Parts,
    key: PRNGKeyArray,
    params: PyTree,
    experience: Experience,
    hp: Any,
    action: Float[Array, "batch action"],
    log_probability: Float[Array, " batch"],
) -> Float[Array, " batch"]:
    inputs = (experience.observation, action, experience.weights)
    vector = vectors(parts, params, dropout_key(parts, key), *inputs, hp)
    if parts.choices.policy.soft:
        vector = vector - (temperature(params, hp.exploration) * log_probability)[..., None]
    return jnp.sum(experience.weights * vector, axis=-1)


def _worth_of_experts(
    parts: Parts,
    key: PRNGKeyArray,
    drop_key: PRNGKeyArray,
    params: PyTree,
    parameters: Float[Array, "batch parameter"],
    experience: Experience,
    hp: Any,
) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
    """1/K Σₖ w·(Q(o, aₖ) - α log π(aₖ|o) 1) - Σₖ (vₖ - wₖ)², v one at the best of the aₖ (Ren et al., 2021, section 4).

    aₖ is a sample of expert k, by which it alone is improved; of the gate's weights wₖ(o) only the second term is
    differentiated, which is least where wₖ is how often expert k had the best sample.
    """
    experts = parts.choices.policy.experts
    noise = jax.random.normal(key, (experts.count, *experience.action.shape))
    actions, log_probabilities = experts.sample(parameters, noise)
    soft_worth = partial(_soft_worth, parts, drop_key, params, experience, hp)
    worths = jax.vmap(soft_worth)(actions, log_probabilities)
    log_weights = experts.log_weights(parameters)
    # What an action is worth by itself; the entropy is the whole mixture's.
    alone = worths + temperature(params, hp.exploration) * log_probabilities * experience.weights.sum(axis=-1)
    best = jax.nn.one_hot(jnp.argmax(alone, axis=0), experts.count)
    miss = jnp.sum((best - jnp.exp(log_weights)) ** 2, axis=-1)
    log_probability = jnp.sum(jnp.exp(log_weights) * jnp.moveaxis(log_probabilities, 0, -1), axis=-1)
    return worths.mean(axis=0) - miss, log_probability


_LEAST_SHARE = 1e-3


def _with_previous(parts: Parts, state: OffPolicyState) -> OffPolicyState:
    """The policy that is kept close to becomes the one there is, every `mirror_steps` of its gradient steps."""
    if not parts.config.mirror_steps:
        return state
    taken = state.updates // parts.config.policy_delay
    due = taken % parts.config.mirror_steps == 0
    keep = lambda old, new: jnp.where(due, new, old)  # noqa: E731
    previous = jax.tree.map(keep, state.params["previous"], state.params["actor"])
    return state._replace(params={**state.params, "previous": previous})


def _divergence(
    parts: Parts,
    params: PyTree,
    parameters: Float[Array, "batch parameter"],
    experience: Experience,
    hp: Any,
    progress: Progress,
) -> Float[Array, " batch"]:
    """KL(π(o) ‖ π_old(o)) / tₖ, tₖ = t₀ (1 - progress) (Tomar et al., 2020, section 5)."""
    old = parts.actor.apply(params["previous"], None, experience.observation, experience.weights)
    step_size = hp.objective["step_size"] * jnp.maximum(1.0 - progress.fraction, _LEAST_SHARE)
    return parts.choices.policy.kl(parameters, old) / step_size


def vectors(
    parts: Parts,
    params: PyTree,
    key: PRNGKeyArray | None,
    observation: PyTree,
    action: Float[Array, "*batch action"],
    weights: Float[Array, "*batch objective"],
    hp: Any,
) -> Float[Array, "*batch objective"]:
    """What the critics that a policy is improved by make of an action."""
    critics = params["critics"]
    if parts.config.policy_critics == "first":
        critics = jax.tree.map(lambda leaf: leaf[:1], critics)
    outputs = parts.critics.apply(critics, key, observation, action, weights)
    means = parts.choices.head.mean(outputs, hp.head)
    return IMPROVEMENTS[parts.config.policy_critics](means, means, weights)
