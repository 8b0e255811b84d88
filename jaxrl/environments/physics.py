"""Physical constants of a simulated body as one traced leaf, under the same names for every engine."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrl.types import Array, Float

__all__ = ["GENERALIZED_FIELDS", "MAXIMAL_FIELDS", "MJX_FIELDS", "Physics", "read_physics", "write_physics"]


class Physics(NamedTuple):
    """Constants of one system in SI units; any leaf may be swept or drawn per environment.

    A constant that an engine never reads is None, so that a sweep of it fails instead of doing
    nothing. A constant that an engine reads may still not matter to one task: friction where
    nothing touches, mass in brax's ant and hopper, which its spring engine rescales to one.

    Attributes:
        gravity: acceleration of free fall, m/s².
        mass: mass of every body, kg. Inertia is a leaf of its own and does not follow it.
        inertia: inertia of every body, kg m²; 3 × 3 in brax's own engines, principal axes in MJX.
        damping: viscous damping of every degree of freedom.
        stiffness: spring stiffness of every joint towards its rest position.
        armature: rotor inertia added to every degree of freedom.
        gear: strength of every actuator, scalar in brax's own engines, six entries in MJX.
        friction: sliding, torsional and rolling friction of every geom.
    """

    gravity: Float[Array, "3"]
    mass: Float[Array, " body"]
    inertia: Float[Array, " body *axes"]
    damping: Float[Array, " dof"] | None
    stiffness: Float[Array, " joint"] | None
    armature: Float[Array, " dof"] | None
    gear: Float[Array, " actuator *axes"]
    friction: Float[Array, "geom 3"]


# Where each engine's model keeps these constants, as a path of attributes.
GENERALIZED_FIELDS = Physics(
    gravity="gravity",
    mass="link.inertia.mass",
    inertia="link.inertia.i",
    damping="dof.damping",
    stiffness="dof.stiffness",
    armature="dof.armature",
    gear="actuator.gear",
    friction="geom_friction",
)
# brax's spring and positional engines take a joint's springs from its own constraint settings.
MAXIMAL_FIELDS = GENERALIZED_FIELDS._replace(damping=None, stiffness=None, armature=None)
MJX_FIELDS = Physics(
    gravity="opt.gravity",
    mass="body_mass",
    inertia="body_inertia",
    damping="dof_damping",
    stiffness="jnt_stiffness",
    armature="dof_armature",
    gear="actuator_gear",
    friction="geom_friction",
)


def read_physics(model: Any, fields: Physics) -> Physics:
    """The constants that `model` holds, as float32 arrays; None where `fields` has no path."""

    def read(path: str | None) -> Array | None:
        if path is None:
            return None
        value = model
        for name in path.split("."):
            value = getattr(value, name)
        return jnp.asarray(value, jnp.float32)

    return Physics(*(read(path) for path in fields))


def write_physics(model: Any, fields: Physics, physics: Physics) -> Any:
    """A copy of `model` that holds `physics`; `model` is not changed."""
    return model.tree_replace({path: value for path, value in zip(fields, physics, strict=True) if path is not None})
