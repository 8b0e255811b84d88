"""Motion of the lander of `lunar_lander` under gravity, the motors of its legs and the ground."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.multi_objective.lunar_lander_bodies import (
    CENTRES,
    HIGHEST,
    HULL,
    LEGS,
    LOWEST,
    TIME_STEP,
    Bodies,
    LanderPhysics,
    across,
    inverse_mass,
    momentum,
    move,
    push,
    turn,
)
from jaxrl.types import Array, Bool, Float

__all__ = ["STRIKING", "TERRAIN_SPACING", "TOUCHING", "advance", "hull_clearance", "stop_hull"]

# Between two points of the terrain, m.
TERRAIN_SPACING = 2.0
# Corners of the hull, anticlockwise, seen from the pin; of a leg's foot, seen from its centre of mass.
_HULL_CORNERS = np.array([[14, 17], [-14, 17], [-17, 0], [-17, -10], [17, -10], [17, 0]], np.float32) / 30.0
_FOOT_CORNERS = np.array([[-2, -8], [2, -8]], np.float32) / 30.0
# Sign of the speed at which each motor turns its leg.
_MOTOR_SIGN = np.array([-1.0, 1.0], np.float32)
# Bodies closer than TOUCHING are in contact; a step never brings a foot closer than STRIKING, m.
TOUCHING, STRIKING = 0.02, 0.005
# The share of a deeper penetration that a step removes, and the sweeps over all constraints per step.
_RECOVERY = 0.2
_NUM_SWEEPS = 20


def advance(
    bodies: Bodies, terrain: Float[Array, " point"], params: LanderPhysics
) -> tuple[Bodies, Bool[Array, " leg"]]:
    """One step of `TIME_STEP`, and which legs touched the ground in it.

    Semi-implicit Euler: u = H⁻¹·(momentum + gravity + impulses of joints and ground), then positions by u.

    Args:
        bodies: the lander at the start of the step.
        terrain: height of the ground every `TERRAIN_SPACING` metres, straight in between.
        params: constants.
    """
    reach = across(turn(jnp.asarray(CENTRES), bodies.angle))
    inverse = inverse_mass(reach, params)
    falling = bodies.velocity - TIME_STEP * params.gravity * jnp.array([0.0, 1.0])
    motion = inverse @ momentum(falling, bodies.spin, reach, params)
    clearance, contacts = _contacts(bodies, terrain)
    near = (clearance < TOUCHING).reshape(-1)
    guess = jnp.where(jnp.concatenate([jnp.ones(2, bool), near, near]), bodies.impulse, 0.0)
    motion, impulse = _resolve(motion, inverse, bodies._replace(impulse=guess), contacts, params)
    pressed = impulse[-near.shape[0] :] > 0.0
    touched = jnp.any((near | pressed).reshape(clearance.shape), axis=1)
    return move(bodies._replace(impulse=impulse), motion, params), touched


def hull_clearance(bodies: Bodies, terrain: Float[Array, " point"]) -> Float[Array, ""]:
    """Smallest distance between hull and ground, m; negative inside it."""
    angle = bodies.angle[HULL]
    corners = jnp.asarray(_HULL_CORNERS)
    above, _ = _ground(bodies.pin + turn(corners, angle), terrain)
    # The tips of the terrain, seen from the hull.
    tips = jnp.stack([TERRAIN_SPACING * jnp.arange(terrain.shape[0]), terrain], axis=-1)
    tips = turn(tips - bodies.pin, -angle)
    sides = jnp.roll(corners, -1, axis=0) - corners
    outward = -across(sides) / jnp.linalg.norm(sides, axis=-1, keepdims=True)
    outside = jnp.max(jnp.sum((tips[:, None] - corners) * outward, axis=-1), axis=-1)
    return jnp.minimum(jnp.min(above), jnp.min(outside))


def stop_hull(bodies: Bodies, terrain: Float[Array, " point"], params: LanderPhysics) -> Bodies:
    """The impact of the hull's lowest corner, without the legs: no speed into the ground is left there."""
    arms = turn(jnp.asarray(_HULL_CORNERS), bodies.angle[HULL])
    clearance, normals = _ground(bodies.pin + arms, terrain)
    lowest = jnp.argmin(clearance)
    normal, lever = normals[lowest], across(arms[lowest] - turn(jnp.asarray(CENTRES[HULL]), bodies.angle[HULL]))
    velocity = bodies.velocity[HULL] + bodies.spin[HULL] * lever

    def stopping(direction: Float[Array, "2"]) -> Float[Array, ""]:
        mobility = 1.0 / params.mass[HULL] + jnp.sum(direction * lever) ** 2 / params.inertia[HULL]
        return -jnp.sum(direction * velocity) / mobility

    pressed = jnp.maximum(stopping(normal), 0.0)
    grip = params.friction[HULL] * pressed
    impulse = pressed * normal - jnp.clip(stopping(-across(normal)), -grip, grip) * across(normal)
    return push(bodies, impulse, bodies.pin + arms[lowest], params)


def _ground(
    points: Float[Array, "*batch 2"], terrain: Float[Array, " point"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch 2"]]:
    """Distance to the stretch of ground below each point, negative inside it, and its normal."""
    index = jnp.clip(jnp.floor(points[..., 0] / TERRAIN_SPACING), 0, terrain.shape[0] - 2).astype(jnp.int32)
    rise = terrain[index + 1] - terrain[index]
    along = jnp.stack([jnp.full_like(rise, TERRAIN_SPACING), rise], axis=-1)
    normal = across(along) / jnp.linalg.norm(along, axis=-1, keepdims=True)
    first = jnp.stack([TERRAIN_SPACING * index, terrain[index]], axis=-1)
    return jnp.sum((points - first) * normal, axis=-1), normal


class _Contacts(NamedTuple):
    """Every corner of the feet: rows that turn (velocity of the pin, spins) into its velocity.

    Attributes:
        along: row of the velocity along the ground.
        away: row of the velocity away from the ground.
        target: least velocity away from the ground, m/s.
    """

    along: Float[Array, "corner 5"]
    away: Float[Array, "corner 5"]
    target: Float[Array, " corner"]


def _contacts(bodies: Bodies, terrain: Float[Array, " point"]) -> tuple[Float[Array, "leg corner"], _Contacts]:
    """Distance of each foot's corners from the ground, and what the ground asks of them."""
    arms = turn(jnp.asarray(CENTRES[LEGS, None] + _FOOT_CORNERS), bodies.angle[LEGS, None])
    clearance, normal = _ground(bodies.pin + arms, terrain)
    leg = jnp.broadcast_to(jnp.eye(2)[:, None], arms.shape)

    def rows(direction: Float[Array, "leg corner 2"]) -> Float[Array, "row 5"]:
        lever = jnp.sum(direction * across(arms), axis=-1, keepdims=True)
        return jnp.concatenate([direction, jnp.zeros_like(lever), lever * leg], axis=-1).reshape(-1, 5)

    room = (clearance - STRIKING).reshape(-1)
    # A corner may come as close as STRIKING within this step, and leaves slowly if it is closer.
    target = -jnp.where(room > 0.0, room, _RECOVERY * room) / TIME_STEP
    return clearance, _Contacts(rows(-across(normal)), rows(normal), target)


def _resolve(
    motion: Float[Array, "5"],
    inverse: Float[Array, "5 5"],
    bodies: Bodies,
    contacts: _Contacts,
    params: LanderPhysics,
) -> tuple[Float[Array, "5"], Float[Array, " row"]]:
    """Motion after the impulses of joints and ground, and those, by projected Gauss–Seidel sweeps.

    For each row J in turn: λ ← clip(λ + (target − J·u) / (J·H⁻¹·Jᵀ)), u ← u + H⁻¹·Jᵀ·Δλ. A motor and
    the end of its leg's range act as one: the motor's impulse is clipped to its torque, the sum of both
    to what keeps the leg from bending further. Friction lies within ±friction·λ of its corner.
    """
    bend = bodies.angle[LEGS] - bodies.angle[HULL]
    slowest, fastest = jnp.where(bend <= LOWEST, 0.0, -jnp.inf), jnp.where(bend >= HIGHEST, 0.0, jnp.inf)
    motor_target, motor_limit = _MOTOR_SIGN * params.leg_speed, TIME_STEP * params.leg_torque
    joints = jnp.concatenate([jnp.zeros((2, 2)), -jnp.ones((2, 1)), jnp.eye(2)], axis=1)
    rows = jnp.concatenate([joints, contacts.along, contacts.away])
    responses = rows @ inverse
    stiffness = jnp.sum(rows * responses, axis=-1)
    num_corners = contacts.target.shape[0]

    def sweep(_, carry):
        motion, impulses = carry
        impulses = list(impulses)

        def apply(row, impulse):
            change = responses[row] * (impulse - impulses[row])
            impulses[row] = impulse
            return motion + change

        def wanted(row, target):
            return impulses[row] + (target - rows[row] @ motion) / stiffness[row]

        for leg in range(2):
            impulse = jnp.clip(wanted(leg, motor_target[leg]), -motor_limit, motor_limit)
            motion = apply(leg, jnp.clip(impulse, wanted(leg, slowest[leg]), wanted(leg, fastest[leg])))
        for corner in range(num_corners):
            along, away = 2 + corner, 2 + num_corners + corner
            grip = params.friction[LEGS][corner // 2] * impulses[away]
            motion = apply(along, jnp.clip(wanted(along, 0.0), -grip, grip))
            motion = apply(away, jnp.maximum(wanted(away, contacts.target[corner]), 0.0))
        return motion, jnp.stack(impulses)

    return jax.lax.fori_loop(0, _NUM_SWEEPS, sweep, (motion + bodies.impulse @ responses, bodies.impulse))
