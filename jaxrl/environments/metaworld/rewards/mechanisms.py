"""Rewards for doors and their locks, drawers, buttons, dials, faucets, handles, levers, sliding plates and windows.

Source: the `sawyer_*_v3.py` files of `metaworld` 3.1.1 (MIT licence; Yu et al., 2020; McLean et al., 2025), read for
their formulas and written anew.
"""

import jax.numpy as jnp
import numpy as np

from jaxrl.environments.metaworld.rewards.common import NEAR_TIP, TIP, Action, evaluation, funnel
from jaxrl.environments.metaworld.scene import Evaluation, MetaWorldParams, Scene
from jaxrl.environments.metaworld.shaping import cage, distance, gaussian, hamacher, long_tail
from jaxrl.types import Array, Float

__all__ = [
    "button_press",
    "button_press_topdown",
    "button_press_topdown_wall",
    "button_press_wall",
    "coffee_button",
    "dial_turn",
    "door_close",
    "door_lock",
    "door_open",
    "door_unlock",
    "drawer_close",
    "drawer_open",
    "faucet_close",
    "faucet_open",
    "handle_press",
    "handle_pull",
    "handle_pull_side",
    "lever_pull",
    "plate_slide",
    "plate_slide_back",
    "window_close",
    "window_open",
]

# What a reward calls the hand's shoulder, and the left pad's body, from the hand and from the tip.
_SHOULDER, _LEFT_PAD = np.array([0.0, 0.055, 0.07], np.float32), np.array([-0.0013, 0.0, 0.0451], np.float32)
_LOCK_SCALE = np.array([0.25, 1.0, 0.5], np.float32)
# Where the original's hand starts on the left side.
_SIDE_HAND = np.array([-0.5, 0.6, 0.2], np.float32)


def door_open(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The handle within 8 cm of the goal along x."""
    handle = scene.object - jnp.array([0.05, 0.0, 0.0])
    # Above it the hand should come to the handle.
    floor = funnel(scene.hand, handle, 0.12, 0.04, 0.4)
    above = jnp.where(scene.hand[2] >= floor, 1.0, long_tail(floor - scene.hand[2], 0.0, 0.01, floor / 2.0))
    behind = long_tail(distance(scene.hand, handle + jnp.array([0.05, 0.03, -0.01])), 0.0, 0.06, 0.5)
    ready = hamacher(above, behind)
    shut = jnp.pi * 2.0 / 3.0 + scene.joint
    opened = 0.2 * (scene.joint < -jnp.pi / 90.0) + 0.8 * long_tail(shut, 0.0, 0.5, jnp.pi / 3.0)
    effort = (jnp.clip(action[3], -1.0, 1.0) + 1.0) / 2.0
    success = jnp.abs(scene.object[0] - params.goal[0]) <= 0.08
    reward = jnp.where(success, 10.0, 2.0 * hamacher(ready, effort) + 8.0 * opened)
    return evaluation(reward, success, ready, effort >= 0.5, effort, opened, 0.0)


def door_close(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The handle within 8 cm of the goal; pays for the tip's being there, too."""
    del action
    far = distance(scene.object, params.goal)
    in_place = gaussian(far, 0.0, 0.05, distance(params.object, params.goal))
    arrived = gaussian(distance(scene.tip, params.goal), 0.0, 0.0125, distance(scene.object, _SIDE_HAND) + 0.1)
    reward = jnp.where(far < 0.05, 10.0, 3.0 * arrived + 6.0 * in_place)
    return evaluation(reward, far <= 0.08, 0.0, True, 1.0, arrived, far)


def door_lock(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The lock within 2 cm of the goal's height; pays for the open left finger at the lock."""
    del action
    pad = (scene.tip + _LEFT_PAD).at[1].set(scene.left)
    near, far = distance(scene.object * _LOCK_SCALE, pad * _LOCK_SCALE), jnp.abs(params.goal[2] - scene.object[2])
    # The margin is the distance itself: the original remembers the pad's place by reference.
    reaching, turned = long_tail(near, 0.0, 0.01, near), long_tail(far, 0.0, 0.005, 0.1)
    reward = 2.0 * hamacher(scene.opening, reaching) + 8.0 * turned
    return evaluation(reward, far <= 0.02, near <= 0.05, scene.opening > 0.0, reaching, turned, far)


def door_unlock(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The lock within 2 cm of the goal along x; pays for the hand's shoulder being at the lock."""
    del action
    hinge = params.object + jnp.array([0.0, -0.118, 0.061])
    near = distance((scene.hand + _SHOULDER) * _LOCK_SCALE, scene.object * _LOCK_SCALE)
    first = distance((TIP + _SHOULDER) * _LOCK_SCALE, hinge * _LOCK_SCALE)
    far = jnp.abs(params.goal[0] - scene.object[0])
    ready, turned = long_tail(near, 0.0, 0.02, first), long_tail(far, 0.0, 0.005, 0.1)
    reward = 2.0 * ready + 8.0 * turned
    return evaluation(reward, far <= 0.02, near <= 0.05, scene.opening > 0.0, ready, turned, far)


def drawer_open(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The handle within 3 cm of the goal."""
    del action
    far = distance(scene.object, params.goal)
    opened = long_tail(far, 0.0, 0.02, 0.2)
    # The hand should come from above: errors in the plane count three times.
    scale = jnp.array([3.0, 3.0, 1.0])
    first = params.goal + jnp.array([0.0, 0.2, 0.0])
    error = distance(scene.object * scale, scene.hand * scale)
    caged = long_tail(error, 0.0, 0.01, distance(first * scale, TIP * scale))
    near = distance(scene.object, scene.hand)
    return evaluation(5.0 * (caged + opened), far <= 0.03, near <= 0.03, scene.opening > 0.0, caged, opened, far)


def drawer_close(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The handle within 6.5 cm of the goal, where 5 cm is as near as it comes."""
    first = params.object + jnp.array([0.0, -0.32, 0.14])
    near, far = distance(scene.object, scene.tip), distance(scene.object, params.goal)
    in_place = long_tail(far, 0.0, 0.05, jnp.abs(distance(first, params.goal) - 0.05))
    reaching = gaussian(near, 0.0, 0.005, jnp.abs(distance(first, TIP) - 0.005))
    reaching = hamacher(reaching, jnp.clip(action[3], 0.0, 1.0))
    success = far <= 0.065
    reward = 10.0 * jnp.where(success, 1.0, hamacher(reaching, in_place))
    return evaluation(reward, success, near <= 0.01, True, reaching, in_place, far)


def button_press_topdown(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The button within 2.4 cm of the goal's height."""
    del action
    near, far = distance(scene.object, scene.tip), jnp.abs(params.goal[2] - scene.object[2])
    # The button's top when nothing presses it, above the box that stands on its back.
    top = params.object[2] + 0.1935 * jnp.sin(1.57)
    reaching = long_tail(near, 0.0, 0.01, distance(scene.object, NEAR_TIP))
    pressed = long_tail(far, 0.0, 0.005, jnp.abs(params.goal[2] - top))
    reward = 5.0 * hamacher(1.0 - scene.opening, reaching) + jnp.where(near <= 0.03, 5.0 * pressed, 0.0)
    return evaluation(reward, far <= 0.024, near <= 0.05, scene.opening > 0.0, reaching, pressed, far)


def button_press_topdown_wall(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """As `button_press_topdown`, but for open fingers instead of closed ones."""
    return button_press_topdown(scene._replace(opening=1.0 - scene.opening), action, params)._replace(
        grasp_success=scene.opening > 0.0
    )


def button_press(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The button within 2 cm of the goal along y."""
    del action
    return _pushed(scene, params, travel=0.0935)


def coffee_button(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The machine's button within 2 cm of the goal along y, of 3 cm that it can go."""
    del action
    return _pushed(scene, params, travel=0.03)


def _pushed(scene: Scene, params: MetaWorldParams, travel: float) -> Evaluation:
    """A button that is pushed along y."""
    near, far = distance(scene.object, scene.tip), jnp.abs(params.goal[1] - scene.object[1])
    reaching = long_tail(near, 0.0, 0.05, distance(scene.object, NEAR_TIP))
    pressed = long_tail(far, 0.0, 0.005, travel)
    reward = 2.0 * hamacher(scene.opening, reaching) + jnp.where(near <= 0.05, 8.0 * pressed, 0.0)
    return evaluation(reward, far <= 0.02, near <= 0.05, scene.opening > 0.0, reaching, pressed, far)


def button_press_wall(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The button within 3 cm of the goal along y."""
    del action
    near, far = distance(scene.object, scene.tip), jnp.abs(params.goal[1] - scene.object[1])
    reaching = long_tail(near, 0.0, 0.01, distance(scene.object, NEAR_TIP))
    pressed = long_tail(far, 0.0, 0.005, 0.0935)
    coming = 2.0 * hamacher((1.0 - scene.opening) / 2.0, reaching)
    reward = jnp.where(near > 0.07, coming, 4.0 + 2.0 * scene.opening + 4.0 * pressed**2)
    return evaluation(reward, far <= 0.03, near <= 0.05, scene.opening > 0.0, reaching, pressed, far)


def faucet_open(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The end of the handle within 7 cm of the goal, right of the faucet."""
    del action
    return _turned(scene, params, scene.object + jnp.array([-0.04, 0.0, 0.03]))


def faucet_close(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The end of the handle within 7 cm of the goal, left of the faucet."""
    del action
    return _turned(scene, params, scene.object)


def _turned(scene: Scene, params: MetaWorldParams, end: Float[Array, "3"]) -> Evaluation:
    """A faucet whose handle is held to end at a place."""
    near, far = distance(end, scene.tip), distance(end, params.goal)
    in_place = long_tail(far, 0.0, 0.07, jnp.abs(distance(params.object, params.goal) - 0.07))
    reaching = gaussian(near, 0.0, 0.01, jnp.abs(distance(params.object, NEAR_TIP) - 0.01))
    reward = jnp.where(far <= 0.07, 10.0, 4.0 * reaching + 6.0 * in_place)
    return evaluation(reward, far <= 0.07, near <= 0.01, True, reaching, in_place, far)


def handle_press(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The handle within 2 cm of the goal's height."""
    del action
    first = params.goal + jnp.array([0.0, 0.0, 0.096])
    near, far = distance(scene.object, scene.tip), jnp.abs(scene.object[2] - params.goal[2])
    in_place = long_tail(far, 0.0, 0.02, jnp.abs(jnp.abs(first[2] - params.goal[2]) - 0.02))
    reaching = long_tail(near, 0.0, 0.02, jnp.abs(distance(first, TIP) - 0.02))
    reward = 10.0 * jnp.where(far <= 0.02, 1.0, hamacher(reaching, in_place))
    return evaluation(reward, far <= 0.02, near <= 0.05, True, reaching, in_place, far)


def handle_pull(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The right end of the handle within 5 cm of the goal's height."""
    start = params.object
    # The original compares the handle's y with the base's height, so this always holds.
    raised = scene.object[1] - 0.01 > start[2]
    caged = cage(scene, action[3], start, TIP, radius=0.022, reach=0.05, across=0.01)
    far, first = (jnp.abs(params.goal[2] - place[2]) for place in (scene.object, start))
    return _pulled_up(scene, start, raised, caged, far, first, within=0.05)


def handle_pull_side(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The middle of the handle within 8 cm of the goal."""
    start = params.object + jnp.array([0.17, -0.000135, 0.05])
    raised = scene.object[2] - 0.01 > start[2]
    caged = cage(scene, action[3], start, TIP, radius=0.032, reach=0.06, across=0.01)
    far, first = distance(scene.object, params.goal), distance(start, params.goal)
    return _pulled_up(scene, start, raised, caged, far, first, within=0.08)


def _pulled_up(
    scene: Scene, start: Array, raised: Array, caged: Array, far: Array, first: Array, within: float
) -> Evaluation:
    """A handle at distance `far` from the goal, `first` at the start."""
    near, in_place = distance(scene.object, scene.tip), long_tail(far, 0.0, 0.05, first)
    held = (near < 0.035) & (scene.opening > 0.0) & raised
    reward = hamacher(caged, in_place) + jnp.where(held, 1.0 + 5.0 * in_place, 0.0)
    reward = jnp.where(far < 0.05, 10.0, reward)
    grasped = (scene.opening > 0.0) & (scene.object[2] - 0.03 > start[2])
    return evaluation(reward, far <= within, near <= 0.05, grasped, caged, in_place, far)


def dial_turn(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The dial's mark within 7 cm of the goal; pays for closed fingers beside the dial."""
    beside = jnp.array([0.05, 0.02, 0.09])
    first = params.object + jnp.array([0.0, -0.05, 0.0]) + beside
    near, far = distance(scene.object + beside, scene.tip), distance(scene.object, params.goal)
    in_place = long_tail(far, 0.0, 0.07, jnp.abs(distance(first, params.goal) - 0.07))
    reaching = gaussian(near, 0.0, 0.005, jnp.abs(distance(first, TIP) - 0.005))
    reaching = hamacher(reaching, jnp.clip(action[3], 0.0, 1.0))
    return evaluation(10.0 * hamacher(reaching, in_place), far <= 0.07, near <= 0.01, True, reaching, in_place, far)


def lever_pull(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The lever within 7.5 degrees of upright; pays for the hand's shoulder being under it."""
    del action
    scale, first = jnp.array([4.0, 1.0, 4.0]), params.object + jnp.array([0.12, -0.2, 0.25])
    near = distance((scene.hand + _SHOULDER) * scale, scene.object * scale)
    ready = long_tail(near, 0.0, 0.02, distance((NEAR_TIP + _SHOULDER) * scale, first * scale))
    slope = jnp.abs(jnp.pi / 2.0 + scene.joint)
    upright = long_tail(slope, 0.0, jnp.pi / 48.0, jnp.pi * 5.0 / 12.0)
    in_place = long_tail(distance(scene.object, params.goal), 0.0, 0.04, distance(first, params.goal))
    reward = 10.0 * hamacher(ready, in_place)
    return evaluation(reward, slope <= jnp.pi / 24.0, near < 0.03, ready > 0.9, ready, upright, near)


def plate_slide(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The plate within 7 cm of the goal, in the net."""
    del action
    near, far = distance(scene.object, scene.tip), distance(scene.object, params.goal)
    in_place = long_tail(far, 0.0, 0.05, distance(params.object, params.goal))
    reaching = long_tail(near, 0.0, 0.05, distance(params.object, TIP))
    reward = jnp.where(far < 0.05, 10.0, 8.0 * hamacher(reaching, in_place))
    return evaluation(reward, far <= 0.07, near <= 0.03, False, reaching, in_place, far)


def plate_slide_back(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The plate within 7 cm of the goal; pays for its place while the tip is low, at the plate."""
    del action
    near, far = distance(scene.object, scene.tip), distance(scene.object, params.goal)
    in_place = long_tail(far, 0.0, 0.05, distance(params.object, params.goal) - 0.05)
    reaching = long_tail(near, 0.0, 0.05, distance(params.object, TIP) - 0.05)
    reward = jnp.where((scene.tip[2] <= 0.03) & (near < 0.07), 2.0 + 7.0 * in_place, 1.5 * reaching)
    reward = jnp.where(far < 0.05, 10.0, reward)
    return evaluation(reward, far <= 0.07, near <= 0.03, False, reaching, in_place, far)


def window_open(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The handle within 5 cm of the goal along x."""
    del action
    first = params.object + jnp.array([-0.04, -0.095, 0.0])
    near, far = distance(scene.object, scene.tip), jnp.abs(scene.object[0] - params.goal[0])
    in_place = long_tail(far, 0.0, 0.05, jnp.abs(jnp.abs(params.object[0] - params.goal[0]) - 0.05))
    reaching = long_tail(near, 0.0, 0.02, jnp.abs(distance(first, NEAR_TIP) - 0.02))
    return evaluation(10.0 * hamacher(reaching, in_place), far <= 0.05, near <= 0.05, True, reaching, in_place, far)


def window_close(scene: Scene, action: Action, params: MetaWorldParams) -> Evaluation:
    """The handle within 5 cm of the goal along x."""
    del action
    first = params.object + jnp.array([0.21, -0.095, 0.0])
    near, far = distance(scene.object, scene.tip), jnp.abs(scene.object[0] - params.goal[0])
    in_place = long_tail(far, 0.0, 0.05, jnp.abs(jnp.abs(first[0] - params.goal[0]) - 0.05))
    reaching = gaussian(near, 0.0, 0.02, jnp.abs(distance(first, NEAR_TIP) - 0.02))
    return evaluation(10.0 * hamacher(reaching, in_place), far <= 0.05, near <= 0.05, True, reaching, in_place, far)
