"""Many copies of an environment stepped together, with the three auto-reset modes.

All randomness of a rollout is drawn before its loop: `draw` returns one entry per step, and
`step` consumes one. In the `fresh` and `pool` modes the entries hold ready reset states, so the
loop itself contains no reset, only a selection.

A step that is not finite ends its copy's episode as truncated and goes no further (see `faults`).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep, require_compiled
from jaxrl.environments.blocks import draw_blocks, reset_blocks, step_blocks
from jaxrl.environments.faults import contained, finite_start, is_faulty
from jaxrl.errors import require_name
from jaxrl.types import Array, Bool, PRNGKeyArray, PyTree

__all__ = ["AutoReset", "BatchedEnvironment", "Draws", "select_batch", "vectorise"]

AutoReset = Literal["fresh", "pool", "none"]


class Draws(NamedTuple):
    """The randomness of `num_steps` steps, leading axis `time`.

    Attributes:
        keys: keys of the transitions, `[time, env]`.
        resets: `(state, observation)` to restart from, `[time, pool, ...]`; None in mode `none`.
    """

    keys: PRNGKeyArray
    resets: tuple[PyTree, PyTree] | None


class BatchedEnvironment(NamedTuple):
    """`num_envs` copies of one environment, leading axis `env` everywhere.

    Attributes:
        reset: `(key, params, group_size=1) -> (state, observation)`; groups of consecutive copies start alike.
        draw: `(key, num_steps, params) -> Draws`, `num_steps` static.
        step: `(draws_t, state, action, params) -> (state, Timestep)`, where `draws_t` is one
            time slice; `info["final_observation"]` is the observation before any reset, and `info["faulty"]` tells the
            copies whose step was not finite: there the episode is truncated, the reward is 0, and `final_observation`
            holds zeros.
        params: default parameters, not batched.
        spec: the spec of one copy.
        num_envs: number of copies.
    """

    reset: Callable[..., tuple[PyTree, PyTree]]
    draw: Callable[[PRNGKeyArray, int, PyTree], Draws]
    step: Callable[[Draws, PyTree, Array, PyTree], tuple[PyTree, Timestep]]
    params: PyTree
    spec: EnvironmentSpec
    num_envs: int


def vectorise(
    environment: Environment, num_envs: int, auto_reset: AutoReset | str = "fresh", pool_size: int | None = None
) -> BatchedEnvironment:
    """`num_envs` copies of `environment` that restart by themselves.

    A copy whose step gives NaN or an infinity in observation or reward, or turns part of its state into NaN, is cut off
    there as by a time limit and restarts as after any episode; the others never notice.

    Args:
        environment: the environment to copy.
        num_envs: number of copies, at least 1.
        auto_reset: `fresh` draws a new start for every copy and step (cheap environments);
            `pool` draws `pool_size` starts a step, and copy i restarts from start
            i mod pool_size (costly resets, such as physics), so that copies which end in the same step
            may go on from one start; `none` never restarts.
        pool_size: starts drawn per step in mode `pool`; default max(1, num_envs // 16). With k copies to a start and
            ends that come one in L steps, a share of (1 - (1 - 1/L)ᵏ) L/k of all starts is new: at k = 16, 0.7 for
            L = 20 and 0.99 for L = 1000. Where all copies end together, at a time limit, there are `pool_size` starts
            for all of them. `reset` shares none.

    Raises:
        ValueError: for a size below 1, an unknown mode, a pool larger than `num_envs`, a number of copies that does
            not divide among the environment's blocks, or copies on the host that were to restart.
    """
    if environment.blocks:
        return _vectorise_blocks(environment, num_envs, auto_reset, pool_size)
    size = _pool_size(num_envs, auto_reset, pool_size)
    if size:
        require_compiled(environment.spec)

    def start_one(key: PRNGKeyArray, params: PyTree) -> tuple[PyTree, PyTree]:
        state, observation = environment.reset(key, params)
        return state, finite_start(observation)

    def step_one(key: PRNGKeyArray, state: PyTree, action: Array, params: PyTree) -> tuple[PyTree, Timestep, Array]:
        after, timestep = environment.step(key, state, action, params)
        return after, timestep, is_faulty(state, after, timestep)

    resets = jax.vmap(start_one, in_axes=(0, None))
    steps = jax.vmap(step_one, in_axes=(0, 0, 0, None))

    def reset(key: PRNGKeyArray, params: PyTree, group_size: int = 1) -> tuple[PyTree, PyTree]:
        return resets(jnp.repeat(jax.random.split(key, num_envs // group_size), group_size), params)

    def draw(key: PRNGKeyArray, num_steps: int, params: PyTree) -> Draws:
        if not size:
            return Draws(jax.random.split(key, (num_steps, num_envs)), None)
        step_key, reset_key = jax.random.split(key)
        keys = jax.random.split(step_key, (num_steps, num_envs))
        reset_keys = jax.random.split(reset_key, (num_steps, size))
        return Draws(keys, jax.vmap(resets, in_axes=(0, None))(reset_keys, params))

    def step(draws: Draws, state: PyTree, action: Array, params: PyTree) -> tuple[PyTree, Timestep]:
        state, timestep, faulty = steps(draws.keys, state, action, params)
        timestep = contained(timestep, faulty)
        timestep = timestep._replace(info={**timestep.info, "final_observation": timestep.observation})
        if not size:
            return state, timestep
        start = draws.resets
        if size != num_envs:
            slot = jnp.arange(num_envs) % size
            start = jax.tree.map(lambda leaf: leaf[slot], start)
        done = timestep.terminated | timestep.truncated
        state, observation = select_batch(done, start, (state, timestep.observation))
        return state, timestep._replace(observation=observation)

    return BatchedEnvironment(reset, draw, step, environment.params, environment.spec, num_envs)


def _pool_size(num_envs: int, auto_reset: str, pool_size: int | None) -> int:
    """Starts drawn per step."""
    require_name("auto-reset mode", auto_reset, ("fresh", "pool", "none"))
    if num_envs < 1:
        raise ValueError(f"num_envs must be at least 1, got {num_envs}")
    if pool_size is not None and auto_reset != "pool":
        raise ValueError(f"pool_size={pool_size} needs auto_reset='pool', got auto_reset={auto_reset!r}")
    size = {"fresh": num_envs, "pool": pool_size or max(1, num_envs // 16), "none": 0}[auto_reset]
    if not 0 <= size <= num_envs or (pool_size is not None and pool_size < 1):
        raise ValueError(f"pool_size must lie between 1 and num_envs={num_envs}, got {pool_size}")
    return size


def _vectorise_blocks(
    environment: Environment, num_envs: int, auto_reset: str, pool_size: int | None
) -> BatchedEnvironment:
    count = len(environment.blocks)
    if num_envs < count or num_envs % count:
        raise ValueError(
            f"{environment.spec.name} shares copies out among {count} environments: num_envs must be a multiple of "
            f"{count}, got {num_envs}; the nearest is {max(1, round(num_envs / count)) * count}"
        )
    batches = [vectorise(block, num_envs // count, auto_reset, pool_size) for block in environment.blocks]
    return BatchedEnvironment(
        reset=reset_blocks([batch.reset for batch in batches]),
        draw=draw_blocks([batch.draw for batch in batches]),
        step=step_blocks([batch.step for batch in batches], [batch.num_envs for batch in batches]),
        params=environment.params,
        spec=environment.spec,
        num_envs=num_envs,
    )


def select_batch(mask: Bool[Array, " env"], if_true: PyTree, if_false: PyTree) -> PyTree:
    """`if_true` where `mask`, else `if_false`, along the leading axis of every leaf."""

    def select(true_leaf: Array, false_leaf: Array) -> Array:
        shape = mask.shape + (1,) * (false_leaf.ndim - mask.ndim)
        if jax.dtypes.issubdtype(false_leaf.dtype, jax.dtypes.prng_key):
            return jnp.where(mask.reshape(shape), true_leaf, false_leaf)
        return jnp.where(mask.reshape(shape), true_leaf.astype(false_leaf.dtype), false_leaf)

    return jax.tree.map(select, if_true, if_false)
