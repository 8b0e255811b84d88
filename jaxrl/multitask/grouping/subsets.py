"""Subsets of tasks, as masks."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.types import Array, Bool, Int, PRNGKeyArray

__all__ = ["all_subsets", "pair_counts", "random_subsets", "require_coverage", "subsets_for_coverage"]


def _require_size(num_tasks: int, size: int) -> None:
    if not 1 <= size <= num_tasks:
        raise ValueError(f"a subset holds between 1 and {num_tasks} tasks, all there are, got size={size}")


def random_subsets(key: PRNGKeyArray, num_tasks: int, num_subsets: int, size: int) -> Bool[Array, "subset task"]:
    """`num_subsets` independent subsets, each uniform among those of `size` different tasks.

    Raises:
        ValueError: for a size outside 1 .. num_tasks, or fewer than 1 subset.
    """
    _require_size(num_tasks, size)
    if num_subsets < 1:
        raise ValueError(f"num_subsets must be at least 1, got {num_subsets}")
    base = jnp.arange(num_tasks) < size
    return jax.vmap(lambda key: jax.random.permutation(key, base))(jax.random.split(key, num_subsets))


def all_subsets(num_tasks: int, size: int) -> Bool[Array, "subset task"]:
    """Every subset of `size` tasks, in lexicographic order; for small numbers of tasks.

    Raises:
        ValueError: for a size outside 1 .. num_tasks, or if there are more than 100,000 of them.
    """
    _require_size(num_tasks, size)
    if math.comb(num_tasks, size) > 100_000:
        raise ValueError(f"{num_tasks} tasks have {math.comb(num_tasks, size)} subsets of {size}: draw random ones")
    members = np.asarray(list(itertools.combinations(range(num_tasks), size)))
    subsets = np.zeros((len(members), num_tasks), bool)
    np.put_along_axis(subsets, members, True, axis=1)
    return jnp.asarray(subsets)


def pair_counts(subsets: Bool[Array, "subset task"]) -> Int[Array, "task task"]:
    """In how many subsets tasks i and j occur together; in how many i occurs, on the diagonal."""
    counted = subsets.astype(jnp.int32)
    return counted.T @ counted


def subsets_for_coverage(num_tasks: int, size: int, failure: float = 0.01) -> int:
    """So many random subsets contain every pair with probability at least 1 − `failure`.

    A pair is in one subset with probability q = a(a − 1)/(n(n − 1)), so m = log(C(n, 2)/failure)/−log(1 − q) suffice,
    by the union bound.

    Raises:
        ValueError: for fewer than 2 tasks, a size outside 2 .. num_tasks, or a failure outside (0, 1).
    """
    if not 2 <= size <= num_tasks:
        raise ValueError(f"subsets that contain pairs of {num_tasks} tasks have a size of 2 to {num_tasks}, got {size}")
    if not 0.0 < failure < 1.0:
        raise ValueError(f"failure must lie between 0 and 1, got {failure}")
    if size == num_tasks:
        return 1
    together = size * (size - 1) / (num_tasks * (num_tasks - 1))
    return math.ceil(math.log(math.comb(num_tasks, 2) / failure) / -math.log1p(-together))


def require_coverage(
    subsets: Bool[Array, "subset task"],
) -> Bool[Array, "subset task"]:
    """Returns concrete `subsets` if every task and every pair of tasks occurs in one of them.

    Raises:
        ValueError: naming the pairs that never occur and how many random subsets would do.
    """
    counts = np.asarray(pair_counts(subsets))
    missing = np.argwhere(np.triu(counts == 0))
    if len(missing):
        shown = ", ".join(f"({i}, {j})" for i, j in missing[:5].tolist())
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        size, tasks = int(np.asarray(subsets).sum(axis=1).max()), counts.shape[0]
        hint = f": draw about {subsets_for_coverage(tasks, size)} subsets of {size}" if size > 1 else ""
        raise ValueError(f"tasks never together in any of {len(subsets)} subsets: {shown}{more}{hint}")
    return subsets
