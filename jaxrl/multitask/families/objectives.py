"""The objectives of one environment as tasks."""

from jaxrl.environments.family import TaskFamily, objectives_as_tasks
from jaxrl.environments.registry import make

__all__ = ["objectives"]


def objectives(environment: str = "mo/lunar-lander") -> TaskFamily:
    """Each objective of an environment as a task of its own; none is held out.

    Args:
        environment: an id with several objectives, such as those of `mo/...`.
    """
    built = make(environment)
    if built.spec.num_objectives < 2:
        raise ValueError(f"{environment} has one objective, and so one task")
    return objectives_as_tasks(built)
