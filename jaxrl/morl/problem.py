"""The protocol under which a multi-objective study is evaluated, fixed once per environment."""

import math
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment
from jaxrl.environments.transforms import time_limit
from jaxrl.morl import pareto
from jaxrl.morl.estimate import hypervolume_estimate
from jaxrl.numerics.weights import equally_spaced
from jaxrl.ranges import EPISODES, NUMBER, PROBABILITY, Range
from jaxrl.types import Array, Bool, Float

__all__ = ["Problem", "apply_problem", "make_problem", "measure"]

# Objectives up to which the hypervolume is computed exactly, and draws of the estimate beyond.
_EXACT_TRACED, _EXACT_ON_HOST = 3, 6
_DRAWS_TRACED, _DRAWS_ON_HOST = 8192, 2**18


@dataclass(frozen=True, kw_only=True)
class Problem:
    """How every algorithm is judged on one environment.

    Attributes:
        environment: its name.
        discount: γ of the reported returns Σ γᵗ rₜ; 1 for plain sums.
        horizon: steps after which every episode has ended, or None.
        reference_point: lower corner of the hypervolume, one entry per objective.
        num_weights: evenly spaced preference weights over which expected utility is averaged.
        num_episodes: episodes per policy of the final evaluation.
    """

    environment: str
    discount: float
    horizon: int | None
    reference_point: tuple[float, ...]
    num_weights: int = 50
    num_episodes: int = 64

    @property
    def num_objectives(self) -> int:
        """Length of every return vector."""
        return len(self.reference_point)

    @property
    def weights(self) -> Float[Array, "weight objective"]:
        """The preference weights of expected utility."""
        return equally_spaced(self.num_objectives, max(self.num_weights, self.num_objectives))


def make_problem(
    environment: Environment,
    *,
    discount: float | None = None,
    horizon: int | None = None,
    reference_point: tuple[float, ...] | None = None,
    num_episodes: int = 64,
    reference_needed: bool = True,
) -> Problem:
    """The protocol of an environment: what its spec says, unless changed.

    Without a reference point where none is needed, that is NaN, and so is the hypervolume.

    Raises:
        ValueError: for one objective, a discount outside [0, 1], a reference point of the wrong length, with an
            entry that is not finite or none at all, or a horizon beyond the environment's own limit.
    """
    spec = environment.spec
    if spec.num_objectives < 2:
        raise ValueError(f"a Pareto study needs at least 2 objectives, {spec.name} has {spec.num_objectives}")
    discount = spec.discount if discount is None else discount
    PROBABILITY.check("the discount of returns", discount)
    reference = spec.reference_point
    if reference_point is not None:
        NUMBER.check_each("reference_point", reference_point)
        reference = tuple(map(float, np.ravel(reference_point)))
    if reference is None and reference_needed:
        raise ValueError(f"{spec.name} has no reference point: give reference_point=, one entry per objective")
    if reference is None:
        reference = (math.nan,) * spec.num_objectives
    if len(reference) != spec.num_objectives:
        raise ValueError(
            f"reference_point needs {spec.num_objectives} entries, one per objective of {spec.name}: {reference}"
        )
    if horizon is not None:
        Range(integer=True).check("horizon", horizon)
        if horizon < 1 or (spec.time_limit and horizon > spec.time_limit):
            raise ValueError(
                f"horizon must lie between 1 and the limit {spec.time_limit} of {spec.name}, got {horizon}"
            )
    EPISODES.check("the episodes of the final evaluation", num_episodes)
    return Problem(
        environment=spec.name,
        discount=discount,
        horizon=horizon or spec.time_limit,
        reference_point=reference,
        num_episodes=num_episodes,
    )


def apply_problem(environment: Environment, problem: Problem) -> Environment:
    """The environment whose evaluations report returns under the protocol."""
    if problem.horizon is not None and problem.horizon != environment.spec.time_limit:
        environment = time_limit(environment, problem.horizon)
    spec = replace(environment.spec, discount=problem.discount, reference_point=problem.reference_point)
    return environment._replace(spec=spec)


def measure(
    problem: Problem, points: Float[Array, "batch objective"], mask: Bool[Array, " batch"] | None = None
) -> dict[str, Float[Array, ""]]:
    """Hypervolume, expected utility, sparsity and cardinality of a set of returns, inside a program or outside.

    The hypervolume is NaN without a reference point. It is exact for up to three objectives, and outside a program for
    up to six; else it is an estimate from 8192 draws inside a program and 262144 outside
    (`jaxrl.morl.estimate.hypervolume_estimate`).
    """
    front = pareto.non_dominated(points, mask)
    return {
        "hypervolume": _hypervolume(problem, points, mask),
        "expected_utility": pareto.expected_utility(points, problem.weights, mask),
        "sparsity": pareto.sparsity(points, front),
        "cardinality": pareto.cardinality(points, mask).astype(jnp.float32),
    }


def _hypervolume(problem: Problem, points: Array, mask: Array | None) -> Array:
    if any(map(math.isnan, problem.reference_point)):
        return jnp.asarray(jnp.nan, points.dtype)
    traced = isinstance(points, jax.core.Tracer)
    if problem.num_objectives > (_EXACT_TRACED if traced else _EXACT_ON_HOST):
        draws = _DRAWS_TRACED if traced else _DRAWS_ON_HOST
        reference = jnp.asarray(problem.reference_point)
        return hypervolume_estimate(jax.random.key(0), points, reference, draws, mask).value
    return pareto.hypervolume(points, jnp.asarray(problem.reference_point), mask)
