"""What the rewards of several kinds of tasks share."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrl.environments.metaworld.scene import Evaluation
from jaxrl.environments.metaworld.shaping import distance
from jaxrl.types import Array, Float

__all__ = ["NEAR_TIP", "TIP", "Action", "evaluation", "funnel"]

Action = Float[Array, "4"]

# Where the tip has come to rest before a task begins: in the middle of the table, or near the arm's foot.
TIP = np.array([0.004285731, 0.601488704, 0.150189277], np.float32)
NEAR_TIP = np.array([0.004407496, 0.400270538, 0.150740492], np.float32)


def funnel(place: Array, foot: Array, radius: Array | float, slope: float, height: float) -> Float[Array, ""]:
    """The height at `place` of a logarithmic funnel around the vertical at `foot`, 0 within `radius` of it."""
    off = distance(place[:2], foot[:2])
    beyond = off > radius
    return jnp.where(beyond, slope * jnp.log(jnp.where(beyond, off - radius, 1.0)) + height, 0.0)


def evaluation(
    reward: Any, success: Any, near: Any, grasped: Any, reaching: Any, in_place: Any, far: Any
) -> Evaluation:
    """Every entry as an array: reward and metrics float32, `success` and `grasp_success` Boolean."""
    number, flag = (lambda value: jnp.asarray(value, jnp.float32)), (lambda value: jnp.asarray(value, bool))
    return Evaluation(
        number(reward), flag(success), number(near), flag(grasped), number(reaching), number(in_place), number(far)
    )
