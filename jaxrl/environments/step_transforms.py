"""Transforms of what a step does and returns: repeated actions, clipped observations and rewards."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, Timestep
from jaxrl.environments.faults import is_faulty
from jaxrl.environments.spaces import Box
from jaxrl.ranges import COUNT, PROBABILITY
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["action_repeat", "clip_observation", "clip_reward"]

_WITHOUT_OPTIONAL = {"post_decision": None, "exogenous": None, "outcomes": None}


def action_repeat(environment: Environment, count: int, discount: float = 1.0) -> Environment:
    """Takes every action `count` times, or until the episode ends, and pays Σ_{i<count} discountⁱ rᵢ.

    By default rewards are summed as they are. What is seen, and whether the episode has ended, is that of the last step
    taken; `success` of any of them is one. A step, of an agent, of a time limit and of `total_steps`, is then one
    decision, as wrappers of gymnasium count it: `count` times fewer than the frames of Atari papers. The agent's own
    discount applies once a decision.

    Args:
        environment: whose steps are repeated; of one that shares copies out, those of each block.
        count: at least 1, which changes nothing.
        discount: in [0, 1], of rewards within a decision.

    Raises:
        ValueError: for a count or discount out of range.
    """
    COUNT.check("the number of times that an action is taken", count)
    PROBABILITY.check("the discount within a repeated action", discount)
    if count == 1:
        return environment

    def step(key: PRNGKeyArray, state: PyTree, action: Array, params: PyTree) -> tuple[PyTree, Timestep]:
        keys, begun = jax.random.split(key, count), state

        def again(carry: tuple, inputs: tuple) -> tuple[tuple, None]:
            state, sofar = carry
            following, latest = environment.step(inputs[0], state, action, params)
            info = {**latest.info, **_succeeded(sofar.info, latest.info)}
            latest = latest._replace(reward=sofar.reward + inputs[1] * latest.reward, info=info)
            # What is not finite is seen by those who look for it after the step.
            over = sofar.terminated | sofar.truncated | is_faulty(begun, state, sofar)
            keep = lambda old, new: jnp.where(over, old, new.astype(old.dtype))  # noqa: E731
            return jax.tree.map(keep, carry, (following, latest)), None

        factors = jnp.asarray(discount ** np.arange(1, count), jnp.float32)
        first = environment.step(keys[0], state, action, params)
        return jax.lax.scan(again, first, (keys[1:], factors))[0]

    limit = environment.spec.time_limit
    spec = replace(environment.spec, time_limit=None if limit is None else -(-limit // count))
    blocks = tuple(action_repeat(block, count, discount) for block in environment.blocks)
    return environment._replace(step=step, spec=spec, blocks=blocks, **_WITHOUT_OPTIONAL)


def _succeeded(sofar: dict[str, Any], latest: dict[str, Any]) -> dict[str, Array]:
    if "success" not in latest:
        return {}
    return {"success": jnp.maximum(jnp.asarray(sofar["success"]), jnp.asarray(latest["success"]))}


def clip_observation(environment: Environment, low: float, high: float) -> Environment:
    """Clips observations to [low, high].

    Raises:
        ValueError: for an environment whose observations are no Box of floats, or bounds that are none.
    """
    space = environment.spec.observation
    if not isinstance(space, Box) or not np.issubdtype(np.dtype(space.dtype), np.floating):
        raise ValueError(f"clip_observation needs a Box observation of floats, {environment.spec.name} has {space}")
    _require_bounds("observations", low, high)

    def reset(key: PRNGKeyArray, params: PyTree) -> tuple[PyTree, PyTree]:
        state, observation = environment.reset(key, params)
        return state, jnp.clip(observation, low, high)

    def step(key: PRNGKeyArray, state: PyTree, action: Array, params: PyTree) -> tuple[PyTree, Timestep]:
        state, timestep = environment.step(key, state, action, params)
        return state, timestep._replace(observation=jnp.clip(timestep.observation, low, high))

    bounds = (np.clip(np.asarray(bound, np.float64), low, high) for bound in (space.low, space.high))
    spec = replace(environment.spec, observation=Box.from_arrays(*bounds, space.shape, space.dtype))
    blocks = tuple(clip_observation(block, low, high) for block in environment.blocks)
    return environment._replace(reset=reset, step=step, spec=spec, blocks=blocks, **_WITHOUT_OPTIONAL)


def clip_reward(environment: Environment, low: float, high: float) -> Environment:
    """Clips the reward of every objective to [low, high], in evaluations, too.

    An agent's `clip_rewards` clips what it learns from alone.

    Raises:
        ValueError: for bounds that are none.
    """
    _require_bounds("rewards", low, high)

    def step(key: PRNGKeyArray, state: PyTree, action: Array, params: PyTree) -> tuple[PyTree, Timestep]:
        state, timestep = environment.step(key, state, action, params)
        reward: Float[Array, " objective"] = jnp.clip(timestep.reward, low, high)
        return state, timestep._replace(reward=reward)

    blocks = tuple(clip_reward(block, low, high) for block in environment.blocks)
    return environment._replace(step=step, blocks=blocks, **_WITHOUT_OPTIONAL)


def _require_bounds(what: str, low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"{what} are clipped to [low, high] with low < high, got [{low}, {high}]")
