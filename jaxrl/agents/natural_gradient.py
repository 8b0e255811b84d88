"""Natural gradients for policies: steps of equal divergence instead of equal length."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxrl.agents.minibatches import Batch
from jaxrl.agents.on_policy_parts import Parts
from jaxrl.networks.activity import layer_places
from jaxrl.numerics.linear_solve import solve
from jaxrl.ranges import LIMIT, NOT_NEGATIVE
from jaxrl.types import Array, Float, PyTree
from jaxrl.validity import constant_unless

__all__ = ["NATURAL", "NATURAL_RANGES", "fisher_product", "natural_step", "split_optimiser"]

# Defaults of the traced leaf `hyperparameters.optimiser`.
NATURAL: dict[str, float] = {"trust_region": 0.01, "step_size": float("inf"), "damping": 0.1}
NATURAL_RANGES = {"trust_region": LIMIT, "step_size": LIMIT, "damping": NOT_NEGATIVE}

Product = Callable[[PyTree], PyTree]


def fisher_product(parts: Parts, params: PyTree, batch: Batch, memory: PyTree) -> Product:
    """v ↦ F v with F = E_s[Jᵀ H J] over a batch of observations.

    J is the Jacobian of the distribution's parameters and H the Hessian of KL(π ‖ ·) in them at π itself, so that F is
    both the Hessian of the mean divergence and the Fisher information E[∇log π ∇log πᵀ] (Martens, 2020, section 9.2).
    Nothing larger than the parameters is ever held.
    """

    def parameters_of(params: PyTree) -> Array:
        parameters = parts.network.sequence(params, batch.observation, batch.weights, memory, batch.start)[0]
        return constant_unless(batch.valid, parameters)

    at, pullback = jax.vjp(parameters_of, params)
    slope = jax.grad(lambda other: jnp.mean(parts.distribution.kl(at, other)))

    def product(v: PyTree) -> PyTree:
        tangent = jax.jvp(parameters_of, (params,), (v,))[1]
        return pullback(jax.jvp(slope, (at,), (tangent,))[1])[0]

    return product


def natural_step(
    product: Product, gradient: PyTree, iterations: int, hp: Mapping[str, Array], share: Float[Array, ""] | float
) -> PyTree:
    """−min(η, √(2δ / xᵀFx)) share · x with (F + damping) x = g, by conjugate gradient (Kakade, 2001; TRPO, section C).

    With η = ∞ every step moves the policy by a divergence of about δ share²; with δ = ∞ it is the plain natural
    gradient with step size η.

    Args:
        product: v ↦ F v.
        gradient: g, of what is minimised.
        iterations: of conjugate gradient.
        hp: `trust_region` δ > 0, `step_size` η > 0 and `damping` ≥ 0.
        share: of a whole step.
    """
    direction = solve("conjugate_gradient", product, product, gradient, iterations, hp["damping"], 0.0)
    moved = product(direction)
    square = sum(jnp.vdot(a, b) for a, b in zip(jax.tree.leaves(direction), jax.tree.leaves(moved), strict=True))
    length = jnp.sqrt(2.0 * hp["trust_region"] / jnp.maximum(square, 1e-20))
    size = share * jnp.minimum(hp["step_size"], length)
    # Where there is no gradient there is no direction.
    size = jnp.where(square > 1e-20, size, 0.0)
    return jax.tree.map(lambda leaf: -size * leaf, direction)


def split_optimiser(
    critic: optax.GradientTransformation,
    iterations: int,
    hp: Mapping[str, Array],
    share: Float[Array, ""] | float,
    params: PyTree,
) -> optax.GradientTransformationExtraArgs:
    """Natural steps for the actor, `critic` for the rest; `update` takes `product=` for all parameters besides."""
    actor = [place.actor for place in layer_places(params)]

    def pick(tree: PyTree, wanted: bool) -> list[Array]:
        return [leaf for leaf, own in zip(jax.tree.leaves(tree), actor, strict=True) if own == wanted]

    def merge(natural: list[Array], rest: list[Array], like: PyTree) -> PyTree:
        parts = {True: iter(natural), False: iter(rest)}
        return jax.tree.unflatten(jax.tree.structure(like), [next(parts[own]) for own in actor])

    def init(params: PyTree) -> PyTree:
        return critic.init(pick(params, False))

    def update(updates: PyTree, state: PyTree, params: PyTree = None, *, product: Product, **rest: Any) -> tuple:
        zeros = [jnp.zeros_like(leaf) for leaf in pick(updates, False)]

        def of_actor(v: list[Array]) -> list[Array]:
            return pick(product(merge(v, zeros, updates)), True)

        natural = natural_step(of_actor, pick(updates, True), iterations, hp, share)
        changes, state = critic.update(pick(updates, False), state)
        return merge(natural, changes, updates), state

    return optax.GradientTransformationExtraArgs(init, update)
