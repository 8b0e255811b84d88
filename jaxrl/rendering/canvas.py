"""A picture that is drawn in the coordinates of what it shows."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["COLOURS", "Canvas"]

# Okabe and Ito's, as in figures, and greys; told apart with every common colour blindness.
COLOURS = {
    "blue": "#0072B2", "orange": "#D55E00", "green": "#009E73", "pink": "#CC79A7", "sky": "#56B4E9", "amber": "#E69F00",
    "yellow": "#F0E442", "black": "#1A1A1A", "grey": "#8A8A8A", "light": "#E2E2E2", "pale": "#F5F5F5",
    "white": "#FFFFFF",
}  # fmt: skip
# Drawn so many times larger, and scaled down: smooth edges.
_SMOOTH = 2
# Two numbers, in whatever holds them.
Point = Any


class Canvas:
    """A picture whose corners are two points of the scene, y upwards, without distortion.

    Args:
        low: the scene's lower left corner.
        high: its upper right corner.
        size: pixels of the longer side.
        background: a name of `COLOURS`, or any colour of Pillow's.
    """

    def __init__(self, low: Point, high: Point, size: int = 400, background: str = "white") -> None:
        from PIL import Image, ImageDraw

        self._low, self._high = np.asarray(low, float), np.asarray(high, float)
        extent = self._high - self._low
        self._scale = _SMOOTH * size / extent.max()
        pixels = np.maximum(1, np.round(extent * self._scale)).astype(int)
        self._image = Image.new("RGB", tuple(int(side) for side in pixels), _colour(background))
        self._draw = ImageDraw.Draw(self._image)

    def _at(self, point: Point) -> tuple[float, float]:
        x, y = np.asarray(point, float)[:2]
        return float((x - self._low[0]) * self._scale), float((self._high[1] - y) * self._scale)

    def line(self, points: Iterable[Point], colour: str = "black", width: float = 0.0) -> None:
        """A line through points; `width` in the scene's units, at least a pixel."""
        pixels = max(_SMOOTH, round(width * self._scale))
        self._draw.line([self._at(point) for point in points], _colour(colour), pixels, joint="curve")

    def circle(self, centre: Point, radius: float, fill: str | None = "black", outline: str | None = None) -> None:
        """A disc, or a ring."""
        x, y = self._at(centre)
        r = max(1.0, radius * self._scale)
        self._draw.ellipse((x - r, y - r, x + r, y + r), _colour(fill), _colour(outline), _SMOOTH)

    def rectangle(self, low: Point, high: Point, fill: str | None = "black", outline: str | None = None) -> None:
        """A box with sides along the axes."""
        (left, bottom), (right, top) = self._at(low), self._at(high)
        self._draw.rectangle((left, top, max(left, right), max(top, bottom)), _colour(fill), _colour(outline), _SMOOTH)

    def polygon(self, points: Iterable[Point], fill: str | None = "black", outline: str | None = None) -> None:
        """A closed shape."""
        self._draw.polygon([self._at(point) for point in points], _colour(fill), _colour(outline), _SMOOTH)

    def text(self, point: Point, text: str, colour: str = "black", height: float = 0.0, anchor: str = "mm") -> None:
        """Words around a point; `height` in the scene's units, `anchor` as Pillow's."""
        pixels = max(9 * _SMOOTH, round(height * self._scale))
        self._draw.text(self._at(point), text, _colour(colour), font(pixels), anchor)

    def image(self) -> "Image.Image":
        """The picture."""
        from PIL import Image

        size = tuple(max(1, side // _SMOOTH) for side in self._image.size)
        return self._image.resize(size, Image.Resampling.LANCZOS)


def font(pixels: int) -> Any:
    """Pillow's own scalable font."""
    from PIL import ImageFont

    return ImageFont.load_default(size=pixels)


def _colour(name: str | None) -> str | None:
    return COLOURS.get(name, name)
