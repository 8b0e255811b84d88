"""brax environments, stepped without brax's wrappers, their physical constants as the traced leaf."""

import copy
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.physics import (
    GENERALIZED_FIELDS,
    MAXIMAL_FIELDS,
    MJX_FIELDS,
    Physics,
    read_physics,
    write_physics,
)
from jaxrl.environments.spaces import Box
from jaxrl.environments.transforms import time_limit
from jaxrl.errors import missing_extra, require_name
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["BACKENDS", "COMPONENTS", "make", "mujoco_model", "names"]

_ALL = ("spring", "positional", "generalized", "mjx")
# Pairs that reset, step and stay finite until an episode ends (brax 0.14.2, mujoco-mjx 3.17.0).
# swimmer is left out: it allows only `generalized`, which calls a jax function by an argument
# that jax has removed.
BACKENDS: dict[str, tuple[str, ...]] = {
    "ant": _ALL,
    "halfcheetah": _ALL,
    "hopper": _ALL,
    "humanoid": _ALL,
    "humanoidstandup": _ALL,
    "inverted_double_pendulum": _ALL,
    "inverted_pendulum": _ALL,
    "pusher": _ALL,
    "reacher": _ALL,
    "walker2d": _ALL,
}
# Metrics that add up to the reward, with their weights. None stands for what is left over.
COMPONENTS: dict[str, dict[str, float | None]] = {
    "ant": {"reward_forward": 1.0, "reward_survive": 1.0, "reward_ctrl": 1.0},
    "halfcheetah": {"reward_run": 1.0, "reward_ctrl": 1.0},
    "hopper": {"reward_forward": 1.0, "reward_healthy": 1.0, "reward_ctrl": 1.0},
    "humanoid": {"reward_linvel": 1.0, "reward_alive": 1.0, "reward_quadctrl": 1.0},
    "humanoidstandup": {"reward_linup": 1.0, "reward_quadctrl": 1.0, "reward_alive": None},
    "pusher": {"reward_dist": 1.0, "reward_near": 0.5, "reward_ctrl": 0.1},
    "reacher": {"reward_dist": 1.0, "reward_ctrl": 1.0},
    "walker2d": {"reward_forward": 1.0, "reward_healthy": 1.0, "reward_ctrl": 1.0},
}


def names() -> tuple[str, ...]:
    """Every brax task that steps on at least one backend, whether or not brax is installed."""
    return tuple(BACKENDS)


def make(
    name: str,
    backend: str = "spring",
    objectives: str = "sum",
    limit: int = 1000,
    **options: Any,
) -> Environment:
    """Builds a brax environment; its params are `Physics`, its state is brax's pipeline state.

    Args:
        name: one of `names()`.
        backend: physics engine: spring, positional, generalized or mjx. Engines differ in dynamics
            and reward scale: results from two of them do not belong in one table.
        objectives: `sum` for brax's scalar reward; `components` for one objective per term of it,
            such as speed, control cost and survival, which add up to the scalar.
        limit: steps after which an episode is truncated.
        options: static options of the task's constructor, such as `terminate_when_unhealthy`.

    Raises:
        ImportError: if the extra `brax` is not installed.
        UnknownNameError: for an unknown task, backend or choice of objectives.
        ValueError: for `components` of a task whose reward brax does not break down.
    """
    require_name("brax environment", name, BACKENDS)
    require_name(f"backend of brax/{name}", backend, BACKENDS[name])
    require_name("choice of objectives", objectives, ("sum", "components"))
    if objectives == "components" and name not in COMPONENTS:
        raise ValueError(f"brax/{name} reports no reward components; tasks that do: {', '.join(COMPONENTS)}")
    task = _task(name, backend, **options)
    components = COMPONENTS[name] if objectives == "components" else None
    return time_limit(_adapt(task, f"brax/{name}", backend, components), limit)


def mujoco_model(name: str, backend: str = "spring", objectives: str = "", limit: int = 0, **options: Any) -> Any:
    """The `mujoco.MjModel` of `make` with the same options, in which positions are those of its states."""
    return _task(name, backend, **options).sys.mj_model


def _task(name: str, backend: str, **options: Any) -> Any:
    try:
        from brax import envs
    except ImportError as error:
        raise missing_extra("brax", "brax") from error
    return envs.get_environment(name, backend=backend, **options)


def _adapt(task: Any, name: str, backend: str, components: dict[str, float | None] | None) -> Environment:
    from brax.envs import State

    fields = {"mjx": MJX_FIELDS, "generalized": GENERALIZED_FIELDS}.get(backend, MAXIMAL_FIELDS)

    def with_physics(physics: Physics) -> Any:
        # A copy: assigning to the shared task would leak tracers out of a compiled function.
        traced = copy.copy(task)
        traced.sys = write_physics(task.sys, fields, physics)
        return traced

    def reset(key: PRNGKeyArray, params: Physics) -> tuple[PyTree, Array]:
        start = with_physics(params).reset(key)
        return start.pipeline_state, start.obs

    def step(key: PRNGKeyArray, state: PyTree, action: Array, params: Physics) -> tuple[PyTree, Timestep]:
        del key  # brax is deterministic after its reset
        # Observation, reward, metrics and info of the step before are written, never read.
        before = State(state, jnp.zeros(()), jnp.zeros(()), jnp.zeros(()))
        after = with_physics(params).step(before, action)
        reward = _reward(after, components)
        terminated = jnp.asarray(after.done, bool)
        return after.pipeline_state, Timestep(after.obs, reward, terminated, jnp.zeros((), bool), {})

    observation = jax.eval_shape(task.reset, jax.random.key(0)).obs
    spec = EnvironmentSpec(
        name=name,
        observation=Box(-jnp.inf, jnp.inf, observation.shape),
        action=Box(-1.0, 1.0, (task.action_size,)),
        num_objectives=len(components) if components else 1,
        objective_names=tuple(components) if components else (),
        costly_reset=True,
    )
    return Environment(reset, step, read_physics(task.sys, fields), spec)


def _reward(state: Any, components: dict[str, float | None] | None) -> Array:
    """The reward vector: brax's scalar alone, or its weighted terms and what they leave over."""
    total = jnp.asarray(state.reward, jnp.float32)
    if components is None:
        return total[None]
    terms = {name: weight * state.metrics[name] for name, weight in components.items() if weight is not None}
    remainder = total - sum(terms.values())
    return jnp.stack([jnp.asarray(terms.get(name, remainder), jnp.float32) for name in components])
