"""A point mass in the plane that is drawn to a goal it cannot see: tasks with groups that are known."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.family import TaskFamily, make_family
from jaxrl.environments.spaces import Box
from jaxrl.types import Array, Float, Int, PRNGKeyArray

__all__ = ["PointMassParams", "point_mass"]


class PointMassParams(NamedTuple):
    """Physics of the mass, and the goal.

    Attributes:
        goal: position, metres.
        acceleration: of a full action, metres per step².
        friction: share of the velocity lost in a step, in [0, 1].
    """

    goal: Float[Array, "2"]
    acceleration: Float[Array, ""] | float = 0.05
    friction: Float[Array, ""] | float = 0.2


class PointMassState(NamedTuple):
    """Where the mass is, how fast, and since when."""

    position: Float[Array, "2"]
    velocity: Float[Array, "2"]
    steps: Int[Array, ""]


def point_mass(
    num_groups: int = 3,
    group_size: int = 4,
    spread: float = 0.2,
    radius: float = 1.0,
    num_held_out: int = 0,
    time_limit: int = 32,
) -> TaskFamily:
    """Goals on a circle in well separated groups: tasks of a group want nearly the same, those of two do not.

    Observations are position and velocity, the reward is minus the distance to the goal. Task i belongs to group
    i mod `num_groups`.

    Args:
        num_groups: directions, evenly spread.
        group_size: tasks of each.
        spread: angle between the outermost goals of a group, radians.
        radius: of the circle, metres.
        num_held_out: tasks, the last ones, kept for evaluation.
        time_limit: steps of an episode.

    Raises:
        ValueError: for sizes below 1.
    """
    for name, value in (("num_groups", num_groups), ("group_size", group_size), ("time_limit", time_limit)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    offsets = np.linspace(-spread / 2.0, spread / 2.0, group_size) if group_size > 1 else np.zeros(1)
    angles = [2.0 * np.pi * group / num_groups + offset for offset in offsets for group in range(num_groups)]
    params = [
        PointMassParams(jnp.asarray([radius * np.cos(angle), radius * np.sin(angle)], jnp.float32)) for angle in angles
    ]
    spec = EnvironmentSpec("point-mass", Box(-np.inf, np.inf, (4,)), Box(-1.0, 1.0, (2,)), time_limit=time_limit)
    environment = Environment(_reset, partial(_step, time_limit), params[0], spec)
    names = [f"group_{i % num_groups}_{i // num_groups}" for i in range(len(params))]
    return make_family(environment, params, names, num_held_out)


def _observe(state: PointMassState) -> Float[Array, "4"]:
    return jnp.concatenate([state.position, state.velocity])


def _reset(key: PRNGKeyArray, params: PointMassParams) -> tuple[PointMassState, Array]:
    position = jax.random.uniform(key, (2,), minval=-0.1, maxval=0.1)
    state = PointMassState(position, jnp.zeros(2), jnp.zeros((), jnp.int32))
    return state, _observe(state)


def _step(
    limit: int, key: PRNGKeyArray, state: PointMassState, action: Array, params: PointMassParams
) -> tuple[PointMassState, Timestep]:
    push = params.acceleration * jnp.clip(action, -1.0, 1.0)
    velocity = (1.0 - params.friction) * state.velocity + push
    state = PointMassState(state.position + velocity, velocity, state.steps + 1)
    reward = -jnp.linalg.norm(state.position - params.goal)[None]
    return state, Timestep(_observe(state), reward, jnp.array(False), state.steps >= limit, {})
