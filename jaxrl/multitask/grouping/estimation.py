"""Adapted solutions of many subsets of tasks, in the projected space, without training (PolicyGradEx, GradEx).

Near θ* a sample's score, log π(a|o) − log π*(a|o) or the logit margin of a classifier, is o + g̃ᵀx for θ = θ* + P x,
with g̃ = Pᵀ∇ its projected gradient and o its value at θ* (0 for log-ratios). Adapting to a subset S of tasks is the
weighted logistic regression (arXiv 2511.12779, section 4; arXiv 2409.06091 for supervised losses)

    min_x  L_S(x) + λ‖x‖²/2,    L_S(x) = Σ_{i∈S} Σ_s |A| log(1 + exp(−sign(A)(o + g̃ᵀx))) / Σ_{i∈S} N_i

with A the advantage, or a label of ±1 times a weight.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.configs import check_config
from jaxrl.errors import require_name
from jaxrl.multitask.grouping.logistic import solve_logistic
from jaxrl.multitask.grouping.samples import Quadratic, TaskSamples, logistic_quadratic
from jaxrl.ranges import COUNT, NOT_NEGATIVE
from jaxrl.types import Array, Bool, Float, Int

__all__ = ["Estimator", "EstimatorConfig", "Solutions", "make_estimator"]

Estimator = Callable[..., "Solutions"]
# Subsets whose systems of d × d numbers exist at a time.
_SYSTEMS = 128


@dataclass(frozen=True, kw_only=True)
class EstimatorConfig:
    """Static settings."""

    estimator: str = "logistic"
    """logistic (weighted logistic regression) or ridge (its closed second-order form)."""
    solver_iterations: Annotated[int, COUNT] = 200
    """Of the logistic one, at most."""
    solver_tolerance: Annotated[float, NOT_NEGATIVE] = 1e-3
    """Of the logistic one: it stops where ‖gradient‖ ≤ tolerance × ‖gradient at 0‖."""
    largest_subset: Annotated[int, COUNT] | None = None
    """Tasks in the largest subset, so that logistic reads no other samples; by default all. NaN for larger ones."""
    subsets_at_once: Annotated[int, COUNT] = 1
    """Subsets that logistic solves side by side: 1 is quickest on CPUs, accelerators want dozens."""

    def __post_init__(self) -> None:
        check_config(self)
        require_name("estimator", self.estimator, ESTIMATORS)


class Solutions(NamedTuple):
    """Adapted parameters of every subset, in the projected space.

    Attributes:
        x: θ_S = θ* + P x.
        gradient_norm: ‖∇(L_S + λ‖x‖²/2)‖ at x over that at 0; of the quadratic itself for `ridge`.
        iterations: steps taken; 0 for `ridge`.
    """

    x: Float[Array, "subset feature"]
    gradient_norm: Float[Array, " subset"]
    iterations: Int[Array, " subset"]


def _systems(quadratic: Quadratic, subsets: Array, l2_weight: Array) -> tuple[Array, Array]:
    """H_S + λI and b_S of every subset, means over samples; no more than λI for a subset without tasks."""
    share = subsets / jnp.maximum(subsets @ quadratic.count, 1.0)[:, None]
    dimension = quadratic.slope.shape[-1]
    curvature = (share @ quadratic.curvature.reshape(share.shape[1], -1)).reshape(-1, dimension, dimension)
    return curvature + l2_weight * jnp.eye(dimension), share @ quadratic.slope


def _ridge(config: EstimatorConfig, samples: TaskSamples | Quadratic, subsets: Array, l2_weight: Array) -> Solutions:
    quadratic = samples if isinstance(samples, Quadratic) else logistic_quadratic(samples)

    def one(system: tuple[Array, Array]) -> tuple[Array, Array]:
        matrix, slope = system
        x = jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(matrix), True), slope)
        residual = jnp.linalg.norm(matrix @ x - slope)
        return x, residual / jnp.maximum(jnp.linalg.norm(slope), 1e-30)

    def batch(subsets: Array) -> Solutions:
        # Mapped: as quick as batched on CPUs, where batched LAPACK calls can wait for one another for ever.
        x, norm = jax.lax.map(one, _systems(quadratic, subsets, l2_weight))
        return Solutions(x, norm, jnp.zeros(len(subsets), jnp.int32))

    num = subsets.shape[0]
    together = -(-num // -(-num // _SYSTEMS))
    # Padded with subsets of all tasks, so that one program serves all batches.
    padded = jnp.pad(subsets, ((0, -num % together), (0, 0)), constant_values=True).astype(jnp.float32)
    solved = jax.lax.map(batch, padded.reshape(-1, together, subsets.shape[1]))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:num], solved)


def _logistic(config: EstimatorConfig, samples: TaskSamples | Quadratic, subsets: Array, l2_weight: Array) -> Solutions:
    if isinstance(samples, Quadratic):
        raise ValueError("the estimator 'logistic' takes TaskSamples, got a Quadratic: use 'ridge'")
    size = min(config.largest_subset or subsets.shape[1], subsets.shape[1])

    def one(members: Array) -> Solutions:
        return Solutions(
            *solve_logistic(samples, members, l2_weight, size, config.solver_iterations, config.solver_tolerance)
        )

    return jax.lax.map(one, subsets, batch_size=None if config.subsets_at_once == 1 else config.subsets_at_once)


ESTIMATORS: dict[str, Callable[..., Solutions]] = {"logistic": _logistic, "ridge": _ridge}


def make_estimator(config: EstimatorConfig = EstimatorConfig()) -> Estimator:
    """Builds `(samples, subsets [subset, task], l2_weight) -> Solutions`; λ > 0 is traced.

    `ridge` takes `TaskSamples` or a `Quadratic` (such as that of squared errors), and solves
    (Σ_{i∈S} H_i / N_S + λI) x = Σ_{i∈S} b_i / N_S: the curvatures are summed once per task, a subset costs d³/3.

    `logistic` is solved by L-BFGS on each subset's own samples, one subset after another: on a CPU many times as quick
    as all subsets in one vmap, where every line search lasts as long as the longest
    (results/benchmarks/subset_estimation.json). State `largest_subset`, or every regression reads all tasks' samples.

    Raises:
        UnknownNameError: by `EstimatorConfig`, for an unknown estimator.
        ValueError: when called: a `Quadratic` for `logistic`, or numbers of tasks that differ.
    """
    return partial(_estimate, config)


def _estimate(
    config: EstimatorConfig,
    samples: TaskSamples | Quadratic,
    subsets: Bool[Array, "subset task"],
    l2_weight: Float[Array, ""] | float,
) -> Solutions:
    if subsets.shape[1] != samples.count.shape[0]:
        raise ValueError(f"subsets of {subsets.shape[1]} tasks, samples of {samples.count.shape[0]}")
    return ESTIMATORS[config.estimator](config, samples, jnp.asarray(subsets), jnp.asarray(l2_weight, jnp.float32))
