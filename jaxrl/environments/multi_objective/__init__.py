"""Our own multi-objective environments, ids `mo/...`."""

from collections.abc import Callable
from typing import Any

from jaxrl.environments.base import Environment

__all__ = ["make", "names"]

_BUILDERS: dict[str, Callable[..., Environment]] = {}


def names() -> tuple[str, ...]:
    """Every id of this suite, without its prefix."""
    return tuple(_BUILDERS)


def make(name: str, **options: Any) -> Environment:
    """Builds `mo/{name}`; `options` are that environment's static options."""
    return _BUILDERS[name](**options)
