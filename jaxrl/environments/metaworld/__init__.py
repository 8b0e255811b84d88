"""Meta-World's robotic manipulation on MJX, ids `metaworld/...`."""

from typing import Any

from jaxrl.environments.base import Environment
from jaxrl.environments.metaworld.environment import MetaWorldState, metaworld
from jaxrl.environments.metaworld.experts import expert
from jaxrl.environments.metaworld.scene import Evaluation, MetaWorldParams
from jaxrl.environments.metaworld.splits import ML10_TEST, ML10_TRAIN, MT10, Protocol, ml1, ml10, mt1, mt10
from jaxrl.environments.metaworld.tasks import TASKS
from jaxrl.multitask import mixture, suite
from jaxrl.multitask.families.draws import draw_family

__all__ = [
    "ML10_TEST",
    "ML10_TRAIN",
    "MT10",
    "TASKS",
    "Evaluation",
    "MetaWorldParams",
    "MetaWorldState",
    "Protocol",
    "expert",
    "make",
    "metaworld",
    "ml1",
    "ml10",
    "mt1",
    "mt10",
    "names",
]


_SUITES = {"mt10": MT10}


def names() -> tuple[str, ...]:
    """Every task, and suites of them, whether or not MuJoCo is installed."""
    return (*TASKS, *_SUITES)


def make(name: str, variations: int | None = None, seed: int = 0, **options: Any) -> Environment:
    """Builds `metaworld/{name}`.

    Args:
        name: a task, or `mt10`, the ten tasks as objectives of one environment.
        variations: places of goals and objects, of which every episode draws one; 0 is the one of the task's default
            parameters. Default: 0 for a task, and 50 for each task of a suite, as in Meta-World's protocols.
        seed: by which the variations are drawn.
        options: of `metaworld`.

    Raises:
        ValueError: for a negative number of variations.
        ImportError: if the extra `metaworld` is not installed.
    """
    if name not in _SUITES:
        return _varied(name, variations or 0, seed, options)
    tasks = [task.removeprefix("metaworld/") for task in _SUITES[name]]
    return suite([_varied(task, 50 if variations is None else variations, seed, options) for task in tasks], tasks)


def _varied(name: str, variations: int, seed: int, options: dict[str, Any]) -> Environment:
    if variations < 0:
        raise ValueError(f"variations must be at least 0, got {variations}")
    environment = metaworld(name, **options)
    if not variations:
        return environment
    return mixture(draw_family(environment, environment.sample_params, variations, 0, seed))
