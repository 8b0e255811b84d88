"""Learning curves on a page, in the colours of all other figures."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl.figures.curves import Labels, curves_of, is_spread, seeds_note
from jaxrl.figures.figure import GREY, axis_label, series_style, text_of
from jaxrl.pages.charts import chart
from jaxrl.pages.filling import fill
from jaxrl.pages.tables import number_text

if TYPE_CHECKING:
    import pandas
    from markupsafe import Markup

__all__ = ["MOST_COLOURS", "curves", "legend"]

MOST_COLOURS = 7
"""Lines of a chart that have colours of their own."""
_DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
# Points of a line.
_MOST_POINTS = 500


def curves(
    frame: "pandas.DataFrame",
    value: str,
    by: str,
    coloured: Sequence[Any] | None = None,
    steps: str = "steps",
    labels: Labels = None,
    intervals: bool = True,
) -> "Markup":
    """Interquartile means over seeds against steps, with bootstrap intervals as bands; one line per group.

    Args:
        frame: columns `by`, `steps`, `value`, and best `seed`; rows whose value is not finite are left out.
        value: the column that is drawn.
        by: whose values tell the lines apart.
        coloured: groups that have colours, in the order of a `legend`; the others are grey, without bands. Default: the
            first seven.
        steps: of environment steps.
        labels: texts of axes, by column.
        intervals: whether there are any.

    Raises:
        ValueError: for a column without finite values, or as `jaxrl.statistics.summary`.
    """
    import plotly.graph_objects as graph

    coloured = list(dict.fromkeys(frame[by]))[:MOST_COLOURS] if coloured is None else coloured
    rows, every = _thinned(frame[np.isfinite(frame[value])], steps)
    found = curves_of(rows, by, steps, value, num_resamples=2000 if intervals else 1)
    figure = graph.Figure(layout=_layout(axis_label(steps, labels), axis_label(value, labels)))
    for group in found:
        if group not in coloured:
            _grey(figure, found[group], steps, text_of(group))
    for index, group in enumerate(coloured):
        if group in found:
            _line(figure, found[group], steps, text_of(group), index, intervals)
    last, title = _last(found, by, steps, value, intervals), axis_label(value, labels)
    return chart(figure, title, _description(title, last, by, value), _note(found, intervals, every), last)


def legend(names: Sequence[str], others: int = 0) -> "Markup":
    """What the colours of several charts stand for.

    Args:
        names: of the lines, in their order.
        others: how many grey lines there are.
    """
    styles = [series_style(index) for index in range(len(names))]
    border = {"-": "solid", "--": "dashed", ":": "dotted", "-.": "dashed"}
    lines = [(name, style["color"], border[style["linestyle"]]) for name, style in zip(names, styles)]
    return fill("legend", lines=lines + ([(f"{others} others", GREY, "solid")] if others else []))


def _thinned(rows: "pandas.DataFrame", steps: str) -> "tuple[pandas.DataFrame, int]":
    """The last and every so many of the steps, where there are many."""
    places = np.unique(rows[steps])
    every = max(1, -(-len(places) // _MOST_POINTS))
    return (rows if every == 1 else rows[rows[steps].isin(places[::-1][::every])]), every


def _layout(xlabel: str, ylabel: str) -> dict[str, Any]:
    """Axes of curves."""
    return {
        "margin": {"l": 56, "r": 12, "t": 12, "b": 44},
        "xaxis": {"title": {"text": escape(xlabel)}, "zeroline": False, "exponentformat": "SI"},
        "yaxis": {"title": {"text": escape(ylabel)}, "zeroline": False, "automargin": True, "exponentformat": "e"},
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,
    }


def _line(figure: Any, curve: "pandas.DataFrame", steps: str, name: str, index: int, intervals: bool) -> None:
    """A line and its band."""
    style, x = series_style(index), curve[steps].tolist()
    single, bar = bool((curve["count"] == 1).all()), None
    banded = intervals and (not single or is_spread(curve))
    if banded and len(x) == 1:
        # A band of one point has no area.
        bar = {"array": curve["high"] - curve["iqm"], "arrayminus": curve["iqm"] - curve["low"], "symmetric": False}
    elif banded:
        red, green, blue = (int(style["color"][start : start + 2], 16) for start in (1, 3, 5))
        known = curve[np.isfinite(curve["low"])]
        ends, high, low = (known[column].tolist() for column in (steps, "high", "low"))
        figure.add_scatter(
            x=[*ends, *ends[::-1]], y=[*high, *low[::-1]], fill="toself", mode="lines", line={"width": 0},
            fillcolor=f"rgba({red},{green},{blue},0.18)", hoverinfo="skip", name=f"{escape(name)}: interval",
        )  # fmt: skip
    figure.add_scatter(
        x=x, y=curve["iqm"].tolist(), name=escape(name), mode="lines+markers" if len(x) == 1 else "lines",
        line={"color": style["color"], "dash": _DASHES[style["linestyle"]], "width": 1.2 if single else 2.2},
        hovertemplate=_hover(name), error_y=bar,
    )  # fmt: skip


def _grey(figure: Any, curve: "pandas.DataFrame", steps: str, name: str) -> None:
    """A line among many."""
    figure.add_scatter(
        x=curve[steps].tolist(), y=curve["iqm"].tolist(), name=escape(name), mode="lines",
        line={"color": GREY, "width": 0.8}, opacity=0.7, hovertemplate=_hover(name),
    )  # fmt: skip


def _hover(name: str) -> str:
    # Braces would be read as plotly's own.
    return escape(name).replace("{", "&#123;") + "<br>%{x}: %{y:.4g}<extra></extra>"


def _note(found: "dict[Any, pandas.DataFrame]", intervals: bool, every: int) -> str:
    """Which statistic is drawn of how many seeds."""
    counts = [int(count) for curve in found.values() for count in curve["count"]]
    spread = intervals and any(is_spread(curve) for curve in found.values())
    note = "interquartile mean over seeds" if max(counts) > 1 else "one seed"
    note = seeds_note(counts, spread=spread) if intervals else note
    return note if every == 1 else f"{note}; one point of every {every}"


def _last(found: Any, by: str, steps: str, value: str, intervals: bool) -> "pandas.DataFrame":
    """What every line ends with."""
    import pandas

    columns = ["iqm", *(("low", "high") if intervals else ()), "count"]
    ends = {text_of(group): curve.iloc[-1] for group, curve in found.items()}
    rows = [{by: name, steps: end[steps], **end[columns]} for name, end in ends.items()]
    return pandas.DataFrame(rows).rename(columns={"iqm": value, "count": "seeds"}).astype({"seeds": int})


def _description(title: str, last: "pandas.DataFrame", by: str, value: str) -> str:
    """The best and the worst of the ends."""
    ordered = last.sort_values(value)
    worst, best = ordered.iloc[0], ordered.iloc[-1]
    lines = "1 line" if len(last) == 1 else f"{len(last)} lines"
    text = f"Curves of {title}, {lines}. At the end {number_text(best[value])} of {best[by]}"
    return f"{text}." if len(last) == 1 else f"{text}, the highest, to {number_text(worst[value])} of {worst[by]}."
