"""Meta-World's robotic manipulation on MJX, ids `metaworld/...`."""

from typing import Any

from jaxrl.environments.base import Environment
from jaxrl.environments.metaworld.environment import MetaWorldState, metaworld
from jaxrl.environments.metaworld.experts import expert
from jaxrl.environments.metaworld.scene import Evaluation, MetaWorldParams
from jaxrl.environments.metaworld.splits import ML10_TEST, ML10_TRAIN, MT10, Protocol, ml1, ml10, mt1, mt10
from jaxrl.environments.metaworld.tasks import TASKS

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


def names() -> tuple[str, ...]:
    """Every task, whether or not MuJoCo is installed."""
    return tuple(TASKS)


def make(name: str, **options: Any) -> Environment:
    """Builds `metaworld/{name}`; `options` are those of `metaworld`."""
    return metaworld(name, **options)
