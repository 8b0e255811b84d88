"""Partitions of tasks into groups: their objective, their comparison, and all of them."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.types import Array, Float, Int

__all__ = [
    "adjusted_rand_index",
    "all_partitions",
    "canonical",
    "memberships",
    "normalised_mutual_information",
    "partition_value",
]

LARGEST = 10


def memberships(labels: Int[Array, "*batch task"], num_groups: int) -> Float[Array, "*batch task group"]:
    """1 where a task is in a group."""
    return jax.nn.one_hot(labels, num_groups)


def partition_value(
    affinity: Float[Array, "task task"], labels: Int[Array, " task"], num_groups: int | None = None
) -> Float[Array, ""]:
    """Σ_groups Σ_{i,j in the group} U_ij/|group|: every group's average affinity, by its number of tasks.

    ⟨U, X⟩ with X_ij = 1/|group| for tasks of one group, which the semidefinite programme relaxes. A constant added to
    a row and a column of U changes no comparison of partitions.
    """
    member = memberships(labels, num_groups or affinity.shape[0])
    within = jnp.einsum("ig,ij,jg->g", member, affinity, member)
    return jnp.sum(within / jnp.maximum(member.sum(axis=0), 1.0))


@lru_cache(maxsize=4)
def all_partitions(num_tasks: int) -> Int[np.ndarray, "partition task"]:
    """Every partition once, as labels in which groups are numbered by their first task (115,975 for 10 tasks).

    Raises:
        ValueError: for fewer than 1 or more than 10 tasks.
    """
    if not 1 <= num_tasks <= LARGEST:
        raise ValueError(f"all partitions are made for 1 to {LARGEST} tasks, got {num_tasks}")
    labels = np.zeros((1, 1), np.int32)
    for _ in range(num_tasks - 1):
        choices = labels.max(axis=1) + 2
        last = np.concatenate([np.arange(count, dtype=np.int32) for count in choices])
        labels = np.concatenate([np.repeat(labels, choices, axis=0), last[:, None]], axis=1)
    return labels


def canonical(labels: Int[Array, " task"]) -> Int[Array, " task"]:
    """The same partition, its groups numbered from 0 by their first task."""
    same = labels[:, None] == labels[None]
    first = jnp.argmax(same, axis=1)
    leads = first == jnp.arange(labels.shape[0])
    return (jnp.cumsum(leads) - 1)[first].astype(labels.dtype)


def _contingency(a: Int[Array, " task"], b: Int[Array, " task"]) -> Float[Array, "group group"]:
    size = a.shape[0]
    return memberships(canonical(a), size).T @ memberships(canonical(b), size)


def _entropy(shares: Array) -> Float[Array, ""]:
    return -jnp.sum(jax.scipy.special.xlogy(shares, shares))


def normalised_mutual_information(a: Int[Array, " task"], b: Int[Array, " task"]) -> Float[Array, ""]:
    """2 I(a; b)/(H(a) + H(b)), in [0, 1]; 1 for two partitions of one group. Not corrected for chance."""
    joint = _contingency(a, b) / a.shape[0]
    entropies = _entropy(joint.sum(axis=1)) + _entropy(joint.sum(axis=0))
    shared = entropies - _entropy(joint)
    return jnp.where(entropies > 0, 2 * shared / jnp.where(entropies > 0, entropies, 1.0), 1.0)


def adjusted_rand_index(a: Int[Array, " task"], b: Int[Array, " task"]) -> Float[Array, ""]:
    """Agreement over pairs of tasks, 0 on average by chance and 1 for equal partitions (Hubert and Arabie, 1985)."""
    counts = _contingency(a, b)
    pairs = lambda n: jnp.sum(n * (n - 1) / 2)  # noqa: E731
    both, of_a, of_b = pairs(counts), pairs(counts.sum(axis=1)), pairs(counts.sum(axis=0))
    total = max(a.shape[0] * (a.shape[0] - 1) / 2, 1.0)
    chance, most = of_a * of_b / total, (of_a + of_b) / 2
    return jnp.where(most == chance, 1.0, (both - chance) / jnp.where(most == chance, 1.0, most - chance))
