"""What the two reward families pay and when they end: tables over the same terms of one transition."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrl.types import Array, Bool, Float

__all__ = ["TASKS", "ContactCost", "Noise", "Task", "Transition", "healthy", "reward"]


class Transition(NamedTuple):
    """What a reward may depend on.

    Attributes:
        velocity: (x, y) of the tracked point over one control step, m/s, by finite difference.
        height: qpos[1] less its value in the resting pose, m.
        control: the action.
        contact: force and torque on every body but the world, after the last substep.
        healthy: whether the state after the step lies within the task's bounds.
    """

    velocity: Float[Array, "2"]
    height: Float[Array, ""]
    control: Float[Array, " actuator"]
    contact: Float[Array, "body 6"] | None
    healthy: Bool[Array, ""]


class Noise(NamedTuple):
    """First state: qpos + U(−position, position); qvel + U(−velocity, velocity), or N(0, velocity²)."""

    position: float = 0.0
    velocity: float = 0.0
    normal: bool = False


class ContactCost(NamedTuple):
    """min(weight · Σ clip(force, −force_limit, force_limit)², cost_limit)."""

    weight: float
    force_limit: float = np.inf
    cost_limit: float = np.inf


class Task(NamedTuple):
    """One id.

    Attributes:
        robot: key of `ROBOTS`.
        objectives: each objective's weights of the terms `x`, `y` (velocity), `capped_x`
            (min(4, x)), `height`, `control` (Σ action²), `contact` (the contact cost),
            `healthy` (0 or 1) and `one`.
        frame_skip: substeps of physics per action.
        bounds: the state (qpos, qvel) is healthy while every entry from `first` up to `last`
            lies between `low` and `high`, written (first, last, low, high). An unhealthy state
            ends the episode.
        noise: of the first state.
        limit: steps after which an episode is truncated.
        clipped: whether the cost of an action counts what remains of it after clipping.
        contact: how contact forces are charged and shown; None leaves them out of both.
        discount: see `EnvironmentSpec`.
        reference: the reference point's entries.
    """

    robot: str
    objectives: dict[str, dict[str, float]]
    frame_skip: int
    bounds: tuple[tuple[int, int | None, float, float], ...] = ()
    noise: Noise = Noise()
    limit: int = 1000
    clipped: bool = False
    contact: ContactCost | None = None
    discount: float = 0.99
    reference: float = -100.0


def reward(task: Task, transition: Transition) -> Float[Array, " objective"]:
    """rₖ = Σⱼ wₖⱼ termⱼ, the weights being `task.objectives`."""
    speed = transition.velocity[0]
    terms = {
        "x": speed,
        "y": transition.velocity[1],
        "capped_x": jnp.minimum(4.0, speed),
        "height": transition.height,
        "control": jnp.sum(transition.control**2),
        "healthy": jnp.asarray(transition.healthy, jnp.float32),
        "one": jnp.ones(()),
    }
    if task.contact is not None:
        cost = task.contact
        force = jnp.clip(transition.contact, -cost.force_limit, cost.force_limit)
        terms["contact"] = jnp.minimum(cost.weight * jnp.sum(force**2), cost.cost_limit)
    return jnp.stack([sum(weight * terms[name] for name, weight in row.items()) for row in task.objectives.values()])


def healthy(task: Task, qpos: Float[Array, " position"], qvel: Float[Array, " dof"]) -> Bool[Array, ""]:
    """Whether every bound of the task holds; no number that is not finite lies within a bound."""
    state = jnp.concatenate([qpos, qvel])
    inside = jnp.array(True)
    for first, last, low, high in task.bounds:
        part = state[first:last]
        inside &= jnp.all((part > low) & (part < high))
    return inside


def _all(*rows: tuple[str, dict[str, float]], **shared: float) -> dict[str, dict[str, float]]:
    """The rows, each with the shared terms added."""
    return {name: {**row, **shared} for name, row in rows}


_FORWARD, _SIDEWAYS, _ENERGY = ("forward", {"x": 1.0}), ("sideways", {"y": 1.0}), ("energy", {"control": -1.0})
_JUMP = ("jump", {"height": 10.0})
_FINITE = (0, None, -np.inf, np.inf)
_SMALL = Noise(5e-3, 5e-3)
_WALKER_BOUNDS = ((1, 2, 0.8, 2.0), (2, 3, -1.0, 1.0))
_HUMANOID_BOUNDS = ((2, 3, 1.0, 2.0),)
_HOPPER = Task("hopper", {}, 4, ((1, 2, 0.7, np.inf), (2, 3, -0.2, 0.2), (2, None, -100.0, 100.0)), _SMALL)
_ANT = Task(
    "ant", {}, 5, (_FINITE, (2, 3, 0.2, 1.0)), Noise(0.1, 0.1, normal=True), contact=ContactCost(5e-4, force_limit=1.0)
)

# MO-Gymnasium 1.3.2, `mo-*-v5`.
_MO_GYMNASIUM: dict[str, Task] = {
    "halfcheetah": Task("halfcheetah", _all(_FORWARD, _ENERGY), 5, noise=Noise(0.1, 0.1, normal=True)),
    "hopper-2": _HOPPER._replace(objectives=_all(_FORWARD, _JUMP, control=-1e-3, healthy=1.0)),
    "hopper-3": _HOPPER._replace(objectives=_all(_FORWARD, _JUMP, _ENERGY, healthy=1.0)),
    "walker2d": Task("walker2d", _all(_FORWARD, _ENERGY, healthy=1.0), 4, _WALKER_BOUNDS, _SMALL),
    "ant-2": _ANT._replace(objectives=_all(_FORWARD, _SIDEWAYS, control=-0.5, healthy=1.0, contact=-1.0)),
    "ant-3": _ANT._replace(objectives=_all(_FORWARD, _SIDEWAYS, _ENERGY, healthy=1.0, contact=-1.0)),
    "humanoid": Task(
        "humanoid",
        _all(_FORWARD, _ENERGY, healthy=5.0, contact=-1.0),
        5,
        _HUMANOID_BOUNDS,
        Noise(0.01, 0.01),
        contact=ContactCost(5e-7, cost_limit=10.0),
    ),
    "swimmer": Task("swimmer", _all(_FORWARD, _ENERGY), 4, noise=Noise(0.1, 0.1)),
}


def _pgmorl(robot: str, objectives: dict[str, dict[str, float]], frame_skip: int = 5, bounds: tuple = ()) -> Task:
    """The older family's protocol: 500 steps from one resting pose, undiscounted, reference at the origin."""
    return Task(robot, objectives, frame_skip, bounds, limit=500, clipped=True, discount=1.0, reference=0.0)


_RIGHT_ANGLE = np.pi / 2
_PGMORL_HOPPER_BOUNDS = ((1, 2, 0.4, np.inf), (2, 6, -_RIGHT_ANGLE, _RIGHT_ANGLE))
_FAST, _HIGH, _FRUGAL = ("forward", {"x": 1.5}), ("jump", {"height": 12.0}), ("energy", {"control": -1.0, "one": 5.0})
_TILT = np.deg2rad(50.0)

# Xu et al., ICML 2020, environments `MO-*-v2` and `MO-Hopper-v3`.
_PGMORL: dict[str, Task] = {
    "halfcheetah-pgmorl": _pgmorl(
        "halfcheetah",
        _all(("forward", {"capped_x": 1.0, "one": 1.0}), _FRUGAL),
        bounds=((2, 3, -_TILT, _TILT),),
    ),
    "hopper-2-pgmorl": _pgmorl(
        "hopper-pgmorl", _all(_FAST, _HIGH, control=-2e-4, one=1.0), bounds=_PGMORL_HOPPER_BOUNDS
    ),
    "hopper-3-pgmorl": _pgmorl(
        "hopper-pgmorl",
        {**_all(_FAST, _HIGH, one=1.0), "energy": _FRUGAL[1]},
        bounds=_PGMORL_HOPPER_BOUNDS,
    ),
    "walker2d-pgmorl": _pgmorl(
        "walker2d-pgmorl", {"forward": {"x": 1.0, "one": 1.0}, "energy": _FRUGAL[1]}, 4, _WALKER_BOUNDS
    ),
    "ant-2-pgmorl": _pgmorl("ant-pgmorl", _all(_FORWARD, _SIDEWAYS, control=-0.5, one=1.0), bounds=(_FINITE,)),
    "humanoid-pgmorl": _pgmorl(
        "humanoid",
        {"forward": {"x": 1.25, "one": 3.0}, "energy": {"control": -4.0, "one": 6.0}},
        bounds=_HUMANOID_BOUNDS,
    )._replace(noise=Noise(0.01, 0.01), limit=1000, clipped=False),
    "swimmer-pgmorl": _pgmorl(
        "swimmer-pgmorl", {"forward": {"x": 1.0}, "energy": {"control": -0.15, "one": 0.3}}, frame_skip=4
    ),
}

TASKS: dict[str, Task] = {**_MO_GYMNASIUM, **_PGMORL}
