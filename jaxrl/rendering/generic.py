"""What an agent sees, where nobody has drawn its environment: images as colours, numbers as bars."""

from typing import TYPE_CHECKING

import jax
import numpy as np

from jaxrl.environments.parts import parts_of
from jaxrl.environments.spaces import Box
from jaxrl.rendering.base import Scene
from jaxrl.rendering.canvas import Canvas

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["channel_colours", "what_is_seen"]

# Channels of an image in turn, told apart by hue and lightness.
_CHANNELS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#7F7F7F", "#332288", "#882255",
    "#44AA99", "#999933",
)  # fmt: skip
# Largest number of bars that can be told apart.
_MOST_BARS = 64


def what_is_seen(scene: Scene) -> "Image.Image":
    """An image of height x width x channels as colours, one per channel; anything else as one bar per number.

    Of several parts, images come first, then the bars of all others in turn.
    """
    pictures, rest = [], []
    parts = zip(parts_of(scene.spec.observation).items(), jax.tree.leaves(scene.observation), strict=True)
    for (path, space), leaf in parts:
        part = np.asarray(leaf)
        if part.ndim == 3 and path != scene.spec.action_mask:
            pictures.append(channel_colours(part))
        else:
            rest.append((part.ravel().astype(float), *_bounds(space, part.size)))
    if rest:
        values, low, high = (np.concatenate(column)[:_MOST_BARS] for column in zip(*rest, strict=True))
        pictures.append(_bars(values, low, high))
    return pictures[0] if len(pictures) == 1 else _side_by_side(pictures)


def _side_by_side(pictures: "list[Image.Image]", gap: int = 12) -> "Image.Image":
    """Pictures in a row, centred, on white."""
    from PIL import Image

    width = sum(picture.width for picture in pictures) + gap * (len(pictures) - 1)
    height, left = max(picture.height for picture in pictures), 0
    row = Image.new("RGB", (width, height), "white")
    for picture in pictures:
        row.paste(picture, (left, (height - picture.height) // 2))
        left += picture.width + gap
    return row


def channel_colours(observation: np.ndarray, size: int = 400) -> "Image.Image":
    """Every cell in the colour of its channels, the later ones on top; three channels of bytes are red, green, blue."""
    from PIL import Image

    height, width, channels = observation.shape
    if channels == 3 and observation.dtype == np.uint8:
        pixels = observation
    else:
        pixels = np.full((height, width, 3), 245.0)
        for channel in range(channels):
            colour = np.array([int(_CHANNELS[channel % len(_CHANNELS)][i : i + 2], 16) for i in (1, 3, 5)], float)
            share = np.clip(observation[..., channel].astype(float), 0.0, 1.0)[..., None]
            pixels = (1.0 - share) * pixels + share * colour
    scale = max(1, size // max(height, width))
    image = Image.fromarray(pixels.astype(np.uint8), "RGB")
    return image.resize((scale * width, scale * height), Image.Resampling.NEAREST)


def _bars(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> "Image.Image":
    """A bar per number from zero, between its bounds where there are any."""
    finite = np.nan_to_num(values)
    low = np.where(np.isfinite(low), low, np.minimum(finite, -1.0))
    high = np.where(np.isfinite(high), high, np.maximum(finite, 1.0))
    canvas = Canvas((0, -0.08), (1, 1), background="pale")
    width = 1.0 / max(1, len(values))
    span = np.maximum(high - low, 1e-9)
    zero, top = np.clip((0.0 - low) / span, 0.0, 1.0), np.clip((finite - low) / span, 0.0, 1.0)
    for i in range(len(values)):
        left, right = (i + 0.15) * width, (i + 0.85) * width
        canvas.rectangle((left, min(zero[i], top[i])), (right, max(zero[i], top[i])), fill="blue")
        canvas.line([(left, zero[i]), (right, zero[i])], "black")
        if len(values) <= 16:
            canvas.text(((i + 0.5) * width, -0.04), f"{values[i]:.2g}", height=0.035)
    return canvas.image()


def _bounds(space: object, count: int) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(space, Box):
        low, high = (
            np.broadcast_to(np.asarray(bound, float), space.shape).ravel() for bound in (space.low, space.high)
        )
        return low[:count], high[:count]
    sizes = np.atleast_1d(np.asarray(getattr(space, "sizes", getattr(space, "n", 2)), float))
    return np.zeros(count), np.broadcast_to(sizes[:count] - 1.0, (count,))
