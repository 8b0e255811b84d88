"""Scripted policies that solve the tasks, closed loop on the observation."""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp

from jaxrl.environments.metaworld.tasks import TASKS
from jaxrl.errors import require_name
from jaxrl.types import Array, Bool, Float

__all__ = ["expert"]

Point = Float[Array, "3"]
Number = Float[Array, ""]
Move = tuple[Point, Number | float, Number | float]


def expert(name: str) -> Callable[[Float[Array, "39"]], Float[Array, "4"]]:
    """The scripted policy `observation -> action` of one task; the observation must show the goal.

    The hand is sent to a point by a = gain (point − hand), clipped to [−1, 1]. Which point depends on where hand and
    object are, so a disturbed or dropped object is approached again.

    Raises:
        UnknownNameError: for an unknown task.
    """
    require_name("Meta-World task", name, TASKS)
    if name in _EXPERTS_OF_TWO:
        return partial(_act_on_two, _EXPERTS_OF_TWO[name])
    return partial(_act, _EXPERTS[name])


def _act(move: Callable[[Point, Number, Point, Point], Move], observation: Float[Array, "39"]) -> Float[Array, "4"]:
    hand, opening, handle, goal = observation[:3], observation[3], observation[4:7], observation[36:]
    point, gain, effort = move(hand, opening, handle, goal)
    return jnp.append(jnp.clip(gain * (point - hand), -1.0, 1.0), jnp.asarray(effort, jnp.float32))


def _act_on_two(
    move: Callable[[Point, Number, Point, Point, Point], Move], observation: Float[Array, "39"]
) -> Float[Array, "4"]:
    """As `_act`, seeing a second object."""
    return _act(partial(move, observation[11:14]), observation)


def _beside(hand: Point, point: Point, tolerance: float) -> Bool[Array, ""]:
    """Whether the hand is off the vertical through `point` by more than `tolerance`."""
    return jnp.sum((hand - point)[:2] ** 2) > tolerance**2


def _off(hand: Point, point: Point, tolerance: float) -> Bool[Array, ""]:
    """Whether the hand is above or below `point` by more than `tolerance`."""
    return jnp.abs(hand[2] - point[2]) > tolerance


def _shift(point: Point, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Point:
    return point + jnp.array([x, y, z])


def _approach(hand: Point, above: Point, at: Point, then: Point, aligned: float, lowered: float) -> Point:
    """Over the object, down to it, and on."""
    return jnp.where(_beside(hand, at, aligned), above, jnp.where(_off(hand, at, lowered), at, then))


def _reach(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    return _shift(goal, z=0.045), 10.0, 0.0


def _push(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Closes the fingers around the puck and drags it over the table."""
    at = _shift(handle, x=-0.005, z=0.03)
    point = _approach(hand, _shift(at, z=0.1), at, _shift(goal, z=0.03), 0.02, 0.015)
    return point, 10.0, jnp.where(_beside(hand, at, 0.02) | _off(hand, at, 0.07), 0.0, 0.6)


def _pick_place(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Closes the fingers around the puck, waits until they hold it, and carries it."""
    at = _shift(handle, x=-0.005, z=0.03)
    carry = jnp.where(opening > 0.73, hand, goal + hand - handle)
    point = _approach(hand, _shift(at, z=0.07), at, carry, 0.02, 0.02)
    return point, 10.0, jnp.where(_beside(hand, at, 0.03) | _off(hand, at, 0.04), 0.0, 1.0)


def _door_open(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Hooks the fingers behind the handle and pulls it around the hinge."""
    hook = _shift(handle, x=0.01, y=0.02)
    pull = _shift(handle, x=-0.05)
    point = jnp.where(_beside(hand, pull, 0.12), _shift(hook, z=0.2), jnp.where(_off(hand, hook, 0.04), hook, pull))
    return point, 25.0, 1.0


def _door_close(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Pushes the open door from its outer side."""
    level = handle[2] + 0.06
    beside = jnp.array([handle[0] - 0.12, handle[1] + 0.12, level])
    ready = (jnp.abs(hand[2] - level) < 0.03) & (hand[0] > handle[0] - 0.17)
    return jnp.where(ready, jnp.append(goal[:2] + jnp.array([0.02, 0.06]), level), beside), 25.0, 1.0


def _drawer_open(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Brings the handle between the open fingers and draws it."""
    at = _shift(handle, z=-0.02)
    point = _approach(hand, _shift(at, z=0.2), at, _shift(at, y=-0.06), 0.06, 0.04)
    arrived = ~(_beside(hand, at, 0.06) | _off(hand, at, 0.04))
    return point, jnp.where(arrived, 50.0, 6.0), -1.0


def _drawer_close(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Goes down in front of the handle and pushes."""
    front = _shift(handle, y=-0.075, z=-0.02)
    over = (hand[1] > handle[1] - 0.03) & _off(hand, front, 0.04)
    point = jnp.where(over, _shift(front, z=0.2), jnp.where(_off(hand, front, 0.04), front, _shift(front, y=0.075)))
    return point, 25.0, 1.0


def _button_press_topdown(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Presses with closed fingers from above."""
    return jnp.where(_beside(hand, handle, 0.04), _shift(handle, z=0.1), handle), 25.0, 1.0


def _grasp(
    hand: Point, opening: Number, at: Point, then: Point, closed: float, effort: float = 0.7, aligned: float = 0.04
) -> Move:
    """Over the object, down to it, closing the fingers until their opening is below `closed`, and on."""
    held = jnp.where(opening > closed, at, then)
    point = _approach(hand, _shift(at, z=0.15), at, held, aligned, 0.03)
    return point, 20.0, jnp.where(_beside(hand, at, 0.03) | _off(hand, at, 0.04), -1.0, effort)


def _push_wall(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Drags the puck around the left end of the wall."""
    before, level = handle[1] < 0.82, 0.055
    aside = jnp.stack([jnp.float32(-0.11), jnp.where(handle[0] < -0.09, hand[1] + 0.1, hand[1]), jnp.float32(level)])
    then = jnp.where(before, aside, goal.at[2].set(level))
    return _grasp(hand, opening, _shift(handle, z=0.035), then, 0.57)


def _pick_place_wall(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Carries the puck over the wall, then to the goal."""
    before, carry = handle[1] < 0.8, goal + hand - handle
    over = jnp.where(handle[2] > 0.2, carry.at[2].set(0.27), hand.at[2].set(0.27))
    return _grasp(hand, opening, _shift(handle, z=0.035), jnp.where(before, over, carry), 0.57)


def _push_back(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Closes the fingers around the block and drags it over the table."""
    return _grasp(hand, opening, _shift(handle, z=0.04), _shift(goal, z=0.055), 0.57, effort=0.9)


def _hand_insert(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Carries the block above the hole, and presses it in."""
    then = jnp.where(_beside(hand, goal, 0.02), goal.at[2].set(0.11), _shift(goal, z=0.04))
    return _grasp(hand, opening, _shift(handle, z=0.03), then, 0.5)


def _pick_out_of_hole(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Takes the puck gently, lifts it out, and carries it."""
    carry = goal + hand - handle
    then = jnp.where(handle[2] > 0.12, carry, hand.at[2].set(carry[2]))
    return _grasp(hand, opening, _shift(handle, z=0.03), then, 0.5, effort=0.3)


def _soccer(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Drags the ball to where the goal is straight ahead, lets go of it, and pushes it with closed fingers."""
    behind, around = _shift(handle, y=-0.07).at[2].set(0.05), ~_beside(hand, handle, 0.035)
    lined = (hand[2] < 0.09) & (hand[1] < handle[1] - 0.03) & (jnp.abs(hand[0] - handle[0]) < 0.015)
    up = jnp.where(around & (opening < 0.9), hand, _shift(hand, z=0.1))
    down = jnp.where(_beside(hand, behind, 0.015), behind.at[2].set(0.15), behind)
    leave = ~_beside(hand, handle, 0.06) & (hand[2] < 0.13)
    push = jnp.where(lined, _shift(behind, y=0.17), jnp.where(leave, up, down))
    drag, gain, effort = _grasp(
        hand, opening, _shift(handle, y=-0.013, z=0.025), hand.at[0].set(goal[0]).at[2].set(0.055), 0.66
    )
    ahead = jnp.abs(handle[0] - goal[0]) < 0.025
    return jnp.where(ahead, push, drag), gain, jnp.where(ahead, jnp.where(around, -1.0, 1.0), effort)


def _sweep(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Carries the block to the right, and throws it over the last of the way, which the arm does not reach."""
    point, gain, effort = _grasp(hand, opening, _shift(handle, z=0.052), _shift(goal, z=0.1), 0.55)
    return point, gain, jnp.where(handle[0] > 0.4, -1.0, effort)


def _sweep_into(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Closes the fingers around the block and drags it over the hole."""
    return _grasp(hand, opening, _shift(handle, z=0.03), goal.at[2].set(0.105), 0.57)


def _bin_picking(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Takes the block away from the bin's walls, carries it over them, and puts it into the other bin."""
    at = _shift(handle, z=0.03)
    at = at.at[1].set(jnp.clip(at[1], goal[1] - 0.025, goal[1] + 0.025))
    carry = goal + hand - handle
    high = jnp.where(handle[2] > 0.1, carry, hand).at[2].set(0.18)
    then = jnp.where(_beside(handle, goal, 0.03), high, carry.at[2].set(0.07))
    return _grasp(hand, opening, at, then, 0.53, effort=0.6, aligned=0.02)


def _basketball(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Takes the ball, lifts it above the hoop, and carries it there."""
    aside = jnp.where(handle[2] > 0.29, goal[:2] + hand[:2] - handle[:2], hand[:2])
    return _grasp(hand, opening, _shift(handle, z=0.03), jnp.append(aside, 0.36), 0.77)


def _coffee(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Closes the fingers around the mug and drags it to the machine, or away from it."""
    return _grasp(hand, opening, _shift(handle, x=-0.005, z=0.05), goal.at[2].set(0.05), 0.7, aligned=0.06)


def _peg_unplug_side(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Closes the fingers around the plug and draws it out along x."""
    at = _shift(handle, x=-0.02, z=0.02)
    return _grasp(hand, opening, at, _shift(hand, x=0.05), 0.9)


def _shelf_place(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Takes the block, lifts it before the shelf, and brings it in."""
    high, level = handle[2] > 0.28, goal[2] + 0.06
    across = jnp.where(high, goal[0] + hand[0] - handle[0], hand[0])
    inwards = jnp.where(high & (jnp.abs(handle[0] - goal[0]) < 0.02), goal[1], hand[1])
    return _grasp(hand, opening, _shift(handle, z=0.035), jnp.stack([across, inwards, level]), 0.5)


def _peg_insert_side(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Holds the peg near its end, lifts it to the height of the hole, and drives it in along x, once it is held."""
    # The point that is held lies 1 cm above the peg's axis.
    hole = _shift(goal, z=0.01) + hand - handle
    aligned = jnp.sum((hole - hand)[1:] ** 2) < 0.02**2
    carry = jnp.where(aligned, _shift(hole, x=-0.1), hole.at[0].set(goal[0] + 0.32))
    carry = jnp.where(opening > 0.4, handle, carry)
    point = _approach(hand, _shift(handle, z=0.2), handle, carry, 0.04, 0.035)
    return point, 25.0, jnp.where(_beside(hand, handle, 0.04) | _off(hand, handle, 0.15), -1.0, 0.6)


def _window(direction: float, hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Goes down beside the handle and pushes it along x."""
    at = _shift(handle, x=-0.03 * direction, y=-0.03, z=-0.08)
    return _approach(hand, _shift(at, z=0.25), at, _shift(at, x=0.1 * direction), 0.04, 0.02), 25.0, 1.0


def _reach_wall(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Over the wall, then down to the goal."""
    before = (hand[1] < 0.82) & (hand[2] < 0.22)
    over = jnp.stack([goal[0], hand[1], jnp.float32(0.3)])
    return jnp.where(before & (hand[1] > 0.62), over, _shift(goal, z=0.045)), 10.0, 0.0


def _button_press(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Comes to the button's height in front of it, and pushes."""
    at = _shift(handle, z=-0.06)
    aligned = (jnp.abs(hand[0] - at[0]) < 0.02) & (jnp.abs(hand[2] - at[2]) < 0.02)
    waiting = at.at[1].set(jnp.minimum(hand[1], handle[1] - 0.12))
    return jnp.where(aligned, _shift(at, y=0.04), waiting), 25.0, 0.0


def _coffee_button(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Comes to the button's height with open fingers, and pushes with the palm."""
    at = _shift(handle, z=-0.07)
    aligned = jnp.sum((hand - at)[jnp.array([0, 2])] ** 2) < 0.02**2
    return jnp.where(aligned, _shift(at, y=0.2), at.at[1].set(hand[1])), 10.0, -1.0


def _button_press_wall(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Rises over the wall, comes down behind it, and pushes with open fingers."""
    at = _shift(handle, z=0.04)
    high = jnp.stack([at[0], jnp.where(jnp.abs(hand[0] - at[0]) > 0.02, hand[1], at[1]), jnp.float32(0.3)])
    coming = (jnp.abs(hand[0] - at[0]) > 0.02) | (at[1] - hand[1] > 0.09)
    level = ~_off(hand, at, 0.02)
    point = jnp.where(coming, high, jnp.where(level, _shift(at, y=-0.02), _shift(at, y=-0.05)))
    return point, 15.0, jnp.where(coming | ~level, 1.0, -1.0)


def _button_press_topdown_wall(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Presses with the palm behind open fingers."""
    at = _shift(handle, y=-0.06)
    return jnp.where(_beside(hand, at, 0.04), _shift(at, z=0.1), at), 25.0, -1.0


def _faucet(direction: float, hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Goes down beside the end of the handle and turns it."""
    at = _shift(handle, x=-0.04 * direction, z=0.03)
    turn = _shift(at, x=0.1 * direction, y=0.05)
    return _approach(hand, _shift(at, z=0.1), at, turn, 0.04, 0.04), 25.0, 1.0


def _handle_press(aside: float, effort: float, hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Presses from above."""
    over = _shift(handle, y=aside)
    return jnp.where(_beside(hand, over, 0.02), _shift(over, z=0.2), _shift(over, z=-0.3)), 25.0, effort


def _handle_pull(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Closes the fingers around the handle and lifts it, slowly, for it is strongly damped."""
    at = _shift(handle, z=0.02)
    return _grasp(hand, opening, at, _shift(at, z=0.015), 0.75)


def _dial_turn(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Goes down beside the dial's mark with closed fingers, and pushes it around."""
    at = _shift(handle, x=0.05, y=0.02, z=0.09)
    return _approach(hand, at.at[2].set(0.2), at, _shift(at, x=-0.05, y=0.005), 0.02, 0.02), 10.0, 1.0


def _lever_pull(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Comes up under the lever's end, in front of it, and pushes it up and back."""
    at = _shift(handle, y=-0.055)
    return _approach(hand, _shift(at, z=-0.1), at, _shift(at, y=0.08, z=0.02), 0.02, 0.02), 25.0, 1.0


def _door_lock(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Rises in front of the lock, comes down on it, and turns it."""
    at = _shift(handle, x=-0.02, y=-0.02)
    above = jnp.where(hand[2] < 0.25, _shift(hand, y=-0.1, z=0.1), _shift(at, z=0.3))
    return _approach(hand, above, at, _shift(at, x=-0.1, z=-0.1), 0.02, 0.02), 25.0, -1.0


def _door_unlock(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Comes to the lock from below its left side, and pushes it to the right."""
    at = _shift(handle, x=-0.04, y=-0.02, z=-0.03)
    below = jnp.where(hand[2] > 0.15, _shift(hand, y=-0.1, z=-0.1), at)
    return jnp.where(_beside(hand, at, 0.02), below, _shift(at, x=0.1, z=0.01)), 25.0, 1.0


def _plate_slide(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Goes down in front of the plate and pushes it into the net."""
    at = _shift(handle, y=-0.055, z=0.03)
    then = jnp.stack([goal[0], jnp.float32(0.9), at[2]])
    return _approach(hand, _shift(at, z=0.1), at, then, 0.03, 0.04), 10.0, -1.0


def _plate_slide_side(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Goes down on the right of the plate and pushes it into the net."""
    at = _shift(handle, x=0.07, z=0.025)
    return _approach(hand, _shift(at, z=0.1), at, _shift(at, x=-0.1), 0.04, 0.04), 10.0, -1.0


def _plate_slide_back(x: float, y: float, hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Presses the plate down, drags it out of the net, and on to the goal."""
    at = _shift(handle, x=x, y=y, z=0.025)
    drag = hand + 0.3 * (goal - handle)
    return _approach(hand, _shift(at, z=0.1), at, drag.at[2].set(at[2]), 0.02, 0.04), 10.0, -1.0


def _assembly(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Holds the nut at its handle, lifts it above the peg, and lets it down over it."""
    at, off = _shift(handle, x=-0.02, z=0.03), goal[:2] - handle[:2] + jnp.array([0.13, 0.0])
    over, above = hand[:2] + off, hand[2] > goal[2] + 0.11
    lifted = jnp.where(above, jnp.append(over, goal[2] + 0.14), hand.at[2].set(goal[2] + 0.14))
    aligned = jnp.sum(off**2) < 0.015**2
    return _grasp(hand, opening, at, jnp.where(aligned, jnp.append(over, goal[2] - 0.06), lifted), 0.6)


def _disassemble(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Holds the nut at its handle and lifts it."""
    return _grasp(hand, opening, _shift(handle, x=-0.02, z=0.03), _shift(hand, z=0.1), 0.6, effort=0.8)


def _box_close(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Takes the lid by its handle, lifts it above the box, and lets it down."""
    carry = goal + hand - handle
    then = jnp.where(_beside(hand, carry, 0.03), jnp.where(hand[2] > 0.18, carry, hand).at[2].set(0.22), carry)
    return _grasp(hand, opening, _shift(handle, z=0.07), then, 0.35, effort=1.0, aligned=0.02)


def _hammer(hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Holds the hammer's handle, lifts it before the nail, and drives that in."""
    ready = goal + jnp.array([-0.19, 0.0, 0.05])
    aligned = jnp.sum((hand - ready)[jnp.array([0, 2])] ** 2) < 0.02**2
    then = jnp.where(aligned, ready, ready.at[1].set(hand[1]))
    return _grasp(hand, opening, _shift(handle, x=-0.04, z=0.02), then, 0.6, effort=0.8)


def _thrust(thermos: Point, hand: Point, handle: Point) -> Point:
    """Brings the stick in front of the middle of the thermos, and on along x."""
    ready = (thermos + hand - handle).at[0].set(hand[0])
    before = _off(handle, thermos, 0.02) | (jnp.abs(handle[1] - thermos[1]) > 0.02)
    return jnp.where(before, ready, _shift(ready, x=0.1))


def _stick_push(thermos: Point, hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Takes the stick, lifts it before the thermos, and pushes."""
    return _grasp(hand, opening, _shift(handle, x=0.015, z=0.03), _thrust(thermos, hand, handle), 0.6)


def _stick_pull(thermos: Point, hand: Point, opening: Number, handle: Point, goal: Point) -> Move:
    """Takes the stick, puts it through the handle of the thermos, and pulls."""
    through = handle[0] > thermos[0] - 0.03
    then = jnp.where(through, _shift(goal, x=-0.05), _thrust(thermos, hand, handle))
    return _grasp(hand, opening, _shift(handle, x=-0.015, z=0.03), then, 0.6)


_EXPERTS_OF_TWO: dict[str, Callable[[Point, Point, Number, Point, Point], Move]] = {
    "stick-push": _stick_push,
    "stick-pull": _stick_pull,
}
_EXPERTS: dict[str, Callable[[Point, Number, Point, Point], Move]] = {
    "reach": _reach,
    "push": _push,
    "pick-place": _pick_place,
    "push-wall": _push_wall,
    "pick-place-wall": _pick_place_wall,
    "push-back": _push_back,
    "hand-insert": _hand_insert,
    "pick-out-of-hole": _pick_out_of_hole,
    "soccer": _soccer,
    "sweep": _sweep,
    "sweep-into": _sweep_into,
    "bin-picking": _bin_picking,
    "basketball": _basketball,
    "coffee-push": _coffee,
    "coffee-pull": _coffee,
    "peg-unplug-side": _peg_unplug_side,
    "shelf-place": _shelf_place,
    "assembly": _assembly,
    "disassemble": _disassemble,
    "box-close": _box_close,
    "hammer": _hammer,
    "door-open": _door_open,
    "door-close": _door_close,
    "drawer-open": _drawer_open,
    "drawer-close": _drawer_close,
    "button-press-topdown": _button_press_topdown,
    "peg-insert-side": _peg_insert_side,
    "dial-turn": _dial_turn,
    "lever-pull": _lever_pull,
    "door-lock": _door_lock,
    "door-unlock": _door_unlock,
    "plate-slide": _plate_slide,
    "plate-slide-back": partial(_plate_slide_back, 0.0, -0.065),
    "plate-slide-side": _plate_slide_side,
    "plate-slide-back-side": partial(_plate_slide_back, 0.023, 0.0),
    "reach-wall": _reach_wall,
    "button-press": _button_press,
    "coffee-button": _coffee_button,
    "faucet-open": partial(_faucet, 1.0),
    "faucet-close": partial(_faucet, -1.0),
    "button-press-wall": _button_press_wall,
    "button-press-topdown-wall": _button_press_topdown_wall,
    "handle-press": partial(_handle_press, -0.02, -1.0),
    "handle-press-side": partial(_handle_press, 0.0, 1.0),
    "handle-pull": _handle_pull,
    "handle-pull-side": _handle_pull,
    "window-open": partial(_window, 1.0),
    "window-close": partial(_window, -1.0),
}
