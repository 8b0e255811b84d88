"""One gradient step of a policy of continuous actions, and of its temperature."""

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
    without an entropy the deterministic policy gradient. Samples that are not valid have no part in it.

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
    noise = jax.random.normal(noise_key, experience.action.shape)

    def loss_of(params: PyTree) -> tuple[Array, tuple]:
        variables = {**state.params["actor"], "params": params}
        parameters, variables = parts.actor.learn(variables, None, experience.observation, experience.weights)
        action, log_probability = parts.choices.policy.sample(parameters, noise)
        vector = vectors(
            parts, state.params, dropout_key(parts, drop_key), experience.observation, action, experience.weights, hp
        )
        if parts.choices.policy.soft:
            vector = vector - (temperature(state.params, hp.exploration) * log_probability)[..., None]
        worth = jnp.sum(experience.weights * vector, axis=-1)
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
