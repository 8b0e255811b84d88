"""Levels of one distribution of grid-worlds as tasks."""

from jaxrl.environments.family import TaskFamily
from jaxrl.environments.grid import grid
from jaxrl.multitask.families.draws import draw_family

__all__ = ["grid_levels"]


def grid_levels(
    num_tasks: int = 10,
    num_held_out: int = 10,
    seed: int = 0,
    levels: str = "tiny",
    limit: int | None = None,
) -> TaskFamily:
    """Levels drawn from one of the distributions of `grid/...`, seen as the index of a cell and of what is left.

    An index says nothing of where objects are: a policy must be told, or find out, which level it is in.

    Args:
        num_tasks: levels to train on.
        num_held_out: further ones for evaluation.
        seed: of the draws.
        levels: a name in `jaxrl.environments.grid.LEVELS`.
        limit: bound on the steps of an episode; default that of the distribution.
    """
    environment = grid(levels.replace("-", "_"), limit=limit)
    return draw_family(environment, environment.sample_params, num_tasks, num_held_out, seed)
