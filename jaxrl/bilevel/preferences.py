"""Preferences between trajectories: labels from a hidden reward, and how likely a learnt one makes them."""

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Bool, Float, PRNGKeyArray

__all__ = ["label_log_likelihood", "preference_labels"]


def preference_labels(
    key: PRNGKeyArray,
    first: Float[Array, "*batch"],
    second: Float[Array, "*batch"],
    precision: Float[Array, ""] | float,
) -> Bool[Array, "*batch"]:
    """Whether the second trajectory is preferred: y ~ Bernoulli(σ(β (R₂ − R₁))) (Bradley and Terry, 1952).

    Args:
        key: of the draw.
        first, second: returns under the hidden reward.
        precision: β ≥ 0; 0 is a coin, infinity a judge without error.
    """
    difference = second - first
    # 0 * inf is no number: equal trajectories are a coin at any precision.
    chance = jnp.where(difference == 0.0, 0.5, jax.nn.sigmoid(precision * difference))
    return jax.random.uniform(key, difference.shape) < chance


def label_log_likelihood(difference: Float[Array, "*batch"], label: Bool[Array, "*batch"]) -> Float[Array, "*batch"]:
    """log P(y | R₂ − R₁) = log σ(±(R₂ − R₁)), plus where the second was preferred."""
    return jax.nn.log_sigmoid(jnp.where(label, difference, -difference))
