"""Verifies an environment against the contract and says what is wrong."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.check_observations import describe, form_faults, leaves_of, mask_faults, value_faults
from jaxrl.environments.check_spec import action_faults, spec_faults
from jaxrl.environments.faults import is_faulty
from jaxrl.environments.masks import sample_legal
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["EnvironmentContractError", "check", "check_structure"]


class EnvironmentContractError(ValueError):
    """An environment breaks the contract; the message lists every fault found."""


def check(environment: Any, num_steps: int = 200, seed: int = 0) -> None:
    """Steps `environment` with random legal actions, compiled and vmapped, and checks what comes back.

    Checked: the spec's spaces by themselves and against real observations and actions, part by part; a mask, which must
    leave something to do in every observation that is acted on; a reward vector with one entry per objective; boolean
    flags; a state and an info of fixed structure, shapes and dtypes; finite rewards, observations and states; equal
    results for equal keys; parameters that are traced; an end within the declared time limit, flagged as truncation
    where the task did not end. What passes, trains.

    Args:
        environment: an `Environment`.
        num_steps: of each of four episodes; at least one more than the time limit is taken.
        seed: of the random actions.

    Raises:
        EnvironmentContractError: listing every fault.
    """
    check_structure(environment)
    _raise_faults(environment, action_faults(environment.spec))
    _raise_faults(environment, _behavioural_faults(environment, num_steps, seed))


def check_structure(environment: Any) -> None:
    """The part of `check` that needs no step: the spec, and shapes, types and structure by abstract evaluation.

    Every trainer does this when it is built.

    Raises:
        EnvironmentContractError: listing every fault.
    """
    _raise_faults(environment, _form_faults(environment) or spec_faults(environment.spec))
    _raise_faults(environment, _structural_faults(environment))


def _raise_faults(environment: Any, faults: list[str]) -> None:
    if faults:
        listed = "\n".join(f"  - {fault}" for fault in faults)
        name = getattr(getattr(environment, "spec", None), "name", None) or type(environment).__name__
        raise EnvironmentContractError(f"{name} breaks the environment contract:\n{listed}")


def _form_faults(environment: Any) -> list[str]:
    if not isinstance(environment, Environment):
        return [
            f"an Environment is expected, got {type(environment).__name__}; jaxrl.make builds one by name, "
            "environments.gymnax.from_gymnax from one of gymnax's"
        ]
    if not isinstance(environment.spec, EnvironmentSpec):
        return [f"spec must be an EnvironmentSpec, it is {type(environment.spec).__name__}"]
    functions = ("reset", "step")
    return [f"{name} must be a function" for name in functions if not callable(getattr(environment, name))]


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
    return [
        *_changes("state", state, next_state),
        *_changes("observation", observation, timestep.observation),
        *form_faults(spec, observation),
        *_timestep_faults(spec, timestep),
    ]


def _changes(name: str, before: PyTree, after: PyTree) -> list[str]:
    old, new = leaves_of(before), leaves_of(after)
    if old == new and jax.tree.structure(before) == jax.tree.structure(after):
        return []
    changed = [path for path in {**old, **new} if old.get(path) != new.get(path)]
    described = ", ".join(
        f"{path or name}: {old.get(path, 'nothing')} became {new.get(path, 'nothing')}" for path in changed
    )
    return [f"{name} changes between reset and step: {described or 'its structure'}"]


def _timestep_faults(spec: EnvironmentSpec, timestep: Timestep) -> list[str]:
    faults, reward = [], timestep.reward
    floating = hasattr(reward, "dtype") and jnp.issubdtype(reward.dtype, jnp.floating)
    if not floating or reward.shape != (spec.num_objectives,):
        faults.append(
            f"reward is {describe(reward)}, it must be a float vector of shape [{spec.num_objectives}] "
            "(spec.num_objectives); use transforms.vector_reward for a scalar"
        )
    for name, flag in (("terminated", timestep.terminated), ("truncated", timestep.truncated)):
        if not hasattr(flag, "dtype") or flag.shape != () or flag.dtype != jnp.bool_:
            faults.append(f"{name} is {describe(flag)}, it must be a scalar bool")
    if not isinstance(timestep.info, dict):
        faults.append(f"info must be a dict, it is {type(timestep.info).__name__}")
    elif jnp.shape(timestep.info.get("success", False)) != ():
        faults.append(f"info['success'] is {describe(timestep.info['success'])}, it must be a scalar")
    return faults


def _behavioural_faults(environment: Environment, num_steps: int, seed: int) -> list[str]:
    spec = environment.spec
    num_steps = max(num_steps, (spec.time_limit or 0) + 1)

    def episode(key: PRNGKeyArray, params: PyTree) -> tuple[PyTree, Timestep, Array, Array]:
        reset_key, steps_key = jax.random.split(key)
        state, first = environment.reset(reset_key, params)

        def body(carry: tuple[PyTree, PyTree, Array], key: PRNGKeyArray) -> tuple[tuple, tuple]:
            state, observation, done = carry
            action_key, step_key = jax.random.split(key)
            action = sample_legal(action_key, spec, observation)
            after, timestep = environment.step(step_key, state, action, params)
            faulty = is_faulty(state, after, timestep)
            carry = after, timestep.observation, done | timestep.terminated | timestep.truncated
            return carry, (timestep, ~done, faulty)

        _, rest = jax.lax.scan(body, (state, first, jnp.array(False)), jax.random.split(steps_key, num_steps))
        return first, *rest

    run = jax.jit(jax.vmap(episode, in_axes=(0, None)))
    keys = jax.random.split(jax.random.key(seed), 4)
    try:
        first, timesteps, alive, faulty = jax.device_get(run(keys, environment.params))
    except Exception as error:
        return [f"reset and step fail under jit, vmap and scan: {type(error).__name__}: {error}"]
    again = jax.device_get(run(keys, environment.params))[1]
    ended = timesteps.terminated | timesteps.truncated
    faults = []
    if not np.array_equal(timesteps.reward, again.reward, equal_nan=True):
        faults.append("the same key gives different rewards: step must be a pure function of its arguments")
    if not np.all(np.isfinite(timesteps.reward[alive])):
        faults.append("a reward is not finite under random actions")
    at = lambda chosen: jax.tree.map(lambda leaf: leaf[chosen], timesteps.observation)  # noqa: E731
    faults += value_faults(spec, {"reset": first, "step": at(alive)})
    faults += mask_faults(spec, {"reset": first, "step": at(alive & ~ended)})
    if not faults and np.any(faulty & alive):
        faults.append(
            "part of the state turns into NaN under random actions, which ends an episode as a fault; "
            "where that is meant, keep a flag beside a number"
        )
    if np.any(timesteps.terminated & timesteps.truncated & alive):
        faults.append("a step is both terminated and truncated: a step that ends the task is terminated only")
    if spec.time_limit is not None and not np.all(np.any(ended, axis=1)):
        faults.append(
            f"spec.time_limit is {spec.time_limit}, yet an episode has not ended after {num_steps} steps: "
            "set truncated when the limit is reached (transforms.time_limit does)"
        )
    return faults
