"""Hypergradients: how an outer objective at an inner fixed point moves with the outer variable.

The inner problem is a vector field g(θ, φ, data) that is followed upwards, θ ← θ + α g, to a θ*(φ) with g(θ*, φ) = 0;
it need not be a gradient. The outer objective F(θ, φ, data) is maximised. Signs are of ascent throughout.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl.configs import check_config
from jaxrl.errors import require_name
from jaxrl.numerics.linear_solve import SOLVERS, solve
from jaxrl.ranges import COUNT
from jaxrl.types import Array, Float, PyTree

__all__ = ["Hypergradient", "HypergradientConfig", "ascend", "hypergradient", "implicit", "unrolled"]

Field = Callable[[PyTree, PyTree, PyTree], PyTree]
# With `has_aux`, (the number, anything else).
Objective = Callable[[PyTree, PyTree, PyTree], Any]
_KINDS = ("implicit", "unrolled")


@dataclass(frozen=True, kw_only=True)
class HypergradientConfig:
    """Static settings."""

    hypergradient: str = "implicit"
    """implicit (implicit function theorem after the inner steps) or unrolled (differentiate through them)."""
    solver: str = "neumann"
    """Of the implicit system: neumann, conjugate_gradient (symmetric), normal_equations or gmres."""
    solver_iterations: Annotated[int, COUNT] = 10
    """Its iterations at most; terms of the Neumann series."""
    recompute: bool = False
    """Whether unrolled steps are evaluated again in the backward pass: less memory, more time."""

    def __post_init__(self) -> None:
        check_config(self)
        require_name("hypergradient", self.hypergradient, _KINDS)
        require_name("linear solver", self.solver, SOLVERS)


class Hypergradient(NamedTuple):
    """What one evaluation returns.

    Attributes:
        parameters: θ after the inner steps.
        value: F there.
        gradient: dF/dφ.
        residual: ‖g‖ at the last point where g was evaluated: 0 at a fixed point.
        auxiliary: what the objective returned besides F, with `has_aux`; else None.
    """

    parameters: PyTree
    value: Float[Array, ""]
    gradient: PyTree
    residual: Float[Array, ""]
    auxiliary: PyTree = None


def _with_auxiliary(objective: Objective, has_aux: bool) -> Objective:
    return objective if has_aux else lambda *arguments: (objective(*arguments), None)


def ascend(
    field: Field, parameters: PyTree, outer: PyTree, data: PyTree, step_size: Float[Array, ""] | float
) -> tuple[PyTree, Float[Array, ""]]:
    """θ after θ ← θ + α g(θ, φ, dataₖ) for every entry of data's leading axis, and ‖g‖ at the last step."""

    def body(carry: tuple[PyTree, Array], batch: PyTree) -> tuple[tuple[PyTree, Array], None]:
        parameters, _ = carry
        direction = field(parameters, outer, batch)
        moved = jax.tree.map(lambda leaf, change: leaf + step_size * change, parameters, direction)
        return (moved, jax.lax.stop_gradient(optax.tree.norm(direction))), None

    # The norm takes the precision of the parameters.
    start = (parameters, jnp.zeros_like(optax.tree.norm(parameters)))
    return jax.lax.scan(body, start, data)[0]


def implicit(
    field: Field,
    objective: Objective,
    parameters: PyTree,
    outer: PyTree,
    data: PyTree = None,
    objective_data: PyTree = None,
    *,
    solver: str = "neumann",
    solver_iterations: int = 10,
    damping: Float[Array, ""] | float = 0.0,
    step_size: Float[Array, ""] | float = 1.0,
    has_aux: bool = False,
) -> Hypergradient:
    """dF/dφ at a fixed point, by the implicit function theorem: no path to the fixed point is stored.

    dF/dφ = ∂F/∂φ + (∂g/∂φ)ᵀ u,   (A + δI) u = ∂F/∂θ,   A = −(∂g/∂θ)ᵀ

    `field` is evaluated once; every iteration of the solver costs one product with its Jacobian (Lorraine et al.,
    2020, arXiv 1911.02590, for the Neumann series). A is symmetric positive definite near a strict maximum if g is a
    gradient; for other fields, such as a policy gradient with an entropy bonus that ignores its effect on the states
    visited, use `normal_equations`, `gmres` or `neumann`.

    Args:
        field: g(θ, φ, data), pure; random numbers come through `data`.
        objective: F(θ, φ, objective_data).
        parameters: θ*, any pytree of floats.
        outer: φ, any pytree of floats.
        data: for `field`: one batch, or a key.
        objective_data: for `objective`.
        solver: see `linear_solve.solve`.
        solver_iterations: at least 1.
        damping: δ ≥ 0.
        step_size: η of the Neumann series; the inner step size is a good one.
        has_aux: whether the objective returns (F, auxiliary).

    Raises:
        UnknownNameError: for an unknown solver.
        ValueError: for fewer than 1 iteration.
    """
    require_name("linear solver", solver, SOLVERS)
    both = jax.value_and_grad(_with_auxiliary(objective, has_aux), argnums=(0, 1), has_aux=True)
    (value, auxiliary), (ascent, direct) = both(parameters, outer, objective_data)
    inner = lambda parameters, outer: field(parameters, outer, data)  # noqa: E731
    direction, pull = jax.vjp(inner, parameters, outer)
    negative = lambda tree: jax.tree.map(jnp.negative, tree)  # noqa: E731
    push = lambda u: u  # noqa: E731
    if solver == "normal_equations":
        _, push = jax.linearize(lambda parameters: inner(parameters, outer), parameters)
    u = solve(
        solver,
        lambda u: negative(pull(u)[0]),
        lambda u: negative(push(u)),
        ascent,
        solver_iterations,
        damping,
        step_size,
    )
    gradient = jax.tree.map(jnp.add, direct, pull(u)[1])
    return Hypergradient(parameters, value, gradient, optax.tree.norm(direction), auxiliary)


def unrolled(
    field: Field,
    objective: Objective,
    parameters: PyTree,
    outer: PyTree,
    data: PyTree,
    objective_data: PyTree = None,
    *,
    step_size: Float[Array, ""] | float,
    has_aux: bool = False,
    recompute: bool = False,
) -> Hypergradient:
    """dF(θ_K(φ), φ)/dφ, differentiated through θₖ₊₁ = θₖ + α g(θₖ, φ, dataₖ), k = 0 .. K − 1; θ₀ counts as constant.

    Unlike the implicit gradient it is exact for any K, but sees no further than K steps.

    Args:
        field: g(θ, φ, data).
        objective: F(θ, φ, objective_data).
        parameters: θ₀.
        outer: φ.
        data: with a leading axis of length K, one entry per step: batches, or keys.
        objective_data: for `objective`.
        step_size: α > 0.
        has_aux: whether the objective returns (F, auxiliary).
        recompute: evaluate every step again in the backward pass, so that memory grows with K copies of θ only.
    """
    step = jax.checkpoint(field) if recompute else field

    def after(outer: PyTree) -> tuple[Array, tuple[PyTree, Array, PyTree]]:
        moved, residual = ascend(step, parameters, outer, data, step_size)
        value, auxiliary = _with_auxiliary(objective, has_aux)(moved, outer, objective_data)
        return value, (moved, residual, auxiliary)

    (value, (moved, residual, auxiliary)), gradient = jax.value_and_grad(after, has_aux=True)(outer)
    return Hypergradient(moved, value, gradient, residual, auxiliary)


def hypergradient(
    field: Field, objective: Objective, config: HypergradientConfig = HypergradientConfig(), has_aux: bool = False
) -> Callable[..., Hypergradient]:
    """Builds `(θ, φ, data, field_data, objective_data, step_size, damping) -> Hypergradient`, of the kind asked for.

    K inner steps on the K entries of `data`, then the gradient with respect to φ: through those steps (`unrolled`), or
    at the point they lead to (`implicit`, which evaluates the field there on `field_data` and takes `step_size` for
    the Neumann series). Pure: jit it, vmap it over everything.

    Args:
        field: see `implicit`.
        objective: see `implicit`.
        config: which kind, and the implicit one's solver.
        has_aux: whether the objective returns (F, auxiliary).

    Raises:
        UnknownNameError: by `HypergradientConfig`, for an unknown kind or solver.
    """
    return partial(_hypergradient, field, objective, config, has_aux)


def _hypergradient(
    field: Field,
    objective: Objective,
    config: HypergradientConfig,
    has_aux: bool,
    parameters: PyTree,
    outer: PyTree,
    data: PyTree,
    field_data: PyTree,
    objective_data: PyTree,
    step_size: Float[Array, ""] | float,
    damping: Float[Array, ""] | float = 0.0,
) -> Hypergradient:
    if config.hypergradient == "unrolled":
        options = {"step_size": step_size, "has_aux": has_aux, "recompute": config.recompute}
        return unrolled(field, objective, parameters, outer, data, objective_data, **options)
    parameters, _ = ascend(field, parameters, outer, data, step_size)
    return implicit(
        field,
        objective,
        parameters,
        outer,
        field_data,
        objective_data,
        solver=config.solver,
        solver_iterations=config.solver_iterations,
        damping=damping,
        step_size=step_size,
        has_aux=has_aux,
    )
