"""Lunar lander: come down softly on the pad, with little fuel from the main and the side engines."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.multi_objective.lunar_lander_bodies import (
    CENTRES,
    HULL,
    LEGS,
    NUM_ROWS,
    TIME_STEP,
    Bodies,
    LanderPhysics,
    push,
)
from jaxrl.environments.multi_objective.lunar_lander_dynamics import (
    STRIKING,
    TOUCHING,
    advance,
    hull_clearance,
    stop_hull,
)
from jaxrl.environments.spaces import Box, Discrete
from jaxrl.environments.transforms import time_limit
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["LunarLanderParams", "LunarLanderState", "lunar_lander"]

_NUM_POINTS = 11
_HALF_WIDTH, _HALF_HEIGHT = 10.0, 20.0 / 3.0
_PAD_HEIGHT = _HALF_HEIGHT / 2.0
# Height of the pin over the pad at which observations are zero, m.
_LEG_DOWN = 0.6
# Where the engines act on the hull, seen from the pin, m.
_MAIN_BELOW, _SIDE_AWAY, _SIDE_LEVER, _SIDE_HEIGHT = 4.0 / 30.0, 12.0 / 30.0, 17.0 / 30.0, 14.0 / 30.0
# The lander sleeps, that is, has landed, once every body has moved less than this for so many steps.
_STILL_SPEED, _STILL_SPIN, _STILL_STEPS = 0.01, 0.0349, 25
# Box2D bends the legs to these angles, and lifts the pin by this much, within the step that ends a reset.
_FIRST_ANGLES, _FIRST_BENDS, _FIRST_LIFT = (0.0, -0.05, 0.05), (0.492, -0.492), 0.00614


class LunarLanderParams(NamedTuple):
    """What may be swept.

    Attributes:
        physics: gravity, masses, legs and friction.
        main_power: impulse of the main engine at full power, N s per metre that its nozzle lies off the pin.
        side_power: the same of a side engine.
        dispersion: largest random shift of the nozzles, per axis, m.
        start_force: largest random force per axis on the hull in the step that ends a reset, N.
        terrain_height: largest height that the terrain is drawn from before smoothing, m.
        wind_power: largest force of the wind while no leg touches the ground, N; 15 in the peer's windy variant.
        turbulence_power: largest torque of the wind, N m; 1.5 in that variant.
    """

    physics: LanderPhysics
    main_power: Float[Array, ""]
    side_power: Float[Array, ""]
    dispersion: Float[Array, ""]
    start_force: Float[Array, ""]
    terrain_height: Float[Array, ""]
    wind_power: Float[Array, ""]
    turbulence_power: Float[Array, ""]


class LunarLanderState(NamedTuple):
    """The lander above its terrain.

    Attributes:
        bodies: hull, right and left leg.
        terrain: height of the ground every `TERRAIN_SPACING` metres.
        contact: whether the right and the left leg touch the ground.
        shaping: potential whose differences are the second objective.
        still: steps for which nothing has moved.
        wind_phase: step of the force's and of the torque's pattern.
    """

    bodies: Bodies
    terrain: Float[Array, " point"]
    contact: Bool[Array, " leg"]
    shaping: Float[Array, ""]
    still: Int[Array, ""]
    wind_phase: Int[Array, "2"]


def lunar_lander(continuous: bool = False, limit: int = 1000) -> Environment:
    """Builds lunar lander.

    r = (+100 landed or −100 crashed, Φ(s') − Φ(s), −main power, −side power) with
    Φ = −100·(|position| + |velocity| + |angle|) + 10·(legs on the ground), in units of the observation.

    Source: objectives, engines and constants as in MO-Gymnasium's `mo-lunar-lander-v3` and
    `-continuous-v3`, which simulate with Box2D. In free flight the two agree: from one state and without
    dispersion, observations under random actions differ by at most 5e-3 until a leg touches the ground
    (angular velocity 1e-2), and it does so in the same step, give or take one. Contacts are simpler here:
    corners of the feet press on the ground, not whole legs nor the ground's tips on them; an impact
    is spread over its step; the hull's impact only shapes the last reward. One controller lands as
    often in both, with steps and returns within 5 %, side fuel within 20 %.
    `experiments/lunar_lander_peer.py` records the peer's side, `tests/test_lunar_lander.py` compares.
    Observation: x, y, their velocities, angle, angular velocity, right and left leg on the ground.

    Args:
        continuous: actions are (main, side) ∈ [−1, 1]²: main > 0 fires at 50 to 100 % of power, |side| > 0.5
            at |side|; otherwise nothing, left engine, main engine, right engine at full power.
        limit: steps after which an episode is truncated.
    """
    spec = EnvironmentSpec(
        name="mo/lunar-lander" + ("-continuous" if continuous else ""),
        observation=Box(-jnp.inf, jnp.inf, (8,)),
        action=Box(-1.0, 1.0, (2,)) if continuous else Discrete(4),
        num_objectives=4,
        objective_names=("outcome", "shaping", "main_fuel", "side_fuel"),
        # C-MORL's (arXiv 2410.02236).
        reference_point=(-101.0, -1001.0, -101.0, -101.0),
        discount=0.99,
    )
    step = partial(_step, _continuous_throttle if continuous else _discrete_throttle)
    return time_limit(Environment(_reset, step, _params(), spec), limit)


def _params() -> LunarLanderParams:
    physics = LanderPhysics(
        gravity=jnp.float32(10.0),
        mass=jnp.array([4.8166666, 0.0711111, 0.0711111]),
        inertia=jnp.array([0.7838807, 0.00179095, 0.00179095]),
        leg_torque=jnp.float32(40.0),
        leg_speed=jnp.float32(0.3),
        # Box2D takes the geometric mean of 0.1 (ground, hull) and 0.2 (leg).
        friction=jnp.array([0.1, 0.02**0.5, 0.02**0.5]),
    )
    scalars = {
        "main_power": 13.0,
        "side_power": 0.6,
        "dispersion": 1.0 / 30.0,
        "start_force": 1000.0,
        "terrain_height": _HALF_HEIGHT,
        "wind_power": 0.0,
        "turbulence_power": 0.0,
    }
    return LunarLanderParams(physics, **{name: jnp.float32(value) for name, value in scalars.items()})


def _terrain(key: PRNGKeyArray, height: Float[Array, ""]) -> Float[Array, " point"]:
    """Random heights, flat around the pad, each averaged with its neighbours."""
    heights = jax.random.uniform(key, (_NUM_POINTS + 1,), maxval=height)
    middle = _NUM_POINTS // 2
    heights = heights.at[middle - 2 : middle + 3].set(_PAD_HEIGHT)
    # The neighbour left of the first point is the last, which no point of the terrain belongs to.
    return (0.33 * (jnp.roll(heights, 1) + heights + jnp.roll(heights, -1)))[:_NUM_POINTS]


def _reset(key: PRNGKeyArray, params: LunarLanderParams) -> tuple[LunarLanderState, Float[Array, "8"]]:
    terrain_key, force_key, wind_key = jax.random.split(key, 3)
    terrain = _terrain(terrain_key, params.terrain_height)
    force = params.start_force * jax.random.uniform(force_key, (2,), minval=-1.0)
    bodies = Bodies(
        pin=jnp.array([_HALF_WIDTH, 2.0 * _HALF_HEIGHT]),
        angle=jnp.array(_FIRST_ANGLES),
        velocity=jnp.zeros((3, 2)),
        spin=jnp.zeros(3),
        impulse=jnp.zeros(NUM_ROWS),
    )
    phase = jax.random.randint(wind_key, (2,), -9999, 9999)
    bodies = _blow(bodies, phase, jnp.zeros(2, bool), params)
    bodies = push(bodies, TIME_STEP * force, bodies.pin + CENTRES[HULL], params.physics)
    bodies, contact = advance(bodies, terrain, params.physics)
    angle = bodies.angle.at[LEGS].set(bodies.angle[HULL] + jnp.array(_FIRST_BENDS))
    bodies = bodies._replace(pin=bodies.pin.at[1].add(_FIRST_LIFT), angle=angle)
    state = LunarLanderState(bodies, terrain, contact, jnp.zeros(()), jnp.zeros((), jnp.int32), phase + 1)
    observation = _observe(state)
    return state._replace(shaping=_shaping(observation)), observation


def _step(
    throttle: Callable, key: PRNGKeyArray, state: LunarLanderState, action: Array, params: LunarLanderParams
) -> tuple[LunarLanderState, Timestep]:
    main, side, direction = throttle(action)
    bodies = _blow(state.bodies, state.wind_phase, state.contact, params)
    bodies = _fire(key, bodies, main, side, direction, params)
    struck = hull_clearance(bodies, state.terrain) < TOUCHING
    bodies, contact = advance(bodies, state.terrain, params.physics)
    struck = struck | (hull_clearance(bodies, state.terrain) < STRIKING)
    stopped = stop_hull(bodies, state.terrain, params.physics)
    bodies = jax.tree.map(lambda after, before: jnp.where(struck, after, before), stopped, bodies)

    speed = jnp.sum(bodies.velocity**2, axis=-1)
    moving = jnp.any((speed > _STILL_SPEED**2) | (jnp.abs(bodies.spin) > _STILL_SPIN))
    still = jnp.where(moving, 0, state.still + 1)
    phase = state.wind_phase + jnp.where(jnp.any(state.contact), 0, 1)
    after = LunarLanderState(bodies, state.terrain, contact, state.shaping, still, phase)
    observation = _observe(after)
    shaping = _shaping(observation)

    landed = still >= _STILL_STEPS
    crashed = (struck | (jnp.abs(observation[0]) >= 1.0)) & ~landed
    outcome = jnp.where(landed, 100.0, jnp.where(crashed, -100.0, 0.0))
    reward = jnp.stack([outcome, shaping - state.shaping, -main, -side])
    return after._replace(shaping=shaping), Timestep(observation, reward, landed | crashed, jnp.array(False), {})


def _observe(state: LunarLanderState) -> Float[Array, "8"]:
    bodies = state.bodies
    x, y = bodies.pin
    position = jnp.stack([(x - _HALF_WIDTH) / _HALF_WIDTH, (y - _PAD_HEIGHT - _LEG_DOWN) / _HALF_HEIGHT])
    velocity = bodies.velocity[HULL] * jnp.array([_HALF_WIDTH, _HALF_HEIGHT]) * TIME_STEP
    turning = jnp.stack([bodies.angle[HULL], 20.0 * TIME_STEP * bodies.spin[HULL]])
    return jnp.concatenate([position, velocity, turning, state.contact.astype(jnp.float32)])


def _shaping(observation: Float[Array, "8"]) -> Float[Array, ""]:
    distance, speed = jnp.linalg.norm(observation[:2]), jnp.linalg.norm(observation[2:4])
    return -100.0 * (distance + speed + jnp.abs(observation[4])) + 10.0 * (observation[6] + observation[7])


def _discrete_throttle(action: Int[Array, ""]) -> tuple[Array, Array, Array]:
    """Powers of the main and of a side engine, and the side's sign, from 0 .. 3."""
    return (action == 2).astype(jnp.float32), (action % 2).astype(jnp.float32), action.astype(jnp.float32) - 2.0


def _continuous_throttle(action: Float[Array, "2"]) -> tuple[Array, Array, Array]:
    """The same from (main, side), each clipped to [−1, 1]."""
    main, side = jnp.clip(action, -1.0, 1.0)
    main_power = jnp.where(main > 0.0, 0.5 + 0.5 * main, 0.0)
    return main_power, jnp.where(jnp.abs(side) > 0.5, jnp.abs(side), 0.0), jnp.sign(side)


def _blow(bodies: Bodies, phase: Int[Array, "2"], contact: Bool[Array, " leg"], params: LunarLanderParams) -> Bodies:
    """Wind: a force on the hull along x and a torque, tanh(sin 0.02k + sin 0.01πk) of their largest."""
    strength = jnp.tanh(jnp.sin(0.02 * phase) + jnp.sin(0.01 * jnp.pi * phase))
    strength = TIME_STEP * strength * jnp.where(jnp.any(contact), 0.0, 1.0)
    gust = strength[0] * params.wind_power / params.physics.mass[HULL]
    swirl = strength[1] * params.turbulence_power / params.physics.inertia[HULL]
    return bodies._replace(velocity=bodies.velocity.at[HULL, 0].add(gust), spin=bodies.spin.at[HULL].add(swirl))


def _fire(
    key: PRNGKeyArray, bodies: Bodies, main: Array, side: Array, direction: Array, params: LunarLanderParams
) -> Bodies:
    """The engines' impulses; where they act does not quite turn with the hull, as in the peer."""
    angle = bodies.angle[HULL]
    down, left = jnp.stack([jnp.sin(angle), -jnp.cos(angle)]), jnp.stack([-jnp.cos(angle), -jnp.sin(angle)])
    shift = params.dispersion * jax.random.uniform(key, (2,), minval=-1.0)
    nozzle = down * (_MAIN_BELOW + 2.0 * shift[0]) + left * shift[1]
    bodies = push(bodies, -params.main_power * main * nozzle, bodies.pin + nozzle, params.physics)
    nozzle = down * shift[0] + left * (3.0 * shift[1] + direction * _SIDE_AWAY)
    place = bodies.pin + nozzle - down * jnp.array([_SIDE_LEVER, _SIDE_HEIGHT])
    return push(bodies, -params.side_power * side * nozzle, place, params.physics)
