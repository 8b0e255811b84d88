"""Verifies an environment against the contract and says what is wrong."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, Timestep
from jaxrl.environments.spaces import Box
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["EnvironmentContractError", "check", "check_structure"]


class EnvironmentContractError(ValueError):
    """An environment breaks the contract; the message lists every fault found."""


def check(environment: Environment, num_steps: int = 200, seed: int = 0) -> None:
    """Steps `environment` with random actions, compiled and vmapped, and checks what comes back.

    Checked: the spec's spaces against real observations and actions; a reward vector with one
    entry per objective; boolean flags; a state and an info of fixed structure, shapes and dtypes;
    finite rewards and observations; equal results for equal keys; parameters that are traced;
    an end within the declared time limit, flagged as truncation where the task did not end.

    Raises:
        EnvironmentContractError: listing every fault.
    """
    check_structure(environment)
    _raise_faults(environment, _behavioural_faults(environment, num_steps, seed))


def check_structure(environment: Environment) -> None:
    """The part of `check` that needs no step: shapes, types and structure, by abstract evaluation.

    Every trainer does this when it is built.

    Raises:
        EnvironmentContractError: listing every fault.
    """
    _raise_faults(environment, _structural_faults(environment))


def _raise_faults(environment: Environment, faults: list[str]) -> None:
    if faults:
        listed = "\n".join(f"  - {fault}" for fault in faults)
        raise EnvironmentContractError(f"{environment.spec.name} breaks the environment contract:\n{listed}")


def _describe(tree: PyTree) -> Any:
    return jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", tree)


def _structural_faults(environment: Environment) -> list[str]:
    spec, key = environment.spec, jax.random.key(0)
    numeric = jax.Array | np.ndarray | np.generic | float | int | bool
    untraceable = {type(leaf).__name__ for leaf in jax.tree.leaves(environment.params) if not isinstance(leaf, numeric)}
    if untraceable:
        return [
            f"params holds {name}, which cannot be traced; move it into the builder" for name in sorted(untraceable)
        ]
    try:
        reset = jax.eval_shape(environment.reset, key, environment.params)
    except Exception as error:
        return [f"reset(key, params) fails when traced: {type(error).__name__}: {error}"]
    if not isinstance(reset, tuple) or len(reset) != 2:
        return [f"reset must return (state, observation), it returns {type(reset).__name__}"]
    state, observation = reset
    action = jax.eval_shape(spec.action.sample, key)
    try:
        stepped = jax.eval_shape(environment.step, key, state, action, environment.params)
    except Exception as error:
        return [f"step(key, state, action, params) fails when traced: {type(error).__name__}: {error}"]
    if not isinstance(stepped, tuple) or len(stepped) != 2 or not isinstance(stepped[1], Timestep):
        return ["step must return (state, Timestep)"]
    next_state, timestep = stepped
    faults = []
    for name, before, after in (
        ("state", state, next_state),
        ("observation", observation, timestep.observation),
    ):
        if jax.tree.structure(before) != jax.tree.structure(after) or _describe(before) != _describe(after):
            faults.append(f"{name} changes between reset and step: {_describe(before)} became {_describe(after)}")
    space = spec.observation
    for leaf in jax.tree.leaves(observation):
        if leaf.shape != space.shape or leaf.dtype != jnp.dtype(space.dtype):
            faults.append(f"observation is {_describe(leaf)}, spec.observation says {space.dtype}{list(space.shape)}")
    if timestep.reward.shape != (spec.num_objectives,) or not jnp.issubdtype(timestep.reward.dtype, jnp.floating):
        faults.append(
            f"reward is {_describe(timestep.reward)}, it must be a float vector of shape [{spec.num_objectives}] "
            "(spec.num_objectives); use transforms.vector_reward for a scalar"
        )
    for name, flag in (("terminated", timestep.terminated), ("truncated", timestep.truncated)):
        if flag.shape != () or flag.dtype != jnp.bool_:
            faults.append(f"{name} is {_describe(flag)}, it must be a scalar bool")
    if not isinstance(timestep.info, dict):
        faults.append(f"info must be a dict, it is {type(timestep.info).__name__}")
    return faults


def _behavioural_faults(environment: Environment, num_steps: int, seed: int) -> list[str]:
    spec = environment.spec
    num_steps = max(num_steps, (spec.time_limit or 0) + 1)

    def episode(key: PRNGKeyArray, params: PyTree) -> tuple[Array, Timestep, Array]:
        reset_key, steps_key = jax.random.split(key)
        state, first = environment.reset(reset_key, params)

        def body(carry: tuple[PyTree, Array], key: PRNGKeyArray) -> tuple[tuple[PyTree, Array], tuple[Timestep, Array]]:
            state, done = carry
            action_key, step_key = jax.random.split(key)
            action = spec.action.sample(action_key)
            state, timestep = environment.step(step_key, state, action, params)
            return (state, done | timestep.terminated | timestep.truncated), (timestep, ~done)

        _, (timesteps, alive) = jax.lax.scan(body, (state, jnp.array(False)), jax.random.split(steps_key, num_steps))
        return first, timesteps, alive

    run = jax.jit(jax.vmap(episode, in_axes=(0, None)))
    keys = jax.random.split(jax.random.key(seed), 4)
    first, timesteps, alive = jax.device_get(run(keys, environment.params))
    again = jax.device_get(run(keys, environment.params))[1]
    faults = []
    if not np.array_equal(timesteps.reward, again.reward, equal_nan=True):
        faults.append("the same key gives different rewards: step must be a pure function of its arguments")
    if not np.all(np.isfinite(timesteps.reward[alive])):
        faults.append("a reward is not finite under random actions")
    observations = timesteps.observation[alive]
    if not np.all(np.isfinite(observations)) or not np.all(np.isfinite(first)):
        faults.append("an observation is not finite under random actions")
    elif not isinstance(spec.observation, Box) or spec.observation.bounded:
        for name, values in (("reset", first), ("step", observations)):
            if not spec.observation.contains(values):
                faults.append(
                    f"an observation from {name} lies outside {spec.observation}: "
                    f"min {values.min():.4g}, max {values.max():.4g}"
                )
    ended = timesteps.terminated | timesteps.truncated
    if np.any(timesteps.terminated & timesteps.truncated & alive):
        faults.append("a step is both terminated and truncated: a step that ends the task is terminated only")
    if spec.time_limit is not None and not np.all(np.any(ended, axis=1)):
        faults.append(
            f"spec.time_limit is {spec.time_limit}, yet an episode has not ended after {num_steps} steps: "
            "set truncated when the limit is reached (transforms.time_limit does)"
        )
    return faults
