"""Minecart: collect two kinds of ore from five mines, bring them home, spend little fuel."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.spaces import Box, Discrete
from jaxrl.environments.transforms import time_limit
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["MinecartParams", "MinecartState", "minecart"]

_MINE, _LEFT, _RIGHT, _ACCELERATE, _BRAKE, _NONE = range(6)
_NUM_ORES = 2
# The cart counts as standing below this speed, and as not moving along an axis below it.
_STANDING = 1e-3


class MinecartParams(NamedTuple):
    """What may be swept. The map is the unit square, home is at (0, 0); time is in substeps.

    Attributes:
        mines: position of each mine, in [0, 1]².
        ore_mean: mean amount of each ore that one substep of mining yields.
        ore_deviation: standard deviation of that amount, before negative draws become 0; None
            draws no noise at all.
        capacity: total amount that the cart holds.
        mine_radius: largest distance from which a mine can be worked.
        base_radius: home's radius: coming back inside it sells the content and ends the episode.
        start_angle: first heading in degrees, 0 along x, 90 along y.
        rotation: degrees turned per substep; also what sliding along a wall turns.
        acceleration: speed gained per substep of accelerating.
        deceleration: speed lost per substep of braking.
        max_speed: largest speed that accelerating reaches, distance per substep.
        fuel_idle: reward of the fuel objective per substep, whatever the action.
        fuel_mine: added to it per substep of mining.
        fuel_accelerate: added to it per substep of accelerating.
    """

    mines: Float[Array, "mine 2"]
    ore_mean: Float[Array, "mine ore"]
    ore_deviation: Float[Array, "mine ore"] | None
    capacity: Float[Array, ""]
    mine_radius: Float[Array, ""]
    base_radius: Float[Array, ""]
    start_angle: Float[Array, ""]
    rotation: Float[Array, ""]
    acceleration: Float[Array, ""]
    deceleration: Float[Array, ""]
    max_speed: Float[Array, ""]
    fuel_idle: Float[Array, ""]
    fuel_mine: Float[Array, ""]
    fuel_accelerate: Float[Array, ""]


class MinecartState(NamedTuple):
    """The cart.

    Attributes:
        position: (x, y) in [0, 1]².
        speed: distance per substep.
        angle: heading in degrees.
        content: amount of each ore on board.
        departed: whether the cart has left home.
    """

    position: Float[Array, "2"]
    speed: Float[Array, ""]
    angle: Float[Array, ""]
    content: Float[Array, " ore"]
    departed: Bool[Array, ""]


def minecart(deterministic: bool = False, frame_skip: int = 4, limit: int = 1000) -> Environment:
    """Builds minecart; every action lasts `frame_skip` substeps.

    r = (ore 1 sold, ore 2 sold, −fuel used): ores are paid once, on return; fuel at every step.

    Source: Abels et al., 2019 (arXiv 1809.07803); constants and order of operations as
    in MO-Gymnasium's `minecart-v0` and `minecart-deterministic-v0`.
    Observation: (x, y, speed, sin angle, cos angle, content / capacity), 7 numbers in [−1, 1].
    Actions: mine, turn left, turn right, accelerate, brake, nothing.

    Args:
        deterministic: mines yield exactly their means; `params.ore_deviation` is then None.
        frame_skip: substeps per action, at least 1.
        limit: steps after which an episode is truncated.

    Raises:
        ValueError: for a frame skip below 1.
    """
    if frame_skip < 1:
        raise ValueError(f"frame_skip must be at least 1, got {frame_skip}")

    def step(
        key: PRNGKeyArray, state: MinecartState, action: Int[Array, ""], params: MinecartParams
    ) -> tuple[MinecartState, Timestep]:
        return _step(frame_skip, key, state, action, params)

    spec = EnvironmentSpec(
        name="mo/minecart" + ("-deterministic" if deterministic else ""),
        observation=Box(-1.0, 1.0, (5 + _NUM_ORES,)),
        action=Discrete(6),
        num_objectives=_NUM_ORES + 1,
        objective_names=("ore_1", "ore_2", "fuel"),
        reference_point=(-1.0, -1.0, -200.0),
        discount=0.98,
    )
    return time_limit(Environment(_reset, step, _params(deterministic), spec), limit)


def _params(deterministic: bool) -> MinecartParams:
    mean = jnp.array([[0.2, 0.0], [0.15, 0.1], [0.2, 0.2], [0.1, 0.15], [0.0, 0.2]])
    scalars = {
        "capacity": 1.5,
        "mine_radius": 0.14,
        "base_radius": 0.15,
        "start_angle": 45.0,
        "rotation": 10.0,
        "acceleration": 0.0075,
        "deceleration": 1.0,
        "max_speed": 1.0,
        "fuel_idle": -0.005,
        "fuel_mine": -0.05,
        "fuel_accelerate": -0.025,
    }
    return MinecartParams(
        mines=jnp.array([[0.16, 0.84], [0.5, 0.84], [0.84, 0.84], [0.84, 0.5], [0.84, 0.16]]),
        ore_mean=mean,
        ore_deviation=None if deterministic else jnp.full_like(mean, 0.05),
        **{name: jnp.float32(value) for name, value in scalars.items()},
    )


def _reset(key: PRNGKeyArray, params: MinecartParams) -> tuple[MinecartState, Float[Array, "7"]]:
    zero = jnp.zeros(())
    state = MinecartState(jnp.zeros(2), zero, params.start_angle, jnp.zeros(_NUM_ORES), jnp.array(False))
    return state, _observe(state, params)


def _observe(state: MinecartState, params: MinecartParams) -> Float[Array, "7"]:
    radians = jnp.deg2rad(state.angle)
    pose = jnp.stack([state.speed, jnp.sin(radians), jnp.cos(radians)])
    return jnp.concatenate([state.position, pose, state.content / params.capacity])


def _step(
    frame_skip: int, key: PRNGKeyArray, state: MinecartState, action: Int[Array, ""], params: MinecartParams
) -> tuple[MinecartState, Timestep]:
    noise = None
    if params.ore_deviation is not None:
        noise = jax.random.normal(key, (frame_skip, _NUM_ORES))
    sold, home, stopped = jnp.zeros(_NUM_ORES), jnp.array(False), jnp.array(False)
    for substep in range(frame_skip):
        # The substep after the return still turns, accelerates or mines, but no longer moves.
        controlled = _control(state, action, params, None if noise is None else noise[substep])
        state = _select(stopped, state, controlled)
        stopped = home
        state = _select(stopped, state, _move(state, params))
        inside = jnp.sum(state.position**2) < params.base_radius**2
        arrived = inside & state.departed & ~home
        sold = jnp.where(arrived, state.content, sold)
        state = state._replace(
            content=jnp.where(arrived, 0.0, state.content), departed=state.departed | (~inside & ~stopped)
        )
        home = home | arrived
    state = state._replace(angle=state.angle - 360.0 * jnp.floor(state.angle / 360.0))
    fuel = params.fuel_idle + jnp.where(action == _MINE, params.fuel_mine, 0.0)
    fuel = frame_skip * (fuel + jnp.where(action == _ACCELERATE, params.fuel_accelerate, 0.0))
    reward = jnp.concatenate([sold, fuel[None]])
    return state, Timestep(_observe(state, params), reward, home, jnp.array(False), {})


def _select(condition: Bool[Array, ""], if_true: MinecartState, if_false: MinecartState) -> MinecartState:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), if_true, if_false)


def _control(
    state: MinecartState, action: Int[Array, ""], params: MinecartParams, noise: Float[Array, " ore"] | None
) -> MinecartState:
    """What the action itself does in one substep, before the cart moves."""
    turn = jnp.where(action == _RIGHT, params.rotation, 0.0) - jnp.where(action == _LEFT, params.rotation, 0.0)
    push = jnp.where(action == _ACCELERATE, params.acceleration, 0.0)
    push = push - jnp.where(action == _BRAKE, params.deceleration, 0.0)
    # Speed is clipped by accelerating and braking only.
    speed = jnp.where(push == 0.0, state.speed, jnp.clip(state.speed + push, 0.0, params.max_speed))
    content = state.content + jnp.where(action == _MINE, _mined(state, params, noise), 0.0)
    return state._replace(angle=state.angle + turn, speed=speed, content=content)


def _mined(state: MinecartState, params: MinecartParams, noise: Float[Array, " ore"] | None) -> Float[Array, " ore"]:
    """What one substep of mining yields: max(0, N(μ, σ²)) per ore, scaled down to the room left."""
    squared_distance = jnp.sum((params.mines - state.position) ** 2, axis=-1)
    nearest = jnp.argmin(squared_distance)
    amount = params.ore_mean[nearest]
    if noise is not None:
        amount = amount + params.ore_deviation[nearest] * noise
    amount = jnp.maximum(amount, 0.0)
    total, room = jnp.sum(amount), params.capacity - jnp.sum(state.content)
    amount = amount * jnp.where(total > room, room / jnp.where(total > 0.0, total, 1.0), 1.0)
    workable = (squared_distance[nearest] <= params.mine_radius**2) & (state.speed < _STANDING)
    return jnp.where(workable, amount, 0.0)


def _move(state: MinecartState, params: MinecartParams) -> MinecartState:
    """One substep of motion; a cart at a wall turns so as to slide along it."""
    radians = jnp.deg2rad(state.angle)
    velocity = state.speed * jnp.stack([jnp.cos(radians), jnp.sin(radians)])
    at_low, at_high = state.position == 0.0, state.position == 1.0
    # Along the other axis the cart must be off both walls and moving.
    free = ~(at_low | at_high)[::-1] & (jnp.abs(velocity[::-1]) > _STANDING)
    outward = jnp.where(at_high & (velocity > 0.0), 1.0, 0.0) - jnp.where(at_low & (velocity < 0.0), 1.0, 0.0)
    # Turning right (positive) follows +y from the wall x = 1, and −x from the wall y = 1.
    sense = jnp.array([1.0, -1.0]) * jnp.sign(velocity[::-1])
    slide = params.rotation * jnp.sum(jnp.where(free, outward * sense, 0.0))
    position = jnp.clip(state.position + velocity, 0.0, 1.0)
    moved = state._replace(
        position=position,
        speed=jnp.sqrt(jnp.sum((position - state.position) ** 2)),
        angle=state.angle + slide,
    )
    return _select(state.speed < _STANDING, state, moved)
