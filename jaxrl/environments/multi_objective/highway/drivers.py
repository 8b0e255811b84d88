"""How the others drive: the Intelligent Driver Model along the road, MOBIL across it.

Treiber et al., 2000, arXiv cond-mat/0002177 (IDM); Kesting et al., 2007 (MOBIL). What is added to them, such as giving
up a lane change, is highway-env's.
"""

from typing import NamedTuple

import jax.numpy as jnp

from jaxrl.environments.multi_objective.highway.vehicles import LANE_WIDTH, Vehicles, directions, not_zero, steer
from jaxrl.types import Array, Bool, Float, Int

__all__ = ["Traffic", "drive"]

_LARGEST_ACCELERATION = 6.0
# A driver thinks of changing lanes when its timer is past a second. The original counts in double precision, where
# whole numbers of its steps do not quite pass it.
_DELAY = 1.0 + 1e-5
# Drivers who give up a lane change because of one another: as many in a row are told apart.
_GIVING_UP = 3


class Traffic(NamedTuple):
    """What all drivers have in common, and may be swept.

    Attributes:
        speed_limit: m/s; their own speeds are drawn from 70 to 80 % of it.
        time_gap: T that they keep to the vehicle in front, s.
        jam_distance: s₀, from middle to middle, m.
        comfort_acceleration: a, m/s².
        comfort_braking: b, m/s².
        exponents: bounds of δ, from which each driver's is drawn.
        politeness: share of other's losses that they count as their own when they change lanes.
        least_gain: of acceleration for which they change lanes, m/s².
        imposed_braking: that they will not exceed in whom they cut in on, m/s².
    """

    speed_limit: Float[Array, ""]
    time_gap: Float[Array, ""]
    jam_distance: Float[Array, ""]
    comfort_acceleration: Float[Array, ""]
    comfort_braking: Float[Array, ""]
    exponents: Float[Array, "2"]
    politeness: Float[Array, ""]
    least_gain: Float[Array, ""]
    imposed_braking: Float[Array, ""]


class _Pairs(NamedTuple):
    """Of vehicles i and j: how far j is ahead of i, and the gap s* that i would keep to it, m."""

    ahead: Float[Array, "vehicle vehicle"]
    gap: Float[Array, "vehicle vehicle"]


def drive(vehicles: Vehicles, traffic: Traffic, num_lanes: int) -> Vehicles:
    """Every driver's decision: lane, steering and acceleration; the first vehicle keeps its targets.

    v̇ = a (1 − (v/v₀)^δ − (s*/s)²),   s* = s₀ + v T + v Δv / (2 √(a b))

    It follows the vehicle in front on its own lane and, while it changes, on the next: the smaller acceleration. A
    second after it last thought of it, it changes lanes if that gains more than `least_gain` and nobody behind has to
    brake harder than `imposed_braking`; to the right if both sides will do. It gives up if another is changing to the
    same lane close in front.
    """
    pairs = _pairs(vehicles, traffic)
    front, rear = _neighbours(vehicles, num_lanes)
    target_lane, timer = _choose_lanes(vehicles, traffic, pairs, front, rear, num_lanes)
    everyone = jnp.arange(vehicles.speed.size)
    following = _acceleration(vehicles, traffic, pairs, everyone, front[vehicles.lane, everyone], vehicles.exponent)
    joining = _acceleration(vehicles, traffic, pairs, everyone, front[target_lane, everyone], vehicles.exponent)
    acceleration = jnp.where(target_lane != vehicles.lane, jnp.minimum(following, joining), following)
    acceleration = jnp.clip(acceleration, -_LARGEST_ACCELERATION, _LARGEST_ACCELERATION)
    own = (vehicles.target_speed[0] - vehicles.speed[0]) / 0.6
    driving = ~vehicles.crashed | (everyone == 0)
    return vehicles._replace(
        target_lane=target_lane,
        timer=timer,
        steering=jnp.where(driving, steer(vehicles, target_lane), vehicles.steering),
        acceleration=jnp.where(driving, acceleration.at[0].set(own), vehicles.acceleration),
    )


def _pairs(vehicles: Vehicles, traffic: Traffic) -> _Pairs:
    facing = directions(vehicles.heading)
    velocity = vehicles.speed[:, None] * facing
    closing = jnp.sum(velocity * facing, axis=-1)[:, None] - facing @ velocity.T
    braking = 2.0 * jnp.sqrt(traffic.comfort_acceleration * traffic.comfort_braking)
    speed = vehicles.speed[:, None]
    x = vehicles.position[:, 0]
    gap = traffic.jam_distance + speed * traffic.time_gap + speed * closing / braking
    return _Pairs(x[None, :] - x[:, None], gap)


def _neighbours(vehicles: Vehicles, num_lanes: int) -> tuple[Int[Array, "lane vehicle"], Int[Array, "lane vehicle"]]:
    """The vehicle in front and the one behind every vehicle on every lane, −1 where there is none.

    Who is within 1 m of a lane's edge counts as on it.
    """
    x, y = vehicles.position.T
    on_lane = jnp.abs(y - LANE_WIDTH * jnp.arange(num_lanes)[:, None]) <= LANE_WIDTH / 2.0 + 1.0
    others = on_lane[:, None, :] & ~jnp.eye(x.size, dtype=bool)
    ahead = x[None, :] - x[:, None]

    def nearest(distance: Float[Array, "lane vehicle vehicle"]) -> Int[Array, "lane vehicle"]:
        closest = jnp.argmin(distance, axis=-1).astype(jnp.int32)
        return jnp.where(jnp.isfinite(jnp.min(distance, axis=-1)), closest, -1)

    front = nearest(jnp.where(others & (ahead >= 0.0), ahead, jnp.inf))
    return front, nearest(jnp.where(others & (ahead < 0.0), -ahead, jnp.inf))


def _acceleration(
    vehicles: Vehicles,
    traffic: Traffic,
    pairs: _Pairs,
    who: Int[Array, " vehicle"],
    front: Int[Array, " vehicle"],
    exponent: Float[Array, " vehicle"],
) -> Float[Array, " vehicle"]:
    """IDM acceleration of `who` behind `front`, with δ = `exponent`; 0 of nobody, free behind nobody."""
    wanted = jnp.clip(vehicles.target_speed[who], 0.0, traffic.speed_limit)
    ratio = jnp.maximum(vehicles.speed[who], 0.0) / jnp.abs(not_zero(wanted))
    closeness = pairs.gap[who, front] / not_zero(pairs.ahead[who, front])
    held_up = jnp.where(front >= 0, closeness**2, 0.0)
    acceleration = traffic.comfort_acceleration * (1.0 - ratio**exponent - held_up)
    return jnp.where(who >= 0, acceleration, 0.0)


def _choose_lanes(
    vehicles: Vehicles,
    traffic: Traffic,
    pairs: _Pairs,
    front: Int[Array, "lane vehicle"],
    rear: Int[Array, "lane vehicle"],
    num_lanes: int,
) -> tuple[Int[Array, " vehicle"], Float[Array, " vehicle"]]:
    """Target lanes and timers."""
    everyone = jnp.arange(vehicles.speed.size)
    deciding = ~vehicles.crashed & (everyone > 0)
    changing = deciding & (vehicles.lane != vehicles.target_lane)
    due = deciding & ~changing & (vehicles.timer > _DELAY)
    chosen = vehicles.target_lane
    for side in (-1, 1):
        lane = vehicles.lane + side
        exists = (lane >= 0) & (lane < num_lanes)
        lane = jnp.clip(lane, 0, num_lanes - 1)
        worth = _worth_changing(
            vehicles, traffic, pairs, everyone, (front[lane, everyone], rear[lane, everyone]),
            (front[vehicles.lane, everyone], rear[vehicles.lane, everyone]),
        )  # fmt: skip
        chosen = jnp.where(due & exists & worth & (jnp.abs(vehicles.speed) >= 1.0), lane, chosen)
    return _give_up(vehicles, pairs, changing, chosen), jnp.where(due, 0.0, vehicles.timer)


def _worth_changing(
    vehicles: Vehicles,
    traffic: Traffic,
    pairs: _Pairs,
    everyone: Int[Array, " vehicle"],
    new: tuple[Int[Array, " vehicle"], Int[Array, " vehicle"]],
    old: tuple[Int[Array, " vehicle"], Int[Array, " vehicle"]],
) -> Bool[Array, " vehicle"]:
    """MOBIL's two conditions, every acceleration as the one who decides would drive (with its own δ)."""

    def would(who: Int[Array, " vehicle"], front: Int[Array, " vehicle"]) -> Float[Array, " vehicle"]:
        return _acceleration(vehicles, traffic, pairs, who, front, vehicles.exponent)

    (new_front, new_rear), (old_front, old_rear) = new, old
    imposed = would(new_rear, everyone)
    others = imposed - would(new_rear, new_front) + would(old_rear, old_front) - would(old_rear, everyone)
    gain = would(everyone, new_front) - would(everyone, old_front) + traffic.politeness * others
    return (imposed >= -traffic.imposed_braking) & (gain >= traffic.least_gain)


def _give_up(
    vehicles: Vehicles, pairs: _Pairs, changing: Bool[Array, " vehicle"], chosen: Int[Array, " vehicle"]
) -> Int[Array, " vehicle"]:
    """Target lanes after those who are changing have looked who else is.

    They decide one after another: who comes before is seen with its new target.
    """
    target, lane, everyone = vehicles.target_lane, vehicles.lane, jnp.arange(chosen.size)
    close = (pairs.ahead > 0.0) & (pairs.ahead < pairs.gap) & (lane[None, :] != target[:, None])
    earlier = everyone[None, :] < everyone[:, None]
    decided = chosen
    for _ in range(_GIVING_UP):
        seen = jnp.where(earlier, decided[None, :], target[None, :])
        yielding = changing & jnp.any(close & (seen == target[:, None]), axis=-1)
        decided = jnp.where(yielding, lane, chosen)
    return decided
