"""What the rewards are made of: tolerances, the Hamacher product and the caging of an object between the fingers."""

import jax.numpy as jnp
import numpy as np

from jaxrl.environments.metaworld.scene import Scene
from jaxrl.types import Array, Float

__all__ = ["approach", "cage", "distance", "gaussian", "grip", "hamacher", "inside", "long_tail"]

Vector = Array | np.ndarray

# The plane in which the fingers do not close.
_PLANE = np.array([0, 2])
# How far from the object the tip may be in that plane, m.
_ACROSS = 0.005


def distance(a: Float[Vector, " axis"], b: Float[Vector, " axis"]) -> Float[Array, ""]:
    """‖a − b‖."""
    return jnp.sqrt(jnp.sum((a - b) ** 2))


def inside(position: Float[Array, "3"], low: Float[Array, "3"], high: Float[Array, "3"]) -> Float[Array, ""]:
    """Π (pᵢ − lowᵢ)/(highᵢ − lowᵢ) within the box between two corners, 1 outside it."""
    within = jnp.all((jnp.minimum(low, high) <= position) & (position <= jnp.maximum(low, high)))
    return jnp.where(within, jnp.prod((position - low) / (high - low)), 1.0)


def hamacher(a: Float[Array, ""], b: Float[Array, ""]) -> Float[Array, ""]:
    """The Hamacher product a b / (a + b − a b), 0 where both are 0; a, b ∈ [0, 1]."""
    denominator = a + b - a * b
    return jnp.where(denominator > 0.0, a * b / jnp.where(denominator > 0.0, denominator, 1.0), 0.0)


def long_tail(x: Array, low: Array | float, high: Array | float, margin: Array | float) -> Float[Array, ""]:
    """1 for low ≤ x ≤ high; outside, at distance d, 1/(1 + 9 (d/margin)²): 0.1 at the margin.

    Source: dm_control's `rewards.tolerance` with its `long_tail` sigmoid; 0 outside for margin 0.
    """
    d = _scaled_distance(x, low, high, margin)
    return jnp.where(d == 0.0, 1.0, 1.0 / (1.0 + 9.0 * d**2))


def gaussian(x: Array, low: Array | float, high: Array | float, margin: Array | float) -> Float[Array, ""]:
    """As `long_tail`, falling as 0.1^((d/margin)²)."""
    d = _scaled_distance(x, low, high, margin)
    return jnp.where(d == 0.0, 1.0, 0.1 ** (d**2))


def _scaled_distance(x: Array, low: Array | float, high: Array | float, margin: Array | float) -> Float[Array, ""]:
    d = jnp.maximum(jnp.maximum(low - x, x - high), 0.0)
    margin = jnp.asarray(margin, jnp.float32)
    # Far beyond a margin of zero, rather than 0/0 on the bound.
    return jnp.where(margin > 0.0, d / jnp.where(margin > 0.0, margin, 1.0), jnp.where(d > 0.0, 1e9, 0.0))


def cage(
    scene: Scene,
    effort: Float[Array, ""],
    start: Float[Vector, "3"],
    start_tip: Float[Vector, "3"],
    radius: float,
    reach: float,
    across: float = _ACROSS,
    strength: float = 1.0,
    follows: bool = False,
    dense: bool = True,
) -> Float[Array, ""]:
    """How well the object lies between the fingers, and whether they close on it: (C + H(C, g)) / 2.

    C = H(H(left, right), xz): both pads between `radius` and `reach` from the object along y, the tip within `across`
    of it in the plane of x and z; g = effort over `strength`, clipped to [0, 1], where C > 0.97, else 0.

    Args:
        scene: the present.
        effort: the action's fourth entry.
        start: the object's first position.
        start_tip: where the tip was after the reset.
        radius: the object's radius.
        reach: how far from the object a pad may be.
        across: how far from the object the tip may be, m.
        strength: the effort that is enough.
        follows: whether a pad's margin is measured from where the object is, and a pad on the wrong side of it is
            outside; else from where the object was first, and either side will do.
        dense: whether C counts by itself, too; else H(C, g) alone.

    Source: Meta-World's `_gripper_caging_reward`, `dense` being its `high_density`; `follows`: pick-place's version.
    """
    pads, margins = _pads(scene, scene.object if follows else start, reach)
    along = _between(pads if follows else jnp.abs(pads), radius, reach, margins)
    caged = hamacher(along, _level(scene, start, start_tip, across))
    held = hamacher(caged, jnp.where(caged > 0.97, jnp.clip(effort / strength, 0.0, 1.0), 0.0))
    return (caged + held) / 2.0 if dense else held


def approach(scene: Scene, start: Float[Vector, "3"], start_tip: Float[Vector, "3"], radius: float) -> Float[Array, ""]:
    """How near the tip is to the object: 1 within `radius`, 0.1 where both were at first.

    Source: Meta-World's `_gripper_caging_reward` with `medium_density`, which halves the sum of this and `cage`'s.
    """
    margin = jnp.abs(distance(start, start_tip) - radius)
    return long_tail(distance(scene.object, scene.tip), 0.0, radius, margin)


def grip(
    scene: Scene,
    start: Float[Array, "3"],
    start_tip: Float[Vector, "3"],
    radius: float,
    slack: float,
    across: float = _ACROSS,
) -> Float[Array, ""]:
    """As `cage` with `follows` and a reach of 5 cm, by where the pads are: (C + g) / 2.

    g = H(left, right) with both pads within `slack` of `radius` where C > 0.95, else 0.

    Source: Meta-World's `_gripper_caging_reward` of sweep, sweep-into, push-back and soccer.
    """
    pads, margins = _pads(scene, scene.object, 0.05)
    caged = hamacher(_between(pads, radius, 0.05, margins), _level(scene, start, start_tip, across))
    return (caged + jnp.where(caged > 0.95, _between(pads, radius, radius + slack, margins), 0.0)) / 2.0


def _pads(scene: Scene, place: Float[Vector, "3"], reach: float) -> tuple[Float[Array, "2"], Float[Array, "2"]]:
    """How far the pads lie outwards of the object along y, and how far from `reach` their distance to `place` is."""
    pads = jnp.stack([scene.left, scene.right])
    outwards = jnp.stack([scene.left - scene.object[1], scene.object[1] - scene.right])
    return outwards, jnp.abs(jnp.abs(pads - place[1]) - reach)


def _between(pads: Float[Array, "2"], near: float, far: float, margins: Float[Array, "2"]) -> Float[Array, ""]:
    return hamacher(*(long_tail(pad, near, far, margin) for pad, margin in zip(pads, margins, strict=True)))


def _level(scene: Scene, start: Float[Vector, "3"], start_tip: Float[Vector, "3"], across: float) -> Float[Array, ""]:
    """Whether the tip is at the object in the plane of x and z."""
    margin = distance(start[_PLANE], start_tip[_PLANE]) - across
    return long_tail(distance(scene.tip[_PLANE], scene.object[_PLANE]), 0.0, across, margin)
