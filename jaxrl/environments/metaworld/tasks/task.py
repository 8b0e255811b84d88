"""What a task is made of: scene, reward, what is observed of the object, and what its variation is drawn from."""

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["ORIGIN", "UPRIGHT", "Task", "Vector"]

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
ORIGIN: Vector = (0.0, 0.0, 0.0)
UPRIGHT: Quaternion = (1.0, 0.0, 0.0, 0.0)


class Task(NamedTuple):
    """One task; positions in metres.

    Attributes:
        scene: the model, see `models.load_model`.
        reward: see `rewards`.
        objects: lowest and highest first position of the object.
        goals: lowest and highest goal; along the axes of `relative`, that of the goal from the object.
        object: the default object position.
        goal: the default goal, or the goal's offset from the object.
        relative: along which axes the goal stands at a fixed offset from the object; None where it is drawn.
        apart: how far apart object and goal are at least, in the plane.
        hand: where the hand starts: `middle`, `near` the arm's foot, or on its left `side`.
        posture: the quaternion (w, x, y, z) in which what is loose starts.
        floor: how low the hand can be sent, m.
        front: how near to the arm's foot it can be sent, m.
        joint: where the mechanism starts, m or rad; for each of its joints, if they are several.
        first_joint: where the first observation shows it.
        tracked: what is observed: a point in the frame of the moving body ...
        lifted: ... and an offset in the world's frame.
        head: a second point in that frame, for the reward.
        second: what is observed of a mechanism beside something loose: a point in its frame; None without one.
        second_orientation: what is observed as its quaternion, `fixed` or `none`.
        fixture: where what is fixed stands from the goal; None where nothing is, or it stays where it is.
        follows: what the fixture stands at a fixed offset from, `goal` or the first position of the `object`.
        orientation: what the observation calls the object's quaternion: `xyzw` and `wxyz` name the order of the
            object's own, `fixed` is that of what stands still, `none` is zeros.
        turn: the orientation of what is observed in the frame of the moving body.
    """

    scene: str
    reward: Callable
    objects: tuple[Vector, Vector]
    goals: tuple[Vector, Vector]
    object: Vector
    goal: Vector
    relative: Vector | None = (1.0, 1.0, 1.0)
    apart: float = 0.0
    hand: str = "middle"
    posture: Quaternion = UPRIGHT
    floor: float = 0.05
    front: float = 0.4
    joint: float | tuple[float, float] = 0.0
    first_joint: float | tuple[float, float] = 0.0
    tracked: Vector = ORIGIN
    lifted: Vector = ORIGIN
    head: Vector | None = None
    second: Vector | None = None
    second_orientation: str = "none"
    fixture: Vector | None = None
    follows: str = "goal"
    orientation: str = "none"
    turn: Quaternion = UPRIGHT
