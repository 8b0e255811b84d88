"""What is learned from: steps as a buffer keeps them, and samples as a gradient step takes them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.base import Rollout
from jaxrl.agents.off_policy.settings import OffPolicyConfig
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.parts import zeros
from jaxrl.replay import Buffer, Replay, make_replay
from jaxrl.types import Array, Bool, Float, PyTree

__all__ = ["Experience", "Sequences", "Storage", "sequences", "transitions"]


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


class Sequences(NamedTuple):
    """A minibatch of consecutive steps, for networks with a memory; leading axes `[*batch, time]`.

    Attributes:
        observation: what was acted on.
        action: the raw action.
        reward: one entry per objective.
        terminated: the task ended here.
        truncated: a time limit cut the episode here.
        valid: False where a step tells nothing.
        following: what really followed, before any reset.
        start: whether an observation is the first of an episode.
        memory: what the network remembered before the first step when it acted, `[*batch, ...]`.
        weights: preference weights to learn under, `[*batch, objective]`.
        importance: weight of a sequence's loss, `[*batch]`.
    """

    observation: PyTree
    action: Array
    reward: Float[Array, "*batch objective"]
    terminated: Bool[Array, "*batch"]
    truncated: Bool[Array, "*batch"]
    valid: Bool[Array, "*batch"]
    following: PyTree
    start: Bool[Array, "*batch"]
    memory: PyTree
    weights: Float[Array, "..."]
    importance: Float[Array, "..."]


class Storage(NamedTuple):
    """A buffer, and what lies in it.

    Attributes:
        replay: the buffer's functions.
        steps_of: `rollout -> {group: tree}` to add.
        take: `(buffer, indices, discount) -> (weights, importance) -> Experience or Sequences`.
        records: fields of `Rollout` that are stored.
    """

    replay: Replay
    steps_of: Callable[[Rollout], dict[str, PyTree]]
    take: Callable[[Buffer, Array, Any], Callable[[Array, Array], Any]]
    records: tuple[str, ...]


_STEP = ("reward", "terminated", "truncated", "valid")
_RECORDS = ("observation", "raw_action", "reward", "terminated", "truncated", "final_observation")


def _examples(spec: EnvironmentSpec, action: jax.ShapeDtypeStruct) -> tuple[dict, dict, dict]:
    """What is stored of a step: as it begins, of itself, and of what follows."""
    flag = jnp.zeros((), bool)
    each = {"reward": jnp.zeros(spec.num_objectives), "terminated": flag, "truncated": flag, "valid": flag}
    first = {"observation": zeros(spec.observation), "action": action}
    return first, each, {"final_observation": zeros(spec.observation)}


def _steps(rollout: Rollout) -> tuple[dict, dict, dict]:
    first = {"observation": rollout.observation, "action": rollout.raw_action}
    each = {name: getattr(rollout, name) for name in _STEP}
    return first, each, {"final_observation": rollout.final_observation}


def _replay(config: OffPolicyConfig, groups: dict[str, PyTree], window: int) -> Replay:
    size, prioritised = config.buffer_size, config.replay == "prioritised"
    return make_replay(groups, size, config.num_envs, config.num_steps, window, prioritised)


def transitions(spec: EnvironmentSpec, config: OffPolicyConfig, action: jax.ShapeDtypeStruct) -> Storage:
    """Single steps, or windows of `return_steps`, of which observations are taken at both ends alone.

    Args:
        spec: the environment's.
        config: static settings.
        action: shape and type of a raw action.

    Raises:
        ValueError: for a capacity that holds no window.
    """

    def grouped(first: dict, each: dict, last: dict) -> dict[str, PyTree]:
        # One step alone is one gather.
        return (
            {"each": first | each | last} if config.return_steps == 1 else {"first": first, "each": each, "last": last}
        )

    replay = _replay(config, grouped(*_examples(spec, action)), config.return_steps)
    return Storage(replay, lambda rollout: grouped(*_steps(rollout)), partial(_windows, replay, config), _RECORDS)


def sequences(
    spec: EnvironmentSpec, config: OffPolicyConfig, action: jax.ShapeDtypeStruct, memory: PyTree, length: int
) -> Storage:
    """Sequences of `length` steps, with what the network remembered before each step as the rollout's extras.

    Args:
        spec: the environment's.
        config: static settings.
        action: shape and type of a raw action.
        memory: of one copy.
        length: of a sequence.

    Raises:
        ValueError: for a capacity that holds no sequence.
    """

    def grouped(first: dict, each: dict, last: dict, start: Array, memory: PyTree) -> dict[str, PyTree]:
        return {"each": first | each | last | {"start": start}, "memory": {"memory": memory}}

    groups = grouped(*_examples(spec, action), jnp.zeros((), bool), memory)
    replay = _replay(config, groups, length)
    steps_of = lambda rollout: grouped(*_steps(rollout), rollout.start, rollout.extras)  # noqa: E731
    return Storage(replay, steps_of, partial(_sequences, replay, length), (*_RECORDS, "start"))


def _sequences(replay: Replay, length: int, buffer: Buffer, indices: Array, discount: Any) -> Callable:
    found = replay.take(buffer, "each", indices[..., None], jnp.arange(length))
    memory = replay.take(buffer, "memory", indices)["memory"]
    return lambda weights, importance: Sequences(
        observation=found["observation"],
        action=found["action"],
        following=found["final_observation"],
        start=found["start"],
        memory=memory,
        weights=weights,
        importance=importance,
        **{name: found[name] for name in _STEP},
    )


def _windows(
    replay: Replay, config: OffPolicyConfig, buffer: Buffer, indices: Array, discount: Any
) -> Callable[[Array, Array], Experience]:
    """The samples that begin at rows, `(weights, importance) -> Experience`."""
    if config.return_steps == 1:
        found = replay.take(buffer, "each", indices)
        factor = jnp.where(found["terminated"][..., None], 0.0, discount)
        reward, valid = found["reward"], found["valid"]
        first, following = found, found["final_observation"]
    else:
        first = replay.take(buffer, "first", indices)
        reward, factor, count, valid = _summed(replay, config, buffer, indices, discount)
        following = replay.take(buffer, "last", indices, count - 1)["final_observation"]
    return lambda weights, importance: Experience(
        first["observation"], first["action"], reward, factor, following, weights, jnp.where(valid, importance, 0.0)
    )


def _summed(
    replay: Replay, config: OffPolicyConfig, buffer: Buffer, indices: Array, discount: Any
) -> tuple[Array, Array, Array, Bool[Array, "*batch"]]:
    """Discounted rewards until the episode or the window ends, γᵏ or 0, k, and whether all of these steps count."""
    steps = replay.take(buffer, "each", indices[..., None], jnp.arange(config.return_steps))
    done = steps["terminated"] | steps["truncated"]
    taken = jnp.cumsum(done, axis=-1) - done == 0
    # [step, objective] or [step, 1].
    powers = jnp.atleast_1d(discount) ** jnp.arange(config.return_steps)[:, None]
    reward = jnp.sum(jnp.where(taken[..., None], powers * steps["reward"], 0.0), axis=-2)
    count = taken.sum(axis=-1, dtype=jnp.int32)
    ended = jnp.any(steps["terminated"] & taken, axis=-1)
    factor = jnp.where(ended[..., None], 0.0, jnp.asarray(discount) ** count[..., None])
    valid: Bool[Array, "*batch"] = jnp.all(steps["valid"] | ~taken, axis=-1)
    return reward, factor, count, valid
