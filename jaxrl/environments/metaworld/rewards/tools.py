"""Rewards for what is done with something held: a hammer, a stick, a nut or a lid.

Source: the `sawyer_*_v3.py` files of `metaworld` 3.1.1 (MIT licence; Yu et al., 2020; McLean et al., 2025), read for
their formulas and written anew.
"""

import jax.numpy as jnp
import numpy as np

from jaxrl.environments.metaworld.rewards.common import NEAR_TIP, TIP, Action, evaluation, funnel
from jaxrl.environments.metaworld.scene import Evaluation, MetaWorldParams, Scene
from jaxrl.environments.metaworld.shaping import approach, cage, distance, hamacher, long_tail
from jaxrl.types import Array, Float

__all__ = ["assembly", "box_close", "disassemble", "hammer", "stick_pull", "stick_push"]

# How nut and lid, and how the hammer should lie.
_ACROSS, _ALONG = np.array([0.707, 0.0, 0.0, 0.707], np.float32), np.array([1.0, 0.0, 0.0, 0.0], np.float32)
# Where the thermos stands.
_THERMOS = np.array([0.2, 0.6, 0.0], np.float32)


def assembly(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The nut's middle within 2 cm of the peg's axis and below its top; it should come from high above."""
    within = _at_the_hand(scene, 0.01)
    caged = cage(within, action[3], params.object, TIP, radius=0.015, reach=0.02, across=0.01, dense=False)
    caged = (caged + approach(within, params.object, TIP, 0.01)) / 2.0
    error = params.goal - scene.head
    off = distance(error[:2], jnp.zeros(2))
    done = (off < 0.02) & (error[2] > 0.0)
    slack = jnp.where(done, 0.02, 0.01)
    error = error.at[2].set(3.0 * (funnel(scene.head, params.goal, slack, 0.02, 0.2) - scene.head[2]))
    lifted = (scene.head[2] > 0.02) | (off < slack)
    in_place = 0.1 * lifted + 0.9 * long_tail(distance(error, jnp.zeros(3)), 0.0, 0.02, 0.4)
    turned = _posture(scene, _ACROSS, 0.4)
    reward = jnp.where(done, 10.0, (2.0 * caged + 6.0 * in_place) * turned)
    return evaluation(reward, done, turned, caged >= 0.5, caged, in_place, 0.0)


def disassemble(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The nut 15 cm higher than it was."""
    within, above = _at_the_hand(scene, 0.01), params.goal + jnp.array([0.0, 0.0, 0.1])
    caged = cage(within, action[3], params.object, NEAR_TIP, radius=0.015, reach=0.02, across=0.01)
    in_place = 0.1 * (scene.head[2] > 0.02) + 0.9 * long_tail(distance(above, scene.head), 0.0, 0.02, 0.2)
    turned, done = _posture(scene, _ACROSS, 0.4), scene.object[2] > params.goal[2]
    reward = jnp.where(done, 10.0, (2.0 * caged + 6.0 * in_place) * turned)
    return evaluation(reward, done, turned, caged >= 0.5, caged, in_place, 0.0)


def hammer(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The nail driven in by 9 cm, while the hammer's head, held upright, is at the goal."""
    within, head = _at_the_hand(scene, 0.07), scene.object + jnp.array([0.16, 0.06, 0.0])
    caged = cage(within, action[3], params.object, NEAR_TIP, radius=0.015, reach=0.02, across=0.01)
    in_place = 0.1 * (head[2] > 0.02) + 0.9 * long_tail(distance(params.goal, head), 0.0, 0.02, 0.2)
    turned, done = _posture(scene, _ALONG, 0.4), scene.joint > 0.09
    reward = (2.0 * caged + 6.0 * in_place) * turned
    reward = jnp.where(done & (reward > 5.0), 10.0, reward)
    return evaluation(reward, done, turned, caged >= 0.5, caged, in_place, 0.0)


def box_close(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The lid within 8 cm of the closed box's; the hand should come from high above. A tilted lid earns nothing."""
    handle = scene.object + jnp.array([0.0, 0.0, 0.02])
    effort = (jnp.clip(action[3], -1.0, 1.0) + 1.0) / 2.0
    floor = funnel(scene.hand, handle, 0.02, 0.04, 0.4)
    above = long_tail(jnp.maximum(floor - scene.hand[2], 0.0), 0.0, 0.01, floor / 2.0)
    ready = hamacher(above, long_tail(distance(scene.hand, handle), 0.0, 0.02, 0.5))
    error = (params.goal - handle) * jnp.array([1.0, 1.0, 3.0])
    in_place = 0.2 * (handle[2] > 0.04) + 0.8 * long_tail(distance(error, jnp.zeros(3)), 0.0, 0.05, 0.25)
    done = distance(scene.object, params.goal) < 0.08
    reward = jnp.where(done, 10.0, 2.0 * hamacher(effort, ready) + 8.0 * in_place) * _posture(scene, _ACROSS, 0.2)
    return evaluation(reward, done, ready, effort >= 0.5, effort, in_place, 0.0)


def stick_push(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The thermos within 12 cm of the goal, while the stick is held above the table."""
    grip = scene.object + jnp.array([0.015, 0.0, 0.0])
    near, far = distance(grip, scene.tip), distance(scene.second, params.goal)
    in_place = long_tail(distance(grip, params.goal), 0.0, 0.12, distance(params.object, params.goal) - 0.12)
    moved = long_tail(far, 0.0, 0.12, distance(_THERMOS, params.goal) - 0.12)
    caged = cage(scene._replace(object=grip), action[3], params.object, TIP, radius=0.04, reach=0.05, across=0.01)
    lifted = (scene.opening > 0.0) & (scene.object[2] - 0.01 > params.object[2])
    held = (near < 0.02) & lifted
    reward = jnp.where(held, jnp.where(far <= 0.12, 10.0, 2.0 + 5.0 * in_place + 3.0 * moved), caged)
    grasped = scene.touching & lifted
    return evaluation(
        reward, grasped & (far <= 0.12), near <= 0.03, grasped, jnp.where(held, 1.0, caged), in_place, far
    )


def stick_pull(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The thermos's handle within 12 cm of the goal, the stick through it."""
    ahead, scale = jnp.array([0.05, 0.0, 0.0]), jnp.array([1.0, 1.0, 2.0])
    near, far = distance(scene.object, scene.tip), distance(scene.second, params.goal)
    place, first = scene.second + ahead, _THERMOS + ahead
    in_place = long_tail(
        distance(scene.object * scale, place * scale), 0.0, 0.05, distance(params.object * scale, first * scale)
    )
    brought = long_tail(distance(scene.object, params.goal), 0.0, 0.05, distance(params.object, params.goal))
    moved = long_tail(distance(place, params.goal), 0.0, 0.05, distance(_THERMOS, params.goal))
    # The original measures from where the thermos, not the stick, was first.
    caged = cage(scene, action[3], _THERMOS, TIP, radius=0.014, reach=0.05, across=0.01)
    held = (near < 0.02) & (scene.opening > 0.0) & (scene.object[2] - 0.01 > params.object[2])
    caged = jnp.where(held, 1.0, caged)
    beside = jnp.abs(scene.head - scene.second)
    through = (scene.head[0] >= scene.second[0]) & (beside[1] <= 0.04) & (beside[2] <= 0.06)
    both = hamacher(caged, in_place)
    pulling = jnp.where(far <= 0.12, 10.0, 6.0 + both + 2.0 * brought + moved)
    reward = jnp.where(held, jnp.where(through, pulling, 1.0 + both + 5.0 * in_place), both)
    grasped = scene.touching & (scene.opening > 0.0) & (scene.object[2] > 0.02)
    return evaluation(reward, (far <= 0.12) & through, near <= 0.03, grasped, caged, in_place, far)


def _at_the_hand(scene: Scene, half_length: float) -> Scene:
    """With a handle along x held where the hand is, if it is that long."""
    along = jnp.abs(scene.object[0] - scene.hand[0]) < half_length
    return scene._replace(object=scene.object.at[0].set(jnp.where(along, scene.hand[0], scene.object[0])))


def _posture(scene: Scene, ideal: Float[np.ndarray, "4"], slack: float) -> Float[Array, ""]:
    """1 − ‖q − ideal‖/slack, at least 0."""
    return jnp.maximum(1.0 - distance(scene.quaternion, ideal) / slack, 0.0)
