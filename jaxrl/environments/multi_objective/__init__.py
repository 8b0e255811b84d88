"""Our own multi-objective environments, ids `mo/...`."""

from collections.abc import Callable
from functools import partial
from typing import Any

from jaxrl.environments.base import Environment
from jaxrl.environments.multi_objective.allocation import allocation
from jaxrl.environments.multi_objective.breakable_bottles import breakable_bottles
from jaxrl.environments.multi_objective.deep_sea_treasure import deep_sea_treasure
from jaxrl.environments.multi_objective.fishwood import fishwood
from jaxrl.environments.multi_objective.four_room import four_room
from jaxrl.environments.multi_objective.fruit_tree import fruit_tree
from jaxrl.environments.multi_objective.highway import highway
from jaxrl.environments.multi_objective.locomotion import TASKS, locomotion
from jaxrl.environments.multi_objective.lunar_lander import lunar_lander
from jaxrl.environments.multi_objective.minecart import minecart
from jaxrl.environments.multi_objective.mountain_car import mountain_car, mountain_car_continuous
from jaxrl.environments.multi_objective.reacher import reacher
from jaxrl.environments.multi_objective.resource_gathering import resource_gathering
from jaxrl.environments.multi_objective.water_reservoir import water_reservoir

__all__ = ["make", "names"]

_BUILDERS: dict[str, Callable[..., Environment]] = {
    "breakable-bottles": breakable_bottles,
    "allocation": allocation,
    "allocation-3": partial(allocation, 3),
    "allocation-6": partial(allocation, 6),
    "allocation-9": partial(allocation, 9),
    "deep-sea-treasure": deep_sea_treasure,
    "deep-sea-treasure-concave": partial(deep_sea_treasure, "concave"),
    "deep-sea-treasure-mirrored": partial(deep_sea_treasure, "mirrored"),
    "fishwood": fishwood,
    "four-room": four_room,
    "fruit-tree": fruit_tree,
    "fruit-tree-5": partial(fruit_tree, 5),
    "fruit-tree-6": partial(fruit_tree, 6),
    "fruit-tree-7": partial(fruit_tree, 7),
    "highway": highway,
    "highway-fast": partial(highway, True),
    "lunar-lander": lunar_lander,
    "lunar-lander-continuous": partial(lunar_lander, True),
    "minecart": minecart,
    "minecart-deterministic": partial(minecart, True),
    "resource-gathering": resource_gathering,
    "reacher": reacher,
    **{name: partial(locomotion, name) for name in TASKS},
    "mountaincar": mountain_car,
    "mountaincar-3d": partial(mountain_car, "merged", speed=True),
    "mountaincar-continuous": mountain_car_continuous,
    "mountaincar-timemove": partial(mountain_car, "merged"),
    "mountaincar-timespeed": partial(mountain_car, "none", speed=True),
    "water-reservoir": water_reservoir,
    "water-reservoir-3": partial(water_reservoir, 3),
    "water-reservoir-4": partial(water_reservoir, 4),
}


def names() -> tuple[str, ...]:
    """Every id of this suite, without its prefix."""
    return tuple(_BUILDERS)


def make(name: str, **options: Any) -> Environment:
    """Builds `mo/{name}`; `options` are that environment's static options."""
    return _BUILDERS[name](**options)
