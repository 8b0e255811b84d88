"""Preference weights: sets of points on the simplex, drawn or evenly spaced, and their validation."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.types import Array, Float, PRNGKeyArray

__all__ = ["dirichlet", "equally_spaced", "preferences", "riesz_energy", "simplex_lattice", "validate"]

# Weights that sum to 1 only up to this are accepted.
_SUM_TOLERANCE = 1e-3


def simplex_lattice(num_objectives: int, divisions: int) -> Float[Array, "batch objective"]:
    """Every weight vector whose entries are multiples of 1/divisions.

    {w : divisions·wᵢ ∈ ℕ, Σᵢ wᵢ = 1}, C(divisions + objectives − 1, objectives − 1) points in
    lexicographic order; Das and Dennis, 1998.

    Raises:
        ValueError: for fewer than one objective or division.
    """
    _require_positive(num_objectives=num_objectives, divisions=divisions)
    slots = divisions + num_objectives - 1
    bars = np.array(list(combinations(range(slots), num_objectives - 1)), int)
    # Entries are the runs of stars between successive bars.
    edges = np.column_stack([np.full(len(bars), -1), bars.reshape(len(bars), -1), np.full(len(bars), slots)])
    return jnp.asarray((np.diff(edges, axis=1) - 1) / divisions, jnp.float32)


def riesz_energy(
    num_objectives: int, count: int, seed: int = 0, num_iterations: int = 1000, num_restarts: int = 4
) -> Float[Array, "batch objective"]:
    """Any number of evenly spaced weights, the corners among them, by minimising an energy.

    min Σ_{i<j} ‖wᵢ − wⱼ‖⁻ˢ on the simplex with s = objectives², by projected gradient steps from
    uniform draws; of several restarts the one with the most distant nearest pair is returned. The
    corners come first and stay. Hardin and Saff, 2005; for weights: Blank et al., 2021.
    Runs on the host and is cached; equal arguments give equal weights.

    Args:
        num_objectives: at least 2.
        count: number of weights, at least `num_objectives`.
        seed: of the first draws.
        num_iterations: gradient steps; each costs O(count² objectives).
        num_restarts: independent descents, of which many end in local minima.

    Raises:
        ValueError: for sizes out of range.
    """
    _require_positive(
        num_objectives=num_objectives, count=count, num_iterations=num_iterations, num_restarts=num_restarts
    )
    if num_objectives < 2 or count < num_objectives:
        raise ValueError(
            "riesz_energy needs at least two objectives and one weight per corner, "
            f"got num_objectives={num_objectives}, count={count}"
        )
    return jnp.asarray(_best_descent(num_objectives, count, seed, num_iterations, num_restarts), jnp.float32)


def dirichlet(
    key: PRNGKeyArray, num_objectives: int, count: int, concentration: float | Float[Array, ""] = 1.0
) -> Float[Array, "batch objective"]:
    """`count` independent draws from a symmetric Dirichlet distribution.

    w ~ Dir(α, …, α): α = 1 is uniform on the simplex, smaller is nearer the corners, larger nearer
    the centre.

    Raises:
        ValueError: for sizes below 1.
    """
    _require_positive(num_objectives=num_objectives, count=count)
    return jax.random.dirichlet(key, jnp.full(num_objectives, concentration, jnp.float32), (count,))


def preferences(
    key: PRNGKeyArray, num_envs: int, num_objectives: int, num_vectors: int = 0
) -> Float[Array, "env objective"]:
    """Preference weights of one iteration of a conditioned agent.

    `num_vectors = 0`: one uniform draw from the simplex for every copy. Else that many vectors, the corners of the
    simplex and uniform draws, each for as many copies: fewer preferences, each seen with more experience (MORLAX,
    arXiv 2603.09237, sparse sampling).
    """
    count = (num_vectors - num_objectives) if num_vectors else num_envs
    shares = jax.random.exponential(key, (count, num_objectives))
    drawn = shares / shares.sum(axis=-1, keepdims=True)
    if not num_vectors:
        return drawn
    return jnp.repeat(jnp.concatenate([jnp.eye(num_objectives), drawn]), num_envs // num_vectors, axis=0)


def equally_spaced(num_objectives: int, count: int) -> Float[Array, "batch objective"]:
    """The weights that `weights=count` stands for: evenly spaced, the corners among them.

    One objective: all ones. Two: a line from (0, 1) to (1, 0). More: `riesz_energy` with seed 0.
    A single weight is the centre.

    Raises:
        ValueError: for sizes below 1, or more than one weight but fewer than there are corners.
    """
    _require_positive(num_objectives=num_objectives, count=count)
    if num_objectives == 1 or count == 1:
        return jnp.full((count, num_objectives), 1.0 / num_objectives, jnp.float32)
    if num_objectives == 2:
        first = np.linspace(0.0, 1.0, count)
        return jnp.asarray(np.column_stack([first, 1.0 - first]), jnp.float32)
    # Restarts cost the most where they matter least: many weights are even enough after one descent.
    return riesz_energy(num_objectives, count, num_restarts=max(1, min(4, 256 // count)))


def validate(
    weights: Float[Array | np.ndarray, "*batch objective"] | Sequence, num_objectives: int, normalised: bool = True
) -> Float[Array, "*batch objective"]:
    """Returns weights as float32 if each vector is a point of the simplex.

    Traced weights have no values yet: of them only the shape is checked.

    Args:
        weights: one vector, or any number of leading axes.
        num_objectives: the length that each must have.
        normalised: whether the entries must sum to 1.

    Raises:
        ValueError: naming the first vector with a wrong length, a negative or non-finite entry,
            no positive entry, or, if `normalised`, a sum further than 1e-3 from 1.
    """
    array = jnp.asarray(weights, jnp.float32)
    if array.ndim == 0 or array.shape[-1] != num_objectives:
        raise ValueError(f"weights need {num_objectives} entries, one per objective, got shape {array.shape}")
    if isinstance(array, jax.core.Tracer):
        return array
    rows = np.asarray(array, np.float64).reshape(-1, num_objectives)
    sums = rows.sum(axis=-1)
    for fault, found in (
        ("has a non-finite entry", ~np.isfinite(rows).all(axis=-1)),
        ("has a negative entry", (rows < 0.0).any(axis=-1)),
        ("is all zero", (rows == 0.0).all(axis=-1)),
        ("does not sum to 1", normalised & ~(np.abs(sums - 1.0) <= _SUM_TOLERANCE)),
    ):
        if found.any():
            index = int(np.argmax(found))
            where = "" if array.ndim == 1 else f" number {index}"
            total = f": its sum is {sums[index]:.6g}" if "sum" in fault else ""
            raise ValueError(f"weight vector{where} {fault}{total}: {np.round(rows[index], 6).tolist()}")
    return array


@lru_cache
def _best_descent(num_objectives: int, count: int, seed: int, num_iterations: int, num_restarts: int) -> np.ndarray:
    corners = np.eye(num_objectives)
    if count == num_objectives:
        return corners
    starts = np.random.default_rng(seed).dirichlet(np.ones(num_objectives), (num_restarts, count - num_objectives))
    descents = [_descend(corners, inner, num_iterations) for inner in starts]
    # With an exponent of objectives² the energy is the nearest pair's, but for ties.
    return max(descents, key=lambda points: _distances(points[num_objectives:], points).min())


def _distances(inner: np.ndarray, points: np.ndarray) -> np.ndarray:
    """From each inner point to every point, of which it is one: infinite to itself."""
    distance = np.linalg.norm(inner[:, None] - points[None], axis=-1)
    rows = np.arange(len(inner))
    distance[rows, len(points) - len(inner) + rows] = np.inf
    return np.maximum(distance, 1e-9)


def _descend(corners: np.ndarray, inner: np.ndarray, num_iterations: int) -> np.ndarray:
    num_objectives = len(corners)
    exponent = num_objectives**2
    for iteration in range(num_iterations):
        points = np.concatenate([corners, inner])
        difference = inner[:, None] - points[None]
        distance = _distances(inner, points)
        # Each point's forces relative to its nearest neighbour's: the powers stay in range, and a
        # point in a sparse region moves as readily as one in a dense region.
        nearest = distance.min(axis=1, keepdims=True)
        force = (nearest / distance) ** (exponent + 1)
        direction = np.sum(force[..., None] * difference / distance[..., None], axis=1)
        length = np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1.0)
        rate = 0.3 * (1.0 - iteration / num_iterations)
        inner = _project(inner + rate * nearest * direction / length)
    return np.concatenate([corners, inner])


def _project(points: np.ndarray) -> np.ndarray:
    """The nearest points of the simplex (Duchi et al., 2008)."""
    ordered = -np.sort(-points, axis=1)
    excess = (np.cumsum(ordered, axis=1) - 1.0) / np.arange(1, points.shape[1] + 1)
    support = np.sum(ordered > excess, axis=1)
    threshold = excess[np.arange(len(points)), support - 1]
    return np.maximum(points - threshold[:, None], 0.0)


def _require_positive(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
