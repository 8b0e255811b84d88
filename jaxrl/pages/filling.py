"""Templates filled with values: whatever is not marked as HTML is escaped."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

__all__ = ["fill", "plain", "static"]


def fill(template: str, **values: Any) -> "Markup":
    """A template as HTML.

    Args:
        template: its name, without suffix.
        values: by the names that it uses; an unknown one is an error.
    """
    from markupsafe import Markup

    return Markup(_templates().get_template(f"{template}.html.jinja").render(values))


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("jaxrl.pages"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined,
    )  # fmt: skip


def static(name: str) -> "Markup":
    """A stylesheet or script of jaxrl's own, which needs no escaping."""
    from markupsafe import Markup

    return Markup((files("jaxrl.pages") / "static" / name).read_text(encoding="utf-8"))


def plain(value: Any) -> Any:
    """What JSON can hold: arrays as lists, and numbers that are none by the names that JavaScript's `Number` reads."""
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float) and not np.isfinite(value):
        return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
