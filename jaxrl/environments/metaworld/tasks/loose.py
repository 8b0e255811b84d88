"""Tasks in which something loose is carried or pushed, or nothing but the hand counts."""

from jaxrl.environments.metaworld.rewards import loose
from jaxrl.environments.metaworld.tasks.task import ORIGIN, Task

__all__ = ["LOOSE"]

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

LOOSE: dict[str, Task] = {
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
        fixture=ORIGIN,
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
}
