"""Environment -> Environment: each transform wraps reset and step and leaves params traced."""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, Outcomes, Timestep
from jaxrl.environments.episodes import EpisodeState, accumulate, start_episode
from jaxrl.environments.observation_transforms import (
    WITHOUT_OPTIONAL,
    action_mask,
    flatten_observation,
    map_observation,
)
from jaxrl.environments.spaces import Box
from jaxrl.environments.step_transforms import action_repeat, clip_observation, clip_reward
from jaxrl.environments.utility_transforms import accrued_reward, utility_reward
from jaxrl.types import Array, Int, PRNGKeyArray, PyTree

__all__ = [
    "accrued_reward",
    "action_mask",
    "action_repeat",
    "clip_action",
    "clip_observation",
    "clip_reward",
    "episode_statistics",
    "flatten_observation",
    "frame_stack",
    "map_observation",
    "scale_action",
    "sticky_actions",
    "time_limit",
    "utility_reward",
    "vector_reward",
]


class TimeLimitState(NamedTuple):
    """The wrapped state and the number of steps taken in this episode."""

    inner: PyTree
    steps: Int[Array, ""]


def time_limit(environment: Environment, limit: int) -> Environment:
    """Truncates an episode after `limit` steps; termination on that step stays termination."""
    if limit < 1:
        raise ValueError(f"time limit must be at least 1, got {limit}")

    def reset(key: PRNGKeyArray, params: PyTree) -> tuple[TimeLimitState, PyTree]:
        state, observation = environment.reset(key, params)
        return TimeLimitState(state, jnp.zeros((), jnp.int32)), observation

    def step(
        key: PRNGKeyArray, state: TimeLimitState, action: Array, params: PyTree
    ) -> tuple[TimeLimitState, Timestep]:
        inner, timestep = environment.step(key, state.inner, action, params)
        steps = state.steps + 1
        return TimeLimitState(inner, steps), _limited(limit, steps, timestep)

    spec = replace(environment.spec, time_limit=min(limit, environment.spec.time_limit or limit))
    outcomes = partial(_limited_outcomes, environment, limit) if environment.outcomes else None
    return environment._replace(reset=reset, step=step, spec=spec, **{**WITHOUT_OPTIONAL, "outcomes": outcomes})


def _limited(limit: int, steps: Int[Array, "*outcome"], timestep: Timestep) -> Timestep:
    return timestep._replace(truncated=timestep.truncated | ((steps >= limit) & ~timestep.terminated))


def _limited_outcomes(
    environment: Environment, limit: int, state: TimeLimitState, action: Array, params: PyTree
) -> Outcomes:
    inner = environment.outcomes(state.inner, action, params)
    steps = jnp.broadcast_to(state.steps + 1, inner.probabilities.shape)
    return Outcomes(inner.probabilities, TimeLimitState(inner.states, steps), _limited(limit, steps, inner.timesteps))


def _map_action(environment: Environment, function) -> Environment:
    def step(key: PRNGKeyArray, state: PyTree, action: Array, params: PyTree) -> tuple[PyTree, Timestep]:
        return environment.step(key, state, function(action), params)

    return environment._replace(step=step, **WITHOUT_OPTIONAL)


def _require_bounded_actions(environment: Environment, transform: str) -> Box:
    space = environment.spec.action
    if not isinstance(space, Box) or not space.bounded:
        raise ValueError(f"{transform} needs a bounded Box action space, {environment.spec.name} has {space}")
    return space


def clip_action(environment: Environment) -> Environment:
    """Clips actions to the bounds of the action space, and accepts any real action."""
    space = _require_bounded_actions(environment, "clip_action")
    low, high = jnp.asarray(space.low), jnp.asarray(space.high)
    return _map_action(environment, lambda action: jnp.clip(action, low, high).astype(space.dtype))


def scale_action(environment: Environment) -> Environment:
    """Maps actions from [-1, 1] linearly onto the bounds: a ↦ low + (a + 1)(high - low)/2."""
    space = _require_bounded_actions(environment, "scale_action")
    low, high = jnp.asarray(space.low), jnp.asarray(space.high)
    scaled = _map_action(environment, lambda a: (low + (a + 1.0) * 0.5 * (high - low)).astype(space.dtype))
    return scaled._replace(spec=replace(scaled.spec, action=Box(-1.0, 1.0, space.shape)))


class HistoryState(NamedTuple):
    """The wrapped state and what it remembers of the past (frames or the last action)."""

    inner: PyTree
    memory: Array


def frame_stack(environment: Environment, num_frames: int) -> Environment:
    """The last `num_frames` observations on a new last axis, oldest first; zeros before the start."""
    space = environment.spec.observation
    if not isinstance(space, Box):
        raise ValueError(f"frame_stack needs a Box observation, {environment.spec.name} has {space}")
    if num_frames < 1:
        raise ValueError(f"num_frames must be at least 1, got {num_frames}")

    def push(frames: Array, observation: Array) -> Array:
        return jnp.concatenate([frames[..., 1:], observation[..., None]], axis=-1)

    def reset(key: PRNGKeyArray, params: PyTree) -> tuple[HistoryState, Array]:
        state, observation = environment.reset(key, params)
        frames = push(jnp.zeros((*space.shape, num_frames), observation.dtype), observation)
        return HistoryState(state, frames), frames

    def step(key: PRNGKeyArray, state: HistoryState, action: Array, params: PyTree) -> tuple[HistoryState, Timestep]:
        inner, timestep = environment.step(key, state.inner, action, params)
        frames = push(state.memory, timestep.observation)
        return HistoryState(inner, frames), timestep._replace(observation=frames)

    low, high = (
        jnp.broadcast_to(
            jnp.asarray(bound)[..., None] if isinstance(bound, tuple) else bound, (*space.shape, num_frames)
        )
        for bound in (space.low, space.high)
    )
    stacked = Box.from_arrays(jnp.minimum(low, 0.0), jnp.maximum(high, 0.0), (*space.shape, num_frames), space.dtype)
    spec = replace(environment.spec, observation=stacked)
    return environment._replace(reset=reset, step=step, spec=spec, **WITHOUT_OPTIONAL)


def sticky_actions(environment: Environment, probability: float) -> Environment:
    """Repeats the previous action with `probability` (Machado et al., 2018, section 5.2).

    Raises:
        ValueError: for a probability outside [0, 1), or a mask of actions, which the previous one may not keep to.
    """
    if environment.spec.action_mask:
        name = environment.spec.name
        raise ValueError(f"sticky_actions repeats an action that may be illegal by then: {name} has an action mask")
    if not 0.0 <= probability < 1.0:
        raise ValueError(f"the sticky probability must lie in [0, 1), got {probability}")
    space = environment.spec.action

    def reset(key: PRNGKeyArray, params: PyTree) -> tuple[HistoryState, PyTree]:
        state, observation = environment.reset(key, params)
        return HistoryState(state, jnp.zeros(space.shape, space.dtype)), observation

    def step(key: PRNGKeyArray, state: HistoryState, action: Array, params: PyTree) -> tuple[HistoryState, Timestep]:
        stick_key, step_key = jax.random.split(key)
        repeat = jax.random.uniform(stick_key) < probability
        action = jnp.where(repeat, state.memory, jnp.asarray(action, space.dtype))
        inner, timestep = environment.step(step_key, state.inner, action, params)
        return HistoryState(inner, action), timestep

    return environment._replace(reset=reset, step=step, **WITHOUT_OPTIONAL)


def vector_reward(environment: Environment) -> Environment:
    """Turns a scalar reward of shape () into the contract's vector of one objective."""

    def step(key: PRNGKeyArray, state: PyTree, action: Array, params: PyTree) -> tuple[PyTree, Timestep]:
        state, timestep = environment.step(key, state, action, params)
        return state, timestep._replace(reward=jnp.asarray(timestep.reward, jnp.float32).reshape(1))

    return environment._replace(step=step, **WITHOUT_OPTIONAL)


def episode_statistics(environment: Environment, discount: float = 1.0) -> Environment:
    """Adds `info["episode"]`: vector return, discounted return and length of the episode so far."""

    def reset(key: PRNGKeyArray, params: PyTree) -> tuple[EpisodeState, PyTree]:
        state, observation = environment.reset(key, params)
        return EpisodeState(state, start_episode((), environment.spec.num_objectives)), observation

    def step(key: PRNGKeyArray, state: EpisodeState, action: Array, params: PyTree) -> tuple[EpisodeState, Timestep]:
        inner, timestep = environment.step(key, state.inner, action, params)
        episode = accumulate(state.episode, timestep.reward, jnp.asarray(discount))
        return EpisodeState(inner, episode), timestep._replace(info={**timestep.info, "episode": episode})

    return environment._replace(reset=reset, step=step, **WITHOUT_OPTIONAL)
