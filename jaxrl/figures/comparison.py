"""Figures that compare algorithms over many runs and tasks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from jaxrl.figures.figure import add_legend, add_title, new_figure, series_style, style_axes, text_room
from jaxrl.numerics import statistics

if TYPE_CHECKING:
    import matplotlib.figure

__all__ = ["performance_profiles", "probability_of_improvement"]


def performance_profiles(
    profiles: Mapping[str, statistics.Profile], xlabel: str = "score τ", title: str | None = None
) -> "matplotlib.figure.Figure":
    """Run-score distributions with point-wise intervals, one line per name; higher is better everywhere.

    Args:
        profiles: results of `jaxrl.statistics.performance_profile` by name.
        xlabel: text of the score axis, with its unit or normalisation.
        title: above the figure.

    Raises:
        ValueError: if `profiles` is empty.
    """
    if not profiles:
        raise ValueError("profiles is empty")
    figure = new_figure(6.6, 3.8)
    axes = figure.add_subplot()
    for i, (name, profile) in enumerate(profiles.items()):
        style = series_style(i)
        order = np.argsort(profile.thresholds)
        thresholds, fraction, low, high = (np.asarray(part)[order] for part in profile)
        axes.plot(
            thresholds,
            fraction,
            color=style["color"],
            linestyle=style["linestyle"],
            linewidth=1.7,
            label=name,
            zorder=3,
        )
        axes.fill_between(thresholds, low, high, color=style["color"], alpha=0.18, linewidth=0, zorder=2)
    style_axes(axes, xlabel, "fraction of runs with score > τ")
    axes.set_ylim(-0.02, 1.02)
    axes.margins(x=0.01)
    add_legend(figure, axes)
    add_title(figure, title)
    return figure


def probability_of_improvement(
    comparisons: Mapping[tuple[str, str], statistics.Estimate], title: str | None = None
) -> "matplotlib.figure.Figure":
    """Bars from ½ to P(X > Y) with intervals, one row per pair; an interval across ½ leaves the order open.

    Args:
        comparisons: results of `jaxrl.statistics.probability_of_improvement` by `(name of X, name of Y)`.
        title: above the figure.

    Raises:
        ValueError: if `comparisons` is empty or a key is not a pair.
    """
    pairs = list(comparisons)
    if not pairs or any(isinstance(pair, str) or len(pair) != 2 for pair in pairs):
        raise ValueError(f"comparisons needs keys (name of X, name of Y), got {pairs}")
    names, height = [f"{x} > {y}" for x, y in pairs], 0.42
    if text_room(names):
        names, height = [f"{x}\n> {y}" for x, y in pairs], 0.6
    room = text_room(line for name in names for line in name.splitlines())
    figure = new_figure(6.4 + room, height * len(pairs) + 1.3)
    axes = figure.add_subplot()
    values, low, high = np.array(list(comparisons.values()), dtype=np.float64).T
    rows = np.arange(len(pairs))
    color = series_style(0)["color"]
    axes.barh(rows, values - 0.5, left=0.5, height=0.55, color=color, alpha=0.3, zorder=2)
    axes.hlines(rows, low, high, color=color, linewidth=2.2, zorder=3)
    axes.plot(values, rows, linestyle="none", marker="o", markersize=6, color=color, zorder=4)
    axes.axvline(0.5, color="black", linewidth=0.9, linestyle=(0, (4, 2)), zorder=5)
    for row, number in zip(rows, values):
        axes.text(1.02, row, f"{number:.2f}", transform=axes.get_yaxis_transform(), va="center", fontsize=9)
    axes.set_yticks(rows, names)
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    style_axes(axes, "probability of improvement P(X > Y)", "")
    axes.grid(False, axis="y")
    add_title(figure, title)
    return figure
