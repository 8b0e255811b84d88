"""What is learned from: steps as a buffer keeps them, and samples as a gradient step takes them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.base import Rollout
from jaxrl.agents.off_policy.settings import OffPolicyConfig
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.parts import zeros
from jaxrl.replay import Buffer, Replay, make_replay
from jaxrl.types import Array, Bool, Float, PyTree

__all__ = ["Experience", "make_buffer", "steps_of", "windows"]


class Experience(NamedTuple):
    """A minibatch: after `action` at `observation` came `reward`, and then `factor` times what `following` is worth.

    Attributes:
        observation: `[*batch, ...]`.
        action: the raw action.
        reward: Σ γⁱ rᵢ over the steps that were taken, at most `return_steps`.
        factor: γᵏ after k steps, 0 where the task ended; `[*batch, 1]`, or one entry per objective.
        following: what was observed then; of an episode cut short, its last observation.
        weights: preference weights to learn under.
        importance: weight of a sample's loss, 0 where its steps tell nothing.
    """

    observation: PyTree
    action: Array
    reward: Float[Array, "*batch objective"]
    factor: Float[Array, "*batch #objective"]
    following: PyTree
    weights: Float[Array, "*batch objective"]
    importance: Float[Array, "*batch"]


def make_buffer(spec: EnvironmentSpec, config: OffPolicyConfig, action: jax.ShapeDtypeStruct) -> Replay:
    """A buffer of steps: what is wanted first and last in a window apart from what is wanted of each of its steps.

    Args:
        spec: the environment's.
        config: static settings.
        action: shape and type of a raw action.

    Raises:
        ValueError: for a capacity that holds no window.
    """
    flag = jnp.zeros((), bool)
    first = {"observation": zeros(spec.observation), "action": action}
    each = {"reward": jnp.zeros(spec.num_objectives), "terminated": flag, "truncated": flag, "valid": flag}
    last = {"final_observation": zeros(spec.observation)}
    # One step alone is one gather.
    groups = {"first": first, "each": each, "last": last} if config.return_steps > 1 else {"each": first | each | last}
    return make_replay(
        groups,
        config.buffer_size,
        config.num_envs,
        config.num_steps,
        config.return_steps,
        config.replay == "prioritised",
    )


def steps_of(rollout: Rollout, config: OffPolicyConfig) -> dict[str, PyTree]:
    """An iteration's steps by group."""
    first = {"observation": rollout.observation, "action": rollout.raw_action}
    each = {name: getattr(rollout, name) for name in ("reward", "terminated", "truncated", "valid")}
    last = {"final_observation": rollout.final_observation}
    return {"first": first, "each": each, "last": last} if config.return_steps > 1 else {"each": first | each | last}


def windows(
    replay: Replay, buffer: Buffer, config: OffPolicyConfig, indices: Array, discount: Any
) -> Callable[[Array, Array], Experience]:
    """The samples that begin at rows, `(weights, importance) -> Experience`."""
    if config.return_steps == 1:
        found = replay.take(buffer, "each", indices)
        factor = jnp.where(found["terminated"][..., None], 0.0, discount)
        reward, valid = found["reward"], found["valid"]
        first, following = found, found["final_observation"]
    else:
        first = replay.take(buffer, "first", indices)
        reward, factor, count, valid = _summed(replay, buffer, config, indices, discount)
        following = replay.take(buffer, "last", indices, count - 1)["final_observation"]
    return lambda weights, importance: Experience(
        first["observation"], first["action"], reward, factor, following, weights, jnp.where(valid, importance, 0.0)
    )


def _summed(
    replay: Replay, buffer: Buffer, config: OffPolicyConfig, indices: Array, discount: Any
) -> tuple[Array, Array, Array, Bool[Array, "*batch"]]:
    """Discounted rewards until the episode or the window ends, γᵏ or 0, k, and whether all of these steps count."""
    steps = replay.take(buffer, "each", indices[..., None], jnp.arange(config.return_steps))
    done = steps["terminated"] | steps["truncated"]
    taken = jnp.cumsum(done, axis=-1) - done == 0
    powers = jnp.asarray(discount)[..., None] ** jnp.arange(config.return_steps)
    # [step, objective] or [step, 1].
    powers = jnp.moveaxis(powers.reshape(-1, config.return_steps), 0, -1)
    reward = jnp.sum(jnp.where(taken[..., None], powers * steps["reward"], 0.0), axis=-2)
    count = taken.sum(axis=-1, dtype=jnp.int32)
    ended = jnp.any(steps["terminated"] & taken, axis=-1)
    factor = jnp.where(ended[..., None], 0.0, jnp.asarray(discount) ** count[..., None])
    valid: Bool[Array, "*batch"] = jnp.all(steps["valid"] | ~taken, axis=-1)
    return reward, factor, count, valid
