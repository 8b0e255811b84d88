"""Lunar lander under varied gravity and wind."""

import jax.numpy as jnp

from jaxrl.environments.family import TaskFamily
from jaxrl.environments.goals import GoalParams, weighted, with_goal
from jaxrl.environments.registry import make
from jaxrl.multitask.families.draws import uniform_family
from jaxrl.types import Array

__all__ = ["lunar_lander"]

# Of outcome, shaping, main and side fuel in Gymnasium's LunarLander-v3.
_WEIGHTS = (1.0, 1.0, 0.3, 0.03)


def lunar_lander(
    num_tasks: int = 10,
    num_held_out: int = 50,
    seed: int = 0,
    gravity: tuple[float, float] = (4.0, 12.0),
    wind: tuple[float, float] = (0.0, 10.0),
    turbulence: tuple[float, float] = (0.0, 1.0),
    continuous: bool = False,
) -> TaskFamily:
    """`mo/lunar-lander` with physics drawn uniformly and Gymnasium's scalar reward.

    r = outcome + shaping − 0.3 main fuel − 0.03 side fuel. PolicyGradEx (arXiv 2511.12779) trains on 10 landers and
    adapts to 50 unseen ones; its ranges are not public. Gymnasium allows gravity up to 12 m/s² and recommends wind up
    to 20 N and turbulence up to 2 N m.

    Args:
        num_tasks: tasks to train on.
        num_held_out: further ones for evaluation.
        seed: of the draws.
        gravity: bounds, m/s².
        wind: bounds of the wind's largest force, newtons.
        turbulence: bounds of its largest torque, N m.
        continuous: whether engines are throttled by two real actions.
    """
    base = make("mo/lunar-lander-continuous" if continuous else "mo/lunar-lander")
    weights = jnp.asarray(_WEIGHTS)
    environment = with_goal(base, weighted, weights)

    def apply(drawn: dict[str, Array]) -> GoalParams:
        params = base.params._replace(
            physics=base.params.physics._replace(gravity=drawn["gravity"]),
            wind_power=drawn["wind"],
            turbulence_power=drawn["turbulence"],
        )
        return GoalParams(params, weights)

    bounds = {"gravity": gravity, "wind": wind, "turbulence": turbulence}
    return uniform_family(environment, bounds, apply, num_tasks, num_held_out, seed)
