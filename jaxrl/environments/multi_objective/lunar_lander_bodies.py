"""The lander of `lunar_lander`: a planar hull and two legs that hang from one point of it, the pin.

The position of the pin and three angles describe such bodies, and their mass matrix has an inverse in closed form.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrl.types import Array, Float

__all__ = [
    "CENTRES",
    "HIGHEST",
    "HULL",
    "LEGS",
    "LOWEST",
    "NUM_ROWS",
    "TIME_STEP",
    "Bodies",
    "LanderPhysics",
    "across",
    "inverse_mass",
    "momentum",
    "move",
    "push",
    "turn",
]

TIME_STEP = 1.0 / 50.0
# Bodies are the hull, the right leg and the left leg, in this order.
HULL, LEGS = 0, slice(1, 3)
# Centre of mass of each body, seen from the pin in the body's own axes, m.
CENTRES = np.array([[0.0, 0.10130719], [2.0 / 3.0, -0.6], [-2.0 / 3.0, -0.6]], np.float32)
# Angles of the legs against the hull, rad, and what they may pass them by.
LOWEST, HIGHEST = np.array([[0.35, -0.85], [0.85, -0.35]], np.float32)
_ANGULAR_SLOP = 0.0349
# Impulses within the lander and on it: two joints, and two directions at each of four corners of the feet.
NUM_ROWS = 2 + 2 * 4


class LanderPhysics(NamedTuple):
    """What may be swept.

    Attributes:
        gravity: acceleration of free fall, m/s².
        mass: of hull, right and left leg, kg.
        inertia: of the same about their centres of mass, kg m².
        leg_torque: largest torque of the motor that holds a leg in, N m.
        leg_speed: speed at which it turns a free leg, rad/s.
        friction: of each body on the ground, as a share of the normal force.
    """

    gravity: Float[Array, ""]
    mass: Float[Array, " body"]
    inertia: Float[Array, " body"]
    leg_torque: Float[Array, ""]
    leg_speed: Float[Array, ""]
    friction: Float[Array, " body"]


class Bodies(NamedTuple):
    """Where hull, right and left leg are and how they move.

    Attributes:
        pin: position of the pin, m; x to the right, y up.
        angle: of each body, rad, anticlockwise.
        velocity: of each centre of mass, m/s.
        spin: angular velocity of each body, rad/s.
        impulse: of each joint, then along and away from the ground at each corner of the feet, in the
            last step: where the search for the next ones starts.
    """

    pin: Float[Array, "2"]
    angle: Float[Array, " body"]
    velocity: Float[Array, "body 2"]
    spin: Float[Array, " body"]
    impulse: Float[Array, " row"]


def turn(vector: Float[Array, "*batch 2"], angle: Float[Array, "..."]) -> Float[Array, "*batch 2"]:
    """`vector` turned anticlockwise by `angle`, which broadcasts over the batch."""
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    x, y = vector[..., 0], vector[..., 1]
    return jnp.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)


def across(vector: Float[Array, "*batch 2"]) -> Float[Array, "*batch 2"]:
    """`vector` turned by a right angle: the velocity of its tip under a spin of 1."""
    return jnp.stack([-vector[..., 1], vector[..., 0]], axis=-1)


def push(bodies: Bodies, impulse: Float[Array, "2"], place: Float[Array, "2"], params: LanderPhysics) -> Bodies:
    """An impulse on the hull, N s, at a place in the world; the legs follow in the next step."""
    arm = place - bodies.pin - turn(jnp.asarray(CENTRES[HULL]), bodies.angle[HULL])
    return bodies._replace(
        velocity=bodies.velocity.at[HULL].add(impulse / params.mass[HULL]),
        spin=bodies.spin.at[HULL].add(jnp.sum(across(arm) * impulse) / params.inertia[HULL]),
    )


def momentum(
    velocity: Float[Array, "body 2"], spin: Float[Array, " body"], reach: Float[Array, "body 2"], params: LanderPhysics
) -> Float[Array, "5"]:
    """Total momentum, and each body's angular momentum as the pin sees it."""
    linear = params.mass[:, None] * velocity
    return jnp.concatenate([jnp.sum(linear, axis=0), params.inertia * spin + jnp.sum(reach * linear, axis=-1)])


def inverse_mass(reach: Float[Array, "body 2"], params: LanderPhysics) -> Float[Array, "5 5"]:
    """H⁻¹ by the complement of its diagonal block of spins; `reach` holds the arms, turned."""
    coupling = params.mass[:, None] * reach
    about_pin = params.inertia + jnp.sum(coupling * reach, axis=-1)
    scaled = coupling / about_pin[:, None]
    block = jnp.sum(params.mass) * jnp.eye(2) - scaled.T @ coupling
    (a, b), (_, d) = block
    top = jnp.array([[d, -b], [-b, a]]) / (a * d - b * b)
    side = -scaled @ top
    return jnp.block([[top, side.T], [side, jnp.diag(1.0 / about_pin) - side @ scaled.T]])


def move(bodies: Bodies, motion: Float[Array, "5"], params: LanderPhysics) -> Bodies:
    """One step with the pin's velocity and the spins of `motion`.

    Each body goes its own straight way; then all return to the pin by one step of least squares, weighted by
    mass. What is kept are the velocities of the three bodies, and with them momentum, although the
    mass matrix turns with the bodies.
    """
    arms = turn(jnp.asarray(CENTRES), bodies.angle)
    velocity, spin = motion[:2] + motion[2:, None] * across(arms), motion[2:]
    centres = bodies.pin + arms + TIME_STEP * velocity
    pin, angle = bodies.pin + TIME_STEP * motion[:2], bodies.angle + TIME_STEP * spin
    bend = jnp.clip(angle[LEGS] - angle[HULL], LOWEST - _ANGULAR_SLOP, HIGHEST + _ANGULAR_SLOP)
    angle = angle.at[LEGS].set(angle[HULL] + bend)
    arms = turn(jnp.asarray(CENTRES), angle)
    apart = momentum(centres - pin - arms, jnp.zeros_like(spin), across(arms), params)
    correction = inverse_mass(across(arms), params) @ apart
    return Bodies(pin + correction[:2], angle + correction[2:], velocity, spin, bodies.impulse)
