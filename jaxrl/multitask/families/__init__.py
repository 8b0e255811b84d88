"""Families of tasks that come with jaxrl, ids `multitask/...`."""

from collections.abc import Callable
from typing import Any

from jaxrl.environments.base import Environment
from jaxrl.errors import require_name
from jaxrl.multitask.families.cart_pole import cart_pole
from jaxrl.multitask.families.point_mass import point_mass
from jaxrl.multitask.family import TaskFamily, merge

__all__ = ["FAMILIES", "family", "make", "names"]

FAMILIES: dict[str, Callable[..., TaskFamily]] = {
    "cart-pole": cart_pole,
    "point-mass": point_mass,
}


def family(name: str, **options: Any) -> TaskFamily:
    """The family called `name`; `options` are those of its builder.

    Raises:
        UnknownNameError: with the nearest known names.
    """
    return FAMILIES[require_name("task family", name.removeprefix("multitask/"), FAMILIES)](**options)


def names() -> tuple[str, ...]:
    """Every id of this suite, without its prefix."""
    return tuple(FAMILIES)


def make(name: str, **options: Any) -> Environment:
    """Builds `multitask/{name}`: the tasks to train on of a family, merged."""
    return merge(family(name, **options).train)
