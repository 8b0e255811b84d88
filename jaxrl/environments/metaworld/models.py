"""The reduced MuJoCo models: a hand without an arm, and each task's objects as few primitives.

Positions, sizes, masses and contact constants are those of the models in `metaworld` 3.1.1 (MIT licence), Farama
Foundation; the models are written anew, without its files. What is left out or replaced:

- The arm. A hand that follows its target through the arm is, in free space, a damped spring per axis, and comes short
  of its target where the arm is stretched. The spring is the original's: its hand was pulled by known forces. Damping
  and reach were fitted to 4,800 control steps of directed motion through the workspace (experiments/metaworld_hand.py):
  half of the errors are below 6 mm, 99 of 100 below 21 mm (without the reach, 98 mm). The hand does not turn.
- Cylinders: MJX does not collide them with boxes. The puck is a box of the same base area and height, the handle of the
  door is capsules, the button is boxes.
- Meshes of the gripper: one box for its base; one box for claw and pad of each finger.
- Boxes that only make up a larger one; the walls around the table. Where a mechanism would meet its own frame, its
  joint has a limit as stiff as that contact.
- The elliptic friction cone, 50 iterations and 2.5 ms substeps: pyramidal, 4 and 12.5/3 ms.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.errors import missing_extra
from jaxrl.types import Array, Float

__all__ = ["NUM_SUBSTEPS", "STEP_SECONDS", "aim", "load_model"]

STEP_SECONDS, NUM_SUBSTEPS = 0.0125, 3
# The hand yields to a force by 1 mm in 8.17 N, along every axis; kg, and N s/m per axis.
_HAND_MASS, _STIFFNESS, _DAMPING = 5.0, 8170.0, (376.0, 583.0, 429.0)
# Where the hand comes to rest beside its target, m.
_OFFSET = (0.0, 0.0002, -0.0038)
# Fitted: the ball that the stretched arm reaches, and how softly it ends, m.
_SHOULDER, _REACH, _SOFTNESS = (0.0, 0.293, 0.267), 0.618, 0.0516

# Contacts: fingers (1) and palm (4) touch objects, what is free (2) touches the table; no finger touches the other.
_FIXED = 'class="body" contype="0" conaffinity="5"'
_BLOCK = 'class="body" contype="0" conaffinity="7"'

_MODEL = """
<mujoco>
  <compiler angle="radian" autolimits="false"/>
  <option timestep="{timestep}" iterations="4" ls_iterations="8" solver="Newton" cone="pyramidal" impratio="{impratio}"/>
  <custom>
    <numeric name="max_contact_points" data="{contacts}"/>
    <numeric name="max_geom_pairs" data="{pairs}"/>
  </custom>
  <default>
    <joint armature="0.001" damping="2"/>
    <tendon limited="true" solreflimit="{solref}" solimplimit="{solimp} {solimp} 0.01"/>
    <default class="finger">
      <geom type="box" size="0.015 0.0045 0.045" contype="1" conaffinity="0" condim="4" margin="0.001"
        friction="2 0.1 0.002" solref="0.01 1" solimp="0.95 0.99 0.01" mass="0.0162"/>
      <joint type="slide" axis="0 1 0" armature="100" damping="1000" limited="true"/>
    </default>
    <default class="body">
      <geom type="box" condim="3" solref="0.01 1" solimp="0.99 0.99 0.01"/>
    </default>
  </default>
  <worldbody>
    <geom name="table" type="plane" size="1 1 0.1" contype="0" conaffinity="3"/>
    <body name="hand" gravcomp="1">
      <joint name="x" type="slide" axis="1 0 0" armature="0" damping="{damping[0]}"/>
      <joint name="y" type="slide" axis="0 1 0" armature="0" damping="{damping[1]}"/>
      <joint name="z" type="slide" axis="0 0 1" armature="0" damping="{damping[2]}"/>
      <inertial pos="0 0 0" mass="{mass}" diaginertia="0.01 0.01 0.01"/>
      <geom name="palm" type="box" pos="-0.007 0 0.066" size="0.034 0.053 0.027" contype="4" conaffinity="0"/>
      <body name="right" pos="0 -0.05 0" gravcomp="1">
        <joint name="right" class="finger" range="0 0.04"/>
        <geom name="right" class="finger" pos="0 0.0015 0"/>
      </body>
      <body name="left" pos="0 0.05 0" gravcomp="1">
        <joint name="left" class="finger" range="-0.03 0"/>
        <geom name="left" class="finger" pos="0 -0.0015 0"/>
      </body>
    </body>
    {objects}
  </worldbody>
  {stop}
  <actuator>
    <position joint="x" kp="{stiffness}"/>
    <position joint="y" kp="{stiffness}"/>
    <position joint="z" kp="{stiffness}"/>
    <position joint="right" kp="400" ctrllimited="true" ctrlrange="-1 1"/>
    <position joint="left" kp="400" ctrllimited="true" ctrlrange="-1 1"/>
  </actuator>
</mujoco>
"""

# Bodies: "object" is what a task places; "mechanism" is the part of it that moves.
_PUCK = """
<body name="object" pos="0 0.6 0.02">
  <freejoint/>
  <inertial pos="0 0 0" mass="0.75" diaginertia="8.80012e-4 8.80012e-4 8.80012e-4"/>
  <geom name="object" class="body" size="0.0177245 0.0177245 0.02" contype="2" conaffinity="1" condim="4"
    friction="1 0.1 0.002"/>
</body>
"""

_PEG = f"""
<body name="object" pos="0 0.6 0.03">
  <joint type="free" damping="0.005" armature="0"/>
  <inertial pos="0 0 0" mass="0.1" diaginertia="100000 100000 100000"/>
  <geom name="object" type="box" euler="0 1.57 0" size="0.015 0.015 0.12" contype="2" conaffinity="1"/>
</body>
<body name="block" pos="-0.3 0.6 0" euler="0 0 1.57">
  <geom {_BLOCK} pos="0 0 0.05" size="0.1 0.096 0.05"/>
  <geom {_BLOCK} pos="-0.065 0 0.13" size="0.035 0.096 0.03"/>
  <geom {_BLOCK} pos="0.065 0 0.13" size="0.035 0.096 0.03"/>
  <geom {_BLOCK} pos="0 0 0.18" size="0.1 0.096 0.02"/>
</body>
"""

_DOOR = f"""
<body name="object" pos="0 0.9 0.15">
  <geom {_FIXED} pos="-0.204 0 0" size="0.016 0.106 0.15"/>
  <geom {_FIXED} pos="0.204 0 0" size="0.016 0.106 0.15"/>
  <geom {_FIXED} pos="0 0 0.138" size="0.188 0.106 0.012"/>
  <geom {_FIXED} pos="0 0 -0.138" size="0.188 0.106 0.012"/>
  <geom {_FIXED} pos="0 0.094 0" size="0.188 0.012 0.126"/>
  <body name="mechanism" pos="-0.185 -0.1 0">
    <joint name="mechanism" type="hinge" axis="0 0 1" range="-2 0" limited="true"/>
    <inertial pos="0.223701589 -0.020428075 0" mass="2.22982226"
      quat="0.55544607 0.555433844 0.437591469 0.437591835" diaginertia="0.0436175 0.037338006 0.011690399"/>
    <geom {_FIXED} pos="0.185 0 0" size="0.18 0.01 0.123"/>
    <geom {_FIXED} pos="0.325 -0.006 0" size="0.0248 0.012 0.0248"/>
    <geom {_FIXED} type="capsule" fromto="0.325 -0.025 0 0.325 -0.105 0" size="0.013"/>
    <geom {_FIXED} type="capsule" fromto="0.325 -0.12 0 0.437 -0.12 0" size="0.019"/>
    <geom {_FIXED} type="capsule" fromto="0.364 -0.12 0 0.426 -0.12 0" size="0.023"/>
  </body>
</body>
"""

_DRAWER = f"""
<body name="object" pos="0 0.9 0">
  <geom {_FIXED} pos="-0.11 0 0.084" size="0.008 0.1 0.084"/>
  <geom {_FIXED} pos="0.11 0 0.084" size="0.008 0.1 0.084"/>
  <geom {_FIXED} pos="0 0.092 0.076" size="0.102 0.008 0.076"/>
  <geom {_FIXED} pos="0 -0.008 0.014" size="0.102 0.092 0.014"/>
  <geom {_FIXED} pos="0 0 0.16" size="0.102 0.1 0.008"/>
  <body name="mechanism" pos="0 -0.01 0.09">
    <joint name="mechanism" type="slide" axis="0 1 0" range="-0.16 0" limited="true"/>
    <inertial pos="0 -0.061578947 -0.002105263" mass="0.38" diaginertia="0.002749589 0.00170839 0.003929526"/>
    <geom {_FIXED} pos="0 -0.082 0.008" size="0.1 0.008 0.052"/>
    <geom {_FIXED} pos="0 0.082 0.008" size="0.1 0.008 0.052"/>
    <geom {_FIXED} pos="-0.092 0 0.008" size="0.008 0.074 0.052"/>
    <geom {_FIXED} pos="0.092 0 0.008" size="0.008 0.074 0.052"/>
    <geom {_FIXED} pos="0 0 -0.052" size="0.1 0.09 0.008"/>
    <geom {_FIXED} type="capsule" fromto="-0.05 -0.15 0 -0.05 -0.09 0" size="0.009"/>
    <geom {_FIXED} type="capsule" fromto="-0.05 -0.15 0 0.05 -0.15 0" size="0.009"/>
    <geom {_FIXED} type="capsule" fromto="0.05 -0.15 0 0.05 -0.09 0" size="0.009"/>
  </body>
</body>
"""

_BUTTON = f"""
<body name="object" pos="0 0.85 0.12" euler="-1.57 0 0">
  <geom {_FIXED} pos="0 0.012 0" size="0.12 0.102 0.12"/>
  <body name="mechanism">
    <joint name="mechanism" type="slide" axis="0 -1 0" range="-0.06 0" limited="true" damping="1" stiffness="0.5"
      springref="0.5"/>
    <inertial pos="0 -0.1935 0" mass="0.01" diaginertia="0.001 0.001 0.001"/>
    <geom {_FIXED} pos="0 -0.128 0" size="0.0186 0.039 0.0186"/>
    <geom {_FIXED} pos="0 -0.166 0" size="0.023 0.008 0.023"/>
    <geom {_FIXED} pos="0 -0.183 0" size="0.0381 0.011 0.0381"/>
  </body>
</body>
"""

_WINDOW = f"""
<body name="object" pos="0 0.785 0.16">
  <geom {_FIXED} pos="-0.216 0 0" size="0.015 0.03 0.181"/>
  <geom {_FIXED} pos="0 0 -0.192" size="0.25 0.06 0.01"/>
  <geom {_FIXED} pos="0.216 0 0" size="0.015 0.03 0.181"/>
  <geom {_FIXED} pos="0 0 -0.166" size="0.201 0.03 0.015"/>
  <geom {_FIXED} pos="0 0 0.166" size="0.201 0.03 0.015"/>
  <geom {_FIXED} pos="0.1 0.013 0" size="0.1 0.012 0.15"/>
  <body name="mechanism">
    <joint name="mechanism" type="slide" axis="1 0 0" range="0 0.2" limited="true"/>
    <inertial pos="-0.086769134 -0.018868723 0" mass="0.6377869" diaginertia="0.006211904 0.009462011 0.003680365"/>
    <geom {_FIXED} pos="-0.1 -0.013 0" size="0.1 0.012 0.15"/>
    <geom {_FIXED} type="capsule" fromto="-0.014 -0.025 0.045 -0.014 -0.095 0.045" size="0.008"/>
    <geom {_FIXED} type="capsule" fromto="-0.014 -0.025 -0.045 -0.014 -0.095 -0.045" size="0.008"/>
    <geom {_FIXED} type="capsule" fromto="-0.014 -0.095 -0.045 -0.014 -0.095 0.045" size="0.008"/>
  </body>
</body>
"""

# Beyond its joint's own, soft limits a mechanism meets its frame.
_STOP = """<tendon><fixed range="{} {}"><joint joint="mechanism" coef="1"/></fixed></tendon>"""


class _World(NamedTuple):
    """One scene.

    Attributes:
        objects: bodies beside hand and table.
        stop: lowest and highest position of a mechanism before it meets its frame.
        solref: how hard it does, as MuJoCo's reference ...
        solimp: ... and impedance of that limit.
        contacts: how many contacts of each dimension are solved for in a substep.
        pairs: how many pairs of shapes of each kind are examined for contacts in a substep.
        impratio: how much harder friction is than the contact itself.
    """

    objects: str
    stop: tuple[float, float] | None = None
    solref: str = "0.01 1"
    solimp: float = 0.99
    contacts: int = 12
    pairs: int = 6
    impratio: float = 1.0


_SCENES: dict[str, _World] = {
    "puck": _World(_PUCK),
    # A pyramid of the fingers' friction lets the light peg creep out of the grip; the original's cone does not.
    "peg": _World(_PEG, pairs=8, impratio=3.0),
    # The frame stops the door near its hinge, with little force: fitted to the original's door, pulled and let go.
    "door": _World(_DOOR, stop=(-1.3, 1.0), solref="-1500 -150", solimp=0.5),
    "drawer": _World(_DRAWER, stop=(-1.0, 0.004)),
    "button": _World(_BUTTON, stop=(-0.066, 1.0)),
    "window": _World(_WINDOW, stop=(-0.001, 0.201)),
}


def load_model(scene: str) -> Any:
    """The compiled `mujoco.MjModel` of one scene: puck, peg, door, drawer, button or window.

    Raises:
        ImportError: if the extra `metaworld` is not installed.
    """
    try:
        import mujoco
        from mujoco import mjx  # noqa: F401
    except ImportError as error:
        raise missing_extra("mujoco-mjx", "metaworld") from error
    world = _SCENES[scene]
    return mujoco.MjModel.from_xml_string(
        _MODEL.format(
            impratio=world.impratio,
            timestep=STEP_SECONDS / NUM_SUBSTEPS,
            contacts=world.contacts,
            pairs=world.pairs,
            mass=_HAND_MASS - 2 * 0.0162,
            stiffness=_STIFFNESS,
            damping=_DAMPING,
            solref=world.solref,
            solimp=world.solimp,
            objects=world.objects,
            stop=_STOP.format(*world.stop) if world.stop else "",
        )
    )


def aim(target: Float[Array, "3"]) -> Float[Array, "3"]:
    """Where the hand is pulled when it is sent to `target`: ρ(r) = R − s log(1 + exp((R − r)/s)) from the shoulder.

    r is the target's distance from the shoulder, R the reach and s its softness; within reach ρ(r) ≈ r.
    """
    shoulder = jnp.array(_SHOULDER)
    distance = jnp.linalg.norm(target - shoulder)
    reached = _REACH - _SOFTNESS * jax.nn.softplus((_REACH - distance) / _SOFTNESS)
    return shoulder + (target - shoulder) * reached / distance + jnp.array(_OFFSET)
