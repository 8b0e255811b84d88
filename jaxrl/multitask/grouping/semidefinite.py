"""The semidefinite relaxation of the best partition, by an alternating direction method of multipliers in JAX."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Float, Int

__all__ = ["Relaxation", "relaxed_partition"]


class Relaxation(NamedTuple):
    """Solution of the programme.

    Attributes:
        x: X, rows summing to 1; for a partition 1/|group| between tasks of one group.
        semidefinite_dual: S ⪰ 0, and
        sign_dual: N ≥ 0, with U − λI + S + N = (y eᵀ + e yᵀ)/2 at the optimum, plus a multiple of I for a given trace.
        residual: largest violation of X ⪰ 0, X ≥ 0 or change of X in the last iteration.
        iterations: how many.
    """

    x: Float[Array, "task task"]
    semidefinite_dual: Float[Array, "task task"]
    sign_dual: Float[Array, "task task"]
    residual: Float[Array, ""]
    iterations: Int[Array, ""]


class _State(NamedTuple):
    x: Array
    parts: tuple[Array, Array]
    duals: tuple[Array, Array]
    residual: Array
    iterations: Array


def _semidefinite(x: Array) -> Float[Array, "task task"]:
    values, vectors = jnp.linalg.eigh(x)
    return (vectors * jnp.maximum(values, 0.0)) @ vectors.T


def relaxed_partition(
    affinity: Float[Array, "task task"],
    num_groups: Int[Array, ""] | Float[Array, ""] | int | None = None,
    penalty: Float[Array, ""] | float = 0.0,
    iterations: int = 2000,
    tolerance: float = 1e-5,
) -> Relaxation:
    """max ⟨U, X⟩ − λ tr X  subject to X ⪰ 0, X ≥ 0, X e = e, and tr X = k if `num_groups` is given.

    Peng and Wei's relaxation (2007) as in PolicyGradEx (arXiv 2511.12779), where λ or k controls the number of groups:
    a partition into k groups has trace k. X = eeᵀ/n + Y with Y e = 0, so that the affine part has a projection in
    closed form, and rows or columns of U matter up to constants only.

    Map it over several programmes with `jax.lax.map`: batched eigenvalue routines can deadlock on CPUs.

    Args:
        affinity: U; its symmetric part counts.
        num_groups: k, traced, in 1 .. n.
        penalty: λ, traced, in units of U.
        iterations: at most so many.
        tolerance: at which it stops, on the entries of X.
    """
    size = affinity.shape[0]
    centre = jnp.eye(size) - 1.0 / size
    objective = centre @ ((affinity + affinity.T) / 2 - penalty * jnp.eye(size)) @ centre
    # Steps of the size of X's entries, whatever the unit of U.
    unit = jnp.maximum(jnp.sqrt(jnp.mean(objective**2)) * size, 1e-30)
    objective = objective / unit

    def affine(w: Array) -> Array:
        y = centre @ w @ centre
        if num_groups is not None and size > 1:
            y = y + (num_groups - 1.0 - jnp.trace(y)) / (size - 1.0) * centre
        return y + 1.0 / size

    def step(state: _State) -> _State:
        wanted = [part - dual for part, dual in zip(state.parts, state.duals)]
        x = affine((wanted[0] + wanted[1] + objective) / 2)
        ahead = [1.6 * x - 0.6 * part for part in state.parts]
        parts = _semidefinite(ahead[0] + state.duals[0]), jnp.maximum(ahead[1] + state.duals[1], 0.0)
        duals = tuple(dual + a - part for dual, a, part in zip(state.duals, ahead, parts))
        apart = jnp.maximum(*(jnp.max(jnp.abs(x - part)) for part in parts))
        moved = jnp.maximum(*(jnp.max(jnp.abs(new - old)) for new, old in zip(parts, state.parts)))
        return _State(x, parts, duals, jnp.maximum(apart, moved), state.iterations + 1)

    x = affine(jnp.eye(size))
    zero = jnp.zeros_like(x)
    start = _State(x, (x, x), (zero, zero), jnp.asarray(jnp.inf, x.dtype), jnp.zeros((), jnp.int32))
    final = jax.lax.while_loop(lambda s: (s.residual > tolerance) & (s.iterations < iterations), step, start)
    # The multipliers are −S and −N in units of the scaled objective.
    return Relaxation(final.x, -unit * final.duals[0], -unit * final.duals[1], final.residual, final.iterations)
