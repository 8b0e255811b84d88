"""Meta-World's robotic manipulation on MJX, ids `metaworld/...`."""

from typing import Any

import jax

from jaxrl.environments.base import Environment
from jaxrl.environments.family import make_family, mixture
from jaxrl.environments.metaworld.environment import MetaWorldState, metaworld
from jaxrl.environments.metaworld.experts import expert
from jaxrl.environments.metaworld.scene import Evaluation, MetaWorldParams
from jaxrl.environments.metaworld.splits import (
    ML10_TEST,
    ML10_TRAIN,
    ML45_TEST,
    ML45_TRAIN,
    MT10,
    MT50,
    Protocol,
    ml1,
    ml10,
    ml45,
    mt1,
    mt10,
    mt50,
)
from jaxrl.environments.metaworld.tasks import TASKS
from jaxrl.environments.suite import suite

__all__ = [
    "ML10_TEST",
    "ML10_TRAIN",
    "ML45_TEST",
    "ML45_TRAIN",
    "MT10",
    "MT50",
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
    "ml45",
    "mt1",
    "mt10",
    "mt50",
    "names",
]

_SUITES = {"mt10": mt10, "mt50": mt50}


def names() -> tuple[str, ...]:
    """Every task, and suites of them, whether or not MuJoCo is installed."""
    return (*TASKS, *_SUITES)


def make(name: str, num_variations: int | None = None, seed: int = 0, **options: Any) -> Environment:
    """Builds `metaworld/{name}`.

    Args:
        name: a task; `mt10`, the ten tasks as objectives of one environment; or `mt50`, all that exist here.
        num_variations: places of goals and objects, those of `mt1`, `mt10` and `mt50`; every episode draws one.
            Default: a task's own default place; 50 for each task of a suite, as in Meta-World's protocols.
        seed: by which the variations are drawn.
        options: of `metaworld`.

    Raises:
        ValueError: for no variations.
        ImportError: if the extra `metaworld` is not installed.
    """
    key = jax.random.key(seed)
    if name in _SUITES:
        tasks = _mixtures(_SUITES[name](key, 50 if num_variations is None else num_variations, **options))
        return suite([*tasks.values()], [task.removeprefix("metaworld/") for task in tasks])
    if num_variations is None:
        return metaworld(name, **options)
    return _mixtures(mt1(f"metaworld/{name}", key, num_variations, **options))[f"metaworld/{name}"]


def _mixtures(protocol: Protocol) -> dict[str, Environment]:
    """Each environment of a protocol over the variations to train on."""
    return {name: mixture(make_family(protocol.environments[name], given)) for name, given in protocol.train.items()}
