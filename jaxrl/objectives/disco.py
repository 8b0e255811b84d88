"""DiscoRL: an update rule that tells an agent's policy and two kinds of predictions what to become."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.networks.action_conditional import Predictions
from jaxrl.numerics.categorical import categorical
from jaxrl.objectives.disco_network import DiscoTargets, Memory, meta_network
from jaxrl.objectives.disco_parameters import PUBLISHED, DiscoParameters, DiscoSizes, init_disco, load_disco
from jaxrl.objectives.disco_values import (
    Experience,
    Moments,
    estimate_values,
    init_moments,
    of_action,
    squash,
    two_hot,
)
from jaxrl.types import Array, Float

__all__ = [
    "PUBLISHED",
    "DiscoCoefficients",
    "DiscoSizes",
    "DiscoTargets",
    "Experience",
    "RuleState",
    "disco_loss",
    "disco_targets",
    "init_disco",
    "init_rule_state",
    "load_disco",
]


class RuleState(NamedTuple):
    """What the rule remembers of an agent's life.

    Attributes:
        lifetime: memory of the LSTM along updates.
        advantage: moments of advantages.
    """

    lifetime: Memory
    advantage: Moments


class DiscoCoefficients(NamedTuple):
    """Weights of the terms of the loss.

    Attributes:
        policy: of KL(π̂ ‖ π).
        prediction: of KL(ŷ ‖ y).
        action_prediction: of KL(ẑ ‖ z_a).
        next_policy: of KL(π(o') ‖ p_a).
        value: of the cross-entropy between Retrace's target and q_a.
    """

    policy: Float[Array, ""] | float
    prediction: Float[Array, ""] | float
    action_prediction: Float[Array, ""] | float
    next_policy: Float[Array, ""] | float
    value: Float[Array, ""] | float


def init_rule_state(lifetime_size: int) -> RuleState:
    """At birth: nothing is remembered."""
    nothing = jnp.zeros(lifetime_size)
    return RuleState(Memory(nothing, nothing), init_moments())


def disco_targets(
    parameters: DiscoParameters,
    state: RuleState,
    experience: Experience,
    max_value: float,
    discount: Float[Array, ""] | float = 0.997,
    trace: Float[Array, ""] | float = 0.95,
) -> tuple[DiscoTargets, Float[Array, "time env"], RuleState]:
    """Targets of policy and predictions, Retrace targets of action values, and the state after this update.

    Oh et al., 2025 (Discovering state-of-the-art reinforcement learning algorithms, Nature), methods. Meta-gradients
    flow through targets and predictions, not through values and advantages. Of actions that are not legal the target π̂
    is 0, as π is.

    Args:
        parameters: of the rule.
        state: what it remembers of this agent.
        experience: a rollout.
        max_value: largest value of the bins of q, in the squashed scale.
        discount: γ in [0, 1].
        trace: λ of Retrace, in [0, 1].
    """
    estimates, moments = estimate_values(experience, state.advantage, max_value, discount, trace)
    targets, lifetime = meta_network(parameters, state.lifetime, experience, estimates)
    if experience.possible is not None:
        targets = targets._replace(policy=jnp.where(experience.possible, targets.policy, -jnp.inf))
    return targets, estimates.returns, RuleState(lifetime, moments)


def disco_loss(
    predictions: Predictions,
    targets: DiscoTargets,
    returns: Float[Array, "time env"],
    experience: Experience,
    coefficients: DiscoCoefficients,
    max_value: float,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """The loss that an agent descends, and metrics.

        mean[c_π KL(π̂ ‖ π) + c_y KL(ŷ ‖ y) + c_z KL(ẑ ‖ z_a) + c_p (1 - terminated) KL(π(o') ‖ p_a) + c_q H(G, q_a)],

    H the cross-entropy to the two bins around h(G). π(o') and G are constants.

    Args:
        predictions: for the observations acted on, differentiable.
        targets: of the rule.
        returns: Retrace's targets G.
        experience: the rollout.
        coefficients: c.
        max_value: largest value of the bins of q, in the squashed scale.
    """
    action, alive = experience.action, 1.0 - experience.terminated
    action_prediction = of_action(predictions.action_prediction, action)
    action_value = of_action(predictions.action_value, action)
    next_policy = jax.lax.stop_gradient(experience.following.policy)
    bins = jax.lax.stop_gradient(two_hot(squash(returns), predictions.action_value.shape[-1], max_value))
    between = _divergence if experience.possible is None else categorical(targets.policy.shape[-1]).kl
    losses = DiscoCoefficients(
        policy=between(targets.policy, predictions.policy),
        prediction=_divergence(targets.prediction, predictions.prediction),
        action_prediction=_divergence(targets.action_prediction, action_prediction),
        next_policy=alive * between(next_policy, of_action(predictions.next_policy, action)),
        value=-jnp.sum(bins * jax.nn.log_softmax(action_value), axis=-1),
    )
    losses = jax.tree.map(jnp.mean, losses)
    total = sum(coefficient * loss for coefficient, loss in zip(coefficients, losses))
    metrics = {f"{name}_loss": loss for name, loss in losses._asdict().items()}
    return total, metrics | _metrics(predictions.prediction, action_prediction, targets, experience)


def _divergence(p: Float[Array, "*batch n"], q: Float[Array, "*batch n"]) -> Float[Array, "*batch"]:
    """KL(softmax p ‖ softmax q)."""
    log_p = jax.nn.log_softmax(p)
    return jnp.sum(jnp.exp(log_p) * (log_p - jax.nn.log_softmax(q)), axis=-1)


def _entropy(logits: Float[Array, "*batch n"]) -> Float[Array, ""]:
    log_p = jax.nn.log_softmax(logits)
    return -jnp.sum(jnp.exp(log_p) * log_p, axis=-1).mean()


def _metrics(prediction: Array, action_prediction: Array, targets: DiscoTargets, experience: Experience) -> dict:
    """What the paper's meta-training is regularised by, among others."""
    between = _divergence if experience.possible is None else categorical(targets.policy.shape[-1]).kl
    old = jax.lax.stop_gradient(experience.target.policy)
    return {
        "prediction_entropy": _entropy(prediction) + _entropy(action_prediction),
        "policy_target_divergence": between(old, targets.policy).mean(),
        "target_mean_square": sum(jnp.square(mean) for mean in _means(targets, experience.possible)),
    }


def _means(targets: DiscoTargets, possible: Array | None) -> list[Float[Array, ""]]:
    """Of the logits of each target, π̂'s of possible actions alone."""
    if possible is None:
        return [leaf.mean() for leaf in targets]
    return [jnp.mean(targets.policy, where=possible), targets.prediction.mean(), targets.action_prediction.mean()]
