"""Levels of `grid/`: walls, objects with their rewards, the agent."""

from typing import TYPE_CHECKING

import numpy as np

from jaxrl.rendering.base import Scene
from jaxrl.rendering.cells import Cells

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["grid"]

_SHAPES = ("circle", "square", "triangle", "diamond")


def grid(scene: Scene) -> "Image.Image":
    """The level as far as it is in use; objects that are absent are pale, rewards below 0 pink."""
    state, params = scene.state, scene.params
    rows, columns = np.broadcast_to(np.asarray(params.size), (2,)).tolist()
    cells = Cells(int(rows), int(columns))
    for row, column in np.argwhere(np.asarray(params.walls)):
        if row < rows and column < columns:
            cells.fill((row, column), "black")
    places = np.asarray(params.objects if state.objects is None else state.objects)
    for index, place in enumerate(places):
        if not bool(np.asarray(params.active)[index]):
            continue
        reward, here = float(np.asarray(params.reward)[index]), bool(np.asarray(state.exists)[index])
        colour = ("green" if reward >= 0.0 else "pink") if here else "light"
        cells.mark(place, _SHAPES[index % len(_SHAPES)], colour)
        cells.write(place, f"{reward:.2g}", "white" if here else "grey", 0.24)
    cells.agent(np.asarray(state.position))
    return cells.canvas.image()
