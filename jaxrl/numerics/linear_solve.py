"""Solving A u = v when A is known only by its products with vectors; u and v are pytrees."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy.sparse.linalg import cg, gmres

from jaxrl.errors import require_name
from jaxrl.types import Array, Float, PyTree

__all__ = ["SOLVERS", "solve"]

Product = Callable[[PyTree], PyTree]


def _plus(product: Product, damping: Array) -> Product:
    return lambda u: jax.tree.map(lambda image, leaf: image + damping * leaf, product(u), u)


def _tolerance(v: PyTree) -> float:
    """Relative residual below which rounding rules."""
    return 10.0 * float(jnp.finfo(jnp.result_type(*jax.tree.leaves(v))).eps)


def conjugate_gradient(
    product: Product, transpose: Product, v: PyTree, iterations: int, damping: Array, step_size: Array
) -> PyTree:
    """(A + δI) u = v for a symmetric positive definite A + δI."""
    return cg(_plus(product, damping), v, tol=_tolerance(v), maxiter=iterations)[0]


def normal_equations(
    product: Product, transpose: Product, v: PyTree, iterations: int, damping: Array, step_size: Array
) -> PyTree:
    """(AᵀA + δI) u = Aᵀ v by conjugate gradient: any A, at the square of its condition number."""
    squared = lambda u: transpose(product(u))  # noqa: E731
    return cg(_plus(squared, damping), transpose(v), tol=_tolerance(v), maxiter=iterations)[0]


def generalised_minimal_residual(
    product: Product, transpose: Product, v: PyTree, iterations: int, damping: Array, step_size: Array
) -> PyTree:
    """(A + δI) u = v for any A, by one cycle of GMRES that keeps `iterations` vectors."""
    return gmres(_plus(product, damping), v, tol=_tolerance(v), restart=iterations, maxiter=1)[0]


def neumann(
    product: Product, transpose: Product, v: PyTree, iterations: int, damping: Array, step_size: Array
) -> PyTree:
    """u = η Σ_{i < n} (I − η(A + δI))ⁱ v → (A + δI)⁻¹ v, if I − η(A + δI) has a spectral radius below 1."""
    damped = _plus(product, damping)

    def body(carry: tuple[PyTree, PyTree], _: None) -> tuple[tuple[PyTree, PyTree], None]:
        total, term = carry
        total = jax.tree.map(jnp.add, total, term)
        term = jax.tree.map(lambda leaf, image: leaf - step_size * image, term, damped(term))
        return (total, term), None

    zero = jax.tree.map(jnp.zeros_like, v)
    (total, _), _ = jax.lax.scan(body, (zero, v), None, iterations)
    return jax.tree.map(lambda leaf: step_size * leaf, total)


SOLVERS: dict[str, Callable[..., PyTree]] = {
    "conjugate_gradient": conjugate_gradient,
    "gmres": generalised_minimal_residual,
    "neumann": neumann,
    "normal_equations": normal_equations,
}


def solve(
    solver: str,
    product: Product,
    transpose: Product,
    v: PyTree,
    iterations: int,
    damping: Float[Array, ""] | float,
    step_size: Float[Array, ""] | float,
) -> PyTree:
    """u with A u ≈ v, by the solver of that name.

    Args:
        solver: `conjugate_gradient` (symmetric positive definite A only), `normal_equations` or `gmres` (any A), or
            `neumann` (any A whose damped spectrum lies within 1/η of 1/η: truncated, it is what differentiating
            through `iterations` steps of size η at a fixed point gives).
        product: u ↦ A u.
        transpose: u ↦ Aᵀ u; used by `normal_equations` alone.
        v: right-hand side.
        iterations: at most so many (Neumann: exactly so many terms); at least 1.
        damping: δ ≥ 0, added to the diagonal of A (of AᵀA for `normal_equations`).
        step_size: η of the Neumann series; others ignore it.

    Raises:
        UnknownNameError: for an unknown solver.
        ValueError: for fewer than 1 iteration.
    """
    if iterations < 1:
        raise ValueError(f"a linear solver needs at least 1 iteration, got {iterations}")
    run = SOLVERS[require_name("linear solver", solver, SOLVERS)]
    return run(product, transpose, v, iterations, jnp.asarray(damping), jnp.asarray(step_size))
