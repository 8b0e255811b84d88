"""Learned drift functions: a mirror-learning surrogate whose penalty is a small network."""

from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp

from jaxrl.objectives.base import Surrogate, SurrogateInputs
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["LEARNED", "drift_features", "learned_drift"]

# Below this a network's output is no drift at all, so that the drift is flat around r = 1.
_THRESHOLD = 1e-4
_EPSILON = 0.2


def drift_features(log_ratio: Float[Array, "*batch"], advantage: Float[Array, "*batch"]) -> Float[Array, "*batch 8"]:
    """x = (1 - r, (1 - r)², log r, (log r)²) and A x: all are zero at r = 1 (Lu et al., 2022, section 5.1)."""
    difference = -jnp.expm1(log_ratio)
    of_ratio = jnp.stack([difference, difference**2, log_ratio, log_ratio**2], axis=-1)
    return jnp.concatenate([of_ratio, of_ratio * advantage[..., None]], axis=-1)


def learned_drift(
    hidden_size: int = 128, clip_initialised: bool = False, time_aware: bool = False, scale: float = 0.1
) -> Surrogate:
    """-(r A - f(r, A)) with a drift f that is learned (LPO, Lu et al., 2022, arXiv 2210.05639, section 5.1).

    f = relu(W₂ tanh(W₁ x) - 10⁻⁴) without biases, x the features of `drift_features`, all of them zero at r = 1; so
    f ≥ 0, and f and its gradient vanish at r = 1, whatever the parameters: the conditions of mirror learning.

    Parameters: `hidden [feature, hidden]` and `output [hidden]`.

    Args:
        hidden_size: width of the hidden layer.
        clip_initialised: start from PPO: f = relu(relu((r - clip(r, 1 ± 0.2)) A) + W₂ tanh(W₁ x) - 10⁻⁴), where W₂ is
            zero at first.
        time_aware: append t/T · x (TA-LPO, Jackson et al., 2024, arXiv 2402.05828, section 4.2), so that f may change
            during training and is still a drift.
        scale: deviation of the initial weights times the square root of the fan-in.
    """
    num_features = 16 if time_aware else 8

    def init(key: PRNGKeyArray | None) -> dict[str, Array]:
        key = jax.random.key(0) if key is None else key
        hidden_key, output_key = jax.random.split(key)
        hidden = jax.random.normal(hidden_key, (num_features, hidden_size)) / num_features**0.5
        output = scale * jax.random.normal(output_key, (hidden_size,)) / hidden_size**0.5
        return {"hidden": hidden, "output": jnp.zeros_like(output) if clip_initialised else output}

    apply = partial(_apply, clip_initialised, time_aware)
    return Surrogate(init, apply)


def _apply(
    clip_initialised: bool,
    time_aware: bool,
    inputs: SurrogateInputs,
    parameters: Mapping[str, Array],
    state: PyTree,
) -> Float[Array, "*batch"]:
    ratio = jnp.exp(inputs.log_ratio)
    advantage = jnp.broadcast_to(inputs.advantage, ratio.shape)
    features = drift_features(inputs.log_ratio, advantage)
    if time_aware:
        features = jnp.concatenate([features, inputs.progress * features], axis=-1)
    raw = jnp.tanh(features @ parameters["hidden"]) @ parameters["output"]
    if clip_initialised:
        clipped = jnp.clip(ratio, 1.0 - _EPSILON, 1.0 + _EPSILON)
        raw = raw + jax.nn.relu((ratio - clipped) * advantage)
    return jax.nn.relu(raw - _THRESHOLD) - ratio * advantage


def learned_drift_from_clip() -> Surrogate:
    """As `learned_drift`, starting as PPO's clip (Lu et al., 2022, section 5.1)."""
    return learned_drift(clip_initialised=True)


def time_aware_drift() -> Surrogate:
    """As `learned_drift`, with the progress of training among its inputs (TA-LPO, arXiv 2402.05828, section 4.2)."""
    return learned_drift(time_aware=True)


def time_aware_drift_from_clip() -> Surrogate:
    """As `time_aware_drift`, starting as PPO's clip."""
    return learned_drift(clip_initialised=True, time_aware=True)


LEARNED: dict[str, Callable[[], Surrogate]] = {
    "learned_drift": learned_drift,
    "learned_drift_from_clip": learned_drift_from_clip,
    "time_aware_drift": time_aware_drift,
    "time_aware_drift_from_clip": time_aware_drift_from_clip,
}
