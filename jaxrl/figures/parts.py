"""Parts of figures that show few runs: each of them, and what they have in common."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxrl.figures.figure import series_style, style_axes

if TYPE_CHECKING:
    import matplotlib.axes

__all__ = ["dots_by_row", "intervals_by_row", "runs"]

Values = Sequence | np.ndarray


def runs(
    axes: "matplotlib.axes.Axes", x: Values, values: Values, index: int, label: str, linestyle: str | None = None
) -> None:
    """Every run as a thin line, and their mean as a thick one where there are several.

    Args:
        axes: where to draw.
        x: places of the points, one per column of `values`.
        values: `[run, point]`.
        index: of the series, which decides on its colour and style.
        label: of the series.
        linestyle: instead of the series' own, where two may lie on each other.
    """
    values, style = np.asarray(values, np.float64), series_style(index)
    line = {"color": style["color"], "linestyle": linestyle or style["linestyle"]}
    several = len(values) > 1
    for run, curve in enumerate(values):
        axes.plot(x, curve, linewidth=0.8, alpha=0.6, label=None if several or run else label, zorder=3, **line)
    if several:
        axes.plot(x, values.mean(axis=0), linewidth=2.2, label=label, zorder=4, **line)


def dots_by_row(axes: "matplotlib.axes.Axes", rows: Mapping[str, Values], xlabel: str) -> None:
    """Every value a dot in the row of its name, from above, and a bar at their mean."""
    for place, values in enumerate(rows.values()):
        values = np.asarray(values, np.float64)
        style = series_style(place)
        axes.plot(values, np.full(len(values), place), "o", markersize=5, alpha=0.55, color=style["color"], zorder=3)
        if np.isfinite(values).any():
            axes.plot(
                [np.nanmean(values)], [place], "|", markersize=15, markeredgewidth=2, color=style["color"], zorder=4
            )
    _name_rows(axes, list(rows), xlabel)


def intervals_by_row(
    axes: "matplotlib.axes.Axes", rows: Mapping[str, Values], xlabel: str, index: int = 0, color: str | None = None
) -> None:
    """A dot and a bar in the row of each name, from above.

    Args:
        axes: where to draw.
        rows: by name, the middle and both ends.
        xlabel: text below.
        index: of the series, where several are drawn over one another: colour, marker, and a small step down.
        color: instead of the series' own.
    """
    style, step = series_style(index), 0.22 * index
    color = color or style["color"]
    for place, (middle, low, high) in enumerate(rows.values()):
        axes.hlines(place + step, low, high, color=color, linewidth=1.6, zorder=3)
        axes.plot([middle], [place + step], style["marker"], color=color, markersize=5.5, zorder=4)
    _name_rows(axes, list(rows), xlabel)


def _name_rows(axes: "matplotlib.axes.Axes", names: list[str], xlabel: str) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    style_axes(axes, xlabel, "")
