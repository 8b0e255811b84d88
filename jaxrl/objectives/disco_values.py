"""The hand-written half of DiscoRL: categorical action values, their Retrace targets, normalised advantages."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.networks.action_conditional import Predictions
from jaxrl.numerics import returns
from jaxrl.types import Array, Bool, Float, Int
from jaxrl.validity import inverse_share, kept

__all__ = [
    "Experience",
    "Moments",
    "ValueEstimates",
    "estimate_values",
    "init_moments",
    "of_action",
    "scalar_values",
    "squash",
    "two_hot",
    "unsquash",
]

_SQUASH = 1e-3
_DECAY, _EPSILON, _ROOT_EPSILON = 0.99, 1e-6, 1e-12


class Experience(NamedTuple):
    """A rollout with what the agent predicts along it.

    Attributes:
        current: predictions for the observations acted on.
        following: for those that really followed, before any reset.
        target: the target network's, for the observations acted on.
        target_following: the target network's, for those that followed.
        behaviour: logits of the policy that acted.
        action: what it did.
        reward: weighted sum of the objectives.
        terminated: the task ended here.
        truncated: a time limit cut the episode here.
        valid: False where a step tells nothing (see `Rollout.valid`).
        possible: True for actions that the policy may choose, whose logits are finite; None where all are.
    """

    current: Predictions
    following: Predictions
    target: Predictions
    target_following: Predictions
    behaviour: Float[Array, "time env action"]
    action: Int[Array, "time env"]
    reward: Float[Array, "time env"]
    terminated: Bool[Array, "time env"]
    truncated: Bool[Array, "time env"]
    valid: Bool[Array, "time env"] | None = None
    possible: Bool[Array, "time env action"] | None = None


class Moments(NamedTuple):
    """Exponential averages of a stream and of its square, and the weight that their start at zero still has."""

    first: Float[Array, ""]
    second: Float[Array, ""]
    start: Float[Array, ""]


class ValueEstimates(NamedTuple):
    """What critics make of a rollout; nothing here is differentiated.

    Attributes:
        value: Σ π q of the agent.
        following_value: the same of the observation that followed.
        action_value: q of the target network.
        returns: Retrace targets G of the target network.
        advantage: G - v, v = Σ π q of the target network.
        normalised_advantage: by its moments.
        action_advantage: q - v of the target network.
        normalised_action_advantage: by the moments of `advantage`.
    """

    value: Float[Array, "time env"]
    following_value: Float[Array, "time env"]
    action_value: Float[Array, "time env action"]
    returns: Float[Array, "time env"]
    advantage: Float[Array, "time env"]
    normalised_advantage: Float[Array, "time env"]
    action_advantage: Float[Array, "time env action"]
    normalised_action_advantage: Float[Array, "time env action"]


def squash(value: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """h(x) = sign(x)(√(|x| + 1) - 1) + εx, ε = 1e-3 (Pohlen et al., 2018, section 3.2)."""
    return jnp.sign(value) * (jnp.sqrt(jnp.abs(value) + 1.0) - 1.0) + _SQUASH * value


def unsquash(value: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """The inverse of `squash`."""
    shifted = _SQUASH + 1.0 + jnp.abs(value)
    # (√(1 + 4εs) - 1)/(2ε) without the difference of two numbers near 1.
    root = 2.0 * shifted / (jnp.sqrt(1.0 + 4.0 * _SQUASH * shifted) + 1.0)
    return jnp.sign(value) * (jnp.square(root) - 1.0)


def two_hot(value: Float[Array, "*batch"], num_bins: int, max_value: float) -> Float[Array, "*batch bin"]:
    """The distribution over bins evenly spaced in ±max_value whose mean is `value`, on its two neighbours alone."""
    position = (jnp.clip(value, -max_value, max_value) / max_value + 1.0) * ((num_bins - 1) / 2)
    return jnp.maximum(0.0, 1.0 - jnp.abs(position[..., None] - jnp.arange(num_bins)))


def scalar_values(logits: Float[Array, "*batch bin"], max_value: float) -> Float[Array, "*batch"]:
    """h⁻¹ of the mean of a categorical over bins evenly spaced in ±max_value."""
    bins = jnp.linspace(-max_value, max_value, logits.shape[-1])
    return unsquash(jax.nn.softmax(logits) @ bins)


def of_action(table: Float[Array, "time env action *rest"], action: Int[Array, "time env"]) -> Array:
    """The entry of the action taken, `[time, env, *rest]`."""
    index = action.reshape(*action.shape, *(1,) * (table.ndim - 2))
    return jnp.take_along_axis(table, index, axis=2).squeeze(2)


def init_moments() -> Moments:
    """Moments of nothing."""
    return Moments(jnp.zeros(()), jnp.zeros(()), jnp.ones(()))


def _update(moments: Moments, batch: Array, valid: Array | None) -> Moments:
    def blend(old: Array, new: Array) -> Array:
        return _DECAY * old + (1.0 - _DECAY) * new

    batch, factor = kept(valid, batch), inverse_share(valid)
    first = blend(moments.first, batch.mean() * factor)
    second = blend(moments.second, jnp.square(batch).mean() * factor)
    return Moments(first, second, _DECAY * moments.start)


def _normalise(moments: Moments, value: Array) -> Array:
    mean = moments.first / (1.0 - moments.start)
    variance = jnp.maximum(moments.second / (1.0 - moments.start) - jnp.square(mean), 0.0)
    return (value - mean) / (jnp.sqrt(variance + _ROOT_EPSILON) + _EPSILON)


def estimate_values(
    experience: Experience,
    moments: Moments,
    max_value: float,
    discount: Float[Array, ""] | float,
    trace: Float[Array, ""] | float,
) -> tuple[ValueEstimates, Moments]:
    """Values, Retrace targets and advantages, normalised by moments that this rollout has already entered.

    Args:
        experience: the rollout.
        moments: of earlier advantages.
        max_value: largest value of the bins, in the squashed scale.
        discount: γ in [0, 1].
        trace: λ of Retrace, in [0, 1].
    """
    current, following, target, target_following = jax.tree.map(
        jax.lax.stop_gradient,
        (experience.current, experience.following, experience.target, experience.target_following),
    )
    policy, next_policy = jax.nn.softmax(current.policy), jax.nn.softmax(following.policy)

    def mean_value(policy: Array, predictions: Predictions) -> Array:
        return jnp.sum(policy * scalar_values(predictions.action_value, max_value), axis=-1)

    action_value = scalar_values(target.action_value, max_value)
    value = jnp.sum(policy * action_value, axis=-1)
    log_ratio = of_action(
        jax.nn.log_softmax(current.policy) - jax.nn.log_softmax(experience.behaviour), experience.action
    )
    retraced = returns.retrace(
        experience.reward[..., None],
        of_action(action_value, experience.action)[..., None],
        mean_value(next_policy, target_following)[..., None],
        experience.terminated,
        experience.truncated,
        log_ratio,
        discount,
        trace,
        experience.valid,
    )[..., 0]
    advantage, action_advantage = retraced - value, action_value - value[..., None]
    moments = _update(moments, advantage, experience.valid)
    estimates = ValueEstimates(
        value=mean_value(policy, current),
        following_value=mean_value(next_policy, following),
        action_value=action_value,
        returns=retraced,
        advantage=advantage,
        normalised_advantage=_normalise(moments, advantage),
        action_advantage=action_advantage,
        normalised_action_advantage=_normalise(moments, action_advantage),
    )
    return jax.lax.stop_gradient((estimates, moments))
