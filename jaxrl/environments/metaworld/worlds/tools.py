"""Scenes of what is done with something held: a hammer, a stick, a nut or a lid."""

from jaxrl.environments.metaworld.worlds.world import BLOCK, World

__all__ = ["TOOLS"]

_HELD = 'class="body" contype="2" conaffinity="1"'
# What is held meets it (2), and the hand does.
_MOVED = 'class="body" contype="0" conaffinity="7"'

# Its cylinders as boxes, of the same base area; those that join neck and faces left out.
_HAMMER = f"""
<body name="object" pos="0 0.5 0">
  <freejoint/>
  <geom name="object" {_HELD} type="capsule" fromto="-0.14 0 0 0.14 0 0" size="0.02" mass="0.1"/>
  <geom {_HELD} pos="0.16 0 0" size="0.025 0.04 0.023" mass="0.4"/>
  <geom {_HELD} pos="0.16 0.056 0" size="0.0337 0.016 0.0337" mass="0.3"/>
  <geom {_HELD} pos="0.16 -0.056 0" size="0.0337 0.016 0.0337" mass="0.3"/>
</body>
<body name="block" pos="0.24 0.85 0">
  <geom {BLOCK} pos="0 0 0.172" size="0.1 0.1 0.048"/>
  <geom {BLOCK} pos="0.058 0 0.11" size="0.042 0.1 0.014"/>
  <geom {BLOCK} pos="-0.058 0 0.11" size="0.042 0.1 0.014"/>
  <geom {BLOCK} pos="0 0 0.048" size="0.1 0.1 0.048"/>
  <body name="mechanism" pos="0 -0.21 0.11">
    <joint name="mechanism" type="slide" axis="0 1 0" range="0 0.1" limited="true"/>
    <inertial pos="0 0.024 0" mass="0.0886" diaginertia="0.00015 0.00003 0.00015"/>
    <geom {_MOVED} size="0.0266 0.009 0.0266"/>
  </body>
</body>
"""

# The thermos's body as one capsule.
_STICK = f"""
<body name="object" pos="-0.1 0.6 0.02">
  <freejoint/>
  <geom name="object" class="body" size="0.05 0.02 0.02" contype="2" conaffinity="1" condim="4"
    solimp="0.998 0.998 0.001" mass="0.02"/>
</body>
<body name="mechanism" pos="0.2 0.6 0">
  <joint name="mechanism" type="slide" axis="1 0 0" range="-0.2 0.2" limited="true" damping="1"/>
  <joint name="mechanism y" type="slide" axis="0 1 0" range="-0.2 0.2" limited="true" damping="1"/>
  <inertial pos="0 0 0.13" mass="3.2678" diaginertia="0.02 0.02 0.006"/>
  <geom {_MOVED} type="capsule" fromto="0 0 0.06 0 0 0.2" size="0.06"/>
  <geom {_MOVED} pos="0 -0.135 0.132" size="0.01 0.005 0.068"/>
  <geom {_MOVED} pos="0 -0.09 0.195" size="0.01 0.04 0.005"/>
  <geom {_MOVED} pos="0 -0.09 0.069" size="0.01 0.04 0.005"/>
</body>
"""


def _ring() -> str:
    """Eight short capsules around the nut's hole."""
    ends = (
        ("0.048 -0.015", "0.048 0.015"),
        ("-0.048 -0.015", "-0.048 0.015"),
        ("-0.015 0.048", "0.015 0.048"),
        ("-0.015 -0.048", "0.015 -0.048"),
        ("0.0254 0.0466", "0.0466 0.0254"),
        ("-0.0254 0.0466", "-0.0466 0.0254"),
        ("0.0254 -0.0466", "0.0466 -0.0254"),
        ("-0.0254 -0.0466", "-0.0466 -0.0254"),
    )
    return "".join(
        f"""
  <geom {_HELD} type="capsule" fromto="{start} 0 {end} 0" size="0.019" mass="0.02"/>"""
        for start, end in ends
    )


# The peg is round at its top, where the original's is flat.
_NUT = f"""
<body name="object" pos="0 0.6 0.02" quat="0.707107 0 0 0.707107">
  <freejoint/>{_ring()}
  <geom name="object" {_HELD} pos="0 -0.13 0" size="0.019 0.038 0.016" mass="0.04"/>
  <geom {_HELD} type="capsule" fromto="0 -0.062 0 0 -0.138 0" size="0.012" mass="0.02"/>
</body>
<body name="fixture" pos="0 0.8 0.05">
  <geom {BLOCK} type="capsule" fromto="0 0 -0.05 0 0 0.03" size="0.02"/>
</body>
"""

# Its handle is 1 mm thicker than the original's: closed fingers stop 18 mm apart.
_LID = f"""
<body name="object" pos="0 0.55 0.02" quat="0.707107 0 0 0.707107">
  <freejoint/>
  <geom {_HELD} condim="4" pos="0.11 0 0.067" size="0.005 0.115 0.008" mass="0.02"/>
  <geom {_HELD} condim="4" pos="-0.11 0 0.067" size="0.005 0.115 0.008" mass="0.02"/>
  <geom {_HELD} condim="4" pos="0 -0.11 0.067" size="0.115 0.005 0.008" mass="0.02"/>
  <geom {_HELD} condim="4" pos="0 0.11 0.067" size="0.115 0.005 0.008" mass="0.02"/>
  <geom {_HELD} condim="4" pos="0 0 0.078" size="0.115 0.115 0.003" mass="0.02"/>
  <geom name="object" {_HELD} condim="4" type="capsule" fromto="0 -0.05 0.157 0 0.05 0.157" size="0.009" mass="0.05"/>
  <geom {_HELD} condim="4" type="capsule" fromto="0 -0.05 0.083 0 -0.05 0.153" size="0.008" mass="0.05"/>
  <geom {_HELD} condim="4" type="capsule" fromto="0 0.05 0.083 0 0.05 0.153" size="0.008" mass="0.05"/>
</body>
<body name="fixture" pos="0 0.75 0">
  <geom {BLOCK} pos="0 -0.095 0.03" size="0.1 0.005 0.03"/>
  <geom {BLOCK} pos="0 0.095 0.03" size="0.1 0.005 0.03"/>
  <geom {BLOCK} pos="0.095 0 0.03" size="0.005 0.09 0.03"/>
  <geom {BLOCK} pos="-0.095 0 0.03" size="0.005 0.09 0.03"/>
  <geom {BLOCK} pos="0 0 0.005" size="0.1 0.1 0.005"/>
</body>
"""

TOOLS: dict[str, World] = {
    "hammer": World(_HAMMER, contacts=24, pairs=16),
    "stick": World(_STICK, contacts=16, pairs=12),
    "nut": World(_NUT, contacts=24, pairs=16),
    # So light and thin that four iterations now and then throw it.
    "lid": World(_LID, contacts=24, pairs=16, iterations=10),
}
