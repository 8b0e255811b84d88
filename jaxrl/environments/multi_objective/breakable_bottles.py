"""Breakable bottles: bring home two bottles soon, without leaving any on the ground."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec, Outcomes, Timestep
from jaxrl.environments.outcomes import chance, sampled_step
from jaxrl.environments.spaces import Discrete, MultiDiscrete
from jaxrl.environments.transforms import time_limit
from jaxrl.types import Array, Float, Int, PRNGKeyArray

__all__ = ["BreakableBottlesParams", "BreakableBottlesState", "breakable_bottles"]

_LEFT, _RIGHT, _PICK_UP = range(3)
# What one can carry, and what ends the episode once delivered.
_MOST = 2


class BreakableBottlesParams(NamedTuple):
    """What may be swept.

    Attributes:
        drop_probability: of dropping a bottle in a step that leaves an inner tile with two, in [0, 1].
        time_reward: reward of the first objective at every step.
        bottle_reward: reward of the second objective per bottle delivered.
    """

    drop_probability: Float[Array, ""]
    time_reward: Float[Array, ""]
    bottle_reward: Float[Array, ""]


class BreakableBottlesState(NamedTuple):
    """The carrier and the corridor.

    Attributes:
        location: 0 at the store of bottles, size − 1 at home.
        carrying: bottles in hand, 0 to 2.
        delivered: bottles at home, 0 to 2.
        dropped: bottles on each inner tile; breakable ones count once, being past use.
    """

    location: Int[Array, ""]
    carrying: Int[Array, ""]
    delivered: Int[Array, ""]
    dropped: Int[Array, " tile"]


def breakable_bottles(unbreakable: bool = False, size: int = 5, limit: int = 100) -> Environment:
    """Builds breakable bottles, or unbreakable ones, which can be picked up where they fell.

    r = (−1, 25 · delivered now, φ(s′) − φ(s)) with φ = −1 while any bottle lies on the ground, else 0;
    a drop falls on the tile that is left. Two bottles delivered end the episode.

    Source: Vamplew et al., 2021 (Engineering Applications of AI 100); as in MO-Gymnasium's
    `breakable-bottles-v0`, which starts at home, unlike its description.
    Observation: (location, carrying, delivered, whether a bottle lies on each inner tile),
    `MultiDiscrete`; the peer returns the numbers of bottles, outside its own declared space.
    Actions: left, right, pick up.

    Args:
        unbreakable: dropped bottles can be picked up again.
        size: tiles of the corridor, both ends included, at least 3.
        limit: steps after which an episode is truncated.

    Raises:
        ValueError: for a size below 3.
    """
    if size < 3:
        raise ValueError(f"breakable bottles need a size of at least 3, got {size}")
    spec = EnvironmentSpec(
        name="mo/breakable-bottles",
        observation=MultiDiscrete((size, _MOST + 1, _MOST + 1) + (2,) * (size - 2)),
        action=Discrete(3),
        num_objectives=3,
        objective_names=("time", "bottles", "potential"),
        # The worst of each: no delivery at all, and a bottle on the ground.
        reference_point=(-float(limit), 0.0, -1.0),
        discount=0.99,
    )
    params = BreakableBottlesParams(jnp.float32(0.1), jnp.float32(-1.0), jnp.float32(25.0))
    outcomes = partial(_outcomes, unbreakable, size)
    reset = partial(_reset, size)
    return time_limit(Environment(reset, sampled_step(outcomes), params, spec, outcomes=outcomes), limit)


def _reset(
    size: int, key: PRNGKeyArray, params: BreakableBottlesParams
) -> tuple[BreakableBottlesState, Int[Array, " choice"]]:
    zero = jnp.zeros((), jnp.int32)
    state = BreakableBottlesState(jnp.array(size - 1, jnp.int32), zero, zero, jnp.zeros(size - 2, jnp.int32))
    return state, _observe(state)


def _observe(state: BreakableBottlesState) -> Int[Array, " choice"]:
    carrier = jnp.stack([state.location, state.carrying, state.delivered])
    return jnp.concatenate([carrier, (state.dropped > 0).astype(jnp.int32)])


def _outcomes(
    unbreakable: bool,
    size: int,
    state: BreakableBottlesState,
    action: Int[Array, ""],
    params: BreakableBottlesParams,
) -> Outcomes:
    """Nothing dropped, a bottle dropped."""
    step = jnp.where(action == _RIGHT, 1, 0) - jnp.where(action == _LEFT, 1, 0)
    location = jnp.clip(state.location + step, 0, size - 1)
    tiles = jnp.arange(1, size - 1)
    here = tiles == state.location
    may_drop = jnp.any(here) & (location != state.location) & (state.carrying == _MOST)
    kept = _arrive(_pick_up(unbreakable, state, action, here), location, size)
    dropped = state.dropped + here
    # Only unbreakable bottles can leave the ground, so that only their number matters.
    dropped = dropped if unbreakable else jnp.minimum(dropped, 1)
    lost = _arrive(state._replace(carrying=state.carrying - 1, dropped=dropped), location, size)
    states = jax.tree.map(lambda *leaves: jnp.stack(leaves), kept, lost)
    timesteps = jax.vmap(lambda after: _timestep(state, after, params))(states)
    return Outcomes(chance(jnp.where(may_drop, params.drop_probability, 0.0)), states, timesteps)


def _pick_up(
    unbreakable: bool, state: BreakableBottlesState, action: Int[Array, ""], here: Array
) -> BreakableBottlesState:
    able = (action == _PICK_UP) & (state.carrying < _MOST)
    from_store = able & (state.location == 0)
    from_ground = here & (state.dropped > 0) & able if unbreakable else jnp.zeros_like(here)
    return state._replace(
        carrying=state.carrying + (from_store | jnp.any(from_ground)), dropped=state.dropped - from_ground
    )


def _arrive(state: BreakableBottlesState, location: Int[Array, ""], size: int) -> BreakableBottlesState:
    # Picking up is impossible at home, so being there with bottles is having just arrived.
    at_home = location == size - 1
    delivered = jnp.where(at_home, jnp.minimum(state.delivered + state.carrying, _MOST), state.delivered)
    carrying = jnp.where(at_home, 0, state.carrying)
    return state._replace(location=location, carrying=carrying, delivered=delivered)


def _timestep(before: BreakableBottlesState, after: BreakableBottlesState, params: BreakableBottlesParams) -> Timestep:
    potential = jnp.any(before.dropped > 0).astype(jnp.float32) - jnp.any(after.dropped > 0)
    delivered = (after.delivered - before.delivered) * params.bottle_reward
    reward = jnp.stack([params.time_reward, delivered, potential])
    return Timestep(_observe(after), reward, after.delivered == _MOST, jnp.array(False), {})
