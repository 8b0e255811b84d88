"""The adapter that all locomotion ids share: state, observation, velocity and the traced physics."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.integration import advance
from jaxrl.environments.multi_objective.locomotion.models import ROBOTS, load_model
from jaxrl.environments.multi_objective.locomotion.tasks import TASKS, Task, Transition, healthy, reward
from jaxrl.environments.physics import MJX_FIELDS, Physics, read_physics, write_physics
from jaxrl.environments.spaces import Box
from jaxrl.environments.transforms import time_limit
from jaxrl.errors import missing_extra, require_name
from jaxrl.types import Array, Float, PRNGKeyArray

__all__ = ["BACKENDS", "LocomotionState", "locomotion", "mujoco_model"]

BACKENDS = ("mjx", "mjx-lite")


class LocomotionState(NamedTuple):
    """The whole of what goes from step to step.

    Attributes:
        qpos: generalised positions: metres, radians, a free joint's unit quaternion.
        qvel: generalised velocities.
        acceleration: of the last substep, from which the contact solver starts.
        tracked: (x, y) of the point whose speed is paid, as the last step measured it.
    """

    qpos: Float[Array, " position"]
    qvel: Float[Array, " dof"]
    acceleration: Float[Array, " dof"]
    tracked: Float[Array, "2"]


class _Simulator(NamedTuple):
    """What is static about one robot on one backend."""

    task: Task
    model: Any
    data: Any
    runge_kutta: bool
    free: bool
    observe: Callable
    track: Callable


def locomotion(name: str, backend: str = "mjx", limit: int | None = None) -> Environment:
    """Builds `mo/{name}`; its params are `Physics`.

    Rewards: `TASKS[name].objectives`. Ids without a suffix are MO-Gymnasium's v5 tasks on
    gymnasium's v5 models; ids that end in `-pgmorl` are those of PGMORL (Xu et al., 2020) with
    its robots, on whose returns older results are reported. Returns of the two do not compare.

    Observation, as in gymnasium's v5: positions without x (ant, swimmer, humanoid: without x and
    y), velocities, clipped to [−10, 10] for hopper and walker2d; ant: contact forces clipped to
    [−1, 1]; humanoid: inertias and velocities of bodies, actuator forces, contact forces.
    `-pgmorl` ids observe no contact forces.
    Actions: torques as a fraction of each motor's gear, within the motor's range.

    Backend `mjx` follows MuJoCo to float32 until chaos takes over, but for the ant: MJX turns the
    friction pyramid under a shin that stands steeper than 60°, which MuJoCo does not.

    Args:
        name: a key of `TASKS`.
        backend: `mjx` for the original model: all its contacts, RK4 where it uses RK4.
            `mjx-lite` for brax's reduction of it: contacts of the floor with feet only (halfcheetah:
            also head and thighs; walker2d: also torso) and semi-implicit Euler. Control
            steps per second of 64 copies on two busy CPU cores, `mjx` and `mjx-lite`: halfcheetah
            3300 and 4400, hopper 2000 and 23000, walker2d 1400 and 7000, ant 480 and 6500, humanoid
            170 and 3800, swimmer 12000 and 35000; each compiles in 20 to 70 s. brax's own engines
            are not offered: its spring engine is 1.5 to 7 times as fast as `mjx-lite`, but has
            other masses and gears and no contact forces, so that these formulas would not be
            these tasks.
        limit: steps after which an episode is truncated; default the task's own.

    Raises:
        ImportError: if the extra `brax` is not installed.
        UnknownNameError: for an unknown name or backend.
    """
    require_name("locomotion task", name, TASKS)
    require_name(f"backend of mo/{name}", backend, BACKENDS)
    task = TASKS[name]
    simulator = _simulator(task, backend == "mjx")
    objectives = tuple(task.objectives)
    model = simulator.model
    observation = jax.eval_shape(partial(_reset, simulator), jax.random.key(0), read_physics(model, MJX_FIELDS))[1]
    spec = EnvironmentSpec(
        name=f"mo/{name}",
        observation=Box(-jnp.inf, jnp.inf, observation.shape),
        action=Box.from_arrays(*model.actuator_ctrlrange.T, (model.nu,)),
        num_objectives=len(objectives),
        objective_names=objectives,
        reference_point=(task.reference,) * len(objectives),
        discount=task.discount,
        unswept=(("friction", "a swimmer touches nothing"),) if name.startswith("swimmer") else (),
    )
    environment = Environment(
        partial(_reset, simulator), partial(_step, simulator), read_physics(model, MJX_FIELDS), spec
    )
    return time_limit(environment, task.limit if limit is None else limit)


def mujoco_model(name: str, backend: str = "mjx", limit: int | None = None) -> Any:
    """The `mujoco.MjModel` of `mo/{name}` with the same options."""
    return load_model(ROBOTS[TASKS[name].robot], backend == "mjx")


def _simulator(task: Task, full: bool) -> _Simulator:
    robot = ROBOTS[task.robot]
    model = load_model(robot, full)
    try:
        from mujoco import mjx
    except ImportError as error:
        raise missing_extra("mujoco-mjx", "brax") from error
    # The default engine, Warp, is not XLA: it can be neither differentiated nor fused.
    traced = mjx.put_model(model, impl="jax")
    body = task.robot.partition("-")[0]
    return _Simulator(
        task=task,
        model=traced,
        data=mjx.make_data(model, impl="jax"),
        runge_kutta=full and robot.runge_kutta,
        free=model.nq > model.nv,
        observe=_OBSERVERS[body],
        track=_TRACKED.get(body, _track_root),
    )


def _reset(
    simulator: _Simulator, key: PRNGKeyArray, params: Physics
) -> tuple[LocomotionState, Float[Array, " observation"]]:
    from mujoco import mjx

    noise, model = simulator.task.noise, write_physics(simulator.model, MJX_FIELDS, params)
    position_key, velocity_key = jax.random.split(key)
    qpos = model.qpos0 + jax.random.uniform(position_key, (model.nq,), minval=-noise.position, maxval=noise.position)
    if noise.normal:
        qvel = noise.velocity * jax.random.normal(velocity_key, (model.nv,))
    else:
        qvel = jax.random.uniform(velocity_key, (model.nv,), minval=-noise.velocity, maxval=noise.velocity)
    data = simulator.data.replace(qpos=qpos, qvel=qvel)
    # Positions and velocities of bodies; what is not used of them is not compiled.
    data = mjx.com_vel(model, mjx.com_pos(model, mjx.kinematics(model, data))).replace(qpos=qpos)
    state = LocomotionState(qpos, qvel, jnp.zeros(model.nv), simulator.track(model, data))
    return state, simulator.observe(simulator.task, data)


def _step(
    simulator: _Simulator,
    key: PRNGKeyArray,
    state: LocomotionState,
    action: Float[Array, " actuator"],
    params: Physics,
) -> tuple[LocomotionState, Timestep]:
    from mujoco import mjx

    del key  # deterministic after the reset
    task, model = simulator.task, write_physics(simulator.model, MJX_FIELDS, params)
    if task.clipped:
        action = jnp.clip(action, *model.actuator_ctrlrange.T)
    data = simulator.data.replace(qpos=state.qpos, qvel=state.qvel, qacc_warmstart=state.acceleration, ctrl=action)
    data = advance(model, data, task.frame_skip, simulator.runge_kutta, simulator.free)
    if task.contact is not None:
        data = mjx.rne_postconstraint(model, data)
    tracked = simulator.track(model, data)
    alive = healthy(task, data.qpos, data.qvel)
    transition = Transition(
        velocity=(tracked - state.tracked) / (task.frame_skip * model.opt.timestep),
        height=data.qpos[1] - model.qpos0[1],
        control=action,
        contact=None if task.contact is None else _contact_forces(data),
        healthy=alive,
    )
    state = LocomotionState(data.qpos, data.qvel, data.qacc_warmstart, tracked)
    observation = simulator.observe(task, data)
    return state, Timestep(observation, reward(task, transition), ~alive, jnp.zeros((), bool), {})


def _contact_forces(data: Any) -> Float[Array, "body 6"]:
    return data._impl.cfrc_ext[1:]


def _track_root(model: Any, data: Any) -> Float[Array, "2"]:
    return data.qpos[:2]


def _track_torso(model: Any, data: Any) -> Float[Array, "2"]:
    return data.xpos[1, :2]


def _track_centre_of_mass(model: Any, data: Any) -> Float[Array, "2"]:
    return (model.body_mass @ data.xipos / jnp.sum(model.body_mass))[:2]


def _observe(task: Task, data: Any, skip: int, clip: float | None = None) -> Float[Array, " observation"]:
    qvel = data.qvel if clip is None else jnp.clip(data.qvel, -clip, clip)
    return jnp.concatenate([data.qpos[skip:], qvel])


def _observe_ant(task: Task, data: Any) -> Float[Array, " observation"]:
    observation = _observe(task, data, 2)
    if task.contact is None:
        return observation
    limit = task.contact.force_limit
    return jnp.concatenate([observation, jnp.clip(_contact_forces(data), -limit, limit).ravel()])


def _observe_humanoid(task: Task, data: Any) -> Float[Array, " observation"]:
    parts = [_observe(task, data, 2), data._impl.cinert[1:].ravel(), data.cvel[1:].ravel(), data.qfrc_actuator[6:]]
    if task.contact is not None:
        parts.append(_contact_forces(data).ravel())
    return jnp.concatenate(parts)


_OBSERVERS: dict[str, Callable[[Task, Any], Float[Array, " observation"]]] = {
    "halfcheetah": partial(_observe, skip=1),
    "hopper": partial(_observe, skip=1, clip=10.0),
    "walker2d": partial(_observe, skip=1, clip=10.0),
    "swimmer": partial(_observe, skip=2),
    "ant": _observe_ant,
    "humanoid": _observe_humanoid,
}
# Whose speed is paid, where it is not the first coordinates of qpos.
_TRACKED = {"ant": _track_torso, "humanoid": _track_centre_of_mass}
