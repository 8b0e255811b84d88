"""What several critics say together: one vector for each objective, or one distribution.

Outputs have the shape `[critic, *batch, objective, atom]`. Where critics are compared, each one's vector is aggregated
by the preference weights first, since the smallest entries of several vectors belong to no policy.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["IMPROVEMENTS", "REDUCTIONS", "Reduction", "chosen_critics", "least", "mean", "smallest", "truncated"]

Outputs = Float[Array, "critic *batch objective atom"]
Means = Float[Array, "critic *batch objective"]
Weights = Float[Array, "*batch objective"]


def _scores(means: Means, weights: Weights) -> Array:
    return jnp.sum(means * weights, axis=-1)


def least(outputs: Float[Array, "critic ..."], scores: Float[Array, "critic ..."]) -> Array:
    """Of every sample, and choice, all that the critic says which scores it lowest, whole.

    Args:
        outputs: `[critic, *batch, ...]`.
        scores: `[critic, *batch]`, what a preference makes of each critic's means.
    """
    chosen = jnp.argmin(scores, axis=0)
    critics = jnp.arange(outputs.shape[0]).reshape(-1, *(1,) * chosen.ndim)
    own = (critics == chosen).reshape(outputs.shape[0], *chosen.shape, *(1,) * (outputs.ndim - 1 - chosen.ndim))
    return jnp.sum(jnp.where(own, outputs, 0.0), axis=0)


def smallest(outputs: Array, means: Means, weights: Weights) -> Array:
    """All that critic k says, k = argmin_k w·Q_k, sample by sample (Fujimoto et al., 2018, equation 10)."""
    if outputs.shape[0] == 1:
        return outputs[0]
    return least(outputs, _scores(means, weights))


def mean(outputs: Array, means: Means, weights: Weights) -> Array:
    """The mean of all critics, atom by atom."""
    return outputs.mean(axis=0)


def truncated(
    outputs: Outputs, means: Means, weights: Weights, dropped: int
) -> Float[Array, "*batch objective kept_atom"]:
    """The smallest of all critics' atoms together, `dropped` fewer for each critic (TQC, Kuznetsov et al., 2020).

    Atom i of critic k stands for one outcome, whose entries are the i-th quantiles of all objectives: atoms are sorted
    by w·z, and those that are kept stay whole.
    """
    count, atoms = outputs.shape[0], outputs.shape[-1]
    # [objective, *batch, critic * atom].
    pooled = jnp.moveaxis(jnp.moveaxis(outputs, 0, -2), -3, 0)
    pooled = pooled.reshape(*pooled.shape[:-2], count * atoms)
    scores = jnp.sum(pooled * jnp.moveaxis(weights, -1, 0)[..., None], axis=0)
    _, *ordered = jax.lax.sort((scores, *pooled), dimension=-1, num_keys=1)
    return jnp.stack(ordered, axis=-2)[..., : count * (atoms - dropped)]


class Reduction(NamedTuple):
    """How critics make a target.

    Attributes:
        reduce: `(outputs, means, weights) -> [*batch, objective, atom]`.
        compares: whether atoms of several critics are compared with each other, so that they must be quantiles.
        averages: whether outputs are averaged, so that they cannot be logits.
        subset: whether a random few of the critics are asked, the same for a whole minibatch.
    """

    reduce: Callable[..., Array]
    compares: bool = False
    averages: bool = False
    subset: bool = False


# `dropped atoms -> Reduction`, by name.
REDUCTIONS: dict[str, Callable[[int], Reduction]] = {
    "minimum": lambda _: Reduction(smallest),
    "subset_minimum": lambda _: Reduction(smallest, subset=True),
    "mean": lambda _: Reduction(mean, averages=True),
    "truncation": lambda dropped: Reduction(partial(truncated, dropped=dropped), compares=True),
}

# From all critics' means to the vector that a policy is improved by, `(means, means, weights) -> [*batch, objective]`.
IMPROVEMENTS: dict[str, Callable[..., Any]] = {
    "minimum": smallest,
    "mean": mean,
    "first": lambda outputs, means, weights: outputs[0],
}


def chosen_critics(key: PRNGKeyArray, variables: PyTree, count: int) -> PyTree:
    """A random `count` of the critics, without repetition (REDQ, Chen et al., 2021, algorithm 1)."""
    number = jax.tree.leaves(variables)[0].shape[0]
    chosen = jax.random.permutation(key, number)[:count]
    return jax.tree.map(lambda leaf: leaf[chosen], variables)
