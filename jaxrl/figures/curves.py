"""Figures of learning curves."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxrl.figures.figure import add_legend, add_title, axis_label, new_figure, note, series_style, style_axes, text_of
from jaxrl.numerics import statistics

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure
    import pandas

__all__ = ["curves_of", "is_spread", "learning_curves", "seeds_note"]

Labels = Mapping[str, str] | None
_COLUMNS = 3


def learning_curves(
    table: "pandas.DataFrame",
    by: str = "setting",
    value: str | Sequence[str] = "return",
    steps: str = "steps",
    labels: Labels = None,
    confidence: float = 0.95,
    title: str | None = None,
    panels: bool = False,
) -> "matplotlib.figure.Figure":
    """Interquartile mean over seeds against steps, with its interval as a band, one line per group.

    A group of one seed is a thin line, and its band the standard deviation over the episodes of each evaluation, where
    the table has it (`deviation` for `return`).

    Args:
        table: columns `by`, `steps`, every `value`, and best `seed`.
        by: column whose values tell the lines apart.
        value: one column, or one per objective, each in a panel of its own.
        steps: column of environment steps.
        labels: axis and legend texts, with units, by column; names are used where left out.
        confidence: of the band, within (0, 1).
        title: above the figure.
        panels: a panel per group, the others in grey, for lines that would hide each other; needs one `value`.

    Raises:
        ValueError: for several values with `panels`, or as `jaxrl.statistics.summary`.
    """
    values = [value] if isinstance(value, str) else list(value)
    if not values:
        raise ValueError("value names no column")
    if panels and len(values) > 1:
        raise ValueError(f"panels of groups show one value, got value={values}")
    curves = {column: curves_of(table, by, steps, column, confidence) for column in values}
    draw = _grouped if panels else _together
    figure = draw(curves, axis_label(steps, {"steps": "environment steps", **(labels or {})}), steps, labels)
    if not panels:
        add_legend(figure, figure.axes[0], axis_label(by, labels))
    every = [curve for groups in curves.values() for curve in groups.values()]
    counts = [int(count) for curve in every for count in curve["count"]]
    shown = seeds_note(counts, confidence, any(is_spread(curve) for curve in every))
    note(figure, f"{shown}; grey: the other panels" if panels else shown)
    add_title(figure, title)
    return figure


def seeds_note(counts: Sequence[int], confidence: float = 0.95, spread: bool = False) -> str:
    """Which statistic, interval and number of seeds lines show.

    Args:
        counts: of seeds, per point.
        confidence: of the intervals.
        spread: whether the bands of single seeds are the spread of their episodes.
    """
    several = sorted({count for count in counts if count > 1})
    parts = []
    if several:
        number = f"{several[0]}" if len(several) == 1 else f"{several[0]} to {several[-1]}"
        parts.append(f"interquartile mean over {number} seeds, {100 * confidence:g} % bootstrap interval")
    if min(counts) == 1:
        band = " ± their standard deviation" if spread else ""
        parts.append(f"{'thin: ' if several else ''}one seed, mean over its episodes{band}")
    return "; ".join(parts)


def curves_of(
    table: "pandas.DataFrame",
    by: str,
    steps: str,
    column: str,
    confidence: float = 0.95,
    num_resamples: int = 2000,
) -> dict[Any, "pandas.DataFrame"]:
    """The statistics of each group along its steps; one seed has the spread of its episodes for an interval.

    Arguments as for `jaxrl.statistics.summary`, of which each curve has the columns.
    """
    summary = statistics.summary(table, [by, steps], column, num_resamples, confidence)
    spread = column.replace("return", "deviation", 1)
    curves = {}
    for group, curve in summary.groupby(by, observed=True, dropna=False):
        if (curve["count"] == 1).all() and spread != column and spread in table:
            own = table[table[by] == group].set_index(steps)[spread].loc[curve[steps]].to_numpy()
            curve = curve.assign(low=curve["iqm"] - own, high=curve["iqm"] + own)
        curves[group] = curve
    return curves


def is_spread(curve: "pandas.DataFrame") -> bool:
    """Whether the interval of a curve of single seeds is the spread of their episodes."""
    return bool((curve["count"] == 1).all() and (curve["high"] > curve["low"]).any())


def _together(
    curves: Mapping[str, Mapping[Any, "pandas.DataFrame"]], xlabel: str, steps: str, labels: Labels
) -> "matplotlib.figure.Figure":
    """A panel per value, with all groups."""
    figure = new_figure(4.4 * len(curves) + 2.0, 3.8)
    for axes, (column, groups) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        for i, (group, curve) in enumerate(groups.items()):
            _draw(axes, curve, steps, series_style(i), text_of(group))
        _finish(axes, xlabel, axis_label(column, labels))
    return figure


def _grouped(
    curves: Mapping[str, Mapping[Any, "pandas.DataFrame"]], xlabel: str, steps: str, labels: Labels
) -> "matplotlib.figure.Figure":
    """A panel per group, with the lines of the others in grey."""
    ((column, groups),) = curves.items()
    columns = min(_COLUMNS, len(groups))
    rows = -(-len(groups) // columns)
    figure = new_figure(3.2 * columns + 0.4, 2.4 * rows + 0.5)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for i, (axes, (group, curve)) in enumerate(zip(panels, groups.items(), strict=False)):
        for other in groups.values():
            axes.plot(other[steps], other["iqm"], color="#C8C8C8", linewidth=0.9, zorder=2)
        _draw(axes, curve, steps, series_style(i), None)
        _finish(
            axes, xlabel if i >= len(groups) - columns else "", axis_label(column, labels) if i % columns == 0 else ""
        )
        axes.tick_params(labelbottom=i >= len(groups) - columns)
        axes.set_title(text_of(group), fontsize=10, color=series_style(i)["color"], loc="left")
    for axes in panels[len(groups) :]:
        axes.set_visible(False)
    return figure


def _draw(
    axes: "matplotlib.axes.Axes", curve: "pandas.DataFrame", steps: str, style: dict[str, Any], label: str | None
) -> None:
    single = (curve["count"] == 1).all()
    line = {"color": style["color"], "linestyle": style["linestyle"], "linewidth": 0.9 if single else 1.7}
    # A single evaluation would be invisible as a line.
    marker = style["marker"] if len(curve) == 1 else None
    axes.plot(curve[steps], curve["iqm"], label=label, marker=marker, zorder=3, **line)
    if len(curve) == 1:
        # So would its interval as a band.
        axes.vlines(curve[steps], curve["low"], curve["high"], color=style["color"], linewidth=0.9, zorder=3)
    elif not single or is_spread(curve):
        band = {"color": style["color"], "alpha": 0.18, "linewidth": 0, "zorder": 2}
        axes.fill_between(curve[steps], curve["low"], curve["high"], **band)


def _finish(axes: "matplotlib.axes.Axes", xlabel: str, ylabel: str) -> None:
    from matplotlib.ticker import EngFormatter

    style_axes(axes, xlabel, ylabel)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.margins(x=0.01)
