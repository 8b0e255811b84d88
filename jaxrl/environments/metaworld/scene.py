"""What varies between episodes, what rewards read and what they return."""

from typing import NamedTuple

from jaxrl.environments.physics import Physics
from jaxrl.types import Array, Bool, Float

__all__ = ["Evaluation", "MetaWorldParams", "Scene"]


class MetaWorldParams(NamedTuple):
    """The variation of a task, and the constants of its simulation.

    Attributes:
        object: first position of what is loose; position of the door, drawer, button box or window, m.
        goal: where the tip, object or handle belongs, m; what is fixed around it, such as the peg's block, moves with
            it. `sample_params` and the defaults place it as the original does.
        physics: see `Physics`.
    """

    object: Float[Array, "3"]
    goal: Float[Array, "3"]
    physics: Physics


class Scene(NamedTuple):
    """What rewards read of the world; metres, radians.

    Attributes:
        hand: its position, clipped as it is observed.
        opening: distance of the fingers over 0.1 m, at most 1.
        tip: the point between the fingertips.
        left: y of the left pad.
        right: y of the right pad.
        object: the position that is observed of the object or handle.
        head: the head of the peg; the object's position elsewhere.
        joint: angle or position of the mechanism; 0 without one.
        second: the position that is observed of a second object; zeros without one.
        quaternion: the object's orientation as it is observed.
        touching: whether both fingers touch the object; False for a mechanism.
    """

    hand: Float[Array, "3"]
    opening: Float[Array, ""]
    tip: Float[Array, "3"]
    left: Float[Array, ""]
    right: Float[Array, ""]
    object: Float[Array, "3"]
    head: Float[Array, "3"]
    joint: Float[Array, ""]
    second: Float[Array, "3"]
    quaternion: Float[Array, "4"]
    touching: Bool[Array, ""]


class Evaluation(NamedTuple):
    """A reward in 0 to 10, whether the task is solved, and the metrics that the original reports.

    Attributes:
        reward: what the step pays.
        success: whether the task is solved in this state.
        near_object: whether (door-open: how nearly; reach: distance) the hand is at the object.
        grasp_success: whether the object is held; of little meaning where nothing is grasped.
        grasp_reward: the part of the reward for reaching or holding.
        in_place_reward: the part of the reward for the object's place.
        obj_to_target: distance to the goal, in the task's own measure.
    """

    reward: Float[Array, ""]
    success: Bool[Array, ""]
    near_object: Float[Array, ""]
    grasp_success: Bool[Array, ""]
    grasp_reward: Float[Array, ""]
    in_place_reward: Float[Array, ""]
    obj_to_target: Float[Array, ""]
