"""Collisions of vehicles: whether two rectangles overlap now or within the next step, and by how much."""

import jax.numpy as jnp
import numpy as np

from jaxrl.environments.multi_objective.highway.vehicles import LENGTH, WIDTH, Vehicles, directions
from jaxrl.types import Array, Float, Int

__all__ = ["collide"]

_DIAGONAL = float(np.hypot(LENGTH, WIDTH))


def collide(vehicles: Vehicles, seconds: float, first_alone: bool) -> Vehicles:
    """Marks who has crashed, and what moves whom in the next step.

    Two that will overlap are pushed apart by half of their overlap each, along the axis where it is smallest. Of
    several impacts on one vehicle, that with the last vehicle counts.

    Args:
        vehicles: after they have moved.
        seconds: of a step.
        first_alone: whether only collisions with the first vehicle are looked for.
    """
    count = vehicles.speed.size
    first, second = (jnp.zeros(count - 1, int), jnp.arange(1, count)) if first_alone else _near(vehicles, seconds)
    overlaps, will, apart = _overlap(vehicles, first, second, seconds)
    partner = jnp.full((count, count), False).at[first, second].set(will).at[second, first].set(will)
    last = count - 1 - jnp.argmax(partner[:, ::-1], axis=-1)
    push = jnp.zeros((count, count, 2)).at[first, second].set(0.5 * apart).at[second, first].set(-0.5 * apart)
    struck = jnp.any(partner, axis=-1)
    impact = jnp.where(struck[:, None], push[jnp.arange(count), last], vehicles.impact)
    crashed = vehicles.crashed.at[first].max(overlaps).at[second].max(overlaps)
    return vehicles._replace(crashed=crashed, struck=vehicles.struck | struck, impact=impact)


def _near(vehicles: Vehicles, seconds: float) -> tuple[Int[Array, " pair"], Int[Array, " pair"]]:
    """Pairs that may touch: no more than four per vehicle where none overlap. Spare ones are (0, 0)."""
    x, y = vehicles.position.T
    apart = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    near = apart <= (_DIAGONAL + vehicles.speed[:, None] * seconds) ** 2
    first, second = jnp.nonzero(jnp.triu(near, 1), size=4 * x.size, fill_value=0)
    return first, second


def _overlap(
    vehicles: Vehicles, a: Int[Array, " pair"], b: Int[Array, " pair"], seconds: float
) -> tuple[Array, Array, Float[Array, "pair 2"]]:
    """Separating axes: whether a and b overlap, whether they will, and what moves a out of b."""
    between = vehicles.position[a] - vehicles.position[b]
    near = (a < b) & (jnp.linalg.norm(between, axis=-1) <= _DIAGONAL + vehicles.speed[a] * seconds)
    facing = directions(vehicles.heading)
    across = jnp.stack([-facing[:, 1], facing[:, 0]], axis=-1)
    # Of each axis: [pair, axis, 2].
    axes = jnp.stack([across[a], facing[a], across[b], facing[b]], axis=1)
    ahead = jnp.einsum("pac,pc->pa", axes, between)
    velocity = vehicles.speed[:, None] * facing
    travel = seconds * jnp.einsum("pac,pc->pa", axes, velocity[a] - velocity[b])

    def reach(who: Int[Array, " pair"]) -> Float[Array, "pair axis"]:
        along = jnp.abs(jnp.einsum("pac,pc->pa", axes, facing[who]))
        aside = jnp.abs(jnp.einsum("pac,pc->pa", axes, across[who]))
        return LENGTH / 2.0 * along + WIDTH / 2.0 * aside

    reach_a, reach_b = reach(a), reach(b)
    low, high = ahead - reach_a, ahead + reach_a
    now = _between(low, high, -reach_b, reach_b)
    then = _between(low + jnp.minimum(travel, 0.0), high + jnp.maximum(travel, 0.0), -reach_b, reach_b)
    axis = jnp.argmin(jnp.abs(then), axis=-1)[:, None]
    depth = jnp.abs(jnp.take_along_axis(then, axis, axis=1))
    normal = jnp.take_along_axis(axes, axis[..., None], axis=1)[:, 0]
    sign = jnp.where(jnp.take_along_axis(ahead, axis, axis=1) > 0.0, 1.0, -1.0)
    will = near & jnp.all(then <= 0.0, axis=-1)
    return near & jnp.all(now <= 0.0, axis=-1), will, jnp.where(will[:, None], depth * sign * normal, 0.0)


def _between(
    low_a: Float[Array, "pair axis"],
    high_a: Float[Array, "pair axis"],
    low_b: Float[Array, "pair axis"],
    high_b: Float[Array, "pair axis"],
) -> Float[Array, "pair axis"]:
    """Distance of two intervals, negative where they overlap."""
    return jnp.where(low_a < low_b, low_b - high_a, low_a - high_b)
