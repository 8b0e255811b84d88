"""Pendulum with varied physics and the angles to hold it at."""

import jax.numpy as jnp

from jaxrl.environments.family import TaskFamily
from jaxrl.environments.goals import GoalParams, with_goal
from jaxrl.environments.registry import make
from jaxrl.multitask.families.draws import uniform_family
from jaxrl.types import Array, Float, PyTree

__all__ = ["pendulum"]


def pendulum(
    num_tasks: int = 10,
    num_held_out: int = 10,
    seed: int = 0,
    mass: tuple[float, float] = (0.5, 1.5),
    length: tuple[float, float] = (0.5, 1.5),
    gravity: tuple[float, float] = (5.0, 12.0),
    angle: tuple[float, float] = (0.0, 0.0),
) -> TaskFamily:
    """Pendulum-v1 with physics drawn uniformly, to be held at an angle, 0 for upright.

    r = −(θ − angle)² − 0.1 θ̇² − 0.001 u², the difference taken in [−π, π). The torque of at most 2 N m holds
    the pendulum at |sin angle| ≤ 4/(mass · gravity · length).

    Args:
        num_tasks: tasks to train on.
        num_held_out: further ones for evaluation.
        seed: of the draws.
        mass: bounds, kilograms.
        length: bounds, metres.
        gravity: bounds, m/s².
        angle: bounds, radians.
    """
    base = make("gymnax/Pendulum-v1")
    environment = with_goal(base, _reward, jnp.zeros(()))

    def apply(drawn: dict[str, Array]) -> GoalParams:
        physics = base.params.replace(m=drawn["mass"], l=drawn["length"], g=drawn["gravity"])
        return GoalParams(physics, drawn["angle"])

    bounds = {"mass": mass, "length": length, "gravity": gravity, "angle": angle}
    for name in ("mass", "length"):
        if bounds[name][0] <= 0.0:
            raise ValueError(f"bounds of {name} must be positive, got {bounds[name]}")
    return uniform_family(environment, bounds, apply, num_tasks, num_held_out, seed, least=-jnp.pi)


def _reward(
    state: PyTree, following: PyTree, reward: Float[Array, "1"], action: Array, angle: Float[Array, ""]
) -> Float[Array, ""]:
    return reward[0] + _wrapped(state.theta) ** 2 - _wrapped(state.theta - angle) ** 2


def _wrapped(angle: Array) -> Array:
    return jnp.mod(angle + jnp.pi, 2.0 * jnp.pi) - jnp.pi
