"""The lunar lander and the highway."""

from typing import TYPE_CHECKING

import numpy as np

from jaxrl.rendering.base import Scene
from jaxrl.rendering.canvas import Canvas

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["highway", "lunar_lander"]

# Outlines of the lander's hull and of half a leg's box, m, in the body's own axes.
_HULL = np.array([(-14, 17), (-17, 0), (-17, -10), (17, -10), (17, 0), (14, 17)]) / 30.0
_LEG = np.array([(-2, -8), (2, -8), (2, 8), (-2, 8)]) / 30.0
_WIDTH, _HEIGHT = 20.0, 40.0 / 3.0
# Metres of road behind and before the agent's car.
_BEHIND, _BEFORE = 30.0, 90.0


def lunar_lander(scene: Scene) -> "Image.Image":
    """Terrain, the pad between its flags, hull and legs; a leg that touches the ground is green."""
    from jaxrl.environments.multi_objective.lunar_lander_bodies import CENTRES

    state = scene.state
    canvas = Canvas((0, 0), (_WIDTH, _HEIGHT), background="black")
    terrain = np.asarray(state.terrain)
    ground = np.linspace(0.0, _WIDTH, len(terrain))
    canvas.polygon([(0, 0), *zip(ground, terrain, strict=True), (_WIDTH, 0)], "white")
    pad = _HEIGHT / 4.0
    for side in (-2.0, 2.0):
        x = _WIDTH / 2.0 + side
        canvas.line([(x, pad), (x, pad + 1.0)], "white", 0.05)
        canvas.polygon([(x, pad + 1.0), (x, pad + 0.6), (x + 0.6, pad + 0.8)], "yellow")
    pin, angles, contact = np.asarray(state.bodies.pin), np.asarray(state.bodies.angle), np.asarray(state.contact)

    def outline(points: np.ndarray, body: int) -> list[np.ndarray]:
        cosine, sine = np.cos(angles[body]), np.sin(angles[body])
        turned = points @ np.array([[cosine, sine], [-sine, cosine]])
        return list(pin + turned)

    for leg in (1, 2):
        canvas.polygon(outline(CENTRES[leg] + _LEG, leg), "green" if contact[leg - 1] else "sky")
    canvas.polygon(outline(_HULL, 0), "blue", "light")
    return canvas.image()


def highway(scene: Scene) -> "Image.Image":
    """The road about the agent's car, which drives to the right; cars that crashed are pink."""
    from jaxrl.environments.multi_objective.highway.vehicles import LANE_WIDTH, LENGTH, WIDTH

    state = scene.state
    position, heading = np.asarray(state.position), np.asarray(state.heading)
    crashed = np.asarray(state.crashed)
    lanes = int(max(np.asarray(state.lane).max(), np.asarray(state.target_lane).max())) + 1
    origin = position[0, 0]
    low, high = -0.5 * LANE_WIDTH, (lanes - 0.5) * LANE_WIDTH
    canvas = Canvas((-_BEHIND, -high - 4.0), (_BEFORE, -low + 4.0), size=600, background="#DDE5DD")
    canvas.rectangle((-_BEHIND, -high), (_BEFORE, -low), "grey")
    for lane in range(lanes + 1):
        y = -(lane - 0.5) * LANE_WIDTH
        if lane in (0, lanes):
            canvas.line([(-_BEHIND, y), (_BEFORE, y)], "white", 0.3)
            continue
        for start in np.arange(-_BEHIND - origin % 10.0, _BEFORE, 10.0):
            canvas.line([(start, y), (start + 4.0, y)], "white", 0.25)
    box = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * np.array([LENGTH, WIDTH]) / 2.0
    for index in range(len(position) - 1, -1, -1):
        along, across = position[index, 0] - origin, position[index, 1]
        if not -_BEHIND - LENGTH < along < _BEFORE + LENGTH:
            continue
        cosine, sine = np.cos(heading[index]), np.sin(heading[index])
        corners = box @ np.array([[cosine, sine], [-sine, cosine]]) + (along, across)
        colour = "pink" if crashed[index] else "green" if index == 0 else "sky"
        canvas.polygon(corners * (1.0, -1.0), colour, "black")
    return canvas.image()
