"""Scenes of what is carried, pushed or reached past: its shape, and where it belongs."""

from jaxrl.environments.metaworld.worlds.world import BLOCK, World, coffee_machine, wall

__all__ = ["LOOSE"]


def _free(shape: str, mass: float, inertia: float, friction: str = "1 0.1 0.002", lift: float = 0.0) -> str:
    """Something loose, whose middle lies by `lift` above the point that is placed."""
    return f"""
<body name="object" pos="0 0.6 0.02">
  <freejoint/>
  <inertial pos="0 0 {lift}" mass="{mass}" diaginertia="{inertia} {inertia} {inertia}"/>
  <geom name="object" class="body" {shape} pos="0 0 {lift}" contype="2" conaffinity="1" condim="4"
    friction="{friction}"/>
</body>
"""


def _puck(half_side: float, half_height: float) -> str:
    return _free(f'size="{half_side} {half_side} {half_height}"', 0.75, 8.80012e-4)


# Too heavy to turn, like the peg.
_UNTURNED = 100000.0
_BLOCK_SHAPE = 'type="box" size="0.02 0.02 0.02"'

# A table 5 cm higher, around a hole.
_HOLE = """
<body name="hole">
  <geom type="box" pos="0 0.48 0" size="0.08 0.28 0.05" contype="0" conaffinity="3"/>
  <geom type="box" pos="-0.39 0.6 0" size="0.31 0.4 0.05" contype="0" conaffinity="3"/>
  <geom type="box" pos="0.39 0.6 0" size="0.31 0.4 0.05" contype="0" conaffinity="3"/>
  <geom type="box" pos="0 0.96 0" size="0.08 0.04 0.05" contype="0" conaffinity="3"/>
</body>
"""

_DEEP = 'type="box" contype="0" conaffinity="3" solref="0.005 0.1"'
_DEEP_HOLE = f"""
<body name="hole">
  <geom {_DEEP} pos="0 0.425 0.027" size="0.7 0.225 0.027"/>
  <geom {_DEEP} pos="0 0.975 0.027" size="0.15 0.025 0.027"/>
  <geom {_DEEP} pos="-0.425 0.825 0.027" size="0.275 0.175 0.027"/>
  <geom {_DEEP} pos="0.425 0.825 0.027" size="0.275 0.175 0.027"/>
</body>
"""


def _bin(x: float) -> str:
    """Its walls along x stand 1.2 cm further out: ours would catch fingers that come down as far from the middle."""
    return f"""
<body pos="{x} 0.7 0">
  <geom {BLOCK} pos="0 -0.107 0.03" size="0.1 0.005 0.03"/>
  <geom {BLOCK} pos="0 0.107 0.03" size="0.1 0.005 0.03"/>
  <geom {BLOCK} pos="0.095 0 0.03" size="0.005 0.09 0.03"/>
  <geom {BLOCK} pos="-0.095 0 0.03" size="0.005 0.09 0.03"/>
  <geom {BLOCK} pos="0 0 0.005" size="0.1 0.1 0.005"/>
</body>
"""


_SOCCER_GOAL = f"""
<body name="fixture" pos="0 0.9 0">
  <geom {BLOCK} pos="0.09647 -0.01156 0.07577" quat="0.992374 0.123264 0 0" size="0.0062 0.0691 0.0993"/>
  <geom {BLOCK} pos="-0.09647 -0.01156 0.07577" quat="0.992374 0.123264 0 0" size="0.0062 0.0691 0.0993"/>
  <geom {BLOCK} pos="0 0.03122 0.0825" quat="0.420737 0.568314 0.420737 0.568314" size="0.0072 0.0883 0.1027"/>
  <geom {BLOCK} pos="0 -0.02508 0.15932" quat="0 0.707107 0 0.707107" size="0.0057 0.0386 0.0905"/>
</body>
"""

_HOOP = f"""
<body name="fixture" pos="0 0.9 0">
  <geom {BLOCK} pos="0 0 0.29" size="0.1 0.01 0.07"/>
  <geom {BLOCK} type="capsule" pos="0 0 0.118" size="0.007 0.101"/>
  <geom {BLOCK} pos="0 -0.023 0.25" size="0.01 0.014 0.004"/>
  <body pos="0 -0.083 0.249">
    <geom {BLOCK} type="capsule" pos="0 0.045 0" euler="0 1.571 0" size="0.01 0.016"/>
    <geom {BLOCK} type="capsule" pos="0 -0.045 0" euler="0 1.571 0" size="0.01 0.016"/>
    <geom {BLOCK} type="capsule" pos="0.044 0 0" euler="1.571 0 0" size="0.01 0.016"/>
    <geom {BLOCK} type="capsule" pos="-0.044 0 0" euler="1.571 0 0" size="0.01 0.016"/>
    <geom {BLOCK} type="capsule" pos="0.031 0.032 0" euler="1.571 0.785 0" size="0.01 0.016"/>
    <geom {BLOCK} type="capsule" pos="-0.031 -0.032 0" euler="1.571 0.785 0" size="0.01 0.016"/>
    <geom {BLOCK} type="capsule" pos="-0.031 0.032 0" euler="1.571 -0.785 0" size="0.01 0.016"/>
    <geom {BLOCK} type="capsule" pos="0.031 -0.032 0" euler="1.571 -0.785 0" size="0.01 0.016"/>
  </body>
</body>
"""

# Without its top, which is out of reach.
_SHELF = f"""
<body name="fixture" pos="0 0.85 0">
  <geom {BLOCK} pos="-0.11 0 0.32" size="0.01 0.1 0.32"/>
  <geom {BLOCK} pos="0.11 0 0.32" size="0.01 0.1 0.32"/>
  <geom {BLOCK} pos="0 -0.015 0.24" size="0.1 0.095 0.01"/>
  <geom {BLOCK} pos="0 -0.015 0.03" size="0.1 0.095 0.03"/>
  <geom {BLOCK} pos="0 0.09 0.32" size="0.1 0.01 0.32"/>
</body>
"""

_PEG = f"""
<body name="object" pos="0 0.6 0.03">
  <joint type="free" damping="0.005" armature="0"/>
  <inertial pos="0 0 0" mass="0.1" diaginertia="100000 100000 100000"/>
  <geom name="object" type="box" euler="0 1.57 0" size="0.015 0.015 0.12" contype="2" conaffinity="1"/>
</body>
<body name="fixture" pos="-0.3 0.6 0" euler="0 0 1.57">
  <geom {BLOCK} pos="0 0 0.05" size="0.1 0.096 0.05"/>
  <geom {BLOCK} pos="-0.065 0 0.13" size="0.035 0.096 0.03"/>
  <geom {BLOCK} pos="0.065 0 0.13" size="0.035 0.096 0.03"/>
  <geom {BLOCK} pos="0 0 0.18" size="0.1 0.096 0.02"/>
</body>
"""
# Its cylinders as boxes, as wide between the fingers and of the same base area.
_MUG = f"""
<body name="object" pos="0 0.6 0">
  <freejoint/>
  <geom name="object" class="body" pos="0 0 0.035" size="0.022 0.028 0.033" contype="2" conaffinity="1" mass="0.1"/>
  <geom class="body" pos="0.034 0 0.042" size="0.0177 0.005 0.0177" contype="2" conaffinity="1" mass="0.01"/>
</body>
<body name="fixture" pos="0 0.97 0">{coffee_machine(BLOCK)}
  <geom {BLOCK} type="capsule" fromto="0 -0.141 0.127 0 -0.141 0.177" size="0.016"/>
</body>
"""

# Its disc as a box of the same area.
_PLUG = f"""
<body name="object" pos="-0.156 0.6 0.131">
  <freejoint/>
  <geom class="body" type="sphere" pos="-0.035 0 0" size="0.03" contype="2" conaffinity="1" mass="0.05"/>
  <geom class="body" pos="-0.013 0 0" size="0.007 0.04 0.04" contype="2" conaffinity="1" mass="0.01"/>
  <geom class="body" type="sphere" pos="0.06 0 0" size="0.04" contype="2" conaffinity="1" mass="0.01"/>
  <geom name="object" class="body" pos="0.025 0 0" size="0.035 0.038 0.038" contype="2" conaffinity="1" mass="0.01"/>
</body>
<body name="fixture" pos="-0.2 0.6 0">
  <geom {BLOCK} pos="0 0.061 0.131" size="0.025 0.039 0.022"/>
  <geom {BLOCK} pos="0 0 0.176" size="0.025 0.1 0.023"/>
  <geom {BLOCK} pos="0 0 0.054" size="0.025 0.1 0.055"/>
  <geom {BLOCK} pos="0 0.056 0.083" size="0.025 0.045 0.011"/>
  <geom {BLOCK} pos="0 -0.061 0.131" size="0.025 0.039 0.022"/>
</body>
"""


LOOSE: dict[str, World] = {
    "puck": World(_puck(0.0177245, 0.02)),
    "puck-wall": World(_puck(0.0177245, 0.02) + wall(0.75, 0.12, 0.06)),
    # The original's hand tilts when its fingers meet the floor, which hinders their closing less.
    "puck-hole": World(
        _free(_BLOCK_SHAPE, 0.01, _UNTURNED) + _DEEP_HOLE,
        contacts=20,
        pairs=18,
        impratio=3.0,
        cone="elliptic",
        iterations=10,
        table='priority="1" friction="0.5 0.005 0.0001"',
    ),
    "soccer": World(_free('type="sphere" size="0.026"', 0.04, 1.0816e-5, "1 0.005 0.0001") + _SOCCER_GOAL, pairs=12),
    "heavy-block": World(_free(_BLOCK_SHAPE, 0.75, _UNTURNED, "2 0.1 0.002")),
    "flat-puck-wall": World(_puck(0.0265868, 0.015) + wall(0.75, 0.12, 0.06)),
    # A pyramid of the fingers' friction lets the light peg creep out of the grip; the original's cone does not.
    "peg": World(_PEG, pairs=8, impratio=3.0),
    "block": World(_free(_BLOCK_SHAPE, 0.1, 2.66667e-5, "1 0.005 0.0001", lift=0.02)),
    # As light as this block is, only the original's cone lets the seams push it aside by as much.
    "block-hole": World(
        _free(_BLOCK_SHAPE, 0.01, _UNTURNED) + _HOLE, contacts=28, pairs=18, cone="elliptic", iterations=10
    ),
    "bins": World(
        _free(_BLOCK_SHAPE, 0.1, 2.66667e-5, "1 0.005 0.0001") + _bin(-0.12) + _bin(0.12),
        contacts=28,
        pairs=24,
        impratio=3.0,
        cone="elliptic",
        iterations=10,
    ),
    "mug": World(_MUG, pairs=12),
    "plug": World(_PLUG, pairs=12),
    "basketball": World(
        _free('type="sphere" size="0.03"', 0.1, 3.6e-5, "1 0.005 0.0001") + _HOOP,
        impratio=3.0,
        palm='pos="-0.003 0 0.067" size="0.024 0.045 0.024"',
    ),
    "shelf": World(_free(_BLOCK_SHAPE, 0.01, _UNTURNED, "2 0.1 0.002") + _SHELF, contacts=20, pairs=22),
}
