"""The gradient that is descended: of one loss, or combined from one loss per task or objective."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxrl.agents.base import Progress
from jaxrl.agents.minibatches import Batch
from jaxrl.agents.on_policy_loss import loss, loss_metrics, loss_terms
from jaxrl.agents.on_policy_parts import OnPolicyState, Parts
from jaxrl.agents.settings import OnPolicyHyperparameters
from jaxrl.types import Array, Float, Key, PRNGKeyArray, PyTree

__all__ = ["combination_keys", "combined_gradient", "task_losses"]


def combination_keys(parts: Parts, key: PRNGKeyArray) -> Key[Array, " step"] | tuple[()]:
    """One key for every descent step of an iteration, for combinations; a plain gradient needs none."""
    if parts.combination.combine is None:
        return ()
    # The key itself draws the minibatches, its first child a learned optimiser's noise.
    return jax.random.split(jax.random.fold_in(key, 2), parts.config.num_epochs * parts.config.num_minibatches)


def combined_gradient(
    parts: Parts,
    key: PRNGKeyArray | tuple[()],
    params: PyTree,
    batch: Batch,
    memory: PyTree,
    state: OnPolicyState,
    hp: OnPolicyHyperparameters,
    progress: Progress,
) -> tuple[PyTree, dict[str, Array]]:
    """Gradient of one minibatch's loss, and its metrics."""
    arguments = (batch, memory, state, hp, progress)
    if parts.combination.combine is None:
        return jax.grad(partial(loss, parts), has_aux=True)(params, *arguments)
    jacobian, metrics = jax.jacrev(partial(task_losses, parts), has_aux=True)(params, *arguments)
    leaves = jax.tree.leaves(jacobian)
    gradients = jnp.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in leaves], axis=1)
    combined = parts.combination.combine(key, gradients, hp.combination)
    return ravel_pytree(params)[1](combined), metrics


def task_losses(
    parts: Parts,
    params: PyTree,
    batch: Batch,
    memory: PyTree,
    state: OnPolicyState,
    hp: OnPolicyHyperparameters,
    progress: Progress,
) -> tuple[Float[Array, " objective"], dict[str, Array]]:
    """The shares in the loss of one minibatch that add up to it, and its metrics.

    A task's share is that of its own samples. Objectives share all samples: each has its own surrogate and value
    error, and an equal part of the entropy.
    """
    terms = loss_terms(parts, params, batch, memory, state, hp, progress)
    metrics = loss_metrics(terms, batch, hp)[1]
    if batch.paying is not None:
        each = terms.policy.sum(axis=-1) + hp.value_coefficient * terms.value.sum(axis=-1)
        each = (each - hp.entropy_coefficient * terms.entropy)[..., None] * batch.paying
    else:
        errors = hp.value_coefficient * terms.value - hp.entropy_coefficient * terms.entropy[..., None]
        each = terms.policy + errors / terms.value.shape[-1]
    return each.reshape(-1, each.shape[-1]).mean(axis=0), metrics
