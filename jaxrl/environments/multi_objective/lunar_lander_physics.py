"""How the lander of `lunar_lander` moves: a planar hull and two legs that hang from one point of it, the pin.

The position of the pin and three angles describe such a body, and its mass matrix has an inverse in closed form.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.types import Array, Bool, Float

__all__ = [
    "CENTRES",
    "HULL",
    "LEGS",
    "STRIKING",
    "TERRAIN_SPACING",
    "TIME_STEP",
    "TOUCHING",
    "Bodies",
    "LanderPhysics",
    "across",
    "advance",
    "hull_clearance",
    "turn",
]

TIME_STEP = 1.0 / 50.0
# Between two points of the terrain, m.
TERRAIN_SPACING = 2.0
# Bodies are the hull, the right leg and the left leg, in this order.
HULL, LEGS = 0, slice(1, 3)
# Centre of mass of each body, seen from the pin in the body's own axes, m.
CENTRES = np.array([[0.0, 0.10130719], [2.0 / 3.0, -0.6], [-2.0 / 3.0, -0.6]], np.float32)
# Corners, anticlockwise: of the hull seen from the pin, of a leg seen from its centre of mass.
_HULL_CORNERS = np.array([[14, 17], [-14, 17], [-17, 0], [-17, -10], [17, -10], [17, 0]], np.float32) / 30.0
_LEG_CORNERS = np.array([[-2, -8], [2, -8], [2, 8], [-2, 8]], np.float32) / 30.0
# Angles of the legs against the hull, rad, and what they may pass them by.
_LOWEST, _HIGHEST = np.array([[0.35, -0.85], [0.85, -0.35]], np.float32)
_ANGULAR_SLOP = 0.0349
# Sign of the speed at which each motor turns its leg.
_MOTOR_SIGN = np.array([-1.0, 1.0], np.float32)
# Bodies closer than TOUCHING are in contact; a step never brings them closer than STRIKING, m.
TOUCHING, STRIKING = 0.02, 0.005
# The share of a deeper penetration that a step removes, and the sweeps over all constraints per step.
_RECOVERY = 0.2
_NUM_SWEEPS = 30


class LanderPhysics(NamedTuple):
    """What may be swept.

    Attributes:
        gravity: acceleration of free fall, m/s².
        mass: of hull, right and left leg, kg.
        inertia: of the same about their centres of mass, kg m².
        leg_torque: largest torque of the motor that holds a leg in, N m.
        leg_speed: speed at which it turns a free leg, rad/s.
        friction: of the legs on the ground, as a share of the normal force.
    """

    gravity: Float[Array, ""]
    mass: Float[Array, " body"]
    inertia: Float[Array, " body"]
    leg_torque: Float[Array, ""]
    leg_speed: Float[Array, ""]
    friction: Float[Array, ""]


class Bodies(NamedTuple):
    """Where hull, right and left leg are and how they move.

    Attributes:
        pin: position of the pin, m; x to the right, y up.
        angle: of each body, rad, anticlockwise.
        velocity: of each centre of mass, m/s.
        spin: angular velocity of each body, rad/s.
    """

    pin: Float[Array, "2"]
    angle: Float[Array, " body"]
    velocity: Float[Array, "body 2"]
    spin: Float[Array, " body"]


def turn(vector: Float[Array, "*batch 2"], angle: Float[Array, "*batch"]) -> Float[Array, "*batch 2"]:
    """`vector` turned anticlockwise by `angle`."""
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    x, y = vector[..., 0], vector[..., 1]
    return jnp.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)


def across(vector: Float[Array, "*batch 2"]) -> Float[Array, "*batch 2"]:
    """`vector` turned by a right angle: the velocity of its tip under a spin of 1."""
    return jnp.stack([-vector[..., 1], vector[..., 0]], axis=-1)


def advance(
    bodies: Bodies, terrain: Float[Array, " point"], params: LanderPhysics
) -> tuple[Bodies, Bool[Array, "leg"]]:
    """One step of `TIME_STEP`, and which legs touched the ground in it.

    Semi-implicit Euler: u = H⁻¹(momentum + gravity + constraint impulses), then positions by u. What
    moves is carried as velocities of the three bodies, so that momentum is kept although the
    mass matrix H turns with the bodies; positions return to the pinned form by a step of least squares.

    Args:
        bodies: the lander at the start of the step.
        terrain: height of the ground every `TERRAIN_SPACING` metres, straight in between.
        params: constants.
    """
    arms = turn(jnp.asarray(CENTRES), bodies.angle)
    inverse = _inverse_mass(across(arms), params)
    falling = bodies.velocity - TIME_STEP * params.gravity * jnp.array([0.0, 1.0])
    motion = inverse @ _momentum(falling, bodies.spin, across(arms), params)
    clearance, contacts = _contacts(bodies, terrain)
    motion, pressed = _resolve(motion, inverse, bodies, contacts, params)
    touched = jnp.any((clearance < TOUCHING) | (pressed > 0.0).reshape(clearance.shape), axis=1)

    velocity, spin = motion[:2] + motion[2:, None] * across(arms), motion[2:]
    centres = bodies.pin + arms + TIME_STEP * velocity
    pin, angle = bodies.pin + TIME_STEP * motion[:2], bodies.angle + TIME_STEP * spin
    bend = jnp.clip(angle[LEGS] - angle[HULL], _LOWEST - _ANGULAR_SLOP, _HIGHEST + _ANGULAR_SLOP)
    angle = angle.at[LEGS].set(angle[HULL] + bend)
    arms = turn(jnp.asarray(CENTRES), angle)
    apart = _momentum(centres - pin - arms, jnp.zeros_like(spin), across(arms), params)
    correction = _inverse_mass(across(arms), params) @ apart
    return Bodies(pin + correction[:2], angle + correction[2:], velocity, spin), touched


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


def _momentum(
    velocity: Float[Array, "body 2"], spin: Float[Array, " body"], reach: Float[Array, "body 2"], params: LanderPhysics
) -> Float[Array, "5"]:
    """Total momentum, and each body's angular momentum as the pin sees it."""
    linear = params.mass[:, None] * velocity
    return jnp.concatenate([jnp.sum(linear, axis=0), params.inertia * spin + jnp.sum(reach * linear, axis=-1)])


def _inverse_mass(reach: Float[Array, "body 2"], params: LanderPhysics) -> Float[Array, "5 5"]:
    """H⁻¹ by the complement of its diagonal block of spins; `reach` holds the arms, turned."""
    coupling = params.mass[:, None] * reach
    about_pin = params.inertia + jnp.sum(coupling * reach, axis=-1)
    scaled = coupling / about_pin[:, None]
    block = jnp.sum(params.mass) * jnp.eye(2) - scaled.T @ coupling
    (a, b), (_, d) = block
    top = jnp.array([[d, -b], [-b, a]]) / (a * d - b * b)
    side = -scaled @ top
    return jnp.block([[top, side.T], [side, jnp.diag(1.0 / about_pin) - side @ scaled.T]])


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
    """Every corner of the legs: rows that turn (velocity of the pin, spins) into its velocity.

    Attributes:
        along: row of the velocity along the ground.
        away: row of the velocity away from the ground.
        target: least velocity away from the ground, m/s.
    """

    along: Float[Array, "corner 5"]
    away: Float[Array, "corner 5"]
    target: Float[Array, " corner"]


def _contacts(bodies: Bodies, terrain: Float[Array, " point"]) -> tuple[Float[Array, "leg corner"], _Contacts]:
    """Distance of each leg's corners from the ground, and what the ground asks of them."""
    arms = turn(jnp.asarray(CENTRES[LEGS, None] + _LEG_CORNERS), bodies.angle[LEGS, None])
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
) -> tuple[Float[Array, "5"], Float[Array, " corner"]]:
    """Motion after the impulses of joints and ground, and the ground's, by projected Gauss–Seidel sweeps.

    For each row J in turn: λ ← clip(λ + (target − J·u) / (J·H⁻¹·Jᵀ)), u ← u + H⁻¹·Jᵀ·Δλ. A motor and
    the end of its leg's range act as one: the motor's impulse is clipped to its torque, the sum of both
    to what keeps the leg from bending further. Friction lies within ±friction·λ of its corner.
    """
    bend = bodies.angle[LEGS] - bodies.angle[HULL]
    slowest, fastest = jnp.minimum(_LOWEST - bend, 0.0) / TIME_STEP, jnp.maximum(_HIGHEST - bend, 0.0) / TIME_STEP
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
            grip = params.friction * impulses[away]
            motion = apply(along, jnp.clip(wanted(along, 0.0), -grip, grip))
            motion = apply(away, jnp.maximum(wanted(away, contacts.target[corner]), 0.0))
        return motion, jnp.stack(impulses)

    motion, impulses = jax.lax.fori_loop(0, _NUM_SWEEPS, sweep, (motion, jnp.zeros(rows.shape[0])))
    return motion, impulses[2 + num_corners :]
