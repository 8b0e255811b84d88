"""Affinities of tasks behind one seam: estimated, gradient cosine, lookahead loss, bias and variance, chance."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.errors import require_name
from jaxrl.multitask.grouping.affinity import estimated_affinity
from jaxrl.multitask.grouping.variance import variance_affinity
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, PyTree

__all__ = [
    "AFFINITIES",
    "Evidence",
    "cosine_affinity",
    "lookahead_affinity",
    "lookahead_losses",
    "make_affinity",
    "random_affinity",
]


class Evidence(NamedTuple):
    """What affinities are made of; each reads its own part.

    Attributes:
        performance: f_i(S), larger is better, and
        subsets: S, for `estimated`.
        gradients: mean loss gradient of every task, projected or whole, for `cosine`.
        losses: L_j(θ), positive, and
        lookahead: L_j(θ − η∇L_i(θ)) by [i, j], for `lookahead`; see `lookahead_losses`.
        features: of samples that all tasks share, and
        targets: every task's on them, for `variance`.
        num_tasks: for `random`; static.
    """

    performance: Float[Array, "subset task"] | None = None
    subsets: Bool[Array, "subset task"] | None = None
    gradients: Float[Array, "task feature"] | None = None
    losses: Float[Array, " task"] | None = None
    lookahead: Float[Array, "task task"] | None = None
    features: Float[Array, "sample feature"] | None = None
    targets: Float[Array, "sample task"] | None = None
    num_tasks: int | None = None


def cosine_affinity(gradients: Float[Array, "task feature"]) -> Float[Array, "task task"]:
    """⟨g_i, g_j⟩/(‖g_i‖‖g_j‖); 0 for a zero gradient."""
    norms = jnp.linalg.norm(gradients, axis=1, keepdims=True)
    unit = gradients / jnp.where(norms > 0, norms, 1.0)
    return unit @ unit.T


def lookahead_losses(
    loss: Callable[[PyTree, PyTree], Float[Array, ""]],
    params: PyTree,
    tasks: PyTree,
    step_size: Float[Array, ""] | float,
) -> tuple[Float[Array, " task"], Float[Array, "task task"]]:
    """L_j(θ), and L_j(θ − η∇L_i(θ)) by [i, j]; one gradient exists at a time.

    Args:
        loss: `(params, task) -> number`.
        params: θ.
        tasks: leaves with a leading axis of tasks.
        step_size: η.
    """
    everywhere = lambda params: jax.lax.map(lambda task: loss(params, task), tasks)  # noqa: E731

    def after(task: PyTree) -> Array:
        gradient = jax.grad(loss)(params, task)
        return everywhere(jax.tree.map(lambda leaf, slope: leaf - step_size * slope, params, gradient))

    return everywhere(params), jax.lax.map(after, tasks)


def lookahead_affinity(
    losses: Float[Array, " task"], lookahead: Float[Array, "task task"]
) -> Float[Array, "task task"]:
    """Z_ij = 1 − L_j(θ − η∇L_i)/L_j(θ): what a step for i does to j (TAG; Fifty et al., 2021, equation 1).

    Symmetrised, (Z + Zᵀ)/2. Losses must be positive.
    """
    gain = 1.0 - lookahead / losses
    return (gain + gain.T) / 2


def random_affinity(key: PRNGKeyArray, num_tasks: int) -> Float[Array, "task task"]:
    """Symmetric, uniform in [0, 1): groups by chance."""
    upper = jnp.triu(jax.random.uniform(key, (num_tasks, num_tasks)))
    return upper + jnp.triu(upper, 1).T


def _estimated(key: PRNGKeyArray, evidence: Evidence, **settings: bool) -> Array:
    return estimated_affinity(evidence.performance, evidence.subsets, **settings)


def _cosine(key: PRNGKeyArray, evidence: Evidence) -> Array:
    return cosine_affinity(evidence.gradients)


def _lookahead(key: PRNGKeyArray, evidence: Evidence) -> Array:
    return lookahead_affinity(evidence.losses, evidence.lookahead)


def _random(key: PRNGKeyArray, evidence: Evidence) -> Array:
    return random_affinity(key, evidence.num_tasks)


def _variance(key: PRNGKeyArray, evidence: Evidence) -> Array:
    return variance_affinity(evidence.features, evidence.targets)


_METHODS: dict[str, tuple[Callable[..., Array], tuple[str, ...]]] = {
    "estimated": (_estimated, ("performance", "subsets")),
    "cosine": (_cosine, ("gradients",)),
    "lookahead": (_lookahead, ("losses", "lookahead")),
    "random": (_random, ("num_tasks",)),
    "variance": (_variance, ("features", "targets")),
}
AFFINITIES = tuple(_METHODS)


def make_affinity(name: str = "estimated", **settings: bool) -> Callable[[PRNGKeyArray, Evidence], Array]:
    """Builds `(key, evidence) -> affinity [task, task]`; only `random` uses the key.

    Args:
        name: estimated, cosine, lookahead, variance or random.
        settings: of `estimated_affinity`, for `estimated` alone.

    Raises:
        UnknownNameError: for an unknown name or setting.
        ValueError: when called, where evidence that the affinity reads is missing.
    """
    require_name("affinity", name, AFFINITIES)
    allowed = ("per_task", "standardise", "symmetrise") if name == "estimated" else ()
    for setting in settings:
        require_name(f"setting of the affinity {name!r}:", setting, allowed)
    return partial(_affinity, name, settings)


def _affinity(name: str, settings: dict[str, bool], key: PRNGKeyArray, evidence: Evidence) -> Float[Array, "task task"]:
    method, needed = _METHODS[name]
    if missing := [part for part in needed if getattr(evidence, part) is None]:
        raise ValueError(f"the affinity {name!r} needs evidence of {' and '.join(missing)}, which is None")
    return method(key, evidence, **settings)
