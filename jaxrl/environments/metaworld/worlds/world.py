"""A scene beside hand and table, and shapes that several share."""

from typing import NamedTuple

__all__ = ["BLOCK", "FIXED", "World", "coffee_machine", "wall"]

# Contacts: fingers (1) and palm (4) touch objects, what is free (2) touches the table, what slides on it (8) its goal;
# no finger touches the other.
FIXED = 'class="body" contype="0" conaffinity="5"'
BLOCK = 'class="body" contype="0" conaffinity="7"'


def wall(y: float, half_width: float, half_height: float) -> str:
    """A wall along x, as high as twice `half_height`."""
    return f"""
<body name="wall" pos="0.1 {y} {half_height}"><geom {BLOCK} size="{half_width} 0.01 {half_height}"/></body>
"""


def coffee_machine(contacts: str) -> str:
    """The machine without its button, in contact with what `BLOCK` or `FIXED` says."""
    return f"""
  <geom {contacts} pos="0.069 -0.133 0.3" size="0.031 0.05 0.035"/>
  <geom {contacts} pos="-0.069 -0.133 0.3" size="0.031 0.05 0.035"/>
  <geom {contacts} pos="0 -0.133 0.352" size="0.1 0.05 0.018"/>
  <geom {contacts} pos="0 -0.133 0.248" size="0.1 0.05 0.018"/>
  <geom {contacts} pos="0 0 0.115" size="0.1 0.098 0.115"/>
  <geom {contacts} pos="0 0 0.3" size="0.1 0.098 0.07"/>"""


class World(NamedTuple):
    """One scene.

    Attributes:
        objects: bodies beside hand and table.
        stop: lowest and highest position of a mechanism before it meets its frame.
        solref: how hard it does, as MuJoCo's reference ...
        solimp: ... and impedance of that limit.
        contacts: how many contacts of each dimension are solved for in a substep.
        pairs: how many pairs of shapes of each kind are examined for contacts in a substep.
        impratio: how much harder friction is than the contact itself.
        cone: of friction, as MuJoCo names it.
        iterations: of the contact solver, in a substep.
        table: attributes of the table's plane.
        palm: the box for the gripper's base: around its rounded shape, or within it where an edge would catch.
    """

    objects: str
    stop: tuple[float, float] | None = None
    solref: str = "0.01 1"
    solimp: float = 0.99
    contacts: int = 12
    pairs: int = 6
    impratio: float = 1.0
    cone: str = "pyramidal"
    iterations: int = 4
    table: str = ""
    palm: str = 'pos="-0.007 0 0.066" size="0.034 0.053 0.027"'
