"""Scenes of what moves along joints, and where it meets its frame."""

from jaxrl.environments.metaworld.worlds.world import FIXED, World, coffee_machine, wall

__all__ = ["MECHANISMS"]

_DOOR = f"""
<body name="object" pos="0 0.9 0.15">
  <geom {FIXED} pos="-0.204 0 0" size="0.016 0.106 0.15"/>
  <geom {FIXED} pos="0.204 0 0" size="0.016 0.106 0.15"/>
  <geom {FIXED} pos="0 0 0.138" size="0.188 0.106 0.012"/>
  <geom {FIXED} pos="0 0 -0.138" size="0.188 0.106 0.012"/>
  <geom {FIXED} pos="0 0.094 0" size="0.188 0.012 0.126"/>
  <body name="mechanism" pos="-0.185 -0.1 0">
    <joint name="mechanism" type="hinge" axis="0 0 1" range="-2 0" limited="true"/>
    <inertial pos="0.223701589 -0.020428075 0" mass="2.22982226"
      quat="0.55544607 0.555433844 0.437591469 0.437591835" diaginertia="0.0436175 0.037338006 0.011690399"/>
    <geom {FIXED} pos="0.185 0 0" size="0.18 0.01 0.123"/>
    <geom {FIXED} pos="0.325 -0.006 0" size="0.0248 0.012 0.0248"/>
    <geom {FIXED} type="capsule" fromto="0.325 -0.025 0 0.325 -0.105 0" size="0.013"/>
    <geom {FIXED} type="capsule" fromto="0.325 -0.12 0 0.437 -0.12 0" size="0.019"/>
    <geom {FIXED} type="capsule" fromto="0.364 -0.12 0 0.426 -0.12 0" size="0.023"/>
  </body>
</body>
"""

_DRAWER = f"""
<body name="object" pos="0 0.9 0">
  <geom {FIXED} pos="-0.11 0 0.084" size="0.008 0.1 0.084"/>
  <geom {FIXED} pos="0.11 0 0.084" size="0.008 0.1 0.084"/>
  <geom {FIXED} pos="0 0.092 0.076" size="0.102 0.008 0.076"/>
  <geom {FIXED} pos="0 -0.008 0.014" size="0.102 0.092 0.014"/>
  <geom {FIXED} pos="0 0 0.16" size="0.102 0.1 0.008"/>
  <body name="mechanism" pos="0 -0.01 0.09">
    <joint name="mechanism" type="slide" axis="0 1 0" range="-0.16 0" limited="true"/>
    <inertial pos="0 -0.061578947 -0.002105263" mass="0.38" diaginertia="0.002749589 0.00170839 0.003929526"/>
    <geom {FIXED} pos="0 -0.082 0.008" size="0.1 0.008 0.052"/>
    <geom {FIXED} pos="0 0.082 0.008" size="0.1 0.008 0.052"/>
    <geom {FIXED} pos="-0.092 0 0.008" size="0.008 0.074 0.052"/>
    <geom {FIXED} pos="0.092 0 0.008" size="0.008 0.074 0.052"/>
    <geom {FIXED} pos="0 0 -0.052" size="0.1 0.09 0.008"/>
    <geom {FIXED} type="capsule" fromto="-0.05 -0.15 0 -0.05 -0.09 0" size="0.009"/>
    <geom {FIXED} type="capsule" fromto="-0.05 -0.15 0 0.05 -0.15 0" size="0.009"/>
    <geom {FIXED} type="capsule" fromto="0.05 -0.15 0 0.05 -0.09 0" size="0.009"/>
  </body>
</body>
"""


def _button(turn: float) -> str:
    """The box stands on its back where it is turned by a quarter, and else on its side."""
    return f"""
<body name="object" pos="0 0.85 0.12" euler="{turn} 0 0">
  <geom {FIXED} pos="0 0.012 0" size="0.12 0.102 0.12"/>
  <body name="mechanism">
    <joint name="mechanism" type="slide" axis="0 -1 0" range="-0.06 0" limited="true" damping="1" stiffness="0.5"
      springref="0.5"/>
    <inertial pos="0 -0.1935 0" mass="0.01" diaginertia="0.001 0.001 0.001"/>
    <geom {FIXED} pos="0 -0.128 0" size="0.0186 0.039 0.0186"/>
    <geom {FIXED} pos="0 -0.166 0" size="0.023 0.008 0.023"/>
    <geom {FIXED} pos="0 -0.183 0" size="0.0381 0.011 0.0381"/>
  </body>
</body>
"""


_FAUCET = f"""
<body name="object" pos="0 0.8 0">
  <geom {FIXED} pos="0 0 0.009" size="0.0408 0.0408 0.009"/>
  <geom {FIXED} pos="0 0 0.061" size="0.0151 0.0151 0.044"/>
  <body name="mechanism" pos="0 0 0.124">
    <joint name="mechanism" type="hinge" axis="0 0 1" range="-1.57 1.57" limited="true"/>
    <inertial pos="0 -0.05745 0.001" mass="0.26813" diaginertia="0.00115 0.00007 0.00114"/>
    <geom {FIXED} pos="0 0 0.001" size="0.0284 0.0284 0.02"/>
    <geom {FIXED} type="capsule" fromto="0 -0.041 0.001 0 -0.065 0.001" size="0.012"/>
    <geom {FIXED} type="capsule" fromto="0 -0.065 0.001 0 -0.175 0.001" size="0.017"/>
  </body>
</body>
"""


_ROUND = 'type="capsule" fromto="-0.048 -0.166 0 0.048 -0.166 0" size="0.022"'
# A capsule's end is round where the original's is still a cylinder, and the fingers lift it there.
_SQUARE = 'pos="0 -0.166 0" size="0.07 0.022 0.022"'


def _handle(turn: float, armature: float = 0.006, half_width: float = 0.032, grip: str = _ROUND) -> str:
    """Light and strongly damped, the handle would let the hand sink into it over our longer substeps h.

    The contact solver sees its inertia m, the integrator m + h d. The armature, 1 g in the original, makes up for it;
    friction, which lifts the handle, asks for less of it. The lever's half width, 3.2 cm in the original, can be that
    between fingers which have dug into it, so that ours, coming down up to 1.4 cm further from its middle, miss it.
    """
    return f"""
<body name="object" pos="0 0.88 0" euler="0 0 {turn}">
  <geom {FIXED} pos="-0.0607 0.0025 0.11" size="0.026 0.1075 0.11"/>
  <geom {FIXED} pos="0.0603 0.0025 0.11" size="0.026 0.1075 0.11"/>
  <geom {FIXED} pos="0 0.0277 0.11" size="0.035 0.0823 0.11"/>
  <geom {FIXED} pos="0 -0.082 0.014" size="0.035 0.028 0.014"/>
  <body name="mechanism" pos="0 -0.05 0.15">
    <joint name="mechanism" type="slide" axis="0 0 1" range="-0.1 0" limited="true" damping="30" armature="{armature}"/>
    <inertial pos="0 -0.1235 0" mass="0.002" diaginertia="0.00001 0.00001 0.00001"/>
    <geom {FIXED} pos="0 -0.081 0" size="{half_width} 0.075 0.011"/>
    <geom {FIXED} {grip}/>
  </body>
</body>
"""


_COFFEE = f"""
<body name="object" pos="0 0.9 0">{coffee_machine(FIXED)}
  <body name="mechanism">
    <joint name="mechanism" type="slide" axis="0 1 0" range="0 0.03" limited="true" damping="1"/>
    <inertial pos="0 -0.19 0.3" mass="0.1" diaginertia="0.0001 0.0001 0.0001"/>
    <geom {FIXED} pos="0 -0.19 0.3" size="0.0284 0.03 0.0284"/>
  </body>
</body>
"""

_WINDOW = f"""
<body name="object" pos="0 0.785 0.16">
  <geom {FIXED} pos="-0.216 0 0" size="0.015 0.03 0.181"/>
  <geom {FIXED} pos="0 0 -0.192" size="0.25 0.06 0.01"/>
  <geom {FIXED} pos="0.216 0 0" size="0.015 0.03 0.181"/>
  <geom {FIXED} pos="0 0 -0.166" size="0.201 0.03 0.015"/>
  <geom {FIXED} pos="0 0 0.166" size="0.201 0.03 0.015"/>
  <geom {FIXED} pos="0.1 0.013 0" size="0.1 0.012 0.15"/>
  <body name="mechanism">
    <joint name="mechanism" type="slide" axis="1 0 0" range="0 0.2" limited="true"/>
    <inertial pos="-0.086769134 -0.018868723 0" mass="0.6377869" diaginertia="0.006211904 0.009462011 0.003680365"/>
    <geom {FIXED} pos="-0.1 -0.013 0" size="0.1 0.012 0.15"/>
    <geom {FIXED} type="capsule" fromto="-0.014 -0.025 0.045 -0.014 -0.095 0.045" size="0.008"/>
    <geom {FIXED} type="capsule" fromto="-0.014 -0.025 -0.045 -0.014 -0.095 -0.045" size="0.008"/>
    <geom {FIXED} type="capsule" fromto="-0.014 -0.095 -0.045 -0.014 -0.095 0.045" size="0.008"/>
  </body>
</body>
"""

# The knob's far half, 1.5 cm to each side in the original, would meet fingers that stand further in and keep it from
# turning.
_DIAL = f"""
<body name="object" pos="0 0.7 0">
  <body name="mechanism">
    <joint name="mechanism" type="hinge" axis="0 0 1" range="-3.14 3.14" limited="true" damping="1"/>
    <inertial pos="0 0 0.03" mass="0.3" diaginertia="0.0003 0.0003 0.0004"/>
    <geom {FIXED} pos="0 0 0.018" size="0.0443 0.0443 0.018"/>
    <geom {FIXED} pos="0 -0.023 0.051" size="0.015 0.023 0.015"/>
    <geom {FIXED} pos="0 0.023 0.051" size="0.008 0.023 0.015"/>
  </body>
</body>
"""


_LEVER = f"""
<body name="object" pos="0 0.75 0">
  <geom {FIXED} pos="0 0 0.125" size="0.041 0.083 0.125"/>
  <geom {FIXED} pos="0 0 0.25" size="0.041 0.0735 0.0735"/>
  <body name="mechanism" pos="0.12 0 0.25">
    <joint name="mechanism" type="hinge" axis="1 0 0" range="0 1.57" limited="true"/>
    <inertial pos="-0.00625 -0.07275 0" mass="0.004" diaginertia="0.0000325 0.000002 0.0000318"/>
    <geom {FIXED} size="0.016 0.0337 0.0337"/>
    <geom {FIXED} type="capsule" fromto="0 0.009 0 0 -0.191 0" size="0.012"/>
    <geom {FIXED} type="capsule" fromto="-0.071 0 0 0.021 0 0" size="0.016"/>
    <geom {FIXED} type="sphere" pos="0 -0.2 0" size="0.03"/>
  </body>
</body>
"""

_LOCK = f"""
<body name="object" pos="0 0.825 0.15">
  <geom {FIXED} size="0.22 0.106 0.15"/>
  <geom {FIXED} pos="0 -0.1 0" size="0.184 0.01 0.124"/>
  <geom {FIXED} pos="0 -0.109 0.061" size="0.047 0.013 0.047"/>
  <geom {FIXED} pos="0.14 -0.165 -0.05" size="0.013 0.047 0.013"/>
  <geom {FIXED} pos="0.196 -0.22 -0.05" size="0.075 0.019 0.019"/>
  <body name="mechanism" pos="0 -0.118 0.061">
    <joint name="mechanism" type="hinge" axis="0 1 0" range="0 1.57" limited="true"/>
    <inertial pos="0.042 -0.024 0" mass="0.001" diaginertia="0.000000154 0.000000867 0.000000954"/>
    <geom {FIXED} pos="0.042 -0.024 0" size="0.05 0.019 0.01"/>
  </body>
</body>
"""


def _plate(x: float, y: float, turn: float) -> str:
    """A plate that slides over the table without turning, and the net that it belongs in."""
    solid = 'class="body" contype="0" conaffinity="13"'
    return f"""
<body name="mechanism" pos="0 0.6 0.015">
  <joint name="mechanism" type="slide" axis="1 0 0" range="-0.2 0.2" limited="true" damping="1"/>
  <joint name="mechanism y" type="slide" axis="0 1 0" range="0 0.3" limited="true" damping="1"/>
  <inertial pos="0 0 0" mass="0.05" diaginertia="0.0001 0.0001 0.0001"/>
  <geom class="body" contype="8" conaffinity="5" size="0.05 0.05 0.015"/>
</body>
<body name="fixture" pos="{x} {y} 0" euler="0 0 {turn}">
  <geom {solid} pos="-0.1 0.004 0.087" size="0.008 0.077 0.087"/>
  <geom {solid} pos="0.1 0.004 0.087" size="0.008 0.077 0.087"/>
  <geom {solid} pos="0 0.077 0.009" size="0.1 0.008 0.008"/>
  <geom {solid} pos="0 0.0585 0.0935" euler="0.255 0 0" size="0.1 0.0034 0.0868"/>
  <geom {solid} pos="0 -0.018 0.1745" size="0.1 0.058 0.0075"/>
</body>
"""


MECHANISMS: dict[str, World] = {
    # The frame stops the door near its hinge, with little force: fitted to the original's door, pulled and let go.
    "door": World(_DOOR, stop=(-1.3, 1.0), solref="-1500 -150", solimp=0.5),
    "drawer": World(_DRAWER, stop=(-1.0, 0.004)),
    "button": World(_button(-1.57), stop=(-0.066, 1.0)),
    "button-side": World(_button(0.0), stop=(-0.066, 1.0)),
    "coffee": World(_COFFEE),
    "faucet": World(_FAUCET),
    "button-wall": World(_button(-1.57) + wall(0.7, 0.1, 0.075), stop=(-0.066, 1.0)),
    "button-side-wall": World(_button(0.0) + wall(0.6, 0.1, 0.075), stop=(-0.066, 1.0)),
    "handle": World(_handle(0.0)),
    "handle-side": World(_handle(1.57)),
    "handle-lifted": World(_handle(0.0, armature=0.003, grip=_SQUARE), contacts=16, pairs=18),
    "handle-lifted-side": World(_handle(1.57, armature=0.004, half_width=0.026), impratio=10.0),
    "window": World(_WINDOW, stop=(-0.001, 0.201)),
    "dial": World(_DIAL),
    "lever": World(_LEVER),
    "lock": World(_LOCK),
    "plate": World(_plate(0.0, 0.85, 0.0)),
    "plate-side": World(_plate(-0.3, 0.6, 1.57)),
    "plate-back-side": World(_plate(-0.25, 0.6, 1.57)),
}
