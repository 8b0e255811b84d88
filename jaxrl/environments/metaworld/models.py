"""The reduced MuJoCo models: a hand without an arm, and each task's objects as few primitives.

Positions, sizes, masses and contact constants are those of the models in `metaworld` 3.1.1 (MIT licence), Farama
Foundation; the models are written anew, without its files. What is left out or replaced:

- The arm. A hand that follows its target through the arm is, in free space, a damped spring per axis, and comes short
  of its target where the arm is stretched. The spring is the original's: its hand was pulled by known forces. Damping
  and reach were fitted to 4,800 control steps of directed motion through the workspace (experiments/metaworld_hand.py):
  half of the errors are below 6 mm, 99 of 100 below 21 mm (without the reach, 98 mm). The hand does not turn.
- Cylinders: MJX does not collide them with boxes. The puck and the dial are boxes of the same base area and height,
  handles, the hoop's pole, the thermos and the nut's peg are capsules (a box where one is lifted at its end), so that
  the peg is round at its top; the button, the mug, the plug's disc and the hammer's head are boxes. The net that plates
  slide into is boxes, too.
- Meshes of the gripper: one box for its base; one box for claw and pad of each finger. Of the box with a handle: boxes.
  Of the nut: eight capsules around its hole.
- Boxes that only make up a larger one; the walls around the table. Where a mechanism would meet its own frame, its
  joint has a limit as stiff as that contact.
- The elliptic friction cone, 50 iterations and 2.5 ms substeps: pyramidal, 4 and 12.5/3 ms; but around a hole, where
  blocks of 10 g are gripped, and in a bin, the cone as it is, and 10 iterations.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.environments.metaworld.worlds import WORLDS
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

_MODEL = """
<mujoco>
  <compiler angle="radian" autolimits="false"/>
  <option timestep="{timestep}" iterations="{iterations}" ls_iterations="8" solver="Newton" cone="{cone}"
    impratio="{impratio}"/>
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
    <geom name="table" type="plane" size="1 1 0.1" contype="0" conaffinity="3" {table}/>
    <body name="hand" gravcomp="1">
      <joint name="x" type="slide" axis="1 0 0" armature="0" damping="{damping[0]}"/>
      <joint name="y" type="slide" axis="0 1 0" armature="0" damping="{damping[1]}"/>
      <joint name="z" type="slide" axis="0 0 1" armature="0" damping="{damping[2]}"/>
      <inertial pos="0 0 0" mass="{mass}" diaginertia="0.01 0.01 0.01"/>
      <geom name="palm" type="box" {palm} contype="4" conaffinity="0"/>
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

# Beyond its joint's own, soft limits a mechanism meets its frame.
_STOP = """<tendon><fixed range="{} {}"><joint joint="mechanism" coef="1"/></fixed></tendon>"""


def load_model(scene: str) -> Any:
    """The compiled `mujoco.MjModel` of one scene of `worlds.WORLDS`.

    Raises:
        ImportError: if the extra `metaworld` is not installed.
    """
    try:
        import mujoco
        from mujoco import mjx  # noqa: F401
    except ImportError as error:
        raise missing_extra("mujoco-mjx", "metaworld") from error
    world = WORLDS[scene]
    return mujoco.MjModel.from_xml_string(
        _MODEL.format(
            iterations=world.iterations,
            cone=world.cone,
            impratio=world.impratio,
            timestep=STEP_SECONDS / NUM_SUBSTEPS,
            contacts=world.contacts,
            pairs=world.pairs,
            mass=_HAND_MASS - 2 * 0.0162,
            stiffness=_STIFFNESS,
            damping=_DAMPING,
            solref=world.solref,
            solimp=world.solimp,
            palm=world.palm,
            table=world.table,
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
