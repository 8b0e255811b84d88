"""Corner weights of two or three objectives and bounds on what other weights can still gain, compiled."""

from itertools import combinations

import jax.numpy as jnp
import numpy as np

from jaxrl.types import Array, Bool, Float

__all__ = ["corner_weights", "upper_bound"]

# Relative slack of comparisons in float32.
_SLACK = 1e-5


def corner_weights(
    points: Float[Array, "batch objective"], mask: Bool[Array, " batch"]
) -> tuple[Float[Array, "corner objective"], Bool[Array, " corner"]]:
    """The weights where the best of the points changes: the vertices of V(w) = max_v w·v inside the simplex.

    A vertex makes as many points equally good as there are objectives, or fewer on the border of the
    simplex. Two objectives: every pair vᵢ, vⱼ, with w ⟂ vᵢ − vⱼ. Three: every triple, with
    w ∝ (vᵢ − vⱼ) × (vᵢ − vₖ), and every pair on every border, with w ∝ (vᵢ − vⱼ) × eₘ. A candidate
    counts if it lies on the simplex and its points are the best there. Roijers, 2016, section 3.3.
    The corners of the simplex themselves are left out.

    Args:
        points: return vectors of two or three objectives.
        mask: which of them count.

    Returns:
        Candidates, and which of them are corner weights; equal ones may occur more than once.
    """
    count, num_objectives = points.shape
    pairs = np.array(list(combinations(range(count), 2)), int).reshape(-1, 2)
    across = points[pairs[:, 0]] - points[pairs[:, 1]]
    if num_objectives == 2:
        normals, members = jnp.stack([across[:, 1], -across[:, 0]], axis=-1), pairs
    else:
        triples = np.array(list(combinations(range(count), 3)), int).reshape(-1, 3)
        first, second, third = (points[triples[:, column]] for column in range(3))
        inner = jnp.cross(first - second, first - third)
        border = jnp.cross(across[:, None], jnp.eye(3)).reshape(-1, 3)
        normals = jnp.concatenate([inner, border])
        members = np.concatenate([triples, np.repeat(np.column_stack([pairs, pairs[:, :1]]), 3, axis=0)])
    total = jnp.sum(normals, axis=-1, keepdims=True)
    regular = jnp.abs(total) > _SLACK * jnp.max(jnp.abs(normals), axis=-1, keepdims=True)
    weights = normals / jnp.where(regular, total, 1.0)
    inside = regular[:, 0] & jnp.all(weights >= -_SLACK, axis=-1) & jnp.all(mask[members], axis=-1)
    weights = jnp.clip(weights, 0.0, 1.0)
    values = weights @ points.T
    best = jnp.max(jnp.where(mask, values, -jnp.inf), axis=-1)
    worst = jnp.min(jnp.take_along_axis(values, jnp.asarray(members), axis=-1), axis=-1)
    return weights, inside & (worst >= best - _SLACK * (1.0 + jnp.abs(best)))


def upper_bound(
    weights: Float[Array, "corner objective"],
    known: Float[Array, "batch objective"],
    values: Float[Array, " batch"],
    mask: Bool[Array, " batch"],
) -> Float[Array, " corner"]:
    """The most that any policy can reach at some weights, given the best values at others.

    V*(w) ≤ min {Σ xᵢ V*(wᵢ) : Σ xᵢ wᵢ = w, x ≥ 0}, because V* is convex: the linear programme of
    Roijers, 2016, section 3.4, by enumerating its bases, as many weights as objectives.

    Args:
        weights: where to bound.
        known: weights whose best value is known; the corners of the simplex must be among them.
        values: those best values.
        mask: which of them are known.
    """
    bases = np.array(list(combinations(range(known.shape[0]), known.shape[1])), int)
    matrices = known[bases]
    usable = jnp.all(mask[bases], axis=-1) & (jnp.abs(jnp.linalg.det(matrices)) > 1e-7)
    identity = jnp.eye(known.shape[1])
    inverses = jnp.linalg.inv(jnp.where(usable[:, None, None], matrices, identity))
    shares = jnp.einsum("co,bok->cbk", weights, inverses)
    feasible = usable & jnp.all(shares >= -_SLACK, axis=-1)
    bounds = jnp.einsum("cbk,bk->cb", shares, jnp.where(mask, values, 0.0)[bases])
    return jnp.min(jnp.where(feasible, bounds, jnp.inf), axis=-1)
