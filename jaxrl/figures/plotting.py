"""Figures of results: learning curves, sweeps, fronts and comparisons.

Every function returns a `matplotlib.figure.Figure` and leaves no global state; `save` writes it. Tables are tidy:
one row per run and step, with columns such as `setting`, `seed`, `steps`, `return` or `return_<objective>`. Lines are
interquartile means and bands their bootstrap intervals (see `jaxrl.statistics`); a line below each figure says so, with
the number of seeds. `new_figure`, `series_style`, `style_axes`, `add_legend`, `note`, `runs`, `dots_by_row` and
`intervals_by_row` give figures of one's own the same look.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxrl.errors import require_name
from jaxrl.figures.attainment import attainment
from jaxrl.figures.comparison import performance_profiles, probability_of_improvement
from jaxrl.figures.curves import learning_curves, seeds_note
from jaxrl.figures.figure import add_legend, axis_label, new_figure, note, save, series_style, style_axes, text_of
from jaxrl.figures.front import front
from jaxrl.figures.parts import dots_by_row, intervals_by_row, runs
from jaxrl.numerics import statistics

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas

__all__ = [
    "add_legend",
    "attainment",
    "dots_by_row",
    "front",
    "intervals_by_row",
    "learning_curves",
    "new_figure",
    "note",
    "performance_profiles",
    "probability_of_improvement",
    "runs",
    "save",
    "seeds_note",
    "sensitivity",
    "series_style",
    "style_axes",
    "sweep_heatmap",
]

Labels = Mapping[str, str] | None


def _require_columns(table: "pandas.DataFrame", *columns: str) -> None:
    for column in columns:
        require_name("column", column, map(str, table.columns))


def _final(table: "pandas.DataFrame", by: Sequence[str], steps: str) -> "pandas.DataFrame":
    """The rows of each run's last step; all rows where no column says which step they belong to."""
    if steps not in table or table.empty:
        return table
    run = [*by, "seed"] if "seed" in table else list(by)
    return table[table[steps] == table.groupby(run, observed=True, dropna=False)[steps].transform("max")]


def sweep_heatmap(
    table: "pandas.DataFrame",
    x: str,
    y: str,
    value: str = "return",
    steps: str = "steps",
    labels: Labels = None,
    title: str | None = None,
) -> "matplotlib.figure.Figure":
    """Final interquartile mean over seeds by two swept settings, with the number in each cell.

    Args:
        table: columns `x`, `y`, `value`, and best `seed`; with a column `steps`, each run's last step counts.
        x, y: the swept columns; combinations that are missing stay blank.
        value, steps, labels, title: as for `learning_curves`.

    Raises:
        ValueError: as `jaxrl.statistics.summary`, or if `x` and `y` are one column.
    """
    if x == y:
        raise ValueError(f"x and y must differ, both are {x!r}")
    _require_columns(table, x, y, value)
    cells = statistics.summary(_final(table, [x, y], steps), [x, y], value).pivot(index=y, columns=x, values="iqm")
    rows, columns = cells.shape
    figure = new_figure(max(4.6, 0.85 * columns + 2.4), max(3.2, 0.55 * rows + 1.5))
    axes = figure.add_subplot()
    image = axes.pcolormesh(
        np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5, np.ma.masked_invalid(cells), edgecolors="white", lw=1.5
    )
    for i, j in zip(*np.nonzero(np.isfinite(cells.to_numpy()))):
        number = cells.iat[i, j]
        red, green, blue, _ = image.cmap(image.norm(number))
        color = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
        text = f"{number:.0f}" if 100 <= abs(number) < 1e5 else f"{number:.3g}"
        axes.text(j, i, text, ha="center", va="center", fontsize=9, color=color)
    axes.set_xticks(range(columns), [text_of(entry) for entry in cells.columns])
    axes.set_yticks(range(rows), [text_of(entry) for entry in cells.index])
    style_axes(axes, axis_label(x, labels), axis_label(y, labels))
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label(f"{axis_label(value, labels)} (IQM)")
    bar.outline.set_visible(False)
    if title:
        figure.suptitle(title, fontsize=12)
    return figure


def sensitivity(
    table: "pandas.DataFrame",
    parameter: str,
    value: str = "return",
    by: str | None = None,
    steps: str = "steps",
    labels: Labels = None,
    confidence: float = 0.95,
    title: str | None = None,
) -> "matplotlib.figure.Figure":
    """Final interquartile mean over seeds, with its interval, against one swept parameter.

    Positive numbers that span a decade or more get a logarithmic axis, and what is not a number a categorical one. Up
    to two settings are points: a line between them would show what was not measured.

    Args:
        table: columns `parameter`, `value`, and best `seed`; with a column `steps`, each run's last step counts.
        parameter: the swept column.
        by: column whose values tell lines apart; one line if None.
        value, steps, labels, confidence, title: as for `learning_curves`.

    Raises:
        ValueError: as `jaxrl.statistics.summary`.
    """
    groups = [parameter] if by is None else [by, parameter]
    _require_columns(table, *groups, value)
    points = statistics.summary(_final(table, groups, steps), groups, value, confidence=confidence)
    setting = points[parameter]
    numeric = setting.dtype.kind in "iuf"
    places = setting if numeric else setting.map({entry: i for i, entry in enumerate(setting.unique())})
    figure = new_figure(5.4 if by is None else 6.4, 3.8)
    axes = figure.add_subplot()
    lines = [(None, points)] if by is None else points.groupby(by, observed=True, dropna=False)
    for i, (group, line) in enumerate(lines):
        style = series_style(i)
        place, low, high = places[line.index], line["low"], line["high"]
        if numeric and setting.nunique() > 2:
            axes.fill_between(place, low, high, color=style["color"], alpha=0.15, linewidth=0, zorder=2)
        else:
            # Categories have nothing in between: bars at each, beside one another, instead of a band.
            style["linestyle"] = "none"
        if not numeric:
            place = place + 0.12 * (i - (len(lines) - 1) / 2)
        axes.vlines(place, low, high, color=style["color"], linewidth=1.3, zorder=3)
        label = None if group is None else text_of(group)
        axes.plot(place, line["iqm"], label=label, linewidth=1.6, markersize=5.5, zorder=4, **style)
    if not numeric:
        axes.set_xticks(range(setting.nunique()), [text_of(entry) for entry in setting.unique()])
        axes.set_xlim(-0.5, setting.nunique() - 0.5)
    elif setting.min() > 0 and setting.max() >= 10 * setting.min():
        axes.set_xscale("log")
    style_axes(axes, axis_label(parameter, labels), axis_label(value, labels))
    if by is not None:
        add_legend(figure, axes, axis_label(by, labels))
    note(figure, seeds_note(points["count"].tolist(), confidence))
    if title:
        figure.suptitle(title, fontsize=12)
    return figure
