"""Tables that a reader sorts and filters, and tables of settings."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxrl.pages.filling import fill

if TYPE_CHECKING:
    import pandas
    from markupsafe import Markup

__all__ = ["number_text", "settings", "table"]

# Above this, whole numbers are written as powers of ten.
_LONG = 10**15


class _Cell(NamedTuple):
    """What is shown, and the number by which it is sorted, as JavaScript reads it; None for words."""

    text: str
    value: str | None


def table(frame: "pandas.DataFrame", caption: str, choose: str | None = None) -> "Markup":
    """A table with four digits a number; what a cell holds exactly is in its `data-value`.

    Args:
        frame: what is shown.
        caption: what the table is called.
        choose: gives each row a button that is called so, with the row's number.
    """
    columns = [[_cell(value) for value in frame[name].tolist()] for name in frame.columns]
    rows = [*zip(*columns, strict=True)]
    return fill(
        "table", caption=caption, names=[*map(str, frame.columns)], rows=rows, choose=choose, example=_example(frame)
    )


def settings(values: Mapping[str, Any], caption: str) -> "Markup":
    """Names and values; long arrays by their shape."""
    return fill("settings", caption=caption, rows=[(name, _short(value)) for name, value in values.items()])


def number_text(value: float | int) -> str:
    """A number as people read it: whole ones in full, others with four digits."""
    if isinstance(value, int) or (np.isfinite(value) and value == int(value) and abs(value) < _LONG):
        return str(int(value))
    return "NaN" if np.isnan(value) else f"{value:.4g}"


def _cell(value: Any) -> _Cell:
    if value is None:
        return _Cell("", None)
    if isinstance(value, bool | np.bool_):
        return _Cell("yes" if value else "no", None)
    if isinstance(value, int | float | np.number):
        number = float(value)
        text = number_text(int(value) if isinstance(value, int | np.integer) else number)
        if np.isfinite(number):
            return _Cell(text, repr(value.item() if isinstance(value, np.number) else value))
        return _Cell(text, "NaN" if np.isnan(number) else "Infinity" if number > 0 else "-Infinity")
    return _Cell(str(value), None)


def _example(frame: "pandas.DataFrame") -> str:
    """What a filter may say of these columns."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    numeric = [name for name in frame.columns if is_numeric_dtype(frame[name]) and not is_bool_dtype(frame[name])]
    return f"words, {numeric[-1]}>0" if numeric else "words"


def _short(value: Any) -> str:
    """Arrays with the digits that they hold, long ones by their shape."""
    if not hasattr(value, "__array__"):
        return str(value)
    values = np.asarray(value)
    return f"array of shape {values.shape}" if values.size > 12 else " ".join(str(values).split())
