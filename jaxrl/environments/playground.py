"""MuJoCo Playground's whole suite (playground 0.2.0) in pure JAX (MJX), its physical constants as the traced leaf."""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.physics import MJX_FIELDS, Physics, read_physics, write_physics
from jaxrl.environments.spaces import Box, Dict, Space
from jaxrl.environments.transforms import time_limit
from jaxrl.errors import missing_extra, require_name
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["PlaygroundState", "make", "mujoco_model", "names"]

_CONTROL = (
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
_LOCOMOTION = (
    "ApolloJoystickFlatTerrain",
    "BarkourJoystick",
    "BerkeleyHumanoidJoystickFlatTerrain",
    "BerkeleyHumanoidJoystickRoughTerrain",
    "G1JoystickFlatTerrain",
    "G1JoystickRoughTerrain",
    "Go1Footstand",
    "Go1Getup",
    "Go1Handstand",
    "Go1JoystickFlatTerrain",
    "Go1JoystickRoughTerrain",
    "H1InplaceGaitTracking",
    "H1JoystickGaitTracking",
    "Op3Joystick",
    "SpotFlatTerrainJoystick",
    "SpotGetup",
    "SpotJoystickGaitTracking",
    "T1JoystickFlatTerrain",
    "T1JoystickRoughTerrain",
)
_MANIPULATION = (
    "AeroCubeRotateZAxis",
    "AlohaHandOver",
    "AlohaSinglePegInsertion",
    "LeapCubeReorient",
    "LeapCubeRotateZAxis",
    "PandaOpenCabinet",
    "PandaPickCube",
    "PandaPickCubeCartesian",
    "PandaPickCubeOrientation",
    "PandaRobotiqPushCube",
)
_NAMES = (*_CONTROL, *_LOCOMOTION, *_MANIPULATION)
# The part that playground's own policies act on; the others are for critics alone.
_SEEN = "state"


class PlaygroundState(NamedTuple):
    """What a task carries from step to step: MJX's data and the task's own info."""

    data: PyTree
    info: PyTree


def names() -> tuple[str, ...]:
    """Every task of dm_control_suite, locomotion and manipulation, whether or not playground is installed."""
    return _NAMES


def make(name: str, limit: int | None = None, observation: str = _SEEN, **options: Any) -> Environment:
    """Builds a task of the suite; its params are `Physics`.

    Tasks of locomotion and manipulation need the robots of mujoco_menagerie, which are not part of playground: where
    they are missing that is said, and nothing is downloaded.

    What playground calls done is terminated: in dm_control_suite a simulation that failed, elsewhere a fall, a cube
    that is dropped or whatever else ends the task. No task ends by time itself: at `limit` an episode is truncated,
    unless both happen on one step.

    Args:
        name: one of `names()`.
        limit: steps after which an episode is truncated, which the task is told of as its `episode_length`; default
            the task's own.
        observation: where a task shows several parts, the one that is seen, or `all` for a dict of them. The default
            is what playground's own policies act on; `privileged_state` is known in simulation alone.
        options: entries of the task's config, such as `sim_dt`.

    Raises:
        ImportError: if the extra `playground` is not installed, or the models of the robot are not there.
        UnknownNameError: for an unknown task, part of an observation, or option.
        ValueError: for a limit below 1.
    """
    task, limit, state_type = _task(name, limit, options)
    adapted = _adapt(task, f"playground/{name}", state_type, observation, normalised=name not in _CONTROL)
    return time_limit(adapted, limit)


def mujoco_model(name: str, limit: int | None = None, observation: str = _SEEN, **options: Any) -> Any:
    """The `mujoco.MjModel` of `make` with the same options."""
    del observation
    return _task(name, limit, options)[0].mj_model


def _task(name: str, limit: int | None, options: dict[str, Any]) -> tuple[Any, int, type]:
    """The library's task, its time limit, and the type of its states."""
    require_name("playground environment", name, _NAMES)
    if limit is not None and limit < 1:
        raise ValueError(f"time limit must be at least 1, got {limit}")
    try:
        from mujoco_playground import registry
        from mujoco_playground._src import mjx_env
    except ImportError as error:
        raise missing_extra("playground", "playground") from error
    if name not in _CONTROL and not mjx_env.MENAGERIE_PATH.exists():
        raise ImportError(
            f"playground/{name} needs the robot models of mujoco_menagerie, commit {mjx_env.MENAGERIE_COMMIT_SHA}, in "
            f"{mjx_env.MENAGERIE_PATH}; playground clones them there where there is a network:  "
            f"python -c \"import mujoco_playground as p; p.registry.load('{name}')\""
        )
    config = registry.get_default_config(name)
    for option in options:
        require_name(f"option of playground/{name}", option, config.keys())
    # The default engine, Warp, is not XLA: it can be neither differentiated nor fused.
    changes = {"impl": "jax", **({} if limit is None else {"episode_length": limit}), **options}
    task = registry.load(name, config=config, config_overrides={key: changes[key] for key in changes if key in config})
    return task, limit or int(config.episode_length), mjx_env.State


def _adapt(task: Any, name: str, state_type: type, part: str, normalised: bool) -> Environment:
    def with_physics(physics: Physics) -> Any:
        # A copy: assigning to the shared task would leak tracers out of a compiled function.
        traced = copy.copy(task)
        traced._mjx_model = write_physics(task.mjx_model, MJX_FIELDS, physics)
        return traced

    def reset(key: PRNGKeyArray, params: Physics) -> tuple[PlaygroundState, PyTree]:
        start = with_physics(params).reset(key)
        return PlaygroundState(start.data, start.info), _part(start.obs, part)

    def step(
        key: PRNGKeyArray, state: PlaygroundState, action: Array, params: Physics
    ) -> tuple[PlaygroundState, Timestep]:
        del key  # what is random after a reset draws from the task's own info
        # Observation, reward and done of the step before are written, never read, and metrics only written to.
        metrics = {name: jnp.zeros(value.shape, value.dtype) for name, value in first.metrics.items()}
        before = state_type(state.data, first_seen(), jnp.zeros(()), jnp.zeros(()), metrics, dict(state.info))
        after = with_physics(params).step(before, action)
        reward = jnp.asarray(after.reward, jnp.float32).reshape(1)
        seen = _part(after.obs, part)
        timestep = Timestep(seen, reward, jnp.asarray(after.done, bool), jnp.zeros((), bool), {})
        return PlaygroundState(after.data, after.info), timestep

    def first_seen() -> PyTree:
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), first.obs)

    first = jax.eval_shape(task.reset, jax.random.key(0))
    if isinstance(first.obs, Mapping):
        require_name(f"part of what playground/{name} shows", part, ("all", *first.obs))
    low, high = task.mj_model.actuator_ctrlrange.T
    actions = Box(-1.0, 1.0, (task.action_size,))
    spec = EnvironmentSpec(
        name=name,
        observation=_space(_part(first.obs, part)),
        # Robots add scaled actions to a pose or to their last target.
        action=actions if normalised else Box.from_arrays(low, high, (task.action_size,)),
        costly_reset=True,
    )
    return Environment(reset, step, read_physics(task.mjx_model, MJX_FIELDS), spec)


def _part(observation: Any, part: str) -> PyTree:
    """What is seen of an observation of several parts; one alone is itself."""
    if not isinstance(observation, Mapping):
        return observation
    return dict(observation) if part == "all" else observation[part]


def _space(observation: PyTree) -> Space:
    if isinstance(observation, Mapping):
        return Dict({name: _space(inner) for name, inner in observation.items()})
    return Box(-jnp.inf, jnp.inf, observation.shape)
