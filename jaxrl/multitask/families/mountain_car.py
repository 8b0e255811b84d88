"""Continuous mountain car with varied engines, gravity and goals."""

from jaxrl.environments.family import TaskFamily
from jaxrl.environments.registry import make
from jaxrl.multitask.families.draws import uniform_family
from jaxrl.types import Array, PyTree

__all__ = ["mountain_car"]


def mountain_car(
    num_tasks: int = 10,
    num_held_out: int = 10,
    seed: int = 0,
    power: tuple[float, float] = (0.001, 0.002),
    gravity: tuple[float, float] = (0.002, 0.003),
    goal: tuple[float, float] = (0.3, 0.5),
) -> TaskFamily:
    """MountainCarContinuous-v0 with engine, gravity and goal drawn uniformly; Gym has 0.0015, 0.0025 and 0.45.

    Args:
        num_tasks: tasks to train on.
        num_held_out: further ones for evaluation.
        seed: of the draws.
        power: bounds of the acceleration of a full action, position units per step².
        gravity: bounds of the slope's largest pull, in the same unit.
        goal: bounds of the position to reach, at most 0.6.
    """
    if goal[1] > 0.6:
        raise ValueError(f"the track ends at 0.6, got goal={goal}")
    environment = make("gymnax/MountainCarContinuous-v0")

    def apply(drawn: dict[str, Array]) -> PyTree:
        return environment.params.replace(power=drawn["power"], gravity=drawn["gravity"], goal_position=drawn["goal"])

    bounds = {"power": power, "gravity": gravity, "goal": goal}
    return uniform_family(environment, bounds, apply, num_tasks, num_held_out, seed)
