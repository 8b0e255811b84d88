"""The tasks: scene, reward, what is observed of the object, and the ranges that its variation is drawn from."""

from collections.abc import Callable
from typing import NamedTuple

from jaxrl.environments.metaworld.rewards import loose, mechanisms

__all__ = ["TASKS", "Task"]

Vector = tuple[float, float, float]
_ORIGIN: Vector = (0.0, 0.0, 0.0)
_UPRIGHT = (1.0, 0.0, 0.0, 0.0)


class Task(NamedTuple):
    """One task; positions in metres.

    Attributes:
        scene: the model, see `models.load_model`.
        reward: see `rewards`.
        objects: lowest and highest first position of the object.
        goals: lowest and highest goal; where `goal_offset` is set, that of the goal from the object.
        object: the default object position.
        goal: the default goal, or the goal's offset from the object.
        relative: along which axes the goal stands at a fixed offset from the object; None where it is drawn.
        apart: how far apart object and goal are at least, in the plane.
        hand: where the hand starts: `middle`, `near` the arm's foot, or on its left `side`.
        floor: how low the hand can be sent, m.
        joint: where the mechanism starts, m or rad; for each of its joints, if they are several.
        first_joint: where the first observation shows it.
        tracked: what is observed: a point in the frame of the moving body ...
        lifted: ... and an offset in the world's frame.
        head: a second point in that frame, for the reward.
        fixture: where what is fixed around the goal stands from it; None where nothing is, or it stays where it is.
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
    floor: float = 0.05
    joint: float | tuple[float, float] = 0.0
    first_joint: float | tuple[float, float] = 0.0
    tracked: Vector = _ORIGIN
    lifted: Vector = _ORIGIN
    head: Vector | None = None
    fixture: Vector | None = None
    orientation: str = "none"
    turn: tuple[float, float, float, float] = _UPRIGHT


_PUCK = Task(
    scene="puck",
    reward=loose.reach,
    objects=((-0.1, 0.6, 0.02), (0.1, 0.7, 0.02)),
    goals=((-0.1, 0.8, 0.05), (0.1, 0.9, 0.3)),
    object=(0.0, 0.6, 0.02),
    goal=(-0.1, 0.8, 0.2),
    relative=None,
    apart=0.15,
    orientation="xyzw",
)
# The original's puck has sunk into the table by 0.6 mm when its height becomes that of start and goal.
_SUNK = 0.019404684
# Likewise the block of shelf-place, and that of sweep-into, which the table with the hole has lifted.
_SUNK_BLOCK, _RAISED = 0.019936, 0.0699355
_DOOR = Task(
    scene="door",
    reward=mechanisms.door_open,
    objects=((0.0, 0.85, 0.15), (0.1, 0.95, 0.15)),
    goals=(_ORIGIN, _ORIGIN),
    object=(0.1, 0.95, 0.15),
    goal=(-0.3, -0.45, 0.0),
    tracked=(0.37572163, -0.107139895, 0.000035949),
    orientation="xyzw",
    turn=(0.151171086, 0.690758498, -0.150620969, 0.690878661),
)
_DRAWER = Task(
    scene="drawer",
    reward=mechanisms.drawer_open,
    objects=((-0.1, 0.9, 0.0), (0.1, 0.9, 0.0)),
    goals=(_ORIGIN, _ORIGIN),
    object=(0.0, 0.9, 0.0),
    goal=(0.0, -0.36, 0.09),
    lifted=(0.0, -0.16, 0.0),
    orientation="wxyz",
)
_WINDOW = Task(
    scene="window",
    reward=mechanisms.window_open,
    objects=((-0.1, 0.7, 0.16), (0.1, 0.9, 0.16)),
    goals=(_ORIGIN, _ORIGIN),
    object=(-0.1, 0.785, 0.16),
    goal=(0.2, 0.0, 0.0),
    hand="near",
    tracked=(-0.04, -0.095, 0.0),
)

_FAUCET = Task(
    scene="faucet",
    reward=mechanisms.faucet_open,
    objects=((-0.05, 0.8, 0.0), (0.05, 0.85, 0.0)),
    goals=(_ORIGIN, _ORIGIN),
    object=(0.0, 0.8, 0.0),
    goal=(0.175, 0.0, 0.125),
    hand="near",
    floor=-0.15,
    tracked=(-0.015, -0.175, 0.0),
    lifted=(0.0, 0.0, -0.01),
    orientation="fixed",
)

_BUTTON = Task(
    scene="button",
    reward=mechanisms.button_press_topdown,
    objects=((-0.1, 0.8, 0.115), (0.1, 0.9, 0.115)),
    goals=(_ORIGIN, _ORIGIN),
    object=(0.0, 0.8, 0.115),
    goal=(0.0, -0.000079633, 0.099999968),
    hand="near",
    joint=0.000462,
    first_joint=0.000462,
    lifted=(0.0, 0.0, 0.193),
    orientation="wxyz",
)
_SIDE_BUTTON = Task(
    scene="button-side",
    reward=mechanisms.button_press,
    objects=((-0.1, 0.85, 0.115), (0.1, 0.9, 0.115)),
    goals=(_ORIGIN, _ORIGIN),
    object=(0.0, 0.9, 0.115),
    goal=(0.0, -0.1, 0.0),
    hand="near",
    lifted=(0.0, -0.193, 0.0),
    orientation="wxyz",
)
_HANDLE = Task(
    scene="handle",
    reward=mechanisms.handle_press,
    objects=((-0.1, 0.8, -0.001), (0.1, 0.9, 0.001)),
    goals=(_ORIGIN, _ORIGIN),
    object=(0.0, 0.9, 0.0),
    goal=(0.0, -0.216, 0.075),
    joint=-0.001,
    first_joint=-0.001,
    tracked=(0.0, -0.166, 0.022),
)

_LOCK = Task(
    scene="lock",
    reward=mechanisms.door_lock,
    objects=((-0.1, 0.8, 0.15), (0.1, 0.85, 0.15)),
    goals=(_ORIGIN, _ORIGIN),
    object=(0.0, 0.85, 0.15),
    goal=(0.0, -0.158, -0.039),
    tracked=(0.09, -0.04, 0.01),
    orientation="fixed",
)
_PLATE = Task(
    scene="plate",
    reward=mechanisms.plate_slide,
    objects=((0.0, 0.6, 0.0), (0.0, 0.6, 0.0)),
    goals=((-0.1, 0.85, 0.0), (0.1, 0.9, 0.0)),
    object=(0.0, 0.6, 0.0),
    goal=(0.0, 0.85, 0.02),
    relative=None,
    joint=(0.0, 0.0),
    first_joint=(0.0, 0.0),
    fixture=_ORIGIN,
    orientation="xyzw",
)

TASKS: dict[str, Task] = {
    "reach": _PUCK,
    "reach-wall": _PUCK._replace(
        scene="flat-puck-wall",
        reward=loose.reach_wall,
        objects=((-0.05, 0.6, 0.015), (0.05, 0.65, 0.015)),
        goals=((-0.05, 0.85, 0.05), (0.05, 0.9, 0.3)),
        object=(0.0, 0.6, 0.015),
        goal=(-0.05, 0.85, 0.2),
    ),
    "push": _PUCK._replace(
        reward=loose.push,
        objects=((-0.1, 0.6, _SUNK), (0.1, 0.7, _SUNK)),
        goals=((-0.1, 0.8, _SUNK), (0.1, 0.9, _SUNK)),
        object=(0.0, 0.6, _SUNK),
        goal=(0.1, 0.8, _SUNK),
    ),
    "pick-place": _PUCK._replace(reward=loose.pick_place, goal=(0.1, 0.8, 0.2)),
    "push-wall": _PUCK._replace(
        scene="puck-wall",
        reward=loose.push_wall,
        objects=((-0.05, 0.6, _SUNK), (0.05, 0.65, _SUNK)),
        goals=((-0.05, 0.85, _SUNK), (0.05, 0.9, _SUNK)),
        object=(0.0, 0.6, _SUNK),
        goal=(0.05, 0.8, _SUNK),
    ),
    "pick-place-wall": _PUCK._replace(
        scene="puck-wall",
        reward=loose.pick_place_wall,
        objects=((-0.05, 0.6, 0.015), (0.05, 0.65, 0.015)),
        goals=((-0.05, 0.85, 0.05), (0.05, 0.9, 0.3)),
        object=(0.0, 0.6, 0.015),
        goal=(0.05, 0.8, 0.2),
    ),
    "push-back": _PUCK._replace(
        scene="heavy-block",
        reward=loose.push_back,
        objects=((-0.1, 0.8, _SUNK_BLOCK), (0.1, 0.85, _SUNK_BLOCK)),
        goals=((-0.1, 0.6, _SUNK_BLOCK), (0.1, 0.7, _SUNK_BLOCK)),
        object=(0.0, 0.8, _SUNK_BLOCK),
        goal=(0.0, 0.6, _SUNK_BLOCK),
    ),
    # The original's default goal lies 6 cm lower, where the block cannot come near.
    "hand-insert": _PUCK._replace(
        scene="block-hole",
        reward=loose.hand_insert,
        objects=((-0.1, 0.6, 0.05), (0.1, 0.7, 0.05)),
        goals=((-0.04, 0.8, -0.0201), (0.04, 0.88, -0.0199)),
        object=(0.0, 0.6, 0.05),
        goal=(0.0, 0.84, -0.02),
        floor=-0.15,
        orientation="wxyz",
    ),
    "pick-out-of-hole": _PUCK._replace(
        scene="puck-hole",
        reward=loose.pick_out_of_hole,
        objects=((0.0, 0.75, 0.02), (0.0, 0.75, 0.02)),
        goals=((-0.1, 0.5, 0.15), (0.1, 0.6, 0.3)),
        object=(0.0, 0.75, 0.02),
        goal=(0.0, 0.6, 0.2),
        floor=-0.05,
        orientation="wxyz",
    ),
    "soccer": _PUCK._replace(
        scene="soccer",
        reward=loose.soccer,
        objects=((-0.1, 0.6, 0.03), (0.1, 0.7, 0.03)),
        goals=((-0.1, 0.8, 0.0), (0.1, 0.9, 0.0)),
        object=(0.0, 0.6, 0.03),
        goal=(0.0, 0.9, 0.0),
        fixture=_ORIGIN,
    ),
    "sweep": _PUCK._replace(
        scene="block",
        reward=loose.sweep,
        goal=(0.5, 0.0, 0.01),
        relative=(0.0, 1.0, 0.0),
        orientation="wxyz",
    ),
    "sweep-into": _PUCK._replace(
        scene="block-hole",
        reward=loose.sweep_into,
        objects=((-0.1, 0.6, _RAISED), (0.1, 0.7, _RAISED)),
        goals=((0.0, 0.84, 0.02), (0.0, 0.84, 0.02)),
        object=(0.0, 0.6, _RAISED),
        goal=(0.0, 0.84, 0.02),
    ),
    "bin-picking": _PUCK._replace(
        scene="bins",
        reward=loose.bin_picking,
        objects=((-0.21, 0.65, 0.0299951), (-0.03, 0.75, 0.0299951)),
        goals=((0.12, 0.7, 0.0), (0.12, 0.7, 0.0)),
        object=(-0.12, 0.7, 0.0299951),
        goal=(0.12, 0.7, 0.0),
        floor=0.07,
        orientation="wxyz",
    ),
    "basketball": _PUCK._replace(
        scene="basketball",
        reward=loose.basketball,
        objects=((-0.1, 0.6, 0.03), (0.1, 0.7, 0.03)),
        goals=((-0.1, 0.767, 0.25), (0.1, 0.817, 0.25)),
        object=(0.0, 0.6, 0.03),
        goal=(0.0, 0.817, 0.25),
        fixture=(0.0, 0.083, -0.25),
        orientation="wxyz",
    ),
    "shelf-place": _PUCK._replace(
        scene="shelf",
        reward=loose.shelf_place,
        objects=((-0.1, 0.5, _SUNK_BLOCK), (0.1, 0.6, _SUNK_BLOCK)),
        goals=((-0.1, 0.8, 0.299), (0.1, 0.9, 0.301)),
        object=(0.0, 0.6, _SUNK_BLOCK),
        goal=(0.0, 0.85, 0.301),
        fixture=(0.0, 0.0, -0.3),
    ),
    "door-open": _DOOR,
    "door-close": _DOOR._replace(
        reward=mechanisms.door_close, goal=(0.2, -0.2, 0.0), hand="side", joint=-1.5708, first_joint=-1.5708
    ),
    "door-lock": _LOCK,
    "door-unlock": _LOCK._replace(
        reward=mechanisms.door_unlock,
        goal=(0.1, -0.158, 0.061),
        joint=1.5708,
        first_joint=1.5708,
        tracked=(0.09, -0.04, -0.01),
    ),
    "drawer-open": _DRAWER,
    "drawer-close": _DRAWER._replace(
        reward=mechanisms.drawer_close,
        goal=(0.0, -0.16, 0.09),
        joint=-0.15,
        first_joint=-0.15,
        lifted=(0.0, -0.16, 0.05),
        orientation="none",
    ),
    "button-press-topdown": _BUTTON,
    "button-press-topdown-wall": _BUTTON._replace(scene="button-wall", reward=mechanisms.button_press_topdown_wall),
    "button-press": _SIDE_BUTTON,
    "button-press-wall": _SIDE_BUTTON._replace(
        scene="button-side-wall",
        reward=mechanisms.button_press_wall,
        objects=((-0.05, 0.85, 0.1149), (0.05, 0.9, 0.1151)),
    ),
    "coffee-button": Task(
        scene="coffee",
        reward=mechanisms.coffee_button,
        objects=((-0.1, 0.8, -0.001), (0.1, 0.9, 0.001)),
        goals=(_ORIGIN, _ORIGIN),
        object=(0.0, 0.9, 0.0),
        goal=(0.0, -0.19, 0.3),
        hand="near",
        tracked=(0.0, -0.22, 0.3),
        orientation="fixed",
    ),
    "faucet-open": _FAUCET,
    "faucet-close": _FAUCET._replace(
        reward=mechanisms.faucet_close,
        objects=((-0.1, 0.8, 0.0), (0.1, 0.85, 0.0)),
        goal=(-0.175, 0.0, 0.125),
        tracked=(0.015, -0.175, 0.0),
    ),
    "handle-press": _HANDLE,
    "handle-press-side": _HANDLE._replace(
        scene="handle-side",
        objects=((-0.35, 0.65, -0.001), (-0.25, 0.75, 0.001)),
        object=(-0.3, 0.7, 0.0),
        goal=(0.21599993, -0.000172, 0.075),
    ),
    "handle-pull": _HANDLE._replace(
        scene="handle-lifted",
        reward=mechanisms.handle_pull,
        goal=(0.0, -0.216, 0.172),
        joint=-0.1,
        first_joint=-0.1,
        tracked=(0.05, -0.166, 0.014),
    ),
    "handle-pull-side": _HANDLE._replace(
        scene="handle-lifted-side",
        reward=mechanisms.handle_pull_side,
        objects=((-0.35, 0.65, 0.0), (-0.25, 0.75, 0.0)),
        object=(-0.3, 0.7, 0.0),
        goal=(0.21599993, -0.000172, 0.172),
        joint=-0.1,
        first_joint=-0.1,
        tracked=(0.0, -0.12, 0.0),
    ),
    "peg-insert-side": Task(
        scene="peg",
        reward=loose.peg_insert_side,
        objects=((0.0, 0.5, 0.02), (0.2, 0.7, 0.02)),
        goals=((-0.32, 0.4, 0.129), (-0.22, 0.7, 0.131)),
        object=(0.0, 0.6, 0.02),
        goal=(-0.27, 0.6, 0.13),
        relative=None,
        apart=0.1,
        tracked=(0.03, 0.0, 0.01),
        head=(-0.1, 0.0, 0.0),
        fixture=(-0.03, 0.0, -0.13),
        orientation="xyzw",
    ),
    "dial-turn": Task(
        scene="dial",
        reward=mechanisms.dial_turn,
        objects=((-0.1, 0.7, 0.0), (0.1, 0.8, 0.0)),
        goals=(_ORIGIN, _ORIGIN),
        object=(0.0, 0.7, 0.0),
        goal=(0.0, 0.03, 0.03),
        tracked=(0.0, -0.05, 0.0),
        orientation="wxyz",
    ),
    "lever-pull": Task(
        scene="lever",
        reward=mechanisms.lever_pull,
        objects=((-0.1, 0.7, 0.0), (0.1, 0.8, 0.0)),
        goals=(_ORIGIN, _ORIGIN),
        object=(0.0, 0.7, 0.0),
        goal=(0.12, 0.0, 0.45),
        hand="near",
        joint=0.000891,
        first_joint=0.000891,
        tracked=(0.0, -0.2, 0.0),
        orientation="xyzw",
        turn=(0.662500039, 0.662500039, -0.247171395, 0.247171395),
    ),
    # The original's net stays where it is in three of the four; its plate starts in it where it is to come out.
    "plate-slide": _PLATE,
    "plate-slide-back": _PLATE._replace(
        reward=mechanisms.plate_slide_back,
        objects=((0.0, 0.85, 0.0), (0.0, 0.85, 0.0)),
        goals=((-0.1, 0.6, 0.015), (0.1, 0.6, 0.015)),
        object=(0.0, 0.85, 0.0),
        goal=(0.0, 0.6, 0.015),
        joint=(0.0, 0.15),
        first_joint=(0.0, 0.15),
        fixture=None,
    ),
    "plate-slide-side": _PLATE._replace(
        scene="plate-side",
        reward=mechanisms.plate_slide_back,
        goals=((-0.3, 0.54, 0.0), (-0.25, 0.66, 0.0)),
        goal=(-0.25, 0.6, 0.015),
        fixture=None,
    ),
    "plate-slide-back-side": _PLATE._replace(
        scene="plate-back-side",
        reward=mechanisms.plate_slide_back,
        objects=((-0.25, 0.6, 0.0), (-0.25, 0.6, 0.0)),
        goals=((-0.05, 0.6, 0.015), (0.15, 0.6, 0.015)),
        object=(-0.25, 0.6, 0.0),
        goal=(0.0, 0.6, 0.015),
        joint=(-0.15, 0.0),
        first_joint=(-0.15, 0.0),
        fixture=None,
    ),
    "window-open": _WINDOW,
    # The original moves the window after its first observation, which shows it shut.
    "window-close": _WINDOW._replace(
        reward=mechanisms.window_close,
        objects=((0.0, 0.75, 0.2), (0.0, 0.9, 0.2)),
        object=(0.1, 0.785, 0.16),
        goal=_ORIGIN,
        joint=0.2,
        first_joint=0.0,
        tracked=(0.01, -0.095, 0.0),
    ),
}
