"""Task affinity from the performances that subsets of tasks are estimated, or known, to give."""

import jax.numpy as jnp

from jaxrl.types import Array, Bool, Float

__all__ = ["estimated_affinity", "standardise_tasks", "symmetric"]


def symmetric(affinity: Float[Array, "task task"]) -> Float[Array, "task task"]:
    """(T + Tᵀ)/2."""
    return (affinity + affinity.T) / 2


def standardise_tasks(
    performance: Float[Array, "subset task"], subsets: Bool[Array, "subset task"]
) -> Float[Array, "subset task"]:
    """Each task's performances less their mean over the subsets that contain it, by their deviation there.

    A task that never changes becomes 0.
    """
    count = jnp.maximum(subsets.sum(axis=0), 1)
    mean = jnp.sum(jnp.where(subsets, performance, 0.0), axis=0) / count
    centred = performance - mean
    deviation = jnp.sqrt(jnp.sum(jnp.where(subsets, centred**2, 0.0), axis=0) / count)
    # Below rounding of the mean there is nothing to compare.
    steady = deviation <= 1e-6 * jnp.maximum(jnp.abs(mean), 1e-30)
    return jnp.where(steady, 0.0, centred / jnp.where(steady, 1.0, deviation))


def estimated_affinity(
    performance: Float[Array, "subset task"],
    subsets: Bool[Array, "subset task"],
    per_task: bool = True,
    standardise: bool = True,
    symmetrise: bool = True,
) -> Float[Array, "task task"]:
    """U_ij = mean of f over the subsets that contain both i and j (PolicyGradEx, arXiv 2511.12779, section 4).

    U_ij = Σ_{S ∋ i,j} f_i(S)/n_ij per task, or Σ_{S ∋ i,j} f(S)/n_ij with f(S) the mean of f_i(S) over the tasks in S.
    The diagonal is the mean over all subsets with i. Where i and j never meet (see `subsets.require_coverage`), U_ij
    is U_ii: no more and no less than usual; U_ii of a task in no subset is the mean over all subsets.

    Args:
        performance: f_i(S), larger is better (negate losses). What is not in a subset is not read, unless per_task
            is True and a task is in none.
        subsets: S.
        per_task: T[i, j] per task, not symmetric; else f(S).
        standardise: z-score per task over its subsets first, for tasks whose returns differ in scale.
        symmetrise: (U + Uᵀ)/2.
    """
    if standardise:
        performance = standardise_tasks(performance, subsets)
    member = subsets.astype(performance.dtype)
    together = member.T @ member
    of_subset = jnp.sum(member * performance, axis=1) / jnp.maximum(member.sum(axis=1), 1.0)
    if per_task:
        total, spare = (member * performance).T @ member, performance.mean(axis=0)
    else:
        total = (member * of_subset[:, None]).T @ member
        spare = jnp.full(member.shape[1], of_subset.mean())
    usual = jnp.where(jnp.diag(together) > 0, jnp.diag(total) / jnp.maximum(jnp.diag(together), 1.0), spare)
    affinity = jnp.where(together > 0, total / jnp.maximum(together, 1.0), usual[:, None])
    return symmetric(affinity) if symmetrise else affinity
