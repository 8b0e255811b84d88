"""Figures of what an objective does; numbers are those of `jaxrl.meta.microscope`.

Every function returns a `matplotlib.figure.Figure`; `jaxrl.plotting.save` writes it. Colours diverge from 0, red above
and blue below, on one scale for all panels of a row.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from jaxrl.errors import require_name
from jaxrl.figures.figure import add_legend, new_figure, series_style, style_axes
from jaxrl.meta.microscope import SurrogateSlopes, TargetResponse
from jaxrl.types import Float

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.collections
    import matplotlib.figure

__all__ = ["predictions", "responses", "slopes"]

_QUANTITIES = {"loss": "loss L", "drift": "drift L + rA", "gradient": "slope ∂L/∂r"}
_DELAY = "delay of the reward, steps"


def slopes(
    named: Mapping[str, SurrogateSlopes],
    quantities: tuple[str, ...] = ("loss", "drift", "gradient"),
    title: str | None = None,
) -> "matplotlib.figure.Figure":
    """Heat maps over ratio and advantage: a row for each quantity, a column for each surrogate and slice of progress.

    Args:
        named: by the title of their columns.
        quantities: of loss, drift and gradient.
        title: above the figure.

    Raises:
        UnknownNameError: for another quantity.
        ValueError: if nothing is named.
    """
    for quantity in quantities:
        require_name("quantity", quantity, _QUANTITIES)
    columns = [(label, entry, i) for name, entry in named.items() for label, i in _slices(name, entry)]
    if not columns or not quantities:
        raise ValueError("nothing to draw: name at least one surrogate and one quantity")
    figure = new_figure(2.15 * len(columns) + 1.6, 1.95 * len(quantities) + 0.7)
    panels = figure.subplots(len(quantities), len(columns), squeeze=False, sharex=True, sharey=True)
    for row, quantity in zip(panels, quantities, strict=True):
        values = [np.asarray(getattr(entry, quantity)[i]) for _, entry, i in columns]
        limit = _limit(values)
        for axes, (label, entry, _), cells in zip(row, columns, values, strict=True):
            last = quantity == quantities[-1]
            mesh = _heat_map(axes, np.asarray(entry.ratios), np.asarray(entry.advantages), cells, limit)
            style_axes(axes, "ratio r" if last else "", "advantage A" if axes is row[0] else "")
            axes.grid(False)
            axes.set_xscale("log")
            ticks = [tick for tick in (0.5, 1.0, 2.0) if entry.ratios[0] <= tick <= entry.ratios[-1]]
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.set_xticks([], minor=True)
            if quantity == quantities[0]:
                axes.set_title(label, fontsize=10)
        _colour_bar(figure, mesh, row, _QUANTITIES[quantity])
    if title:
        figure.suptitle(title, fontsize=12)
    return figure


def _slices(name: str, entry: SurrogateSlopes) -> Iterator[tuple[str, int]]:
    for i, fraction in enumerate(entry.progress):
        yield (name if len(entry.progress) == 1 else f"{name}\nt/T = {float(fraction):.2g}"), i


def responses(named: Mapping[str, TargetResponse], title: str | None = None) -> "matplotlib.figure.Figure":
    """Change of π̂ against a reward's delay: a line for each probability, a column for each discount.

    Every objective has a row for each of its slices of progress and horizons, with an axis of its own.

    Raises:
        ValueError: if nothing is named, or discounts differ.
    """
    rows = _response_rows(named)
    discounts = rows[0][1].discounts
    figure = new_figure(3.0 * len(discounts) + 2.0, 1.8 * len(rows) + 0.8)
    panels = figure.subplots(len(rows), len(discounts), squeeze=False, sharex=True, sharey="row")
    for i, (row, (label, response, horizon, moment)) in enumerate(zip(panels, rows, strict=True)):
        for j, (axes, discount) in enumerate(zip(row, discounts, strict=True)):
            style_axes(
                axes, "delay of the reward, steps" if i == len(rows) - 1 else "", f"{label}\nΔπ̂" if j == 0 else ""
            )
            axes.axhline(0.0, color="#8A8A8A", linewidth=0.8)
            for k, probability in enumerate(response.probabilities):
                line = {**series_style(k), "markersize": 3.0, "linewidth": 1.3}
                axes.plot(response.delays, response.policy[horizon, moment, j, k], label=f"{probability:.2g}", **line)
            if i == 0:
                axes.set_title(f"γ = {float(discount):.3g}", fontsize=10)
    add_legend(figure, panels[0, 0], "π(a|s)")
    if title:
        figure.suptitle(title, fontsize=12)
    return figure


def predictions(
    named: Mapping[str, TargetResponse], probability: int = 0, title: str | None = None
) -> "matplotlib.figure.Figure":
    """Heat maps of the change of ŷ over a reward's delay and categories, rows and columns as in `responses`.

    Args:
        named: responses of objectives whose predictions have more than one output.
        probability: which of the probabilities, by index.
        title: above the figure.

    Raises:
        ValueError: if nothing is named, discounts differ, or a prediction has one output.
    """
    rows = _response_rows(named)
    for label, response, *_ in rows:
        if response.output.shape[-1] == 1:
            raise ValueError(f"the prediction of {label!r} has one output, a value: its change is that of π̂")
    discounts = rows[0][1].discounts
    figure = new_figure(2.8 * len(discounts) + 1.8, 1.8 * len(rows) + 0.8)
    panels = figure.subplots(len(rows), len(discounts), squeeze=False, sharex=True)
    for i, (row, (label, response, horizon, moment)) in enumerate(zip(panels, rows, strict=True)):
        cells = np.asarray(response.output[horizon, moment, :, probability])
        limit = _limit(cells)
        for j, (axes, values, discount) in enumerate(zip(row, cells, discounts, strict=True)):
            mesh = _heat_map(axes, np.asarray(response.delays), np.arange(values.shape[1]), values.T, limit)
            style_axes(axes, _DELAY if i == len(rows) - 1 else "", f"{label}\ncategory" if j == 0 else "")
            axes.grid(False)
            if i == 0:
                axes.set_title(f"γ = {float(discount):.3g}", fontsize=10)
        _colour_bar(figure, mesh, row, "Δŷ")
    if title:
        figure.suptitle(title, fontsize=12)
    return figure


def _response_rows(named: Mapping[str, TargetResponse]) -> list[tuple[str, TargetResponse, int, int]]:
    """Label, response, index of the horizon and of the slice."""
    if not named:
        raise ValueError("nothing to draw: name at least one response")
    rows, first = [], next(iter(named.values())).discounts
    for name, response in named.items():
        if not np.array_equal(response.discounts, first):
            raise ValueError(f"all responses need the same discounts, {name!r} has {np.asarray(response.discounts)}")
        many = len(response.horizons) * len(response.progress) > 1
        for i, horizon in enumerate(response.horizons):
            for j, fraction in enumerate(response.progress):
                label = f"{name}\nt/T = {float(fraction):.2g}, T = {float(horizon):.3g}" if many else name
                rows.append((label, response, i, j))
    return rows


def _limit(values: "list[Float[np.ndarray, 'row column']] | Float[np.ndarray, '...']") -> float:
    """Where colours saturate: most of what is shown is below, and a few extremes do not bleach the rest."""
    flat = np.concatenate([np.abs(entry).ravel() for entry in values])
    limit = float(np.percentile(flat, 99))
    return limit or float(flat.max()) or 1.0


def _heat_map(
    axes: "matplotlib.axes.Axes", x: np.ndarray, y: np.ndarray, cells: np.ndarray, limit: float
) -> "matplotlib.collections.QuadMesh":
    return axes.pcolormesh(x, y, cells, cmap="RdBu_r", vmin=-limit, vmax=limit, shading="nearest", rasterized=True)


def _colour_bar(
    figure: "matplotlib.figure.Figure", mesh: "matplotlib.collections.QuadMesh", row: np.ndarray, label: str
) -> None:
    bar = figure.colorbar(mesh, ax=row.tolist(), pad=0.015, aspect=14, extend="both")
    bar.set_label(label)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
