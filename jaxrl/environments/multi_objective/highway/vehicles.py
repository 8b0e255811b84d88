"""How vehicles move and steer: a bicycle whose driver aims at the middle of a lane."""

from typing import NamedTuple

import jax.numpy as jnp

from jaxrl.types import Array, Bool, Float, Int

__all__ = ["LANE_WIDTH", "LENGTH", "WIDTH", "Vehicles", "directions", "lane_of", "move", "not_zero", "steer"]

LENGTH, WIDTH, LANE_WIDTH = 5.0, 2.0, 4.0
_TOP_SPEED = 40.0
# Gains of the driver's three loops, 1/s: lateral position to lateral speed, heading to its rate.
_LATERAL_GAIN, _HEADING_GAIN = 1.0 / 0.6, 5.0
_LARGEST_STEERING = jnp.pi / 3.0


class Vehicles(NamedTuple):
    """Every vehicle on the road; the first is the agent's. Metres, seconds, radians.

    Attributes:
        position: of the middle, along the road and across it; lane k's middle is at 4 k.
        heading: 0 along the road.
        speed: along the heading.
        lane: the lane that it is on, 0 leftmost.
        target_lane: the lane that it steers to.
        target_speed: that it would drive at on an empty road.
        steering: angle of the front wheels.
        acceleration: along the heading.
        crashed: whether it has been in a collision: it then brakes to a stop.
        impact: by how much its last collision will move it.
        struck: whether that is still to come.
        timer: time since it last thought of changing lanes.
        exponent: δ of its driver.
    """

    position: Float[Array, "vehicle 2"]
    heading: Float[Array, " vehicle"]
    speed: Float[Array, " vehicle"]
    lane: Int[Array, " vehicle"]
    target_lane: Int[Array, " vehicle"]
    target_speed: Float[Array, " vehicle"]
    steering: Float[Array, " vehicle"]
    acceleration: Float[Array, " vehicle"]
    crashed: Bool[Array, " vehicle"]
    impact: Float[Array, "vehicle 2"]
    struck: Bool[Array, " vehicle"]
    timer: Float[Array, " vehicle"]
    exponent: Float[Array, " vehicle"]


def directions(heading: Float[Array, " vehicle"]) -> Float[Array, "vehicle 2"]:
    """(cos ψ, sin ψ)."""
    return jnp.stack([jnp.cos(heading), jnp.sin(heading)], axis=-1)


def lane_of(position: Float[Array, "vehicle 2"], num_lanes: int) -> Int[Array, " vehicle"]:
    """The nearest lane."""
    nearest = jnp.ceil((position[:, 1] - LANE_WIDTH / 2.0) / LANE_WIDTH)
    return jnp.clip(nearest, 0, num_lanes - 1).astype(jnp.int32)


def not_zero(x: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """x, but at least 0.01 in size, with its sign."""
    return jnp.where(jnp.abs(x) > 1e-2, x, jnp.where(x >= 0.0, 1e-2, -1e-2))


def steer(vehicles: Vehicles, target_lane: Int[Array, " vehicle"]) -> Float[Array, " vehicle"]:
    """Steering angle δ towards the middle of a lane, e m away: cascaded proportional control.

    ψ* = arcsin(−e / 0.6 v) within ±π/4,   β = arcsin(5 (ψ* − ψ) L / 2v),   tan δ = 2 tan β, |δ| ≤ π/3
    """
    speed = not_zero(vehicles.speed)
    error = vehicles.position[:, 1] - LANE_WIDTH * target_lane
    aim = jnp.arcsin(jnp.clip(-_LATERAL_GAIN * error / speed, -1.0, 1.0))
    turn = jnp.clip(aim, -jnp.pi / 4.0, jnp.pi / 4.0) - vehicles.heading
    turn = (turn + jnp.pi) % (2.0 * jnp.pi) - jnp.pi
    slip = jnp.clip(LENGTH / 2.0 / speed * _HEADING_GAIN * turn, -1.0, 1.0)
    angle = jnp.arctan2(2.0 * slip, jnp.sqrt(1.0 - slip**2))
    return jnp.clip(angle, -_LARGEST_STEERING, _LARGEST_STEERING)


def move(vehicles: Vehicles, num_lanes: int, seconds: float) -> Vehicles:
    """One Euler step of a bicycle: ẋ = v (cos, sin)(ψ + β), ψ̇ = v sin β / (L/2), tan β = tan(δ)/2."""
    speed = vehicles.speed
    steering = jnp.where(vehicles.crashed, 0.0, vehicles.steering)
    acceleration = jnp.where(vehicles.crashed, -speed, vehicles.acceleration)
    acceleration = jnp.where(speed > _TOP_SPEED, jnp.minimum(acceleration, _TOP_SPEED - speed), acceleration)
    acceleration = jnp.where(speed < -_TOP_SPEED, jnp.maximum(acceleration, -_TOP_SPEED - speed), acceleration)
    slip = jnp.arctan(0.5 * jnp.tan(steering))
    position = vehicles.position + seconds * speed[:, None] * directions(vehicles.heading + slip)
    position = position + jnp.where(vehicles.struck[:, None], vehicles.impact, 0.0)
    return vehicles._replace(
        position=position,
        heading=vehicles.heading + seconds * speed * jnp.sin(slip) / (LENGTH / 2.0),
        speed=speed + seconds * acceleration,
        lane=lane_of(position, num_lanes),
        crashed=vehicles.crashed | vehicles.struck,
        struck=jnp.zeros_like(vehicles.struck),
        timer=vehicles.timer + seconds,
    )
