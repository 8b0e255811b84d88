"""Figures of Pareto fronts: two objectives, three, and more."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Real

from jaxrl.figures.figure import GREY, add_legend, new_figure, series_style, style_axes
from jaxrl.types import Bool, Float

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

__all__ = ["front"]

Points = Float[np.ndarray, "point objective"]


class _Series(NamedTuple):
    name: str
    points: Points
    best: Bool[np.ndarray, " point"]
    style: dict


def _checked(points: Real[ArrayLike, "..."] | list, num_objectives: int, name: str) -> Points:
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[0] == 0 or points.shape[1] != num_objectives:
        raise ValueError(f"{name} must be [point, objective] with {num_objectives} objectives, got {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError(f"{name} holds non-finite entries")
    return points


def _non_dominated(points: Points) -> Bool[np.ndarray, " point"]:
    from jaxrl.numerics.dominance import non_dominated

    # Of equal points it keeps one; a figure must not call the others dominated.
    distinct, inverse = np.unique(points, axis=0, return_inverse=True)
    return np.asarray(non_dominated(distinct))[inverse]


def front(
    points: Real[ArrayLike, "point objective"] | list | Mapping[str, Real[ArrayLike, "_ objective"] | list],
    names: Sequence[str],
    reference: Real[ArrayLike, " objective"] | Sequence[float] | None = None,
    known_front: Real[ArrayLike, "known objective"] | list | None = None,
    title: str | None = None,
) -> "matplotlib.figure.Figure":
    """Vector returns, all objectives maximised; dominated points are faint.

    Two objectives: a scatter with the staircase that bounds what the non-dominated points dominate (shaded down to
    `reference`). Three: a scatter in space and its three projections, where "dominated" still refers to all three
    objectives. More: parallel coordinates, each axis with the real range of its objective; with one series, lines
    are coloured by the first objective.

    Args:
        points: finite returns, or one array per series by name.
        names: one axis text per objective, with units.
        reference: the reference point of the hypervolume.
        known_front: points of the true front.
        title: above the figure.

    Raises:
        ValueError: for fewer than two names, arrays of another shape, no points or non-finite entries.
    """
    count = len(names)
    if count < 2:
        raise ValueError(f"a front needs at least two objectives, got names={list(names)}")
    named = points if isinstance(points, Mapping) else {"non-dominated": points}
    if not named:
        raise ValueError("points holds no series")
    known = None if known_front is None else _checked(known_front, count, "known_front")
    corner = None if reference is None else _checked(np.asarray(reference)[None], count, "reference")[0]
    series = []
    for i, (name, values) in enumerate(named.items()):
        values = _checked(values, count, f"points of {name!r}")
        series.append(_Series(name, values, _non_dominated(values), series_style(i)))
    draw = {2: _plane, 3: _space}.get(count, _parallel)
    figure = draw(series, list(names), corner, known)
    if title:
        figure.suptitle(title, fontsize=12)
    return figure


def _scatter(axes: "matplotlib.axes.Axes", series: list[_Series], known: Points | None, columns: Sequence[int]) -> None:
    """Dominated, non-dominated and known points, in the given columns, as two or three coordinates."""
    space = {"depthshade": False} if len(columns) == 3 else {}
    if known is not None:
        style = {"s": 12, "color": GREY, "alpha": 0.55, "linewidths": 0, "zorder": 2}
        axes.scatter(*known[:, columns].T, label="known front", **style, **space)
    for name, points, best, style in series:
        common = {"color": style["color"], "marker": style["marker"], **space}
        if not best.all():
            label = "dominated" if len(series) == 1 else None
            # Opaque: many policies with the same return must not add up to a strong colour.
            faint = {**common, "color": _pale(style["color"])}
            axes.scatter(*points[~best][:, columns].T, s=20, linewidths=0, zorder=3, label=label, **faint)
        axes.scatter(
            *points[best][:, columns].T, s=38, edgecolors="white", linewidths=0.7, zorder=5, label=name, **common
        )


def _pale(color: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return tuple(0.3 * channel + 0.7 for channel in to_rgb(color))


def _mark_reference(axes: "matplotlib.axes.Axes", reference: np.ndarray | None) -> None:
    if reference is not None:
        axes.scatter(*reference[:, None], marker="x", s=45, color="black", linewidths=1.5, label="reference", zorder=4)


def _stairs(points: Points, low: np.ndarray) -> Float[np.ndarray, "corner objective"]:
    """Corners of the boundary of what mutually non-dominated `points` dominate, down to `low`."""
    ordered = np.unique(points, axis=0)
    horizontal = np.concatenate([[min(low[0], ordered[0, 0])], np.repeat(ordered[:, 0], 2)])
    vertical = np.concatenate([np.repeat(ordered[:, 1], 2), [min(low[1], ordered[-1, 1])]])
    return np.stack([horizontal, vertical], axis=1)


def _plane(
    series: list[_Series], names: Sequence[str], reference: np.ndarray | None, known: Points | None
) -> "matplotlib.figure.Figure":
    figure = new_figure(7.2, 4.6)
    axes = figure.add_subplot()
    every = np.concatenate([s.points for s in series] + [p for p in (known,) if p is not None])
    low = every.min(axis=0) - 0.04 * np.ptp(every, axis=0) if reference is None else reference
    if known is not None:
        corners = _stairs(known, low)
        axes.plot(*corners.T, color=GREY, linewidth=1.0, linestyle=(0, (4, 2)), zorder=2)
    for _, points, best, style in series:
        corners = _stairs(points[best], low)
        axes.plot(*corners.T, color=style["color"], linestyle=style["linestyle"], linewidth=1.4, zorder=4)
        if reference is not None and len(series) == 1:
            axes.fill_between(*corners.T, reference[1], color=style["color"], alpha=0.08, linewidth=0)
    _scatter(axes, series, known, [0, 1])
    _mark_reference(axes, reference)
    style_axes(axes, names[0], names[1])
    add_legend(figure, axes)
    return figure


def _space(
    series: list[_Series], names: Sequence[str], reference: np.ndarray | None, known: Points | None
) -> "matplotlib.figure.Figure":
    figure = new_figure(9.6, 7.2)
    axes = figure.add_subplot(2, 2, 1, projection="3d")
    _scatter(axes, series, known, [0, 1, 2])
    _mark_reference(axes, reference)
    axes.set_xlabel(names[0], fontsize=9)
    axes.set_ylabel(names[1], fontsize=9)
    axes.zaxis.set_rotate_label(False)
    axes.set_zlabel(names[2], fontsize=9, rotation=90)
    axes.tick_params(labelsize=8, pad=1)
    # The corner where every objective is best faces the viewer.
    axes.view_init(elev=24, azim=40)
    axes.set_box_aspect(None, zoom=1.05)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color("#F7F7F7")
        axis._axinfo["grid"].update(color="#DADADA", linewidth=0.6)
    add_legend(figure, axes)
    for position, pair in enumerate(combinations(range(3), 2), start=2):
        axes = figure.add_subplot(2, 2, position)
        _scatter(axes, series, known, pair)
        _mark_reference(axes, None if reference is None else reference[list(pair)])
        style_axes(axes, names[pair[0]], names[pair[1]])
    return figure


def _parallel(
    series: list[_Series], names: Sequence[str], reference: np.ndarray | None, known: Points | None
) -> "matplotlib.figure.Figure":
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator

    extra = [p for p in (known, None if reference is None else reference[None]) if p is not None]
    every = np.concatenate([s.points for s in series] + extra)
    low, span = every.min(axis=0), np.ptp(every, axis=0)
    # An objective that is the same everywhere is drawn half way up.
    low, span = np.where(span > 0, low, low - 0.5), np.where(span > 0, span, 1.0)
    figure = new_figure(max(7.2, 1.7 * len(names) + 1.5), 4.6)
    axes = figure.add_subplot()

    def lines(points: Points, label: str | None, **style: object) -> None:
        for i, line in enumerate((points - low) / span):
            axes.plot(line, label=label if i == 0 else None, **style)

    if known is not None:
        lines(known, "known front", color=GREY, linewidth=0.7, alpha=0.5, linestyle=(0, (4, 2)), zorder=2)
    for name, points, best, style in series:
        lines(points[~best], "dominated" if len(series) == 1 else None, color="#BBBBBB", linewidth=0.7, alpha=0.6)
        if len(series) == 1:
            first = (points[best, 0] - low[0]) / span[0]
            for i, (point, height) in enumerate(zip(points[best], first)):
                color = colormaps["viridis"](0.92 * height)
                lines(
                    point[None],
                    f"{name}\n(colour: {names[0]})" if i == 0 else None,
                    color=color,
                    linewidth=1.4,
                    alpha=0.9,
                    zorder=4,
                )
        else:
            lines(points[best], name, color=style["color"], linewidth=1.3, alpha=0.75, zorder=4)
    if reference is not None:
        lines(reference[None], "reference", color="black", linewidth=1.2, linestyle=":", zorder=5)
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.6}
    for i in range(len(names)):
        axes.axvline(i, color="#444444", linewidth=0.9, zorder=6)
        for tick in MaxNLocator(5).tick_values(low[i], low[i] + span[i]):
            height = (tick - low[i]) / span[i]
            if -1e-9 <= height <= 1 + 1e-9:
                axes.plot([i - 0.02, i], [height, height], color="#444444", linewidth=0.9, zorder=6)
                axes.text(i - 0.035, height, f"{tick:,g}", ha="right", va="center", fontsize=8, zorder=7, bbox=box)
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(length=0, labelsize=10)
    axes.set_yticks([])
    axes.set_xlim(-0.25, len(names) - 0.9)
    for spine in axes.spines.values():
        spine.set_visible(False)
    add_legend(figure, axes)
    return figure
