"""Rewards for the place of something loose, or of the hand itself.

Source: the `sawyer_*_v3.py` files of `metaworld` 3.1.1 (MIT licence; Yu et al., 2020; McLean et al., 2025), read for
their formulas and written anew.
"""

import jax.numpy as jnp
import numpy as np

from jaxrl.environments.metaworld.rewards.common import NEAR_TIP, TIP, Action, evaluation, funnel
from jaxrl.environments.metaworld.scene import Evaluation, MetaWorldParams, Scene
from jaxrl.environments.metaworld.shaping import approach, cage, distance, grip, hamacher, inside, long_tail
from jaxrl.types import Array, Float

__all__ = [
    "basketball",
    "bin_picking",
    "coffee",
    "hand_insert",
    "peg_insert_side",
    "peg_unplug_side",
    "pick_out_of_hole",
    "pick_place",
    "pick_place_wall",
    "push",
    "push_back",
    "push_wall",
    "reach",
    "reach_wall",
    "shelf_place",
    "soccer",
    "sweep",
    "sweep_into",
]

# Where the original's hand starts.
_HAND = np.array([0.0, 0.6, 0.2], np.float32)
# The peg's head, at the place where every peg lies before it is moved to its own.
_PEG_HEAD = np.array([-0.1, 0.6, 0.014784685], np.float32)
# Corners of two boxes in front of the hole, from the foot of its block: where a head comes too low or too high.
_TURN = np.array([[np.cos(1.57), -np.sin(1.57), 0.0], [np.sin(1.57), np.cos(1.57), 0.0], [0.0, 0.0, 1.0]])
_LOWER, _UPPER = (
    (np.array(corners) @ _TURN.T).astype(np.float32)
    for corners in ([[0.1, -0.11, 0.01], [-0.1, -0.15, 0.096]], [[0.1, -0.11, 0.16], [-0.1, -0.17, 0.19]])
)


def reach(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The tip within 5 cm of the goal."""
    del action
    far = distance(scene.tip, params.goal)
    in_place = long_tail(far, 0.0, 0.05, distance(_HAND, params.goal))
    return evaluation(10.0 * in_place, far <= 0.05, far, True, far, in_place, far)


def reach_wall(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """As `reach`, behind a wall."""
    return reach(scene, action, params)._replace(
        near_object=jnp.float32(0.0), grasp_success=jnp.array(False), grasp_reward=jnp.float32(0.0)
    )


def push(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The puck within 5 cm of the goal."""
    near, far = distance(scene.object, scene.tip), distance(scene.object, params.goal)
    in_place = long_tail(far, 0.0, 0.05, distance(params.object, params.goal))
    caged = cage(scene, action[3], params.object, TIP, radius=0.015, reach=0.05)
    pushing = (near < 0.02) & (scene.opening > 0.0)
    reward = jnp.where(pushing, 1.0 + 4.0 * caged + 5.0 * in_place, 2.0 * caged)
    reward = jnp.where(far < 0.05, 10.0, reward)
    return evaluation(reward, far <= 0.05, near <= 0.03, _grasped(scene, params, 0.02), caged, in_place, far)


def pick_place(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The puck within 7 cm of a goal in the air."""
    near, far = distance(scene.object, scene.tip), distance(scene.object, params.goal)
    in_place = long_tail(far, 0.0, 0.05, distance(params.object, params.goal))
    caged = cage(scene, action[3], params.object, TIP, radius=0.015, reach=0.05, follows=True)
    held = (near < 0.02) & (scene.opening > 0.0) & _lifted(scene, params, 0.01)
    reward = hamacher(caged, in_place) + jnp.where(held, 1.0 + 5.0 * in_place, 0.0)
    reward = jnp.where(far < 0.05, 10.0, reward)
    return evaluation(reward, far <= 0.07, near <= 0.03, _grasped(scene, params, 0.02), caged, in_place, far)


def push_wall(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The puck within 7 cm of the goal, around a wall: first to a place beside it, then to the goal."""
    scale, beside = jnp.array([3.0, 1.0, 1.0]), jnp.stack([jnp.float32(-0.05), jnp.float32(0.77), scene.object[2]])
    coming, in_place, far = _by_way(scene, params, beside * scale, scale)
    near = distance(scene.object, scene.tip)
    caged = cage(scene, action[3], params.object, TIP, radius=0.015, reach=0.05)
    there = jnp.where(scene.object[1] > 0.75, 4.0 + 3.0 * in_place, 4.0 * coming)
    pushing = (near < 0.02) & (scene.opening > 0.0)
    reward = jnp.where(far < 0.05, 10.0, 2.0 * caged + jnp.where(pushing, 1.0 + there, 0.0))
    return evaluation(reward, far <= 0.07, near <= 0.03, _grasped(scene, params, 0.02), caged, in_place, far)


def pick_place_wall(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The puck within 7 cm of a goal in the air behind a wall: first to a place above the wall, then to the goal."""
    scale, over = jnp.array([1.0, 1.0, 3.0]), jnp.stack([params.goal[0], jnp.float32(0.77), jnp.float32(0.25)])
    coming, in_place, far = _by_way(scene, params, over * scale, scale)
    near = distance(scene.object, scene.tip)
    caged = cage(scene, action[3], params.object, TIP, radius=0.015, reach=0.05, dense=False)
    there = jnp.where(scene.object[1] > 0.75, 4.0 + 3.0 * in_place, 4.0 * coming)
    held = (near < 0.02) & (scene.opening > 0.0) & _lifted(scene, params, 0.015)
    reward = hamacher(caged, coming) + jnp.where(held, 1.0 + there, 0.0)
    reward = jnp.where(far < 0.05, 10.0, reward)
    return evaluation(reward, far <= 0.07, near <= 0.03, _grasped(scene, params, 0.02), caged, in_place, far)


def _by_way(
    scene: Scene, params: MetaWorldParams, way: Float[Array, "3"], scale: Float[Array, "3"]
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """How near the object is to a place on its way (both scaled), how near to the goal, and the distance to that."""
    far = distance(scene.object, params.goal)
    coming = long_tail(distance(scene.object * scale, way), 0.0, 0.05, distance(params.object * scale, way))
    return coming, long_tail(far, 0.0, 0.05, distance(params.object, params.goal)), far


def push_back(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The block within 7 cm of a goal nearer to the arm."""
    del action
    near, far = distance(scene.object, scene.tip), distance(scene.object, params.goal)
    first = distance(params.object, params.goal)
    in_place = long_tail(far, 0.0, 0.05, first)
    caged = grip(scene, params.object, TIP, radius=0.007, slack=0.003, across=0.01)
    held = (near < 0.01) & (scene.opening > 0.0) & (scene.opening < 0.55) & (first - far > 0.01)
    reward = hamacher(caged, in_place) + jnp.where(held, 1.0 + 5.0 * in_place, 0.0)
    reward = jnp.where(far < 0.05, 10.0, reward)
    return evaluation(reward, far <= 0.07, near <= 0.03, _grasped(scene, params, 0.02), caged, in_place, far)


def hand_insert(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The block within 5 cm of a goal below the hole's floor."""
    near, far = distance(scene.object, scene.tip), distance(scene.object, params.goal)
    in_place = long_tail(far, 0.0, 0.05, distance(params.object, params.goal))
    caged = cage(scene, action[3], params.object, TIP, radius=0.015, reach=0.05)
    held = (near < 0.02) & (scene.opening > 0.0)
    reward = hamacher(caged, in_place) + jnp.where(held, 1.0 + 7.0 * in_place, 0.0)
    reward = jnp.where(far < 0.05, 10.0, reward)
    return evaluation(reward, far <= 0.05, near <= 0.03, _grasped(scene, params, 0.02), caged, in_place, far)


def pick_out_of_hole(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The puck within 7 cm of a goal in the air; the hand should come and go high above the hole's edge."""
    near, far = distance(scene.object, scene.tip), distance(scene.object, params.goal)
    in_place = long_tail(far, 0.0, 0.02, distance(params.object, params.goal))
    caged = cage(scene, action[3], params.object, TIP, radius=0.015, reach=0.02, across=0.03, strength=0.1)
    floor = funnel(scene.tip, params.object, 0.03, 0.015, 0.15)
    above = long_tail(jnp.maximum(floor - scene.tip[2], 0.0), 0.0, 0.01, 0.02)
    held = (near < 0.04) & _lifted(scene, params, 0.02) & (scene.opening >= 0.33)
    reward = hamacher(caged, in_place) + jnp.where(held, 1.0 + 5.0 * hamacher(in_place, above), 0.0)
    reward = jnp.where(far < 0.05, 10.0, reward)
    return evaluation(reward, far <= 0.07, near <= 0.03, held, caged, in_place, far)


def bin_picking(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The block within 5 cm of the other bin's foot; the hand should come and go high above the bins' walls."""
    # The original measures the first distance after one step, in which the bin's wall pushes out a block that is in it.
    deep = jnp.maximum(jnp.abs(params.object[0] + 0.12) - 0.07, 0.0)
    pushed = jnp.stack([0.2 * deep + 1.25 * deep**2, jnp.float32(0.0), jnp.float32(0.0)])
    first = params.object - jnp.sign(params.object[0] + 0.12) * pushed
    far = distance(scene.object, params.goal)
    in_place = long_tail(far, 0.0, 0.05, distance(first, params.goal))
    caged = cage(scene, action[3], params.object, TIP, radius=0.015, reach=0.05, across=0.01, strength=0.7)
    floor = jnp.minimum(*(funnel(scene.hand, place, 0.03, 0.02, 0.2) for place in (params.object, params.goal)))
    above = long_tail(jnp.maximum(floor - scene.hand[2], 0.0), 0.0, 0.01, 0.05)
    near = distance(scene.object, scene.hand) < 0.04
    held = near & _lifted(scene, params, 0.02) & (scene.opening >= 0.43)
    reward = hamacher(caged, in_place) + jnp.where(held, 1.0 + 5.0 * hamacher(above, in_place), 0.0)
    reward = jnp.where(far < 0.05, 10.0, reward)
    return evaluation(reward, far <= 0.05, near, held, caged, in_place, far)


def soccer(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The ball within 7 cm of the goal's middle; errors in x count three times, and more beside the goal."""
    del action
    scale = jnp.array([3.0, 1.0, 1.0])
    near, far = distance(scene.object, scene.tip), distance(scene.object, params.goal)
    scaled, moved = distance(scene.object * scale, params.goal * scale), (scene.object - params.object) * scale
    in_place = long_tail(scaled, 0.0, 0.07, distance(moved, jnp.zeros(3)))
    line = params.goal[1] - 0.1
    missed = (scene.object[1] > line) & (jnp.abs(scene.object[0] - params.goal[0]) > 0.1)
    loss = jnp.where(missed, 2.0 * (scene.object[1] - line) / (1.0 - line), 0.0)
    in_place = jnp.clip(in_place - loss, 0.0, 1.0)
    caged = grip(scene, params.object, TIP, radius=0.013, slack=0.01)
    reward = jnp.where(scaled < 0.07, 10.0, 3.0 * caged + 6.5 * in_place)
    return evaluation(reward, far <= 0.07, near <= 0.03, _grasped(scene, params, 0.02), caged, in_place, far)


def sweep(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The block within 5 cm of the goal at the table's right edge."""
    del action
    return _swept(scene, params, params.goal, grip(scene, params.object, TIP, radius=0.02, slack=0.01))


def sweep_into(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The block within 5 cm of the hole's middle, at whatever height."""
    del action
    goal = jnp.append(params.goal[:2], scene.object[2])
    return _swept(scene, params, goal, grip(scene, params.object, TIP, radius=0.02, slack=0.005, across=0.01))


def _swept(scene: Scene, params: MetaWorldParams, goal: Float[Array, "3"], caged: Float[Array, ""]) -> Evaluation:
    """A block that is dragged over the table."""
    near, far = distance(scene.object, scene.tip), distance(scene.object, goal)
    in_place = long_tail(far, 0.0, 0.05, distance(params.object, goal))
    reward = jnp.where(far < 0.05, 10.0, 2.0 * caged + 6.0 * hamacher(caged, in_place))
    grasped = scene.touching & (scene.opening > 0.0)
    return evaluation(reward, far <= 0.05, near <= 0.03, grasped, caged, in_place, far)


def basketball(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The ball within 8 cm of a point 5 cm above the hoop; errors in height count twice."""
    scale, above = jnp.array([1.0, 1.0, 2.0]), params.goal.at[2].set(0.3)
    near, far = distance(scene.object, scene.tip), distance(scene.object * scale, above * scale)
    in_place = long_tail(far, 0.0, 0.08, distance(params.object * scale, above * scale))
    held = (near < 0.035) & (scene.opening > 0.0) & _lifted(scene, params, 0.01)
    caged = jnp.where(held, 1.0, cage(scene, action[3], params.object, TIP, radius=0.025, reach=0.06))
    reward = hamacher(caged, in_place) + jnp.where(held, 1.0 + 5.0 * in_place, 0.0)
    reward = jnp.where(far < 0.08, 10.0, reward)
    grasped = (scene.opening > 0.0) & _lifted(scene, params, 0.03)
    return evaluation(reward, far <= 0.08, near <= 0.05, grasped, caged, in_place, far)


def shelf_place(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The block within 7 cm of a place on the shelf; none is paid for below it, before it the less the nearer."""
    near, far = distance(scene.object, scene.tip), distance(scene.object, params.goal)
    in_place = long_tail(far, 0.0, 0.05, distance(params.object, params.goal))
    caged = cage(scene, action[3], params.object, TIP, radius=0.02, reach=0.05, across=0.01, dense=False)
    reward = hamacher(caged, in_place)
    x, y, z = scene.object - params.goal.at[2].set(0.0)
    low = (z > 0.0) & (z < 0.24) & (jnp.abs(x) < 0.15)
    loss = jnp.where(low & (y > -0.15) & (y < 0.0), hamacher((y + 0.15) / 0.15, (0.24 - z) / 0.24), 0.0)
    in_place = jnp.where(low & (y > 0.0), 0.0, jnp.clip(in_place - loss, 0.0, 1.0))
    held = (near < 0.025) & (scene.opening > 0.0) & _lifted(scene, params, 0.01)
    reward = jnp.where(far < 0.05, 10.0, reward + jnp.where(held, 1.0 + 5.0 * in_place, 0.0))
    return evaluation(reward, far <= 0.07, near <= 0.03, _grasped(scene, params, 0.02), caged, in_place, far)


def peg_insert_side(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The peg's head within 7 cm of the inner end of the hole; errors in y and z count twice."""
    scale = jnp.array([1.0, 2.0, 2.0])
    near, far = distance(scene.object, scene.tip), distance(scene.head * scale, params.goal * scale)
    foot = params.goal - jnp.array([0.03, 0.0, 0.13])
    clear = hamacher(inside(scene.head, *(foot + _UPPER)), inside(scene.head, *(foot + _LOWER)))
    in_place = hamacher(long_tail(far, 0.0, 0.07, distance(_PEG_HEAD * scale, params.goal * scale)), clear)
    lifted = (scene.opening > 0.0) & _lifted(scene, params, 0.01)
    held = (near < 0.08) & lifted
    caged = cage(scene, action[3], params.object, TIP, radius=0.0075, reach=0.03)
    caged = jnp.where(held, 1.0, caged)
    reward = hamacher(caged, in_place) + jnp.where(held, 1.0 + 5.0 * in_place, 0.0)
    reward = jnp.where(far <= 0.07, 10.0, reward)
    return evaluation(reward, far <= 0.07, near <= 0.03, (near < 0.02) & lifted, caged, in_place, far)


def peg_unplug_side(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The plug's end within 7 cm of a place 11 cm further out."""
    first = params.object + jnp.array([0.04, 0.0, 0.0])
    near, far = distance(scene.object, scene.tip), distance(scene.object, params.goal)
    in_place = long_tail(far, 0.0, 0.05, distance(first, params.goal))
    caged = cage(scene, action[3], first, TIP, radius=0.025, reach=0.05, strength=0.8)
    drawn = (scene.opening > 0.5) & (scene.object[0] - first[0] > 0.015)
    reward = jnp.where(drawn & (near < 0.035), 1.0 + 2.0 * caged + 5.0 * in_place, 2.0 * caged)
    reward = jnp.where(far <= 0.05, 10.0, reward)
    return evaluation(reward, far <= 0.07, near <= 0.03, drawn, caged, in_place, far)


def coffee(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The mug within 7 cm of the goal; errors in x and y count twice. Being grasped is never reported."""
    scale = jnp.array([2.0, 2.0, 1.0])
    near, far = distance(scene.object, scene.tip), distance(scene.object, params.goal)
    scaled = distance(scene.object * scale, params.goal * scale)
    in_place = long_tail(scaled, 0.0, 0.05, distance(params.object * scale, params.goal * scale))
    caged = cage(scene, action[3], params.object, NEAR_TIP, 0.02, 0.05, across=0.05, strength=0.7, dense=False)
    caged = (caged + approach(scene, params.object, NEAR_TIP, 0.04)) / 2.0
    there = (near < 0.04) & (scene.opening > 0.0)
    reward = hamacher(caged, in_place) + jnp.where(there, 1.0 + 5.0 * in_place, 0.0)
    reward = jnp.where(scaled < 0.05, 10.0, reward)
    return evaluation(reward, far <= 0.07, near <= 0.03, False, caged, in_place, far)


def _lifted(scene: Scene, params: MetaWorldParams, height: float) -> Array:
    return scene.object[2] - height > params.object[2]


def _grasped(scene: Scene, params: MetaWorldParams, height: float) -> Array:
    return scene.touching & (scene.opening > 0.0) & _lifted(scene, params, height)
