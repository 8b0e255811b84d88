"""Charts: plotly's figures with a description, their numbers as a table, and the colours of all other figures."""

import json
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl.figures.curves import Labels, curves_of, is_spread, seeds_note
from jaxrl.figures.figure import GREY, axis_label, series_style, text_of
from jaxrl.pages.filling import fill
from jaxrl.pages.tables import table

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects
    from markupsafe import Markup

__all__ = ["chart", "curves"]

_DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
# Lines in colours of their own, with bands, and points of a line.
_COLOURED, _MOST_POINTS = 7, 500


def chart(
    figure: "plotly.graph_objects.Figure",
    title: str,
    description: str,
    note: str = "",
    numbers: "pandas.DataFrame | None" = None,
) -> "Markup":
    """A figure on a page, light or dark as the reader's system is.

    Args:
        figure: of plotly; it is drawn in the browser, without a background of its own.
        title: above it.
        description: for those who do not see it.
        note: below it, such as which statistic it shows.
        numbers: a table that says the same.
    """
    shown = None if numbers is None else table(numbers, f"Numbers of {title}")
    # Plotly's own encoder: numbers that are none become null, which leave gaps.
    written = json.loads(figure.to_json())
    return fill("chart", figure=written, title=title, description=description, note=note, numbers=shown)


def curves(
    frame: "pandas.DataFrame",
    value: str,
    by: str,
    steps: str = "steps",
    labels: Labels = None,
    coloured: Sequence[Any] | None = None,
    intervals: bool = True,
) -> "Markup":
    """Interquartile means over seeds against steps, with bootstrap intervals as bands; one line per group.

    Args:
        frame: columns `by`, `steps`, `value`, and best `seed`; rows whose value is not finite are left out.
        value: the column that is drawn.
        by: whose values tell the lines apart.
        steps: of environment steps.
        labels: texts of axes, by column.
        coloured: which groups have colours where there are more than seven; the others are grey, without bands.
        intervals: whether there are any.
    """
    import plotly.graph_objects as graph

    rows = frame[np.isfinite(frame[value])]
    groups = list(dict.fromkeys(rows[by]))
    coloured = groups[:_COLOURED] if coloured is None or len(groups) <= _COLOURED else [*coloured]
    found = curves_of(rows, by, steps, value, num_resamples=2000 if intervals else 1)
    figure = graph.Figure(layout=_layout(axis_label(steps, labels), axis_label(value, labels)))
    others = [group for group in found if group not in coloured]
    for index, group in enumerate(others):
        _grey(figure, found[group], steps, text_of(group), f"{len(others)} others" if index == 0 else None)
    chosen = [group for group in coloured if group in found]
    for index, group in enumerate(chosen):
        _line(figure, found[group], steps, text_of(group), index, len(found) > 1, intervals)
    counts = [int(count) for curve in found.values() for count in curve["count"]]
    several = intervals and any(is_spread(curve) for curve in found.values())
    note = seeds_note(counts, spread=several) if intervals else "interquartile mean over seeds"
    last = _last(found, by, steps, value, intervals)
    title = axis_label(value, labels)
    return chart(figure, title, _description(title, last, by, value), note, last)


def _layout(xlabel: str, ylabel: str) -> dict[str, Any]:
    """Axes of curves."""
    return {
        "margin": {"l": 56, "r": 12, "t": 12, "b": 44},
        "xaxis": {"title": {"text": escape(xlabel)}, "zeroline": False, "exponentformat": "SI"},
        "yaxis": {"title": {"text": escape(ylabel)}, "zeroline": False, "automargin": True},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "maxheight": 0.35},
        "hovermode": "closest",
        "dragmode": False,
    }


def _line(
    figure: Any, curve: "pandas.DataFrame", steps: str, name: str, index: int, legend: bool, intervals: bool
) -> None:
    """A line and its band."""
    style, curve = series_style(index), _thinned(curve)
    x, name = curve[steps].tolist(), escape(name)
    single = bool((curve["count"] == 1).all())
    if intervals and (not single or is_spread(curve)):
        red, green, blue = (int(style["color"][start : start + 2], 16) for start in (1, 3, 5))
        known = curve[np.isfinite(curve["low"])]
        ends, high, low = (known[column].tolist() for column in (steps, "high", "low"))
        figure.add_scatter(
            x=[*ends, *ends[::-1]], y=[*high, *low[::-1]], fill="toself", mode="lines",
            fillcolor=f"rgba({red},{green},{blue},0.18)", line={"width": 0}, hoverinfo="skip", showlegend=False,
            legendgroup=name,
        )  # fmt: skip
    figure.add_scatter(
        x=x, y=curve["iqm"].tolist(), name=name, legendgroup=name, showlegend=legend,
        mode="lines+markers" if len(x) == 1 else "lines",
        line={"color": style["color"], "dash": _DASHES[style["linestyle"]], "width": 1.2 if single else 2.2},
        hovertemplate=f"{name}<br>%{{x}}: %{{y:.4g}}<extra></extra>",
    )  # fmt: skip


def _grey(figure: Any, curve: "pandas.DataFrame", steps: str, name: str, legend: str | None) -> None:
    """A line among many."""
    curve = _thinned(curve)
    figure.add_scatter(
        x=curve[steps].tolist(), y=curve["iqm"].tolist(), name=legend, showlegend=legend is not None,
        legendgroup="others", mode="lines", line={"color": GREY, "width": 0.8},
        hovertemplate=f"{escape(name)}<br>%{{x}}: %{{y:.4g}}<extra></extra>",
    )  # fmt: skip


def _thinned(curve: "pandas.DataFrame") -> "pandas.DataFrame":
    """Every so many points of a long line, the last one among them."""
    every = -(-len(curve) // _MOST_POINTS)
    return curve.iloc[::-1].iloc[::every].iloc[::-1]


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
    text = f"Curves of {title}, {lines}. At the end {best[value]:.4g} of {best[by]}"
    return f"{text}." if len(last) == 1 else f"{text}, the highest, to {worst[value]:.4g} of {worst[by]}."
