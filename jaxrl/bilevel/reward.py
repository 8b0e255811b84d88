"""Rewards with parameters: blends of an environment's objectives, a learned discount, potential-based shaping."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Bool, Float, PyTree

__all__ = ["Alignment", "align_reward", "learned_discount", "potential_shaping"]


class Alignment(NamedTuple):
    """φ: what the outer problem learns.

    Attributes:
        coefficients: c₀ of a constant reward, then cᵢ of each objective; the same in all states.
        residual: parameters of the network f, whose outputs are added to them by state and action.
        discount: logit of γ_φ.
    """

    coefficients: Any
    residual: Any
    discount: Any


def learned_discount(alignment: Alignment) -> Float[Array, ""]:
    """γ_φ = 1/(1 + exp(−logit)), in (0, 1)."""
    return jax.nn.sigmoid(alignment.discount)


def align_reward(
    coefficients: Float[Array, " term"],
    residual: Float[Array, "*batch term"],
    reward: Float[Array, "*batch objective"],
) -> Float[Array, "*batch"]:
    """r_φ(s, a) = φ₁(s, a) + φ₂(s, a) r_p + φ₃(s, a) r_aux, with φᵢ(s, a) = cᵢ + fᵢ(s, a), for any number of rewards.

    Gupta et al., 2023, arXiv 2310.19007 (there with r_p and r_aux, and one function for each φᵢ).

    Args:
        coefficients: c, one more entry than there are objectives.
        residual: f(s, a), likewise.
        reward: of the environment.
    """
    blend = coefficients + residual
    return blend[..., 0] + jnp.sum(blend[..., 1:] * reward, axis=-1)


def potential_shaping(
    reward: Float[Array, "time env objective"],
    terminated: Bool[Array, "time env"],
    potential: Float[Array, " objective"],
    discount: Float[Array, ""],
) -> Float[Array, "time env"]:
    """Fₜ = γ Φ(sₜ₊₁) − Φ(sₜ), which leaves optimal policies as they are (Ng et al., 1999, theorem 1).

    Φ(sₜ₊₁) = p · rₜ: rewards that depend on the state entered are its potential. Φ(s₀) = 0, and Φ = 0 where the task
    ended, so that Σ γᵗ Fₜ is 0 for every episode that terminates.

    Args:
        reward: of the environment, along whole episodes.
        terminated: whether the task ended with the step.
        potential: p; 0 for objectives that are no potential.
        discount: γ of the learner.
    """
    entered = jnp.where(terminated, 0.0, reward @ potential)
    left = jnp.concatenate([jnp.zeros_like(entered[:1]), (reward @ potential)[:-1]])
    return discount * entered - left


def adjust(alignment: Alignment, changes: Alignment, rates: PyTree) -> Alignment:
    """Moves each part of φ by its own rate times its change; rates follow `Alignment`'s fields."""
    parts = zip(alignment, changes, rates, strict=True)
    moved = [
        jax.tree.map(lambda leaf, change, rate=rate: leaf + rate * change, part, step) for part, step, rate in parts
    ]
    return Alignment(*moved)
