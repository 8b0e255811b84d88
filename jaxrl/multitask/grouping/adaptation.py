"""What adapting to a subset does to every task: from the first-order surrogate, or by evaluating θ* + P x."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import optax

from jaxrl.multitask.grouping.projection import Projection
from jaxrl.multitask.grouping.samples import TaskSamples
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = [
    "adapted",
    "evaluated_performance",
    "first_order_performance",
    "linearised_performance",
    "rescaled",
    "surrogate_performance",
]


def rescaled(
    x: Float[Array, "subset feature"],
    params: PyTree,
    projection: Projection,
    key: PRNGKeyArray,
    relative_distance: Float[Array, ""] | float,
) -> Float[Array, "subset feature"]:
    """x, made longer or shorter so that ‖P x‖ = `relative_distance` × ‖θ*‖; 0 stays 0.

    The logistic solution's length depends on λ alone; a stated distance keeps every subset where the expansion
    holds, and equally far from θ*. Norms come from PᵀP, so no P x is formed.
    """
    length = jnp.sqrt(jnp.maximum(jnp.einsum("sf,fg,sg->s", x, projection.gram(key), x), 0.0))
    target = relative_distance * optax.tree.norm(params).astype(jnp.float32)
    return x * (target / jnp.where(length > 0, length, 1.0))[:, None]


def adapted(params: PyTree, projection: Projection, key: PRNGKeyArray, x: Float[Array, " feature"]) -> PyTree:
    """θ* + P x."""
    return jax.tree.map(jnp.add, params, projection.lift(key, x))


def surrogate_performance(samples: TaskSamples, x: Float[Array, "subset feature"]) -> Float[Array, "subset task"]:
    """f_i(S) = mean over task i's samples of A (1 + o + g̃ᵀx): the policy-gradient surrogate, r ≈ 1 + log r.

    A is the advantage (or, for classifiers, label times weight: a mean margin); larger is better.
    """
    slope = jnp.einsum("tsf,ts->tf", samples.features, samples.advantage)
    constant = jnp.sum(samples.advantage * (1.0 + samples.offset), axis=-1)
    return (constant + x @ slope.T) / jnp.maximum(samples.count, 1.0)


def linearised_performance(samples: TaskSamples, x: Float[Array, "subset feature"]) -> Float[Array, "subset task"]:
    """f_i(S) = −mean of |A| log(1 + exp(−sign(A)(o + g̃ᵀx))): the logistic loss of linearised scores, by task, negated.

    For classifiers, best on samples held out from the regression (GradEx, arXiv 2409.06091). Without offset it is the
    function that `logistic` minimises.
    """
    scores = samples.offset + jnp.einsum("tsf,mf->mts", samples.features, x)
    losses = jnp.abs(samples.advantage) * jax.nn.softplus(-jnp.sign(samples.advantage) * scores)
    return -losses.sum(axis=-1) / jnp.maximum(samples.count, 1.0)


def first_order_performance(
    losses: Float[Array, " task"], gradients: Float[Array, "task feature"], x: Float[Array, "subset feature"]
) -> Float[Array, "subset task"]:
    """f_i(S) = −(L_i(θ*) + g̃_iᵀ x) for any losses with projected gradients g̃_i = Pᵀ∇L_i(θ*); larger is better."""
    return -(losses + x @ gradients.T)


def evaluated_performance(
    evaluate: Callable[[PyTree], Float[Array, " task"]],
    params: PyTree,
    projection: Projection,
    key: PRNGKeyArray,
    x: Float[Array, "subset feature"],
    subsets_at_once: int = 1,
) -> Float[Array, "subset task"]:
    """`evaluate(θ* + P x)` of every subset: rollouts, or losses on held-out data.

    Args:
        evaluate: `params -> performance of every task`; larger is better.
        params: θ*.
        projection: of parameters like θ*.
        key: of the projection.
        x: solutions.
        subsets_at_once: subsets that are lifted and evaluated side by side; P is drawn anew for each such batch.

    Raises:
        ValueError: for fewer than 1 subset at once.
    """
    if subsets_at_once < 1:
        raise ValueError(f"subsets_at_once must be at least 1, got {subsets_at_once}")
    one = partial(_evaluate, evaluate, params, projection, key)
    return jax.lax.map(one, x, batch_size=None if subsets_at_once == 1 else subsets_at_once)


def _evaluate(
    evaluate: Callable[[PyTree], Array], params: PyTree, projection: Projection, key: PRNGKeyArray, x: Array
) -> Float[Array, " task"]:
    return evaluate(adapted(params, projection, key, x))
