"""The highway in varied traffic."""

import jax.numpy as jnp

from jaxrl.environments.family import TaskFamily
from jaxrl.environments.goals import GoalParams, with_goal
from jaxrl.environments.registry import make
from jaxrl.multitask.families.draws import uniform_family
from jaxrl.types import Array, Float, PyTree

__all__ = ["highway"]

# Of speed, lane and crash in highway-env's default configuration.
_WEIGHTS = (0.4, 0.1, 1.0)


def highway(
    num_tasks: int = 10,
    num_held_out: int = 50,
    seed: int = 0,
    density: tuple[float, float] = (0.6, 1.6),
    time_gap: tuple[float, float] = (0.8, 2.0),
    speed_limit: tuple[float, float] = (26.0, 34.0),
    fast: bool = True,
) -> TaskFamily:
    """`mo/highway-fast` with traffic drawn uniformly and highway-env's scalar reward in [0, 1].

    r = (0.4 speed + 0.1 lane − crash + 1) / 1.5. PolicyGradEx (arXiv 2511.12779) trains on 10 highways and adapts to
    50 unseen ones; its ranges are not public.

    Args:
        num_tasks: tasks to train on.
        num_held_out: further ones for evaluation.
        seed: of the draws.
        density: bounds of how densely the others start; 1 is highway-env's.
        time_gap: bounds of what they keep to the vehicle in front, s; highway-env's 1.5.
        speed_limit: bounds of the limit, of which they drive at 70 to 80 %, m/s; highway-env's 30.
        fast: whether it is `mo/highway-fast`, else `mo/highway`.
    """
    base = make("mo/highway-fast" if fast else "mo/highway")
    weights = jnp.asarray(_WEIGHTS)
    environment = with_goal(base, _paid, weights)

    def apply(drawn: dict[str, Array]) -> GoalParams:
        traffic = base.params.traffic._replace(time_gap=drawn["time_gap"], speed_limit=drawn["speed_limit"])
        return GoalParams(base.params._replace(traffic=traffic, density=drawn["density"]), weights)

    bounds = {"density": density, "time_gap": time_gap, "speed_limit": speed_limit}
    return uniform_family(environment, bounds, apply, num_tasks, num_held_out, seed, least=0.1)


def _paid(
    state: PyTree, following: PyTree, rewards: Float[Array, " objective"], action: Array, weights: Float[Array, "3"]
) -> Float[Array, ""]:
    return (weights @ rewards + 1.0) / 1.5
