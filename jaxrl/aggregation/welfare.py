"""Utilities of a return vector: `(returns [objective], weights [objective], **parameters) -> scalar`.

They serve the expected return vector (`aggregation.utility_gradient`, SER) and the return of a single
episode (`transforms.utility_reward`, ESR) alike. Returns are in comparable units, larger is better.
"""

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Float

__all__ = ["alpha_fair", "generalised_gini", "lorenz_sum", "ordered_sum", "soft_minimum"]

Vector = Float[Array, " objective"]
Scalar = Float[Array, ""]
Rate = Float[Array, ""] | float


def alpha_fair(returns: Vector, weights: Vector, fairness: Rate = 1.0, floor: Rate = 0.01) -> Scalar:
    """Weighted α-fair welfare, extended below a floor so that every return has a finite welfare.

    u(J) = Σᵢ wᵢ φ(Jᵢ), φ(x) = (x^(1-α) - 1)/(1-α), log x at α = 1 (Atkinson, 1970; Mo and Walrand,
    2000): α = 0 is the weighted sum, α = 1 Nash welfare, α → ∞ max-min. For x < ε φ is its second-order
    expansion around ε, φ(ε) + ε^-α (x - ε) - α ε^(-α-1) (x - ε)²/2: twice differentiable, and strictly
    concave for α > 0 everywhere, so that the worse of two returns below the floor still gets the larger slope.

    Args:
        returns: one entry per objective.
        weights: importance of each objective.
        fairness: α ≥ 0.
        floor: ε > 0; ε^(-α-1) must be a finite float32.
    """
    above = jnp.maximum(returns, floor)
    power = 1.0 - jnp.asarray(fairness)
    nonzero = jnp.where(power == 0.0, 1.0, power)
    welfare = jnp.where(power == 0.0, jnp.log(above), jnp.expm1(nonzero * jnp.log(above)) / nonzero)
    below = jnp.minimum(returns - floor, 0.0)
    slope = jnp.power(floor, -jnp.asarray(fairness))
    return jnp.sum(weights * (welfare + slope * (below - 0.5 * fairness / floor * below**2)))


def soft_minimum(returns: Vector, weights: Vector, temperature: Rate = 0.1) -> Scalar:
    """The smallest return, smoothly.

    u(J) = -τ log Σᵢ wᵢ exp(-Jᵢ/τ). Its gradient is a distribution over objectives: all on the worst
    as τ → 0 (max-min), w itself as τ → ∞. Objectives of weight 0 are left out; one of small weight
    counts as better off by -τ log wᵢ.
    """
    return -temperature * jax.nn.logsumexp(-returns / temperature, b=weights)


def generalised_gini(returns: Vector, weights: Vector, rank_ratio: Rate = 0.5) -> Scalar:
    """Generalised Gini welfare: a weighted sum of sorted returns, the worst first and weighted most.

    u(J) = Σᵢ ωᵢ J₍ᵢ₎ with J₍₁₎ ≤ J₍₂₎ ≤ … and ω decreasing (Weymark, 1981; Siddique et al., 2020).
    Under equal weights ωᵢ ∝ ρ^i. Other weights give the WOWA form (Torra, 1997):
    ωᵢ = Φ(Wᵢ) - Φ(Wᵢ₋₁), Wᵢ the share of weight that the i worst have together, and
    Φ(x) = (1 - ρ^(n x))/(1 - ρ^n) for n objectives.

    Args:
        returns: one entry per objective.
        weights: importance of each objective; their sum does not matter.
        rank_ratio: ρ in (0, 1]; 1 is the weighted mean, ρ → 0 the smallest return.
    """
    order = jnp.argsort(returns)
    share = jnp.cumsum(weights[order]) / jnp.sum(weights)
    rate = returns.shape[-1] * jnp.log(rank_ratio)
    nonzero = jnp.where(rate == 0.0, 1.0, rate)
    reached = jnp.where(rate == 0.0, share, jnp.expm1(nonzero * share) / jnp.expm1(nonzero))
    return jnp.diff(reached, prepend=0.0) @ returns[order]


def ordered_sum(returns: Vector, weights: Vector) -> Scalar:
    """Ordered weighted average: u(J) = Σᵢ wᵢ J₍ᵢ₎ with J₍₁₎ ≤ J₍₂₎ ≤ … (Yager, 1988).

    `weights` belong to ranks, the worst first; decreasing ones make it concave and fair.
    """
    return weights @ jnp.sort(returns)


def lorenz_sum(returns: Vector, weights: Vector) -> Scalar:
    """Weighted sum of the Lorenz vector: u(J) = Σₖ wₖ Lₖ, Lₖ = J₍₁₎ + … + J₍ₖ₎ (Perny et al., 2013).

    `weights` belong to the k worst together: (1, 0, …) is the smallest return, (…, 0, 1) the plain sum.
    Concave for all weights ≥ 0; sweeping them traces the convex part of the Lorenz-optimal front.
    """
    return weights @ jnp.cumsum(jnp.sort(returns))
