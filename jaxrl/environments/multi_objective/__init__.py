"""Our own multi-objective environments, ids `mo/...`."""

from collections.abc import Callable
from functools import partial
from typing import Any

from jaxrl.environments.base import Environment
from jaxrl.environments.multi_objective.deep_sea_treasure import deep_sea_treasure
from jaxrl.environments.multi_objective.fruit_tree import fruit_tree
from jaxrl.environments.multi_objective.locomotion import TASKS, locomotion
from jaxrl.environments.multi_objective.minecart import minecart
from jaxrl.environments.multi_objective.reacher import reacher

__all__ = ["make", "names"]

_BUILDERS: dict[str, Callable[..., Environment]] = {
    "deep-sea-treasure": deep_sea_treasure,
    "deep-sea-treasure-concave": partial(deep_sea_treasure, "concave"),
    "deep-sea-treasure-mirrored": partial(deep_sea_treasure, "mirrored"),
    "fruit-tree": fruit_tree,
    "fruit-tree-5": partial(fruit_tree, 5),
    "fruit-tree-6": partial(fruit_tree, 6),
    "fruit-tree-7": partial(fruit_tree, 7),
    "minecart": minecart,
    "minecart-deterministic": partial(minecart, True),
    "reacher": reacher,
    **{name: partial(locomotion, name) for name in TASKS},
}


def names() -> tuple[str, ...]:
    """Every id of this suite, without its prefix."""
    return tuple(_BUILDERS)


def make(name: str, **options: Any) -> Environment:
    """Builds `mo/{name}`; `options` are that environment's static options."""
    return _BUILDERS[name](**options)
