"""Exact Pareto fronts of the environments that are finite and deterministic, by dynamic programming."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linprog

from jaxrl.environments.base import Environment
from jaxrl.environments.multi_objective import make, names
from jaxrl.environments.transforms import TimeLimitState
from jaxrl.errors import require_name
from jaxrl.types import PyTree

__all__ = ["convex_coverage_set", "deterministic_front", "front"]

# States whose transitions are computed in one call.
_FRONTIER = 64
_WITHOUT_FRONT = ("minecart", "minecart-deterministic")


@lru_cache
def front(name: str, discount: float) -> np.ndarray:
    """The Pareto front of `mo/{name}` over all policies, deterministic ones being enough.

    V = ND{Σₜ γᵗ rₜ}: the first reward is not discounted, as in MO-Gymnasium's `pareto_front`.

    Minecart has none here: its state is continuous, and the analytic front that is published with
    it contains an unattainable point (at γ = 0.98 a fuel return of −0.2492 without any ore, while
    an exhaustive search over short plans finds no return above −0.26), so it is no ground truth.

    Args:
        name: an id of the suite, with or without `mo/`.
        discount: γ in [0, 1].

    Returns:
        `[point, objective]`, float64, sorted by the first objective, read-only.

    Raises:
        ValueError: for an unknown name, a discount outside [0, 1], or minecart.
    """
    name = require_name("multi-objective environment", name.removeprefix("mo/"), names())
    if name in _WITHOUT_FRONT:
        raise ValueError(
            f"{name} has no exact front: its state is continuous, and the published front holds an unattainable point"
        )
    points = deterministic_front(make(name), discount)
    points.setflags(write=False)
    return points


def deterministic_front(environment: Environment, discount: float, max_states: int = 100_000) -> np.ndarray:
    """The Pareto front of any environment with finitely many states and no randomness.

    V₀(s) = {0},  Vₕ(s) = ND ∪ₐ {r(s, a) + γ v : v ∈ Vₕ₋₁(s′)}, with V(s′) = {0} after termination;
    h runs to the time limit, or until no set changes (White, 1982; Van Moffaert and Nowé, 2014).

    Args:
        environment: with a `Discrete` action space; a limit set by `transforms.time_limit` is
            the horizon and no part of the state.
        discount: γ in [0, 1].
        max_states: more reachable states than this are an error.

    Returns:
        `[point, objective]`, float64, sorted by the first objective.

    Raises:
        ValueError: for a discount outside [0, 1], an environment without a time limit, or too
            many states.
    """
    if not 0.0 <= discount <= 1.0:
        raise ValueError(f"discount must lie in [0, 1], got {discount}")
    if environment.spec.time_limit is None:
        raise ValueError(f"{environment.spec.name} has no time limit, so its front has no horizon")
    successors, rewards, terminated = _transitions(environment, max_states)
    zero = np.zeros((1, environment.spec.num_objectives))
    values = [zero] * len(successors)
    for _ in range(environment.spec.time_limit):
        previous = values
        values = [
            _non_dominated(
                np.concatenate(
                    [
                        reward + discount * (zero if ended else previous[successor])
                        for successor, reward, ended in zip(*row, strict=True)
                    ]
                )
            )
            for row in zip(successors, rewards, terminated, strict=True)
        ]
        if all(np.array_equal(new, old) for new, old in zip(values, previous, strict=True)):
            break
    return values[0]


def convex_coverage_set(points: np.ndarray, keep_ties: bool = False, tolerance: float = 1e-6) -> np.ndarray:
    """The points that some non-negative weights prefer to all others: {p : ∃w ∀q ≠ p: w·p > w·q}.

    Source: Roijers et al., 2013. One linear program per point: maximise t subject
    to w·(p − q) ≥ t, w ≥ 0, Σw = 1, objectives scaled to unit range; p stays if t > 0.

    Args:
        points: `[point, objective]`; dominated points and duplicates may be among them.
        keep_ties: keep also points that only tie for the best, such as one on the segment between
            two others (t = 0): the non-dominated part of the convex hull, not its smallest cover.
        tolerance: what counts as zero for t, in units of an objective's range.

    Returns:
        `[point, objective]`, sorted by the first objective.

    Raises:
        ValueError: if `points` has no two axes or is not finite.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or not np.all(np.isfinite(points)):
        raise ValueError(f"points must be finite with shape [point, objective], got shape {points.shape}")
    points = _non_dominated(points)
    spread = np.ptp(points, axis=0)
    scaled = points / np.where(spread > 0.0, spread, 1.0)
    least = -tolerance if keep_ties else tolerance
    return points[[_margin(scaled, index) > least for index in range(len(points))]]


def _margin(points: np.ndarray, index: int) -> float:
    """The largest t with w·(p − q) ≥ t for every other q and some w on the simplex."""
    others = np.delete(points, index, axis=0)
    if not len(others):
        return np.inf
    num_objectives = points.shape[1]
    # Variables (w, t); t is bounded so that the program always has a solution.
    solution = linprog(
        c=np.append(np.zeros(num_objectives), -1.0),
        A_ub=np.column_stack([others - points[index], np.ones(len(others))]),
        b_ub=np.zeros(len(others)),
        A_eq=np.append(np.ones(num_objectives), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0.0, None)] * num_objectives + [(None, None)],
    )
    return float(-solution.fun)


def _non_dominated(points: np.ndarray) -> np.ndarray:
    """The non-dominated points without duplicates, sorted by the first objective."""
    points = np.unique(points, axis=0)
    at_least = np.all(points[:, None] >= points[None], axis=-1)
    np.fill_diagonal(at_least, False)
    return points[~at_least.any(axis=0)]


def _transitions(environment: Environment, max_states: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tables over the reachable states, the first being the start: successor, reward, terminated."""
    key, actions = jax.random.key(0), jnp.arange(environment.spec.action.n)
    over_actions = jax.vmap(environment.step, in_axes=(None, None, 0, None))
    step = jax.jit(jax.vmap(over_actions, in_axes=(None, 0, None, None)))
    start = jax.device_get(_without_clock(environment.reset(key, environment.params)[0]))
    states, index = [start], {_identity(start): 0}
    successors, rewards, terminated = [], [], []
    while len(successors) < len(states):
        frontier = states[len(successors) :][:_FRONTIER]
        # Padding to one size lets a single program serve the whole search.
        padded = frontier + [frontier[-1]] * (_FRONTIER - len(frontier))
        batch = jax.tree.map(lambda *leaves: np.stack(leaves), *padded)
        reached, timestep = jax.device_get(step(key, batch, actions, environment.params))
        for row in range(len(frontier)):
            after = [_without_clock(_entry(reached, (row, action))) for action in range(len(actions))]
            for state in after:
                if index.setdefault(_identity(state), len(states)) == len(states):
                    states.append(state)
            successors.append([index[_identity(state)] for state in after])
            rewards.append(timestep.reward[row])
            terminated.append(timestep.terminated[row])
        if len(states) > max_states:
            raise ValueError(f"{environment.spec.name} has more than max_states={max_states} reachable states")
    return np.array(successors), np.array(rewards, np.float64), np.array(terminated)


def _entry(tree: PyTree, index: tuple[int, ...]) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[index], tree)


def _without_clock(state: PyTree) -> PyTree:
    return state._replace(steps=np.zeros((), np.int32)) if isinstance(state, TimeLimitState) else state


def _identity(state: PyTree) -> bytes:
    return b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state))
