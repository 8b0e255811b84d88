"""Highway: drive fast and on the right, and hit nobody."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.multi_objective.highway.collisions import collide
from jaxrl.environments.multi_objective.highway.drivers import Traffic, drive
from jaxrl.environments.multi_objective.highway.vehicles import LANE_WIDTH, LENGTH, Vehicles, directions, move
from jaxrl.environments.spaces import Box, Discrete
from jaxrl.environments.transforms import time_limit
from jaxrl.types import Array, Float, Int, PRNGKeyArray

__all__ = ["HighwayParams", "highway"]

LANE_LEFT, IDLE, LANE_RIGHT, FASTER, SLOWER = range(5)
# Speeds that the agent can ask for, m/s.
_SLOWEST, _SPACING, _NUM_SPEEDS = 20.0, 5.0, 3
_FIRST_SPEED = 25.0
# Vehicles are seen up to here, and this far behind, m; speeds are shown in units of twice the top speed, m/s.
_SIGHT, _BEHIND, _SPEED_UNIT = 200.0, 2.0 * LENGTH, 80.0
_NUM_SEEN = 5
_ROAD_LENGTH = 10_000.0


class HighwayParams(NamedTuple):
    """What may be swept.

    Attributes:
        traffic: how the others drive.
        density: of the others: they start 1/density times as far apart.
        first_gap: the agent starts about four gaps along the road, each so many times an ordinary one.
        reward_speeds: between which the reward for speed goes from 0 to 1, m/s.
    """

    traffic: Traffic
    density: Float[Array, ""]
    first_gap: Float[Array, ""]
    reward_speeds: Float[Array, "2"]


class Setting(NamedTuple):
    """What is static.

    Attributes:
        num_lanes: of the road.
        num_vehicles: others on it.
        frequency: substeps of a step.
        first_alone: whether only the agent can crash.
    """

    num_lanes: int
    num_vehicles: int
    frequency: int
    first_alone: bool


_FULL, _FAST = Setting(4, 50, 15, False), Setting(3, 20, 5, True)


def highway(
    fast: bool = False,
    num_lanes: int | None = None,
    num_vehicles: int | None = None,
    frequency: int | None = None,
    limit: int | None = None,
) -> Environment:
    """Builds the highway.

    r = (speed, lane, −crash), each 0 off the road: the forward speed from 20 to 30 m/s and the target lane from the
    leftmost to the rightmost as 0 to 1; a crash ends the episode. Steps of a second. Gymnasium's scalar reward is
    (0.4 speed + 0.1 lane − crash + 1) / 1.5.

    Actions: lane to the left, nothing, lane to the right, faster, slower; among 20, 25 and 30 m/s.
    Observation (25), vehicle by vehicle: the agent and the four nearest vehicles up to 10 m behind and 200 m before it,
    each with presence, x, y and both velocities; the others' relative to the agent's; x in units of 200 m, y of the
    road's width, velocities of 80 m/s, in [−1, 1]. State: `Vehicles`.

    Source: highway-env 1.10 (Leurent, 2018; MIT licence), objectives as in MO-Gymnasium's `mo-highway-v0` and
    `mo-highway-fast-v0`. `experiments/highway_peer.py` records its side, `tests/test_highway.py` compares.

    Args:
        fast: the quicker variant: fewer lanes, vehicles and substeps, and the others do not crash into each other.
        num_lanes: default 4, fast 3.
        num_vehicles: others on the road; default 50, fast 20.
        frequency: substeps of a step; default 15, fast 5.
        limit: steps after which an episode is truncated; default 40, fast 30.

    Raises:
        ValueError: for numbers below 1.
    """
    given = {"num_lanes": num_lanes, "num_vehicles": num_vehicles, "frequency": frequency}
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in given.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    setting = (_FAST if fast else _FULL)._replace(**given)
    spec = EnvironmentSpec(
        name="mo/highway-fast" if fast else "mo/highway",
        observation=Box(-1.0, 1.0, (_NUM_SEEN * 5,)),
        action=Discrete(5),
        num_objectives=3,
        objective_names=("speed", "lane", "crash"),
        reference_point=(-1.0, -1.0, -2.0),
        discount=0.99,
    )
    environment = Environment(partial(_reset, setting), partial(_step, setting), _params(1.5 if fast else 2.0), spec)
    return time_limit(environment, (30 if fast else 40) if limit is None else limit)


def _params(first_gap: float) -> HighwayParams:
    scalars = {
        "speed_limit": 30.0,
        "time_gap": 1.5,
        "jam_distance": 10.0,
        "comfort_acceleration": 3.0,
        "comfort_braking": 5.0,
        "politeness": 0.0,
        "least_gain": 0.2,
        "imposed_braking": 2.0,
    }
    traffic = Traffic(exponents=jnp.array([3.5, 4.5]), **{name: jnp.float32(value) for name, value in scalars.items()})
    return HighwayParams(traffic, jnp.float32(1.0), jnp.float32(first_gap), jnp.array([20.0, 30.0]))


def _reset(setting: Setting, key: PRNGKeyArray, params: HighwayParams) -> tuple[Vehicles, Float[Array, "25"]]:
    """Vehicles one after another along the road, on random lanes, the farther apart the faster they are."""
    count = setting.num_vehicles + 1
    lane_key, speed_key, gap_key, exponent_key = jax.random.split(key, 4)
    lane = jax.random.randint(lane_key, (count,), 0, setting.num_lanes)
    share = jax.random.uniform(speed_key, (count,), minval=0.7, maxval=0.8)
    speed = (share * params.traffic.speed_limit).at[0].set(_FIRST_SPEED)
    spacing = jnp.full(count, 1.0 / params.density).at[0].set(params.first_gap)
    gap = spacing * (12.0 + speed) * jnp.exp(-setting.num_lanes / 8.0)
    x = 3.0 * gap[0] + jnp.cumsum(gap * jax.random.uniform(gap_key, (count,), minval=0.9, maxval=1.1))
    low, high = params.traffic.exponents
    position = jnp.stack([x, LANE_WIDTH * lane.astype(jnp.float32)], axis=-1)
    zeros, nobody = jnp.zeros(count), jnp.zeros(count, bool)
    vehicles = Vehicles(
        position=position,
        heading=zeros,
        speed=speed,
        lane=lane,
        target_lane=lane,
        target_speed=speed,
        steering=zeros,
        acceleration=zeros,
        crashed=nobody,
        impact=jnp.zeros((count, 2)),
        struck=nobody,
        timer=(position.sum(axis=-1) * jnp.pi) % 1.0,
        exponent=jax.random.uniform(exponent_key, (count,), minval=low, maxval=high),
    )
    return vehicles, _observe(setting, vehicles)


def _step(
    setting: Setting, key: PRNGKeyArray, vehicles: Vehicles, action: Int[Array, ""], params: HighwayParams
) -> tuple[Vehicles, Timestep]:
    del key  # deterministic
    seconds = 1.0 / setting.frequency

    def substep(vehicles: Vehicles, _: None) -> tuple[Vehicles, None]:
        vehicles = drive(vehicles, params.traffic, setting.num_lanes)
        return collide(move(vehicles, setting.num_lanes, seconds), seconds, setting.first_alone), None

    vehicles = _aim(vehicles, action, setting.num_lanes)
    vehicles = jax.lax.scan(substep, vehicles, None, length=setting.frequency)[0]
    crashed, truncated = vehicles.crashed[0], jnp.zeros((), bool)
    timestep = Timestep(_observe(setting, vehicles), _reward(setting, vehicles, params), crashed, truncated, {})
    return vehicles, timestep


def _aim(vehicles: Vehicles, action: Int[Array, ""], num_lanes: int) -> Vehicles:
    """The agent's targets: a lane that is at most two lanes away, or the next speed from the one it has."""
    side = (action == LANE_RIGHT).astype(jnp.int32) - (action == LANE_LEFT).astype(jnp.int32)
    lane = jnp.clip(vehicles.target_lane[0] + side, 0, num_lanes - 1)
    x, y = vehicles.position[0]
    reachable = (jnp.abs(y - LANE_WIDTH * lane) <= 2.0 * LANE_WIDTH) & (x >= 0.0) & (x < _ROAD_LENGTH + LENGTH)
    more = (action == FASTER).astype(jnp.float32) - (action == SLOWER).astype(jnp.float32)
    nearest = jnp.clip(jnp.round((vehicles.speed[0] - _SLOWEST) / _SPACING), 0.0, _NUM_SPEEDS - 1.0)
    speed = _SLOWEST + _SPACING * jnp.clip(nearest + more, 0.0, _NUM_SPEEDS - 1.0)
    return vehicles._replace(
        target_lane=vehicles.target_lane.at[0].set(jnp.where(reachable, lane, vehicles.target_lane[0])),
        target_speed=vehicles.target_speed.at[0].set(jnp.where(more == 0.0, vehicles.target_speed[0], speed)),
    )


def _reward(setting: Setting, vehicles: Vehicles, params: HighwayParams) -> Float[Array, "3"]:
    slow, fast = params.reward_speeds
    forward = vehicles.speed[0] * jnp.cos(vehicles.heading[0])
    speed = jnp.clip((forward - slow) / (fast - slow), 0.0, 1.0)
    right = vehicles.target_lane[0] / max(setting.num_lanes - 1, 1)
    x, y = vehicles.position[0]
    on_road = (jnp.abs(y - LANE_WIDTH * vehicles.lane[0]) <= LANE_WIDTH / 2.0) & (x >= -LENGTH)
    reward = jnp.stack([speed, right, -vehicles.crashed[0].astype(jnp.float32)])
    return jnp.where(on_road, reward, 0.0)


def _observe(setting: Setting, vehicles: Vehicles) -> Float[Array, "25"]:
    """The agent in the road's frame, the others in its own."""
    velocity = vehicles.speed[:, None] * directions(vehicles.heading)
    units = jnp.array([_SIGHT, LANE_WIDTH * setting.num_lanes, _SPEED_UNIT, _SPEED_UNIT])
    features = jnp.concatenate([vehicles.position, velocity], axis=-1)
    relative = features[1:] - features[0]
    ahead = relative[:, 0]
    seen = (jnp.linalg.norm(relative[:, :2], axis=-1) < _SIGHT) & (ahead > -_BEHIND)
    missing = max(_NUM_SEEN - 1 - setting.num_vehicles, 0)
    order = jnp.argsort(jnp.where(seen, jnp.abs(ahead), jnp.inf))[: _NUM_SEEN - 1]
    rows = jnp.concatenate([features[:1], relative[order]]) / units
    presence = jnp.concatenate([jnp.ones(1, bool), seen[order]])
    rows = jnp.concatenate([jnp.ones((len(rows), 1)), jnp.clip(rows, -1.0, 1.0)], axis=-1)
    return jnp.pad(jnp.where(presence[:, None], rows, 0.0), ((0, missing), (0, 0))).ravel()
