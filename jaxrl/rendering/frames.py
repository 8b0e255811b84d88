"""A frame: the picture of a scene, and beside it what has been paid so far and for which preference."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxrl.rendering.canvas import COLOURS, font

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Caption", "frame"]

_PANEL, _MARGIN, _LINE = 230, 12, 18
# Pixels of the higher of picture and panel, at least.
_LEAST_HEIGHT = 200


class Caption(NamedTuple):
    """What stands beside a picture.

    Attributes:
        title: of the environment.
        step: steps taken.
        action: the one that led here; None at the start.
        objectives: their names.
        rewards: of the last step, by objective.
        returns: sums so far.
        weights: preference weights, where there are several objectives.
        ended: what ended the episode, or nothing.
    """

    title: str
    step: int
    action: Any
    objectives: Sequence[str]
    rewards: Any
    returns: Any
    weights: Any
    ended: str = ""


def frame(picture: "Image.Image", caption: Caption) -> "Image.Image":
    """The picture with its caption to the right; sides are even numbers, as videos want them."""
    from PIL import Image, ImageDraw

    lines = _lines(caption)
    height = max(picture.height, _LEAST_HEIGHT, 2 * _MARGIN + _LINE * len(lines))
    whole = Image.new("RGB", (_even(picture.width + _PANEL), _even(height)), COLOURS["white"])
    whole.paste(picture, (0, (height - picture.height) // 2))
    draw = ImageDraw.Draw(whole)
    for index, (text, colour, bold) in enumerate(lines):
        place = (picture.width + _MARGIN, _MARGIN + _LINE * index)
        draw.text(place, text, COLOURS[colour], font(14 if bold else 12))
    return whole


def _lines(caption: Caption) -> list[tuple[str, str, bool]]:
    lines = [(caption.title, "black", True), (f"step {caption.step}", "black", False)]
    lines.append((f"action {_text(caption.action)}" if caption.action is not None else "start", "black", False))
    weights = caption.weights if caption.weights is not None and len(caption.objectives) > 1 else None
    for index, name in enumerate(caption.objectives):
        lines.append(("", "black", False))
        lines.append((name.replace("_", " "), "blue", False))
        lines.append((f"reward {caption.rewards[index]:+.4g}   sum {caption.returns[index]:+.4g}", "black", False))
        if weights is not None:
            lines.append((f"preference {weights[index]:.2f}", "grey", False))
    return [*lines, *([("", "black", False), (caption.ended, "orange", True)] if caption.ended else [])]


def _text(action: Any) -> str:
    values = np.ravel(action)
    if np.issubdtype(values.dtype, np.integer):
        return ", ".join(map(str, values.tolist()))
    shown = ", ".join(f"{value:+.2f}" for value in values[:4])
    return shown + (", ..." if len(values) > 4 else "")


def _even(number: int) -> int:
    return number + number % 2
