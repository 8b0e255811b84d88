"""MuJoCo Playground's dm_control_suite in pure JAX (MJX), its physical constants as the traced leaf."""

import copy
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.physics import MJX_FIELDS, Physics, read_physics, write_physics
from jaxrl.environments.spaces import Box
from jaxrl.environments.transforms import time_limit
from jaxrl.errors import missing_extra, require_name
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["PlaygroundState", "make", "mujoco_model", "names"]

# Playground's locomotion and manipulation tasks are left out: they clone a repository of robot
# models when they are built.
_NAMES = (
    "AcrobotSwingup",
    "AcrobotSwingupSparse",
    "BallInCup",
    "CartpoleBalance",
    "CartpoleBalanceSparse",
    "CartpoleSwingup",
    "CartpoleSwingupSparse",
    "CheetahRun",
    "FingerSpin",
    "FingerTurnEasy",
    "FingerTurnHard",
    "FishSwim",
    "HopperHop",
    "HopperStand",
    "HumanoidRun",
    "HumanoidStand",
    "HumanoidWalk",
    "PendulumSwingup",
    "PointMass",
    "ReacherEasy",
    "ReacherHard",
    "SwimmerSwimmer6",
    "WalkerRun",
    "WalkerStand",
    "WalkerWalk",
)


class PlaygroundState(NamedTuple):
    """What a task carries from step to step: MJX's data and the task's own info."""

    data: PyTree
    info: PyTree


def names() -> tuple[str, ...]:
    """Every task that loads without a download, whether or not playground is installed."""
    return _NAMES


def make(name: str, limit: int | None = None, **options: Any) -> Environment:
    """Builds a task of the suite; its params are `Physics`.

    A task is terminated only where its simulation failed; its episodes end by the time limit.

    Args:
        name: one of `names()`.
        limit: steps after which an episode is truncated; default the task's `episode_length`.
        options: entries of the task's config, such as `sim_dt`.

    Raises:
        ImportError: if the extra `playground` is not installed.
        UnknownNameError: for an unknown task or option.
    """
    require_name("playground environment", name, _NAMES)
    task, config = _task(name, **options)
    return time_limit(_adapt(task, f"playground/{name}"), limit or int(config.episode_length))


def mujoco_model(name: str, limit: int | None = None, **options: Any) -> Any:
    """The `mujoco.MjModel` of `make` with the same options."""
    return _task(name, **options)[0].mj_model


def _task(name: str, **options: Any) -> tuple[Any, Any]:
    """The library's task, and its config."""
    try:
        from mujoco_playground import dm_control_suite
    except ImportError as error:
        raise missing_extra("playground", "playground") from error
    config = dm_control_suite.get_default_config(name)
    for option in options:
        require_name(f"option of playground/{name}", option, config.keys())
    # The default engine, Warp, is not XLA: it can be neither differentiated nor fused.
    return dm_control_suite.load(name, config=config, config_overrides={"impl": "jax", **options}), config


def _adapt(task: Any, name: str) -> Environment:
    from mujoco_playground._src.mjx_env import State

    def with_physics(physics: Physics) -> Any:
        # A copy: assigning to the shared task would leak tracers out of a compiled function.
        traced = copy.copy(task)
        traced._mjx_model = write_physics(task.mjx_model, MJX_FIELDS, physics)
        return traced

    def reset(key: PRNGKeyArray, params: Physics) -> tuple[PlaygroundState, Array]:
        start = with_physics(params).reset(key)
        return PlaygroundState(start.data, start.info), start.obs

    def step(
        key: PRNGKeyArray, state: PlaygroundState, action: Array, params: Physics
    ) -> tuple[PlaygroundState, Timestep]:
        del key  # what is random after a reset draws from the task's own info
        # Observation, reward, done and metrics of the step before are written, never read.
        before = State(state.data, None, jnp.zeros(()), jnp.zeros(()), {}, state.info)
        after = with_physics(params).step(before, action)
        reward = jnp.asarray(after.reward, jnp.float32).reshape(1)
        timestep = Timestep(after.obs, reward, jnp.asarray(after.done, bool), jnp.zeros((), bool), {})
        return PlaygroundState(after.data, after.info), timestep

    observation = jax.eval_shape(task.reset, jax.random.key(0)).obs
    low, high = task.mj_model.actuator_ctrlrange.T
    spec = EnvironmentSpec(
        name=name,
        observation=Box(-jnp.inf, jnp.inf, observation.shape),
        action=Box.from_arrays(low, high, (task.action_size,)),
        costly_reset=True,
    )
    return Environment(reset, step, read_physics(task.mjx_model, MJX_FIELDS), spec)
