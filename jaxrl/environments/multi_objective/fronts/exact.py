"""Exact fronts of the suite's environments, and of any finite environment."""

from functools import lru_cache

import numpy as np

from jaxrl.environments.base import Environment
from jaxrl.environments.multi_objective import make, names
from jaxrl.environments.multi_objective.fronts.collecting import collecting_front, tabulate_maze
from jaxrl.environments.multi_objective.fronts.hull import convex_coverage_set, optimistic_linear_support
from jaxrl.environments.multi_objective.fronts.model import FiniteModel, tabulate
from jaxrl.environments.multi_objective.fronts.value_sets import pareto_set
from jaxrl.environments.multi_objective.fronts.weighted import weighted_solver
from jaxrl.errors import require_name

__all__ = ["coverage_set", "finite_coverage_set", "finite_front", "front"]

_WITHOUT_FRONT = ("minecart", "minecart-deterministic")
# Beyond this many objectives corner weights are too many, and the front is enumerated instead.
_MOST_BY_WEIGHTS = 3


@lru_cache
def front(name: str, discount: float) -> np.ndarray:
    """The Pareto front of `mo/{name}` over deterministic policies.

    V = ND{E[Σₜ γᵗ rₜ]}: the first reward is not discounted, as in MO-Gymnasium's `pareto_front`.
    Policies may depend on time and on the states seen so far; episodes end at the time limit.

    Minecart has none here: its state is continuous, and the analytic front that is published with
    it contains an unattainable point (at γ = 0.98 a fuel return of −0.2492 without any ore), so it
    is no ground truth; `minecart_plans` gives attainable returns. Discounted, two fronts are too
    large to enumerate: fishwood's holds a point for every subset of its steps, all on one
    segment, and breakable bottles' one for every pattern of waiting. `coverage_set` has those.

    Args:
        name: an id of the suite, with or without `mo/`.
        discount: γ in [0, 1].

    Returns:
        `[point, objective]`, float64, sorted by the first objective, read-only.

    Raises:
        FrontTooLargeError: where the front cannot be enumerated.
        ValueError: for an unknown name, a discount outside [0, 1], or minecart.
    """
    name = _require_finite(name, discount)
    environment = make(name)
    if name == "four-room":
        points = collecting_front(tabulate_maze(environment.params), discount, environment.spec.time_limit)
    else:
        points = pareto_set(_model(name), discount, environment.spec.time_limit)
    points.setflags(write=False)
    return points


@lru_cache
def coverage_set(name: str, discount: float) -> np.ndarray:
    """The convex coverage set of `mo/{name}`: the returns that some linear weights prefer to all others.

    By optimistic linear support over backward induction, for every environment but those of
    which the front is enumerated more easily (fruit trees and four rooms). Exact to 10⁻⁶ of an
    objective's range; for arguments, result and errors see `front`.
    """
    name = _require_finite(name, discount)
    environment = make(name)
    if name == "four-room" or environment.spec.num_objectives > _MOST_BY_WEIGHTS:
        points = convex_coverage_set(front(name, discount))
    else:
        points = _coverage_set(_model(name), discount, environment.spec.time_limit)
    points.setflags(write=False)
    return points


def finite_front(
    environment: Environment, discount: float, max_states: int = 100_000, capacity: int = 512
) -> np.ndarray:
    """The Pareto front of any environment that is finite; see `tabulate` and `pareto_set`.

    Args:
        environment: with a `Discrete` action space, a time limit, which is the horizon, and
            either `outcomes` or no randomness.
        discount: γ in [0, 1].
        max_states: more reachable states than this are an error.
        capacity: more returns than this in one state are an error.

    Returns:
        `[point, objective]`, float64, sorted by the first objective.

    Raises:
        FrontTooLargeError: if a set outgrew the capacity.
        ValueError: for a discount outside [0, 1], an environment that is not as described, or too
            many states.
    """
    horizon = _require_horizon(environment, discount)
    return pareto_set(tabulate(environment, max_states), discount, horizon, capacity)


def finite_coverage_set(environment: Environment, discount: float, max_states: int = 100_000) -> np.ndarray:
    """The convex coverage set of any environment that is finite; for arguments see `finite_front`."""
    horizon = _require_horizon(environment, discount)
    return _coverage_set(tabulate(environment, max_states), discount, horizon)


def _coverage_set(model: FiniteModel, discount: float, horizon: int) -> np.ndarray:
    return optimistic_linear_support(weighted_solver(model, discount, horizon), model.rewards.shape[-1])


@lru_cache
def _model(name: str) -> FiniteModel:
    return tabulate(make(name))


def _require_discount(discount: float) -> None:
    if not 0.0 <= discount <= 1.0:
        raise ValueError(f"discount must lie in [0, 1], got {discount}")


def _require_finite(name: str, discount: float) -> str:
    name = require_name("multi-objective environment", name.removeprefix("mo/"), names())
    if name in _WITHOUT_FRONT:
        raise ValueError(
            f"{name} has no exact front: its state is continuous, and the published front holds an unattainable point"
        )
    _require_discount(discount)
    return name


def _require_horizon(environment: Environment, discount: float) -> int:
    _require_discount(discount)
    if environment.spec.time_limit is None:
        raise ValueError(f"{environment.spec.name} has no time limit, so its front has no horizon")
    return environment.spec.time_limit
