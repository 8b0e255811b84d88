"""Meta-World's protocols: which tasks and variations to train and to test on."""

from typing import Any, NamedTuple

import jax

from jaxrl.environments.base import Environment
from jaxrl.environments.metaworld.environment import metaworld
from jaxrl.environments.metaworld.scene import MetaWorldParams
from jaxrl.environments.metaworld.tasks import TASKS
from jaxrl.errors import require_name
from jaxrl.types import PRNGKeyArray

__all__ = [
    "ML10_TEST",
    "ML10_TRAIN",
    "ML45_TEST",
    "ML45_TRAIN",
    "MT10",
    "MT50",
    "Protocol",
    "ml1",
    "ml10",
    "ml45",
    "mt1",
    "mt10",
    "mt50",
]

MT10 = (
    "metaworld/reach",
    "metaworld/push",
    "metaworld/pick-place",
    "metaworld/door-open",
    "metaworld/drawer-open",
    "metaworld/drawer-close",
    "metaworld/button-press-topdown",
    "metaworld/peg-insert-side",
    "metaworld/window-open",
    "metaworld/window-close",
)
_ALL = tuple(f"metaworld/{name}" for name in TASKS)
MT50 = _ALL
ML45_TEST = (
    "metaworld/bin-picking",
    "metaworld/box-close",
    "metaworld/door-lock",
    "metaworld/door-unlock",
    "metaworld/hand-insert",
)
ML45_TRAIN = tuple(name for name in _ALL if name not in ML45_TEST)
ML10_TRAIN = (
    "metaworld/reach",
    "metaworld/push",
    "metaworld/pick-place",
    "metaworld/door-open",
    "metaworld/drawer-close",
    "metaworld/button-press-topdown",
    "metaworld/peg-insert-side",
    "metaworld/window-open",
    "metaworld/sweep",
    "metaworld/basketball",
)
ML10_TEST = (
    "metaworld/drawer-open",
    "metaworld/door-close",
    "metaworld/shelf-place",
    "metaworld/sweep-into",
    "metaworld/lever-pull",
)


class Protocol(NamedTuple):
    """Tasks and fixed variations of them.

    Attributes:
        environments: every environment that occurs, by id; tasks have models of their own, so each has its own program.
        train: by id, the params to train on, stacked on a leading axis.
        test: by id, the params to test on, likewise; the very same in the MT protocols.
    """

    environments: dict[str, Environment]
    train: dict[str, MetaWorldParams]
    test: dict[str, MetaWorldParams]


def mt1(name: str, key: PRNGKeyArray, num_variations: int = 50, **options: Any) -> Protocol:
    """One task, whose goal is seen, trained and tested on the same `num_variations`.

    Raises:
        UnknownNameError: for an unknown id.
        ValueError: for no variations.
        ImportError: if the extra `metaworld` is not installed.
    """
    require_name("Meta-World id", name, _ALL)
    return _same((name,), key, num_variations, options)


def mt10(key: PRNGKeyArray, num_variations: int = 50, **options: Any) -> Protocol:
    """The ten tasks of `MT10`, goals seen, each trained and tested on the same `num_variations`.

    Args:
        key: of the variations.
        num_variations: of each task.
        options: static options of every environment, such as `limit`.

    Raises:
        ValueError: for no variations.
        ImportError: if the extra `metaworld` is not installed.
    """
    return _same(MT10, key, num_variations, options)


def mt50(key: PRNGKeyArray, num_variations: int = 50, **options: Any) -> Protocol:
    """Meta-World's fifty tasks, goals seen, each trained and tested on the same variations.

    Arguments and errors are those of `mt10`.
    """
    return _same(MT50, key, num_variations, options)


def ml1(name: str, key: PRNGKeyArray, num_variations: int = 50, **options: Any) -> Protocol:
    """One task, whose goal is not seen, tested on other variations than it is trained on.

    Raises:
        UnknownNameError: for an unknown id.
        ValueError: for no variations.
        ImportError: if the extra `metaworld` is not installed.
    """
    require_name("Meta-World id", name, _ALL)
    return _apart((name,), (name,), key, num_variations, options)


def ml10(key: PRNGKeyArray, num_variations: int = 50, **options: Any) -> Protocol:
    """The ten training tasks of ML10 and its five test tasks, goals not seen.

    Raises:
        ValueError: for no variations.
        ImportError: if the extra `metaworld` is not installed.
    """
    return _apart(ML10_TRAIN, ML10_TEST, key, num_variations, options)


def ml45(key: PRNGKeyArray, num_variations: int = 50, **options: Any) -> Protocol:
    """The 45 training tasks of ML45 and its five test tasks, goals not seen.

    Raises:
        ValueError: for no variations.
        ImportError: if the extra `metaworld` is not installed.
    """
    return _apart(ML45_TRAIN, ML45_TEST, key, num_variations, options)


def _same(names: tuple[str, ...], key: PRNGKeyArray, num_variations: int, options: dict[str, Any]) -> Protocol:
    environments = _build(names, {"show_goal": True, **options})
    params = _draw(environments, names, key, num_variations)
    return Protocol(environments, params, params)


def _apart(
    train: tuple[str, ...], test: tuple[str, ...], key: PRNGKeyArray, num_variations: int, options: dict[str, Any]
) -> Protocol:
    environments = _build(tuple(dict.fromkeys(train + test)), {"show_goal": False, **options})
    train_key, test_key = jax.random.split(key)
    return Protocol(
        environments,
        _draw(environments, train, train_key, num_variations),
        _draw(environments, test, test_key, num_variations),
    )


def _build(names: tuple[str, ...], options: dict[str, Any]) -> dict[str, Environment]:
    return {name: metaworld(name.removeprefix("metaworld/"), **options) for name in names}


def _draw(
    environments: dict[str, Environment], names: tuple[str, ...], key: PRNGKeyArray, num_variations: int
) -> dict[str, MetaWorldParams]:
    if num_variations < 1:
        raise ValueError(f"num_variations must be at least 1, got {num_variations}")
    return {
        name: jax.vmap(environments[name].sample_params)(jax.random.split(jax.random.fold_in(key, i), num_variations))
        for i, name in enumerate(names)
    }
