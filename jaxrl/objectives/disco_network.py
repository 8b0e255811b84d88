"""DiscoRL's meta-network: a backward LSTM along trajectories, scaled by a forward LSTM along an agent's lifetime."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.objectives.disco_parameters import DiscoParameters
from jaxrl.objectives.disco_values import Experience, ValueEstimates, of_action
from jaxrl.types import Array, Float
from jaxrl.validity import inverse_share, kept

__all__ = ["DiscoTargets", "Memory", "meta_network"]


class Memory(NamedTuple):
    """What an LSTM carries: its output and its cell."""

    hidden: Float[Array, "*batch size"]
    cell: Float[Array, "*batch size"]


class DiscoTargets(NamedTuple):
    """What the rule asks for, as logits.

    Attributes:
        policy: π̂.
        prediction: ŷ.
        action_prediction: ẑ, of the action taken.
    """

    policy: Float[Array, "time env action"]
    prediction: Float[Array, "time env prediction"]
    action_prediction: Float[Array, "time env prediction"]


class Probabilities(NamedTuple):
    """Softmaxes of what the network reads of one set of predictions."""

    policy: Float[Array, "time env action"]
    prediction: Float[Array, "time env prediction"]
    action_prediction: Float[Array, "time env action prediction"]


def meta_network(
    parameters: DiscoParameters, lifetime: Memory, experience: Experience, estimates: ValueEstimates
) -> tuple[DiscoTargets, Memory]:
    """Targets of a rollout, and the lifetime's memory after it (Oh et al., 2025, methods).

    With x the inputs of a step, mostly pairs for o and o', the LSTM runs h = LSTM(x, h') backward, forgetting at ends
    of episodes; h is multiplied by an affine map of the lifetime's memory m, and ŷ, ẑ and π̂ are heads on it, π̂(a)
    sharing its parameters between actions. Then m ← LSTM(mean over steps of embedded [x, e, φ(ŷ)], m), e = affine(h).
    """
    heads = parameters["heads"]
    seen = [_probabilities(p) for p in (experience.current, experience.following)]
    seen += [_probabilities(p) for p in (experience.target, experience.target_following)]
    inputs, features = _inputs(parameters["trajectory"], experience, estimates, seen)
    done = experience.terminated | experience.truncated
    hidden = _run_backward(parameters["trajectory"]["recurrence"], inputs, done, experience.valid)
    hidden = hidden * _dense(heads["scale"], lifetime.hidden)
    targets = DiscoTargets(
        policy=_policy_target(heads, hidden, features),
        prediction=_dense(heads["prediction"], hidden),
        action_prediction=_dense(heads["action_prediction"], hidden),
    )
    part = parameters["lifetime"]
    inputs, _ = _inputs(part, experience, estimates, seen)
    embedded = _embed(part, "prediction", jax.nn.softmax(targets.prediction))
    inputs = jnp.concatenate([inputs, _dense(heads["summary"], hidden), embedded[..., None]], axis=-1)
    summary = kept(experience.valid, _dense(part["summary"], inputs)).mean(axis=(0, 1))
    summary = summary * inverse_share(experience.valid)
    return targets, _lstm(part["recurrence"], summary, lifetime)


def _dense(layer: dict[str, Array], inputs: Array) -> Array:
    return inputs @ layer["kernel"] + layer["bias"]


def _embed(part: dict[str, dict[str, Array]], name: str, probabilities: Array) -> Array:
    """φ: categories → 16 → 1."""
    hidden = jax.nn.relu(_dense(part[f"{name}_hidden"], probabilities))
    return _dense(part[f"{name}_output"], hidden)[..., 0]


def _among_actions(layer: dict[str, Array], inputs: Float[Array, "time env action feature"]) -> Array:
    """relu of a dense layer on the features of an action and their mean over actions."""
    count = inputs.shape[-1]
    own, mean = layer["kernel"][:count], layer["kernel"][count:]
    return jax.nn.relu(inputs @ own + inputs.mean(axis=2, keepdims=True) @ mean + layer["bias"])


def _lstm(layer: dict[str, Array], inputs: Array, memory: Memory) -> Memory:
    gates = _dense(layer, jnp.concatenate([inputs, memory.hidden], axis=-1))
    enter, new, forget, leave = jnp.split(gates, 4, axis=-1)
    cell = jax.nn.sigmoid(forget + 1.0) * memory.cell + jax.nn.sigmoid(enter) * jnp.tanh(new)
    return Memory(jax.nn.sigmoid(leave) * jnp.tanh(cell), cell)


def _run_backward(
    layer: dict[str, Array], inputs: Float[Array, "time env feature"], done: Array, valid: Array | None
) -> Array:
    def body(memory: Memory, step: tuple[Array, Array, Array | None]) -> tuple[Memory, Array]:
        memory = jax.tree.map(lambda leaf: jnp.where(step[1][:, None], 0.0, leaf), memory)
        # What came before a step that is not valid ends as a rollout does.
        memory = jax.tree.map(partial(kept, step[2]), _lstm(layer, step[0], memory))
        return memory, memory.hidden

    nothing = jnp.zeros((inputs.shape[1], layer["kernel"].shape[1] // 4), inputs.dtype)
    return jax.lax.scan(body, Memory(nothing, nothing), (inputs, done, valid), reverse=True)[1]


def _policy_target(heads: dict[str, dict[str, Array]], hidden: Array, features: Array) -> Array:
    hidden = jnp.broadcast_to(hidden[:, :, None], (*features.shape[:3], hidden.shape[-1]))
    mixed = _among_actions(heads["policy_hidden"], jnp.concatenate([hidden, features], axis=-1))
    return _dense(heads["policy"], mixed)[..., 0]


def _probabilities(predictions: Array | tuple) -> Probabilities:
    policy = jax.lax.stop_gradient(jax.nn.softmax(predictions.policy))
    return Probabilities(policy, jax.nn.softmax(predictions.prediction), jax.nn.softmax(predictions.action_prediction))


def _sign_log(value: Array) -> Array:
    return jnp.sign(value) * jnp.log1p(jnp.abs(value))


def _inputs(
    part: dict[str, dict[str, Array]], experience: Experience, estimates: ValueEstimates, seen: list[Probabilities]
) -> tuple[Float[Array, "time env input"], Float[Array, "time env action feature"]]:
    """What the network reads of every step, and features of every action."""
    current, following, target, _ = seen
    action = experience.action
    behaviour = jax.lax.stop_gradient(jax.nn.softmax(experience.behaviour))
    embedded = [_embed(part, "action_prediction", each.action_prediction) for each in seen]
    columns = [
        of_action(current.policy, action),
        of_action(behaviour, action),
        _sign_log(experience.reward),
        1.0 - experience.terminated,
        _sign_log(estimates.value),
        _sign_log(estimates.following_value),
        _sign_log(estimates.advantage),
        estimates.normalised_advantage,
        of_action(target.policy, action),
        *(_embed(part, "prediction", each.prediction) for each in seen),
    ]
    for now, then in (embedded[:2], embedded[2:]):
        columns += [
            of_action(now, action),
            jnp.sum(now * current.policy, axis=-1),
            jnp.sum(then * following.policy, axis=-1),
            now.max(axis=-1),
            then.max(axis=-1),
        ]
    by_action = [
        current.policy,
        behaviour,
        target.policy,
        embedded[0],
        embedded[2],
        _sign_log(estimates.action_value),
        _sign_log(estimates.action_advantage),
        estimates.normalised_action_advantage,
        jax.nn.one_hot(action, behaviour.shape[-1]),
    ]
    features = _among_actions(part["policy_hidden"], jnp.stack(by_action, axis=-1))
    features = _among_actions(part["policy_output"], features)
    steps = jnp.stack(columns, axis=-1)
    return jnp.concatenate([steps, features.mean(axis=2), of_action(features, action)], axis=-1), features
