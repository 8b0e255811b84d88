"""Losses on pairs that a language model proposed (DiscoPOP, Lu et al., 2024, arXiv 2406.08414, appendix).

x = β ρ as in `preference_base`. The search ran at β = 0.05 and some losses read ρ itself; they use x/τ with τ = 0.05,
as their authors do to compare values of β.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxrl.objectives.preference_base import Beta, Pairs, Parameters, PreferenceLoss, hinge_term, logistic_term, of_gap
from jaxrl.types import Array, Float

__all__ = ["DISCOVERED"]


def log_ratio_modulated() -> PreferenceLoss:
    """(1 - m) softplus(-x) + m exp(-x) with m = σ(x/τ): DiscoPOP (LRML).

    Not convex: between a minimum and a maximum around ρ = 0 the loss rises (at β = τ = 0.05, from ρ = -2.37 to 1.44).
    """

    def apply(gap: Array, beta: Beta, parameters: Parameters) -> Array:
        x = beta * gap
        modulation = jax.nn.sigmoid(x / parameters["temperature"])
        return (1.0 - modulation) * logistic_term(x) + modulation * jnp.exp(-x)

    return of_gap(apply, temperature=0.05)


def performance_adaptive_decay() -> PreferenceLoss:
    """d (1 - p [ρ < 0]) softplus(-x) with d = 0.9, p = 0.5 (PADLL); it jumps at ρ = 0."""

    def apply(gap: Array, beta: Beta, parameters: Parameters) -> Array:
        decay = parameters["decay"] * (1.0 - jnp.where(gap < 0.0, parameters["mismatch_penalty"], 0.0))
        return decay * logistic_term(beta * gap)

    return of_gap(apply, decay=0.9, mismatch_penalty=0.5)


def combined_exponential_logistic() -> PreferenceLoss:
    """a exp(-x) + (1 - a) softplus(-x) with a = 0.5 (CELL)."""

    def apply(gap: Array, beta: Beta, parameters: Parameters) -> Array:
        x, mixing = beta * gap, parameters["mixing"]
        return mixing * jnp.exp(-x) + (1.0 - mixing) * logistic_term(x)

    return of_gap(apply, mixing=0.5)


def adaptive_quantile() -> PreferenceLoss:
    """w softplus(-x) + (1 - w) relu(1 - x) (AQL).

    w = σ(q - x/τ) with q = p + η (σ(mean x/τ) - p), p = 0.5, η = 0.01, the mean over the batch.
    """

    def apply(gap: Array, beta: Beta, parameters: Parameters) -> Array:
        x = beta * gap
        scaled = x / parameters["temperature"]
        quantile = parameters["quantile"]
        quantile = quantile + parameters["quantile_rate"] * (jax.nn.sigmoid(scaled.mean()) - quantile)
        blend = jax.nn.sigmoid(quantile - scaled)
        return blend * logistic_term(x) + (1.0 - blend) * hinge_term(x)

    return of_gap(apply, temperature=0.05, quantile=0.5, quantile_rate=0.01)


def adaptive_quantile_feedback() -> PreferenceLoss:
    """w softplus(-x) + (1 - w) relu(1 - x), w = σ(s |x/τ - q|) (AQFL).

    q = (1 - η) std(x/τ) mean σ(-x/τ) + η σ(mean x/τ), s = 0.1, η = 0.05, over a batch of at least two pairs.
    """

    def apply(gap: Array, beta: Beta, parameters: Parameters) -> Array:
        x = beta * gap
        scaled, rate = x / parameters["temperature"], parameters["quantile_rate"]
        quantile = jnp.sqrt(_variance(scaled)) * jax.nn.sigmoid(-scaled).mean()
        quantile = quantile + rate * (jax.nn.sigmoid(scaled.mean()) - quantile)
        blend = jax.nn.sigmoid(parameters["distance_scale"] * jnp.abs(scaled - quantile))
        return blend * logistic_term(x) + (1.0 - blend) * hinge_term(x)

    return of_gap(apply, temperature=0.05, quantile_rate=0.05, distance_scale=0.1)


def dynamic_blended() -> PreferenceLoss:
    """b softplus(-x/t) + (1 - b) exp(-t x), b = σ(var x/τ), t = 0.9 (DBAQL), over at least two pairs."""

    def apply(gap: Array, beta: Beta, parameters: Parameters) -> Array:
        x, sharpness = beta * gap, parameters["sharpness"]
        blend = jax.nn.sigmoid(_variance(x / parameters["temperature"]))
        return blend * logistic_term(x / sharpness) + (1.0 - blend) * jnp.exp(-x * sharpness)

    return of_gap(apply, temperature=0.05, sharpness=0.9)


def _variance(values: Float[Array, "*batch"]) -> Float[Array, ""]:
    """Unbiased; never so small that its root has no gradient."""
    if values.size < 2:
        raise ValueError(f"this loss reads the spread of a batch and needs at least 2 pairs, got {values.size}")
    return jnp.maximum(values.var(ddof=1), 1e-12)


def policy_focused() -> PreferenceLoss:
    """softplus(-x)/s where π prefers the chosen sequence, else s relu(1 - x), s = 2 (PFL)."""

    def apply(pairs: Pairs, beta: Beta, parameters: Parameters) -> Array:
        x, scale = beta * pairs.gap, parameters["focus_scale"]
        return jnp.where(pairs.policy_chosen > pairs.policy_rejected, logistic_term(x) / scale, hinge_term(x) * scale)

    return PreferenceLoss(lambda key: {"focus_scale": jnp.asarray(2.0)}, apply)


DISCOVERED: dict[str, Callable[[], PreferenceLoss]] = {
    build.__name__: build
    for build in (
        log_ratio_modulated, performance_adaptive_decay, combined_exponential_logistic, adaptive_quantile,
        adaptive_quantile_feedback, dynamic_blended, policy_focused,
    )
}  # fmt: skip
