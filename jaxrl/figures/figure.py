"""The look that all figures share. Figures are built without pyplot, so that no global state is left behind."""

import os
import tempfile
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

__all__ = [
    "GREY",
    "add_legend",
    "add_title",
    "axis_label",
    "new_figure",
    "note",
    "save",
    "series_style",
    "style_axes",
    "text_of",
    "text_room",
]

# Okabe and Ito's colours, told apart with every common colour blindness; yellow is left out as too pale for lines.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#8A8A8A"
# Letters that figures have room for, and the size of one and of a note's, in inches.
_LETTERS, _LETTER, _SMALL_LETTER = 24, 0.075, 0.062


def new_figure(width: float, height: float) -> "matplotlib.figure.Figure":
    """An empty figure, in inches, whose parts are laid out without overlap."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.09, h_pad=0.09)
    return figure


def series_style(index: int) -> dict[str, Any]:
    """Colour, line style and marker of series `index`; beyond seven, colours repeat with another line style."""
    style = {"color": PALETTE[index % len(PALETTE)], "marker": MARKERS[index % len(MARKERS)]}
    return {**style, "linestyle": LINES[index // len(PALETTE) % len(LINES)]}


def axis_label(column: str, labels: Mapping[str, str] | None) -> str:
    """The text for `column`: the one given, or else its name with spaces."""
    return (labels or {}).get(column, str(column).replace("_", " "))


def text_of(value: object) -> str:
    """A group's value as a short text."""
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def style_axes(axes: "matplotlib.axes.Axes", xlabel: str, ylabel: str) -> None:
    """Labels, a thin grid behind the data, and no box."""
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_axisbelow(True)
    axes.grid(True, color="#E2E2E2", linewidth=0.6)
    axes.tick_params(labelsize=9, color=GREY)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GREY)


def add_legend(figure: "matplotlib.figure.Figure", axes: "matplotlib.axes.Axes", title: str | None = None) -> None:
    """A legend of what is labelled in `axes`, to the right of all axes; none where nothing is labelled.

    The figure becomes wider by what long names take.
    """
    handles, names = axes.get_legend_handles_labels()
    if handles:
        figure.set_figwidth(figure.get_figwidth() + text_room(names))
        figure.legend(
            handles,
            names,
            title=title,
            loc="outside right upper",
            frameon=False,
            fontsize=9,
            title_fontsize=9,
            alignment="left",
        )


def text_room(texts: Iterable[str]) -> float:
    """Inches that the longest of some texts takes beyond what a figure has for usual ones."""
    return _LETTER * max(0, max(map(len, texts), default=0) - _LETTERS)


def add_title(figure: "matplotlib.figure.Figure", title: str | None) -> None:
    """A title above the axes, beside a long legend; None for none."""
    if title:
        legend = text_room(text.get_text() for legend in figure.legends for text in legend.get_texts())
        figure.suptitle(title, fontsize=12, x=0.5 - 0.5 * legend / figure.get_figwidth())


def note(figure: "matplotlib.figure.Figure", text: str) -> None:
    """Small lines below the figure: which statistic, interval and number of seeds it shows."""
    text = textwrap.fill(text, int(figure.get_figwidth() / _SMALL_LETTER))
    figure.supxlabel(text, x=0.01, ha="left", fontsize=8, color="#666666")


def save(figure: "matplotlib.figure.Figure", path: str | Path) -> Path:
    """Writes `figure` as PNG at 150 dots per inch, whole or not at all; makes the folder where it is missing.

    Raises:
        ValueError: if `path` does not end in `.png`.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"figures are written as .png, got {str(path)!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because a rename is atomic only within one file system.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".png")
    try:
        with os.fdopen(descriptor, "wb") as file:
            figure.savefig(file, format="png", dpi=150)
        # A private temporary file becomes an ordinary one: its mode follows the user's umask.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path
