"""Learned policy gradient: a backward recurrent network that tells policy and predictions what to become."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.objectives.trajectory import Heads, Trajectory, TrajectoryObjective
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree
from jaxrl.validity import kept

__all__ = ["LPGTargets", "learned_policy_gradient"]

_EMBEDDING_HIDDEN = 16
_SCALARS = 4
_LOG_HORIZON_SCALE = 5.0


class LPGTargets(NamedTuple):
    """What the rule asks for.

    Attributes:
        policy: π̂, how much more likely the action taken should become.
        output: log ŷ, log probabilities of the predictions' target.
    """

    policy: Float[Array, "time env"]
    output: Float[Array, "time env output"]


def learned_policy_gradient(
    num_outputs: int = 30, recurrent_size: int = 256, time_aware: bool = False
) -> TrajectoryObjective:
    """The objective of LPG (Oh et al., 2020, arXiv 2007.08794, section 3).

    A GRU (the paper's is an LSTM) runs backward over x = [r, 1 - done, γ, π(a|s), φ(y(s)), (1 - terminated) φ(y(s'))],
    forgetting at ends of episodes, and puts out π̂ and ŷ; the agent's parameters descend

        mean(-π̂ log π(a|s) + α_y KL(softmax y(s) ‖ ŷ)),  α_y = `target_coefficient`, 0.5.

    φ is a shared embedding num_outputs → 16 → 1 of the probabilities softmax y.

    Args:
        num_outputs: categories of the predictions y (30 in the paper).
        recurrent_size: width of the GRU.
        time_aware: append t/T and (log T)/5 (TA-LPG, Jackson et al., 2024, arXiv 2402.05828, section 4.1; the factor,
            which is ours, makes horizons of some hundred updates an input of about 1). Its weights start at 0: a fresh
            TA-LPG is the LPG of the same key.
    """
    for name, size in (("num_outputs", num_outputs), ("recurrent_size", recurrent_size)):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    init = partial(_init, num_outputs, recurrent_size, time_aware)
    return TrajectoryObjective(num_outputs, init, partial(_targets, time_aware), _loss)


def time_aware_policy_gradient(num_outputs: int = 30, recurrent_size: int = 256) -> TrajectoryObjective:
    """As `learned_policy_gradient`, reading progress and horizon, too."""
    return learned_policy_gradient(num_outputs, recurrent_size, time_aware=True)


def _init(num_outputs: int, recurrent_size: int, time_aware: bool, key: PRNGKeyArray | None) -> dict[str, Array]:
    shapes = {
        "embedding_hidden": (num_outputs, _EMBEDDING_HIDDEN),
        "embedding_output": (_EMBEDDING_HIDDEN,),
        "input": (_SCALARS + 2, 3 * recurrent_size),
        "hidden": (recurrent_size, 3 * recurrent_size),
        "policy": (recurrent_size,),
        "output": (recurrent_size, num_outputs),
    }
    keys = jax.random.split(jax.random.key(0) if key is None else key, len(shapes))
    drawn = {name: jax.random.normal(k, shape) / np.sqrt(shape[0]) for k, (name, shape) in zip(keys, shapes.items())}
    if time_aware:
        drawn["input"] = jnp.concatenate([drawn["input"], jnp.zeros((2, 3 * recurrent_size))])
    biases = {"embedding_bias": jnp.zeros(_EMBEDDING_HIDDEN), "bias": jnp.zeros(3 * recurrent_size)}
    return {**drawn, **biases, "policy_bias": jnp.zeros(()), "output_bias": jnp.zeros(num_outputs)}


def _embed(probabilities: Float[Array, "time env output"], parameters: dict[str, Array]) -> Float[Array, "time env"]:
    hidden = jax.nn.relu(probabilities @ parameters["embedding_hidden"] + parameters["embedding_bias"])
    return hidden @ parameters["embedding_output"]


def _targets(time_aware: bool, trajectory: Trajectory, parameters: dict[str, Array]) -> LPGTargets:
    alive = ~(trajectory.terminated | trajectory.truncated)
    following = _embed(jax.nn.softmax(trajectory.next_output), parameters)
    inputs = [
        trajectory.reward,
        alive,
        trajectory.discount,
        trajectory.probability,
        _embed(jax.nn.softmax(trajectory.output), parameters),
        jnp.where(trajectory.terminated, 0.0, following),
    ]
    if time_aware:
        inputs += [trajectory.progress.fraction, jnp.log(trajectory.progress.horizon) / _LOG_HORIZON_SCALE]
    shape = trajectory.reward.shape
    inputs = jnp.stack([jnp.broadcast_to(entry, shape).astype(trajectory.output.dtype) for entry in inputs], axis=-1)
    gates = inputs @ parameters["input"] + parameters["bias"]
    hidden = _run_backward(gates, alive, parameters["hidden"], trajectory.valid)
    policy = hidden @ parameters["policy"] + parameters["policy_bias"]
    return LPGTargets(policy, jax.nn.log_softmax(hidden @ parameters["output"] + parameters["output_bias"]))


def _run_backward(
    gates: Float[Array, "time env gate"], alive: Array, kernel: Float[Array, "hidden gate"], valid: Array | None
) -> Float[Array, "time env hidden"]:
    """A GRU from the last step to the first; what lies beyond the end of an episode is forgotten.

    A step that is not valid is passed over: what came before it ends as a rollout does.
    """

    def body(memory: Array, inputs: tuple[Array, Array, Array | None]) -> tuple[Array, Array]:
        gate, going_on, valid = inputs
        memory = jnp.where(going_on[:, None], memory, 0.0)
        reset_input, update_input, new_input = jnp.split(gate, 3, axis=-1)
        reset_memory, update_memory, new_memory = jnp.split(memory @ kernel, 3, axis=-1)
        update = jax.nn.sigmoid(update_input + update_memory)
        new = jnp.tanh(new_input + jax.nn.sigmoid(reset_input + reset_memory) * new_memory)
        memory = kept(valid, update * memory + (1.0 - update) * new)
        return memory, memory

    first = jnp.zeros((gates.shape[1], kernel.shape[0]), gates.dtype)
    return jax.lax.scan(body, first, (gates, alive, valid), reverse=True)[1]


def _loss(heads: Heads, targets: LPGTargets, parameters: PyTree, coefficient: Array) -> tuple[Array, dict[str, Array]]:
    policy_loss = -jnp.mean(targets.policy * heads.log_prob)
    log_y = jax.nn.log_softmax(heads.output)
    divergence = jnp.sum(jnp.exp(log_y) * (log_y - targets.output), axis=-1)
    metrics = {
        "policy_loss": policy_loss,
        "output_loss": divergence.mean(),
        "output_entropy": -jnp.mean(jnp.sum(jnp.exp(log_y) * log_y, axis=-1)),
        "policy_target_square": jnp.mean(targets.policy**2),
        "output_target_square": jnp.mean(jnp.exp(targets.output) ** 2),
    }
    return policy_loss + coefficient * divergence.mean(), metrics
