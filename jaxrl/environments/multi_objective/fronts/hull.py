"""Convex coverage sets: from given points, and by weights that a planner answers."""

from collections.abc import Callable

import numpy as np

from jaxrl.types import Float

__all__ = ["convex_coverage_set", "non_dominated_points", "optimistic_linear_support"]

# Weights asked for in one call.
_BATCH = 16


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
    points = non_dominated_points(points)
    spread = np.ptp(points, axis=0)
    scaled = points / np.where(spread > 0.0, spread, 1.0)
    least = -tolerance if keep_ties else tolerance
    return points[[_margin(scaled, index) > least for index in range(len(points))]]


def _margin(points: np.ndarray, index: int) -> float:
    """The largest t with w·(p − q) ≥ t for every other q and some w on the simplex."""
    from scipy.optimize import linprog

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


def non_dominated_points(points: np.ndarray) -> np.ndarray:
    """The non-dominated points without duplicates, sorted by the first objective."""
    points = np.unique(points, axis=0)
    at_least = np.all(points[:, None] >= points[None], axis=-1)
    np.fill_diagonal(at_least, False)
    return points[~at_least.any(axis=0)]


def optimistic_linear_support(
    solve: Callable[[Float[np.ndarray, "batch objective"]], Float[np.ndarray, "batch objective"]],
    num_objectives: int,
    tolerance: float = 1e-9,
) -> np.ndarray:
    """The convex coverage set of a problem that can be solved for any weights.

    u(w) = max_v w·v is convex, and so is its lower bound by the values found, which is linear
    between its corners: where no corner improves, the bound is u itself (Roijers et al., 2014).

    Args:
        solve: the value of an optimal policy for each row of weights; among optimal policies it
            should prefer non-dominated ones.
        num_objectives: at least 2.
        tolerance: what counts as an improvement, relative to the largest value met.

    Returns:
        `[point, objective]`, sorted by the first objective: `convex_coverage_set` of what was found.
    """
    corners = np.eye(num_objectives)
    asked: set[tuple[float, ...]] = set()
    points = np.empty((0, num_objectives))
    while len(corners):
        asked.update(_rounded(corners))
        found = _in_batches(solve, corners)
        slack = tolerance * max(1.0, float(np.abs(found).max()))
        best = (corners @ points.T).max(axis=1) if len(points) else np.full(len(corners), -np.inf)
        improves = np.sum(corners * found, axis=1) > best + slack
        points = non_dominated_points(np.concatenate([points, found[improves]]))
        if not improves.any():
            break
        corners = _corners(points)
        corners = corners[[key not in asked for key in _rounded(corners)]]
    return convex_coverage_set(points)


def _rounded(weights: np.ndarray) -> list[tuple[float, ...]]:
    return [tuple(row) for row in np.round(weights, 9) + 0.0]


def _in_batches(solve: Callable[[np.ndarray], np.ndarray], weights: np.ndarray) -> np.ndarray:
    # One batch size lets a single program answer every call.
    padded = np.concatenate([weights, np.repeat(weights[-1:], -len(weights) % _BATCH, axis=0)])
    parts = [np.asarray(solve(part)) for part in np.split(padded, len(padded) // _BATCH)]
    return np.concatenate(parts)[: len(weights)]


def _corners(points: np.ndarray) -> np.ndarray:
    """The weights at the vertices of {(w, u): w in the simplex, u ≥ w·p for every point p}."""
    from scipy.spatial import HalfspaceIntersection

    num_objectives = points.shape[1]
    scale = max(1.0, float(np.abs(points).max()))
    points = points / scale
    # Coordinates (w₁ .. w_{d−1}, u), half-spaces as rows (a, b) of a·x + b ≤ 0.
    above = np.column_stack([points[:, :-1] - points[:, -1:], -np.ones(len(points)), points[:, -1]])
    free = num_objectives - 1
    positive = np.column_stack([-np.eye(free), np.zeros((free, 2))])
    last = np.concatenate([np.ones(free), [0.0, -1.0]])
    top = points.max() + 1.0
    ceiling = np.concatenate([np.zeros(free), [1.0, -top]])
    inside = np.append(np.full(free, 1.0 / num_objectives), top - 0.5)
    vertices = HalfspaceIntersection(np.vstack([above, positive, last, ceiling]), inside).intersections
    vertices = vertices[vertices[:, -1] < top - 1e-6, :-1]
    weights = np.clip(np.column_stack([vertices, 1.0 - vertices.sum(axis=1)]), 0.0, 1.0)
    return np.unique(np.round(weights / weights.sum(axis=1, keepdims=True), 12), axis=0)
