"""Figure of attainment surfaces."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxrl.figures.figure import add_legend, add_title, new_figure, series_style, style_axes
from jaxrl.numerics.attainment import attainment_surface

if TYPE_CHECKING:
    import matplotlib.figure

__all__ = ["attainment"]


def attainment(
    runs: Mapping[str, Sequence[np.ndarray]], names: Sequence[str], title: str | None = None
) -> "matplotlib.figure.Figure":
    """What half of the runs attain, as a line per algorithm; a band from what all attain to what any does.

    Args:
        runs: by algorithm, the returns `[point, 2]` that each run found.
        names: of the two objectives.
        title: above the figure.

    Raises:
        ValueError: as `jaxrl.numerics.attainment.attainment_surface`.
    """
    figure = new_figure(7.2, 4.6)
    axes = figure.add_subplot()
    everything = np.concatenate([points for found in runs.values() for points in found])
    left, floor = everything.min(axis=0).tolist()
    for index, (name, found) in enumerate(runs.items()):
        style = series_style(index)
        line = {"color": style["color"], "linestyle": style["linestyle"]}
        levels = np.unique(np.append(everything[:, 0], left))
        low, high = (_at(attainment_surface(found, share), levels, floor) for share in (1.0, 1.0 / len(found)))
        axes.fill_between(levels, low, high, step="pre", color=style["color"], alpha=0.15, linewidth=0, zorder=2)
        median = attainment_surface(found, 0.5)
        axes.step(levels, _at(median, levels, floor), where="pre", label=name, linewidth=1.7, zorder=3, **line)
        axes.scatter(*median.T, s=16, color=style["color"], marker=style["marker"], zorder=4)
    style_axes(axes, names[0], names[1])
    add_legend(figure, axes)
    add_title(figure, title)
    return figure


def _at(corners: np.ndarray, levels: np.ndarray, floor: float) -> np.ndarray:
    """Height of a surface at levels of the first objective; the floor beyond its end."""
    reaches = corners[None, :, 0] >= levels[:, None]
    return np.max(np.where(reaches, corners[None, :, 1], floor), axis=1, initial=floor)
