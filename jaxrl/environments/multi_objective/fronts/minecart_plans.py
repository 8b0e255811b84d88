"""Attainable returns of the deterministic minecart: the best found of plans that visit one mine or none."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.multi_objective.fronts.hull import non_dominated_points
from jaxrl.environments.multi_objective.fronts.minecart_search import Actions, Drive, drive
from jaxrl.environments.multi_objective.minecart import MinecartParams, MinecartState, minecart
from jaxrl.types import Array, Float, Int, PyTree

__all__ = ["MinecartPlans", "minecart_plans", "replay"]

# Drives that cost more are not followed: this pays for five accelerations and seven steps more.
_FLOOR = -0.75
# What a step of time is worth in fuel when stops are ranked; 0 ranks by fuel alone.
_PATIENCE = (0.0, 0.02, 0.05, 0.1)
# Substeps per action, and the degrees that an action turns.
_FRAME_SKIP = 4
_TURN = 40.0


class MinecartPlans(NamedTuple):
    """Plans found, one per point.

    Attributes:
        points: discounted returns, none dominated by another, sorted by the first objective.
        actions: the actions of each plan, up to the return home.
        dropped: carts that the search gave up for want of capacity.
    """

    points: Float[np.ndarray, "point objective"]
    actions: list[list[int]]
    dropped: int


class _Stops(NamedTuple):
    """Standing carts within reach of a mine, turned so as to drive home."""

    state: MinecartState
    mine: Int[np.ndarray, " stop"]
    actions: list[list[int]]


def minecart_plans(discount: float, depth: int = 14, stops: int = 40, capacity: int = 2**19) -> MinecartPlans:
    """Searches the deterministic minecart for plans that no other plan found dominates.

    A plan drives out, brakes beside a mine, turns, mines and drives home; or drives out and home.
    Both drives are searched breadth first with `drive`, and every plan is replayed in the
    environment: each point is attained, so that the set is a lower bound of the front. It is
    not the front: carts that are nearly alike were merged, and plans that visit two mines
    left out.

    Args:
        discount: γ in [0, 1].
        depth: steps of each drive.
        stops: stops kept per mine and way of ranking them.
        capacity: carts kept per step of a drive.
    """
    environment = minecart(deterministic=True)
    start = environment.reset(jax.random.key(0), environment.params)[0].inner
    start = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], start)
    out = drive(start, discount, depth, capacity, _FLOOR, turn_standing=True, best_only=False)
    plans = [
        out.actions_home(step, way) for step, found in enumerate(out.arrivals, start=1) for way in _best(found.fuel)
    ]
    chosen = _stops(out, environment.params, discount, stops)
    back = drive(chosen.state, discount, depth, capacity, _FLOOR, turn_standing=False, best_only=True)
    for step, found in enumerate(back.arrivals, start=1):
        for source in np.unique(found.source):
            way = np.flatnonzero(found.source == source)
            way = int(way[np.argmax(found.fuel[way])])
            for amount in range(1, _most_mining(environment.params, int(chosen.mine[source])) + 1):
                mining = [Actions.MINE] * amount
                plans.append([*chosen.actions[source], *mining, *back.actions_home(step, way)])
    returns = replay(plans, discount)
    points = non_dominated_points(returns)
    # Of plans with equal returns the first found is kept.
    index = [int(np.flatnonzero((returns == point).all(axis=1))[0]) for point in points]
    return MinecartPlans(points, [plans[i] for i in index], out.dropped + back.dropped)


def replay(plans: list[list[int]], discount: float) -> np.ndarray:
    """Discounted returns `[plan, objective]` of action sequences, each of which must end at home.

    Raises:
        ValueError: if a plan does not end the episode with its last action.
    """
    lengths = np.array([len(plan) for plan in plans])
    actions = np.full((len(plans), lengths.max()), Actions.NOTHING, np.int32)
    for row, plan in zip(actions, plans, strict=True):
        row[: len(plan)] = plan
    rewards, home = jax.device_get(_replay(jnp.asarray(actions)))
    within = np.arange(actions.shape[1]) < lengths[:, None]
    if not np.array_equal(home.argmax(axis=1) + 1, lengths) or not home.any(axis=1).all():
        raise ValueError("a plan must come home with its last action, and not before")
    weights = np.where(within, float(discount) ** np.arange(actions.shape[1]), 0.0)
    return np.einsum("pt,pto->po", weights, rewards.astype(np.float64))


@jax.jit
def _replay(actions: Int[Array, "plan time"]) -> tuple[Float[Array, "plan time objective"], Array]:
    key, environment = jax.random.key(0), minecart(deterministic=True)

    def single(actions: Int[Array, " time"]) -> tuple[Array, Array]:
        def body(state: PyTree, action: Array) -> tuple[PyTree, tuple[Array, Array]]:
            state, timestep = environment.step(key, state, action, environment.params)
            return state, (timestep.reward, timestep.terminated)

        return jax.lax.scan(body, environment.reset(key, environment.params)[0], actions)[1]

    return jax.vmap(single)(actions)


def _best(fuel: np.ndarray) -> list[int]:
    """The index of the largest entry, if there is any."""
    return [int(fuel.argmax())] if len(fuel) else []


def _most_mining(params: MinecartParams, mine: int) -> int:
    """Actions that fill the cart."""
    per_action = _FRAME_SKIP * float(params.ore_mean[mine].sum())
    return int(np.ceil(float(params.capacity) / per_action - 1e-6))


def _stops(out: Drive, params: MinecartParams, discount: float, count: int) -> _Stops:
    """The best `count` stops of every mine for each trade of fuel against time, in three headings towards home."""
    rows = []
    for step, carts in enumerate(out.carts, start=1):
        squared = np.sum((carts.state.position[:, None] - np.asarray(params.mines)) ** 2, axis=-1)
        near = np.flatnonzero(carts.alive & (squared.min(axis=1) <= float(params.mine_radius) ** 2))
        fuel = carts.fuel[near] + _FRAME_SKIP * float(params.fuel_idle) * discount**step
        rows.append(np.column_stack([np.full(len(near), step), near, squared[near].argmin(axis=1), fuel]))
    table = np.concatenate(rows)
    chosen = set()
    for mine in range(len(params.mines)):
        here = np.flatnonzero(table[:, 2] == mine)
        for patience in _PATIENCE:
            chosen.update(here[np.argsort(-(table[here, 3] - patience * table[here, 0]), kind="stable")[:count]])
    states, mines, plans = [], [], []
    for step, cart, mine, _ in table[sorted(chosen)]:
        state = jax.tree.map(lambda leaf, i=int(cart): leaf[i], out.carts[int(step) - 1].state)
        plan = [*out.actions(int(step), int(cart)), Actions.BRAKE]
        for turns in _homeward(state):
            angle = np.float32((state.angle + _TURN * turns) % 360.0)
            states.append(state._replace(speed=np.float32(0.0), angle=angle))
            plans.append(plan + [Actions.RIGHT if turns > 0 else Actions.LEFT] * abs(turns))
            mines.append(int(mine))
    return _Stops(jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), np.array(mines), plans)


def _homeward(state: MinecartState) -> list[int]:
    """The numbers of turns, right ones positive, that leave the three headings nearest to home's direction."""
    home = np.rad2deg(np.arctan2(-state.position[1], -state.position[0]))
    turns = np.arange(-4, 5)
    error = np.abs((state.angle + _TURN * turns - home + 180.0) % 360.0 - 180.0)
    return turns[np.argsort(error, kind="stable")[:3]].tolist()
