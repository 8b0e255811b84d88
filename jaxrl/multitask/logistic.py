"""Weighted logistic regressions of many subsets of tasks at once, by conjugate gradients with exact line searches.

Scores are linear in x: along a direction p they are z + t F p, so that a line search costs no product with the
features F. A step of all subsets is two matrix products with all samples, those outside a subset weighted by 0.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.multitask.samples import Quadratic, TaskSamples, quadratic, residual_of
from jaxrl.types import Array, Float, Int

__all__ = ["curvature_bound", "inverses", "solve_logistic"]

_LINE_STEPS = 3


class _Problem(NamedTuple):
    """Flat samples; `share [subset, sample]` is 1/N_S for samples of the subset, else 0."""

    features: Array
    label: Array
    weight: Array
    l2_weight: Array


class _State(NamedTuple):
    x: Array
    scores: Array
    gradient: Array
    direction: Array
    norm: Array
    iterations: Array


def curvature_bound(samples: TaskSamples) -> Quadratic:
    """The quadratic with the bound h = |A|/4 of the logistic curvature (Böhning and Lindsay, 1988) at x = 0."""
    slopes = residual_of(samples, samples.offset)
    return quadratic(samples.features, jnp.abs(samples.advantage) / 4, slopes, samples.count)


def inverses(systems: Float[Array, "subset feature feature"]) -> Float[Array, "subset feature feature"]:
    """Of positive definite matrices, by Cholesky factors, one after another.

    As preconditioners only: rounding errors cost steps, not accuracy.
    """
    identity = jnp.eye(systems.shape[-1])
    return jax.lax.map(
        lambda system: jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(system), True), identity), systems
    )


def _dot(a: Array, b: Array) -> Float[Array, " subset"]:
    return jnp.sum(a * b, axis=-1)


def _apply(matrices: Array, rows: Array) -> Float[Array, "subset feature"]:
    return jnp.einsum("sfg,sg->sf", matrices, rows)


def _pull(problem: _Problem, share: Array, scores: Array) -> Float[Array, "subset sample"]:
    """dL_S/dz of every sample."""
    return -share * problem.weight * problem.label * jax.nn.sigmoid(-problem.label * scores)


def _gradient(problem: _Problem, share: Array, x: Array, scores: Array) -> Float[Array, "subset feature"]:
    return _pull(problem, share, scores) @ problem.features + problem.l2_weight * x


def _line_search(problem: _Problem, share: Array, state: _State, pushed: Array) -> Float[Array, " subset"]:
    """t ≥ 0 near the minimum along the direction, by Newton's method, or the curvature's bound if that fails."""
    straight = problem.l2_weight * _dot(state.direction, state.direction)
    tilt = problem.l2_weight * _dot(state.x, state.direction)
    bound = _dot(share * problem.weight, pushed**2) / 4 + straight

    def slope(t: Array) -> tuple[Array, Array]:
        scores = state.scores + t[:, None] * pushed
        chance = jax.nn.sigmoid(-problem.label * scores)
        curved = _dot(share * problem.weight * chance * (1 - chance), pushed**2) + straight
        pull = -share * problem.weight * problem.label * chance
        return _dot(pull, pushed) + tilt + t * straight, curved

    def body(carry: tuple[Array, Array, Array], _: None) -> tuple[tuple[Array, Array, Array], None]:
        t, first, second = carry
        newton = t - first / jnp.maximum(second, 1e-30)
        tried, curvature = slope(newton)
        worse = (jnp.abs(tried) > jnp.abs(first)) | (newton < 0)
        # A step by the bound never passes the minimum; its slope is evaluated in the next round.
        safe = t - first / jnp.maximum(bound, 1e-30)
        carry = (jnp.where(worse, safe, newton), *jax.lax.cond(worse.any(), slope, lambda _: (tried, curvature), safe))
        return (carry[0], jnp.where(worse, carry[1], tried), jnp.where(worse, carry[2], curvature)), None

    zero = jnp.zeros(len(bound))
    return jax.lax.scan(body, (zero, *slope(zero)), None, _LINE_STEPS)[0][0]


def _step(problem: _Problem, share: Array, inverse: Array, reference: Array, tolerance: float, state: _State) -> _State:
    pushed = state.direction @ problem.features.T
    t = _line_search(problem, share, state, pushed)[:, None]
    x, scores = state.x + t * state.direction, state.scores + t * pushed
    gradient = _gradient(problem, share, x, scores)
    descent = _apply(inverse, gradient)
    # Polak and Ribière's β, cut off at 0; steepest descent where the direction would not descend.
    beta = _dot(descent, gradient - state.gradient) / jnp.maximum(
        _dot(_apply(inverse, state.gradient), state.gradient), 1e-30
    )
    direction = -descent + jnp.maximum(beta, 0.0)[:, None] * state.direction
    direction = jnp.where((_dot(direction, gradient) < 0)[:, None], direction, -descent)
    norm = jnp.linalg.norm(gradient, axis=-1) / reference
    new = _State(x, scores, gradient, direction, norm, state.iterations + 1)
    done = state.norm <= tolerance
    keep = lambda old, new: jnp.where(done.reshape(-1, *[1] * (old.ndim - 1)), old, new)  # noqa: E731
    return jax.tree.map(keep, state, new)


def solve_logistic(
    samples: TaskSamples,
    inverse: Float[Array, "subset feature feature"],
    subsets: Float[Array, "subset task"],
    l2_weight: Float[Array, ""],
    iterations: int,
    tolerance: float,
) -> tuple[Float[Array, "subset feature"], Float[Array, " subset"], Int[Array, " subset"]]:
    """x of every subset, ‖∇‖ there over ‖∇‖ at 0, and steps taken; preconditioned by `inverse`.

    `subsets` holds 1 for members, else 0. Until every ‖∇‖ is at most tolerance × ‖∇‖ at 0, or after `iterations` steps.
    """
    dimension = samples.features.shape[-1]
    flat = lambda leaf: leaf.reshape(-1)  # noqa: E731
    problem = _Problem(
        samples.features.reshape(-1, dimension),
        jnp.sign(flat(samples.advantage)),
        jnp.abs(flat(samples.advantage)),
        l2_weight,
    )
    share = subsets / jnp.maximum(subsets @ samples.count, 1.0)[:, None]
    share = jnp.repeat(share, samples.advantage.shape[1], axis=1)
    x = jnp.zeros((len(subsets), dimension))
    scores = jnp.broadcast_to(flat(samples.offset), share.shape)
    gradient = _gradient(problem, share, x, scores)
    reference = jnp.maximum(jnp.linalg.norm(gradient, axis=-1), 1e-30)
    count = jnp.zeros(len(subsets), jnp.int32)
    start = _State(x, scores, gradient, -_apply(inverse, gradient), jnp.ones(len(subsets)), count)
    final = jax.lax.while_loop(
        lambda state: jnp.any(state.norm > tolerance) & (jnp.max(state.iterations) < iterations),
        lambda state: _step(problem, share, inverse, reference, tolerance, state),
        start,
    )
    return final.x, final.norm, final.iterations
