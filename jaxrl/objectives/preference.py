"""Losses on pairs of sequences of which one was preferred: hand-written, learned, and all of them by name.

x = β ρ as in `preference_base`.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from jaxrl.errors import require_name
from jaxrl.objectives.discovered_preference import DISCOVERED
from jaxrl.objectives.preference_base import Beta, Pairs, Parameters, PreferenceLoss, hinge_term, logistic_term, of_gap
from jaxrl.types import Array, Bool, Float, PRNGKeyArray

__all__ = ["PREFERENCE_LOSSES", "Pairs", "PreferenceLoss", "make_preference_loss", "paired_sequence_loss"]


def logistic() -> PreferenceLoss:
    """-(1-ε) log σ(x) - ε log σ(-x) (DPO, Rafailov et al., 2023, equation 7; ε, 0, the share of wrong labels)."""

    def apply(gap: Array, beta: Beta, parameters: Parameters) -> Array:
        x, smoothing = beta * gap, parameters["label_smoothing"]
        return (1.0 - smoothing) * logistic_term(x) + smoothing * logistic_term(-x)

    return of_gap(apply, label_smoothing=0.0)


def hinge() -> PreferenceLoss:
    """relu(1 - x) (SLiC, Zhao et al., 2023, without its regulariser)."""
    return of_gap(lambda gap, beta, parameters: hinge_term(beta * gap))


def squared() -> PreferenceLoss:
    """(ρ - 1/(2β))² (IPO, Azar et al., 2023, arXiv 2310.12036, equation 17)."""
    return of_gap(lambda gap, beta, parameters: (gap - 0.5 / beta) ** 2)


def exponential() -> PreferenceLoss:
    """exp(-x) (GPO, Tang et al., 2024, arXiv 2402.05749, table 1)."""
    return of_gap(lambda gap, beta, parameters: jnp.exp(-beta * gap))


def learned_preference(hidden_size: int = 16) -> PreferenceLoss:
    """softplus(-x) + g(x) - g(0), g = v tanh(W [x, ρ] + b)/√hidden: a loss to be learned, that starts as the logistic.

    v is zero at first. Independent entries of v of order 1 make a correction of order 1 whatever the width. It is
    bounded, so that large errors stay as bad as under the logistic loss, and nothing at ρ = 0, so that no parameter
    moves the loss without its slope.

    Parameters: `hidden [2, hidden]`, `bias [hidden]`, `output [hidden]`.

    Raises:
        ValueError: for a width below 1.
    """
    if hidden_size < 1:
        raise ValueError(f"hidden_size must be at least 1, got {hidden_size}")

    def init(key: PRNGKeyArray | None) -> dict[str, Array]:
        hidden_key, bias_key = jax.random.split(jax.random.key(0) if key is None else key)
        hidden = jax.random.normal(hidden_key, (2, hidden_size)) / 2**0.5
        return {
            "hidden": hidden,
            "bias": jax.random.normal(bias_key, (hidden_size,)),
            "output": jnp.zeros(hidden_size),
        }

    def apply(pairs: Pairs, beta: Beta, parameters: Parameters) -> Array:
        x = beta * pairs.gap
        features = jnp.stack([x, pairs.gap], axis=-1)
        hidden = jnp.tanh(features @ parameters["hidden"] + parameters["bias"]) - jnp.tanh(parameters["bias"])
        return logistic_term(x) + hidden @ parameters["output"] / hidden_size**0.5

    return PreferenceLoss(init, apply)


PREFERENCE_LOSSES: dict[str, Callable[[], PreferenceLoss]] = {
    "logistic": logistic,
    "hinge": hinge,
    "squared": squared,
    "exponential": exponential,
    **DISCOVERED,
    "learned_preference": learned_preference,
}

# Papers' names of the same losses.
_KNOWN_AS = {
    "dpo": "logistic", "slic": "hinge", "ipo": "squared", "discopop": "log_ratio_modulated",
    "lrml": "log_ratio_modulated", "padll": "performance_adaptive_decay", "cell": "combined_exponential_logistic",
    "aql": "adaptive_quantile", "aqfl": "adaptive_quantile_feedback", "dbaql": "dynamic_blended",
    "pfl": "policy_focused",
}  # fmt: skip


def make_preference_loss(name: str | PreferenceLoss) -> PreferenceLoss:
    """The loss called `name`, or known as that in papers (dpo, ipo, discopop, ...); a `PreferenceLoss` passes through.

    Raises:
        UnknownNameError: for an unknown one, with the nearest match.
    """
    if isinstance(name, PreferenceLoss):
        return name
    require_name("preference loss", name, {*PREFERENCE_LOSSES, *_KNOWN_AS})
    return PREFERENCE_LOSSES[_KNOWN_AS.get(name, name)]()


def paired_sequence_loss(
    loss: PreferenceLoss,
    policy: tuple[Float[Array, "batch chosen"], Float[Array, "batch rejected"]],
    reference: tuple[Float[Array, "batch chosen"], Float[Array, "batch rejected"]],
    masks: tuple[Bool[Array, "batch chosen"], Bool[Array, "batch rejected"]],
    beta: Beta,
    parameters: Parameters,
    average: bool = False,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Mean loss of pairs of sequences from log probabilities of their tokens.

    Args:
        loss: which.
        policy: log π of every token, of chosen and of rejected sequences; differentiable.
        reference: the same of the reference.
        masks: which tokens count (no prompts, no padding), of chosen and of rejected; others may hold anything.
        beta: β > 0.
        parameters: of the loss.
        average: mean log probability of a sequence's tokens instead of their sum, against a bias towards length.

    Returns:
        The loss, and the metrics `gap` (mean ρ) and `accuracy` (share of pairs with ρ > 0).
    """
    sums = partial(_sequence_log_probs, average)
    chosen, rejected = masks
    pairs = Pairs(
        sums(policy[0], chosen), sums(policy[1], rejected), sums(reference[0], chosen), sums(reference[1], rejected)
    )
    metrics = {"gap": pairs.gap.mean(), "accuracy": jnp.mean(pairs.gap > 0.0)}
    return loss.apply(pairs, beta, parameters).mean(), jax.lax.stop_gradient(metrics)


def _sequence_log_probs(
    average: bool, log_probs: Float[Array, "batch time"], mask: Bool[Array, "batch time"]
) -> Float[Array, " batch"]:
    total = jnp.sum(jnp.where(mask, log_probs, 0.0), axis=-1)
    return total / jnp.maximum(mask.sum(axis=-1), 1) if average else total
