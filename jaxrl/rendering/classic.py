"""Classic control: cart and pole, acrobot, pendulum, the car in the valley."""

from typing import TYPE_CHECKING

import numpy as np

from jaxrl.rendering.base import Scene
from jaxrl.rendering.canvas import Canvas

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["acrobot", "cart_pole", "mountain_car", "pendulum"]


def cart_pole(scene: Scene) -> "Image.Image":
    """The cart on its track, and the pole, 1 m long; lines where an episode ends."""
    state, limit = scene.state, float(getattr(scene.params, "x_threshold", 2.4))
    x, angle = float(state.x), float(state.theta)
    length = 2.0 * float(getattr(scene.params, "length", 0.5))
    canvas = Canvas((-1.2 * limit, -0.8), (1.2 * limit, 0.5 + 1.4 * max(1.0, length)))
    canvas.line([(-1.2 * limit, 0.0), (1.2 * limit, 0.0)], "grey", 0.02)
    for side in (-limit, limit):
        canvas.line([(side, -0.25), (side, 0.25)], "orange", 0.03)
    canvas.rectangle((x - 0.3, -0.15), (x + 0.3, 0.15), "black")
    canvas.line([(x, 0.15), (x + length * np.sin(angle), 0.15 + length * np.cos(angle))], "amber", 0.1)
    canvas.circle((x, 0.15), 0.06, "sky")
    return canvas.image()


def pendulum(scene: Scene) -> "Image.Image":
    """The rod, upright at angle 0, and the torque as an arc's colour."""
    angle, torque = float(scene.state.theta), float(np.ravel(scene.state.last_u)[0])
    canvas = Canvas((-1.3, -1.3), (1.3, 1.3))
    tip = np.array([-np.sin(angle), np.cos(angle)])
    canvas.circle((0, 0), 1.0, None, "light")
    canvas.line([(0, 0), tip], "orange", 0.18)
    canvas.circle(tip, 0.09, "orange")
    canvas.circle((0, 0), 0.07, "black")
    most = max(1e-6, float(getattr(scene.params, "max_torque", 2.0)))
    end = np.linspace(0.0, np.pi * np.clip(torque / most, -1.0, 1.0), 30) + np.pi / 2.0
    canvas.line(np.stack([0.35 * np.cos(end), 0.35 * np.sin(end)], axis=-1), "blue", 0.05)
    return canvas.image()


def acrobot(scene: Scene) -> "Image.Image":
    """Two links from a fixed joint, and the height that the tip must reach."""
    first, second = float(scene.state.joint_angle1), float(scene.state.joint_angle2)
    lengths = [float(getattr(scene.params, f"link_length_{i}", 1.0)) for i in (1, 2)]
    elbow = lengths[0] * np.array([np.sin(first), -np.cos(first)])
    tip = elbow + lengths[1] * np.array([np.sin(first + second), -np.cos(first + second)])
    reach = 1.1 * sum(lengths)
    canvas = Canvas((-reach, -reach), (reach, reach))
    canvas.line([(-reach, lengths[0]), (reach, lengths[0])], "green", 0.03)
    canvas.line([(0, 0), elbow], "blue", 0.15)
    canvas.line([elbow, tip], "sky", 0.15)
    for joint in ((0.0, 0.0), elbow, tip):
        canvas.circle(joint, 0.1, "amber")
    return canvas.image()


def mountain_car(scene: Scene) -> "Image.Image":
    """The valley sin 3x, the car, and a flag at the goal."""
    params, position = scene.params, float(scene.state.position)
    low, high = float(params.min_position), float(params.max_position)
    goal = float(params.goal_position)
    height = lambda x: 0.45 * np.sin(3.0 * x) + 0.55  # noqa: E731
    canvas = Canvas((low - 0.05, -0.05), (high + 0.05, 1.3))
    road = np.linspace(low, high, 200)
    canvas.polygon([(low, -0.05), *zip(road, height(road), strict=True), (high, -0.05)], "light")
    canvas.line([(goal, height(goal)), (goal, height(goal) + 0.25)], "black", 0.01)
    canvas.polygon(
        [(goal, height(goal) + 0.25), (goal + 0.09, height(goal) + 0.2), (goal, height(goal) + 0.15)], "orange"
    )
    slope = np.arctan(1.35 * np.cos(3.0 * position))
    forward, up = np.array([np.cos(slope), np.sin(slope)]), np.array([-np.sin(slope), np.cos(slope)])
    place = np.array([position, height(position)])
    corners = [(-0.07, 0.03), (0.07, 0.03), (0.07, 0.08), (0.03, 0.12), (-0.03, 0.12), (-0.07, 0.08)]
    canvas.polygon([place + x * forward + y * up for x, y in corners], "blue")
    for wheel in (-0.045, 0.045):
        canvas.circle(place + wheel * forward + 0.025 * up, 0.025, "black")
    return canvas.image()
