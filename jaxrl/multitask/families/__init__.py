"""Families of tasks that come with jaxrl, ids `multitask/...`."""

from collections.abc import Callable
from typing import Any

from jaxrl.environments.base import Environment
from jaxrl.environments.family import TaskFamily, merge
from jaxrl.environments.registry import call_builder
from jaxrl.errors import require_name
from jaxrl.multitask.families.acrobot import acrobot
from jaxrl.multitask.families.cart_pole import cart_pole
from jaxrl.multitask.families.grid import grid_levels
from jaxrl.multitask.families.highway import highway
from jaxrl.multitask.families.locomotion import (
    ant_direction,
    ant_goal,
    ant_velocity,
    half_cheetah_direction,
    half_cheetah_velocity,
)
from jaxrl.multitask.families.lunar_lander import lunar_lander
from jaxrl.multitask.families.mountain_car import mountain_car
from jaxrl.multitask.families.objectives import objectives
from jaxrl.multitask.families.pendulum import pendulum
from jaxrl.multitask.families.point_mass import point_mass
from jaxrl.multitask.trials import trials

__all__ = ["FAMILIES", "family", "make", "names"]

FAMILIES: dict[str, Callable[..., TaskFamily]] = {
    "acrobot": acrobot,
    "ant-direction": ant_direction,
    "ant-goal": ant_goal,
    "ant-velocity": ant_velocity,
    "cart-pole": cart_pole,
    "grid": grid_levels,
    "half-cheetah-direction": half_cheetah_direction,
    "half-cheetah-velocity": half_cheetah_velocity,
    "highway": highway,
    "lunar-lander": lunar_lander,
    "mountain-car": mountain_car,
    "objectives": objectives,
    "pendulum": pendulum,
    "point-mass": point_mass,
}


def family(name: str, **options: Any) -> TaskFamily:
    """The family called `name`; `options` are those of its builder.

    Raises:
        UnknownNameError: with the nearest known names.
        ValueError: for a value that an option cannot have.
    """
    builder = FAMILIES[require_name("task family", name.removeprefix("multitask/"), FAMILIES)]
    return call_builder(builder, name, options)


def names() -> tuple[str, ...]:
    """Every id of this suite, without its prefix."""
    return tuple(FAMILIES)


def make(name: str, episodes: int = 0, **options: Any) -> Environment:
    """Builds `multitask/{name}`: the tasks to train on of a family.

    Args:
        name: of the family.
        episodes: 0 merges the tasks, every episode being about one that observations name; else an episode is a trial
            of so many episodes of one hidden task (`jaxrl.multitask.trials`).
        options: of the family's builder.
    """
    tasks = family(name, **options).train
    return trials(tasks, episodes) if episodes else merge(tasks)
