"""Breadth-first search over the minecart's motion, on device, with near duplicates merged."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.multi_objective.minecart import MinecartState, minecart
from jaxrl.types import Array, Bool, Float, Int

__all__ = ["Actions", "Arrivals", "Carts", "Drive", "drive"]


class Actions:
    """The minecart's actions by name."""

    MINE, LEFT, RIGHT, ACCELERATE, BRAKE, NOTHING = range(6)


# A cart below this speed counts as standing.
_STANDING = 1e-3
_DRIVING = np.array([Actions.LEFT, Actions.RIGHT, Actions.ACCELERATE, Actions.NOTHING], np.int32)
# Carts merge where their positions, headings and speeds round to the same cell.
_CELLS, _DEGREES, _SPEEDS, _SPEED_STEP = 96, 10, 64, 0.004


class Carts(NamedTuple):
    """Carts after the same number of steps.

    Attributes:
        state: the environment's own, without its clock.
        fuel: discounted fuel return since the start.
        source: which start each cart comes from.
        parent: its index one step earlier.
        action: its last action.
        alive: whether the entry is in use.
    """

    state: MinecartState
    fuel: Float[Array, " cart"]
    source: Int[Array, " cart"]
    parent: Int[Array, " cart"]
    action: Int[Array, " cart"]
    alive: Bool[Array, " cart"]


class Arrivals(NamedTuple):
    """Carts that came home, after the number of steps that is their place in `Drive.arrivals`."""

    fuel: Float[np.ndarray, " way"]
    source: Int[np.ndarray, " way"]
    parent: Int[np.ndarray, " way"]
    action: Int[np.ndarray, " way"]


class Drive(NamedTuple):
    """A search: entry i of each list is after i + 1 steps.

    Attributes:
        carts: those under way.
        arrivals: those that came home on that step.
        dropped: how many were given up for want of capacity.
    """

    carts: list[Carts]
    arrivals: list[Arrivals]
    dropped: int

    def actions(self, steps: int, cart: int) -> list[int]:
        """What led to a cart that is under way after `steps` steps."""
        trail = []
        for carts in reversed(self.carts[:steps]):
            trail.append(int(carts.action[cart]))
            cart = int(carts.parent[cart])
        return trail[::-1]

    def actions_home(self, steps: int, way: int) -> list[int]:
        """What led to an arrival on step `steps`."""
        arrivals = self.arrivals[steps - 1]
        return [*self.actions(steps - 1, int(arrivals.parent[way])), int(arrivals.action[way])]


def drive(
    starts: MinecartState,
    discount: float,
    depth: int,
    capacity: int,
    floor: float,
    turn_standing: bool,
    best_only: bool,
) -> Drive:
    """Follows every sequence of turning, accelerating and coasting, up to merging.

    Args:
        starts: standing carts, with a leading axis.
        discount: γ of the fuel return.
        depth: number of steps.
        capacity: carts kept per step; those with the largest fuel return are.
        floor: carts whose fuel return falls below are given up.
        turn_standing: whether a standing cart may turn, rather than only accelerate.
        best_only: whether carts that can no longer improve on their source's best way home are
            given up: sound, as fuel returns only fall, but only for getting home.
    """
    count = len(starts.speed)
    pad = partial(jax.tree.map, lambda leaf: jnp.concatenate([leaf, jnp.repeat(leaf[-1:], capacity - count, axis=0)]))
    index = jnp.arange(count, dtype=jnp.int32)
    carts = Carts(starts, jnp.zeros(count), index, index, index, jnp.ones(count, bool))
    carts = pad(carts)._replace(alive=jnp.arange(capacity) < count)
    best = jnp.full(count, floor)
    found = Drive([], [], 0)
    for step in range(depth):
        carts, arrived, reached, dropped = _advance(turn_standing, carts, best, jnp.float32(discount**step))
        best = reached if best_only else best
        home = np.flatnonzero(arrived.alive)
        entries = (arrived.fuel, arrived.source, arrived.parent, arrived.action)
        found.arrivals.append(Arrivals(*(np.asarray(entry)[home] for entry in entries)))
        found.carts.append(jax.device_get(carts))
        found = found._replace(dropped=found.dropped + int(dropped))
    return found


@partial(jax.jit, static_argnums=0)
def _advance(
    turn_standing: bool, carts: Carts, best: Float[Array, " source"], scale: Float[Array, ""]
) -> tuple[Carts, Carts, Float[Array, " source"], Int[Array, ""]]:
    """One step of every cart: who drives on, who came home, each source's best so far, and the number dropped."""
    actions, capacity = jnp.asarray(_DRIVING), len(carts.fuel)
    environment = minecart(deterministic=True)
    clock = environment.reset(jax.random.key(0), environment.params)[0]

    def single(state: MinecartState, action: Array) -> tuple[MinecartState, Array, Array]:
        before = clock._replace(inner=state)
        after, timestep = environment.step(jax.random.key(0), before, action, environment.params)
        return after.inner, timestep.reward[-1], timestep.terminated

    states, fuel, home = jax.vmap(jax.vmap(single, in_axes=(None, 0)), in_axes=(0, None))(carts.state, actions)
    turns = (actions == Actions.LEFT) | (actions == Actions.RIGHT)
    useful = (carts.state.speed >= _STANDING)[:, None] | (actions == Actions.ACCELERATE) | (turns & turn_standing)
    children = Carts(
        state=jax.tree.map(lambda leaf: leaf.reshape(fuel.size, *leaf.shape[2:]), states),
        fuel=(carts.fuel[:, None] + scale * fuel).ravel(),
        source=jnp.repeat(carts.source, len(actions)),
        parent=jnp.repeat(jnp.arange(capacity, dtype=jnp.int32), len(actions)),
        action=jnp.tile(actions, capacity),
        alive=(useful & carts.alive[:, None]).ravel(),
    )
    alive = children.alive & (children.fuel > best[children.source])
    arrived = children._replace(alive=alive & home.ravel())
    best = best.at[children.source].max(jnp.where(arrived.alive, children.fuel, -jnp.inf))
    kept, dropped = _thin(capacity, children._replace(alive=alive & ~home.ravel()))
    return kept, arrived, best, dropped


def _thin(capacity: int, carts: Carts) -> tuple[Carts, Int[Array, ""]]:
    """The cart with the most fuel left of each cell and source, and how many exceed the capacity."""
    state = carts.state
    row, column = jnp.round(state.position * _CELLS).astype(jnp.int32).T
    heading = jnp.round(state.angle / _DEGREES).astype(jnp.int32) % (360 // _DEGREES)
    speed = jnp.clip(jnp.round(state.speed / _SPEED_STEP).astype(jnp.int32), 0, _SPEEDS - 1)
    cell = ((row * (_CELLS + 1) + column) * (360 // _DEGREES) + heading) * _SPEEDS + speed
    order = jnp.lexsort((-carts.fuel, cell, carts.source, ~carts.alive))
    cell, source = cell[order], carts.source[order]
    new = jnp.concatenate([jnp.array([True]), (cell[1:] != cell[:-1]) | (source[1:] != source[:-1])])
    first = new & carts.alive[order]
    chosen = jnp.argsort(jnp.where(first, -carts.fuel[order], jnp.inf))[:capacity]
    kept = jax.tree.map(lambda leaf: leaf[order[chosen]], carts)._replace(alive=first[chosen])
    return kept, jnp.sum(first) - jnp.sum(kept.alive)
