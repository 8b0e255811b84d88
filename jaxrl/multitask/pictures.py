"""Figures of task grouping: affinities, the order in which tasks join, and what groups return."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxrl.figures.figure import GREY, add_legend, new_figure, series_style, style_axes
from jaxrl.numerics import statistics

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas

__all__ = ["affinity_map", "dendrogram", "task_bars"]


def _order(labels: ArrayLike | None, size: int) -> np.ndarray:
    return np.arange(size) if labels is None else np.argsort(np.asarray(labels), kind="stable")


def affinity_map(
    affinity: np.ndarray, names: Sequence[str], labels: ArrayLike | None = None, title: str | None = None
) -> "matplotlib.figure.Figure":
    """Affinities of all pairs of tasks; with `labels`, tasks of a group side by side and each group framed.

    The diagonal, a task with itself, is left blank.
    """
    affinity, size = np.asarray(affinity), len(names)
    order = _order(labels, size)
    shown = np.where(np.eye(size, dtype=bool), np.nan, affinity)[np.ix_(order, order)]
    largest = float(np.nanmax(np.abs(shown))) or 1.0
    figure = new_figure(max(4.6, 0.34 * size + 2.8), max(3.8, 0.34 * size + 2.0))
    axes = figure.add_subplot()
    image = axes.imshow(np.ma.masked_invalid(shown), cmap="RdBu_r", vmin=-largest, vmax=largest)
    axes.set_xticks(range(size), [names[i] for i in order], rotation=90)
    axes.set_yticks(range(size), [names[i] for i in order])
    style_axes(axes, "", "")
    axes.grid(False)
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    if labels is not None:
        _frame_groups(axes, np.asarray(labels)[order])
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label("affinity")
    bar.outline.set_visible(False)
    if title:
        figure.suptitle(title, fontsize=12)
    return figure


def _frame_groups(axes, ordered: np.ndarray) -> None:
    from matplotlib.patches import Rectangle

    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    for start, end in zip(starts, np.append(starts[1:], len(ordered)), strict=True):
        corner = (start - 0.5, start - 0.5)
        axes.add_patch(Rectangle(corner, end - start, end - start, fill=False, linewidth=1.8, edgecolor="black"))


def dendrogram(affinity: np.ndarray, names: Sequence[str], title: str | None = None) -> "matplotlib.figure.Figure":
    """In which order tasks join when the two groups of largest mean affinity always join next (average linkage)."""
    from scipy.cluster import hierarchy
    from scipy.spatial.distance import squareform

    affinity = np.asarray(affinity, float)
    pairs = affinity.max() - (affinity + affinity.T) / 2.0
    np.fill_diagonal(pairs, 0.0)
    tree = hierarchy.linkage(squareform(np.maximum(pairs, 0.0), checks=False), "average")
    figure = new_figure(max(4.6, 0.34 * len(names) + 1.8), 3.8)
    axes = figure.add_subplot()
    hierarchy.dendrogram(
        tree, labels=list(names), ax=axes, leaf_rotation=90, link_color_func=lambda _: series_style(0)["color"]
    )
    style_axes(axes, "", "largest affinity less that of the groups")
    axes.tick_params(axis="x", labelsize=8)
    if title:
        figure.suptitle(title, fontsize=12)
    return figure


def task_bars(
    table: "pandas.DataFrame", value: str = "return", by: str = "grouping", title: str | None = None
) -> "matplotlib.figure.Figure":
    """Interquartile mean over seeds with its interval, per task and grouping; one seed makes points without intervals.

    Args:
        table: columns `task`, `by`, `value` and `seed`.
        value: what is shown.
        by: what tells series apart.
        title: above the figure.
    """
    points = statistics.summary(table, [by, "task"], value)
    tasks, groups = list(dict.fromkeys(table["task"])), list(dict.fromkeys(table[by]))
    figure = new_figure(max(5.4, 0.5 * len(tasks) + 3.0), 4.2)
    axes = figure.add_subplot()
    for i, group in enumerate(groups):
        rows = points[points[by] == group].set_index("task").loc[tasks]
        place = np.arange(len(tasks)) + 0.7 * ((i + 0.5) / len(groups) - 0.5)
        style = {**series_style(i), "linestyle": "none"}
        axes.vlines(place, rows["low"], rows["high"], color=style["color"], linewidth=1.4)
        axes.plot(place, rows["iqm"], label=str(group), markersize=5.0, **style)
    for edge in np.arange(len(tasks) - 1) + 0.5:
        axes.axvline(edge, color=GREY, linewidth=0.4)
    axes.set_xticks(range(len(tasks)), tasks, rotation=90)
    style_axes(axes, "", value)
    axes.tick_params(axis="x", labelsize=8, length=0)
    add_legend(figure, axes, by)
    if title:
        figure.suptitle(title, fontsize=12)
    return figure
