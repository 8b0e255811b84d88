"""Mountain car: a weak car swings out of a valley; time, use of the engine and speed are objectives."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.spaces import Box, Discrete
from jaxrl.environments.transforms import time_limit
from jaxrl.errors import require_name
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["MountainCarParams", "MountainCarState", "mountain_car", "mountain_car_continuous"]

_REVERSE, _COAST, _FORWARD = range(3)
_MOVES = {"separate": ("reverse", "forward"), "merged": ("move",), "none": ()}
# Bounds of the observation under default parameters.
_OBSERVATION = Box((-1.2, -0.07), (0.6, 0.07), (2,))


class MountainCarParams(NamedTuple):
    """What may be swept. Positions are along the road, the valley's floor is at −π/6; time is in steps.

    Attributes:
        power: speed that full force gains per step, position per step².
        gravity: speed that a vertical road would gain per step, position per step².
        max_speed: largest speed, position per step.
        min_position: the left wall, which stops the car.
        max_position: the right end of the road.
        goal_position: from here on the car has arrived, provided it moves at `goal_velocity`.
        goal_velocity: smallest velocity of an arrival, position per step.
        start_low: smallest first position; the first position is uniform.
        start_high: largest first position.
        speed_scale: reward of the speed objective per unit of |velocity|.
    """

    power: Float[Array, ""]
    gravity: Float[Array, ""]
    max_speed: Float[Array, ""]
    min_position: Float[Array, ""]
    max_position: Float[Array, ""]
    goal_position: Float[Array, ""]
    goal_velocity: Float[Array, ""]
    start_low: Float[Array, ""]
    start_high: Float[Array, ""]
    speed_scale: Float[Array, ""]


class MountainCarState(NamedTuple):
    """Position along the road and velocity in positions per step."""

    position: Float[Array, ""]
    velocity: Float[Array, ""]


def mountain_car(moves: str = "separate", speed: bool = False, limit: int = 200) -> Environment:
    """Builds mountain car with three actions: reverse, coast, forward.

    v ← clip(v + (a − 1)·power − gravity·cos 3x), x ← clip(x + v);
    r = (−1, or 0 on arrival; −1 for each use of the engine; speed_scale·|v|).

    Source: Vamplew et al., 2011; constants and objectives as in MO-Gymnasium's `mo-mountaincar-v0`,
    `-timemove-v0`, `-3d-v0` and `-timespeed-v0`. Observation: (position, velocity). The reference
    point lies 1 below the worst return of an episode of `limit` steps.

    Args:
        moves: `separate` objectives for reversing and for driving forward, one `merged`, or `none`.
        speed: whether speed is a further objective, the last.
        limit: steps after which an episode is truncated.

    Raises:
        UnknownNameError: for unknown `moves`.
        ValueError: if time alone would be left as an objective.
    """
    require_name("moves", moves, _MOVES)
    names = ("time", *_MOVES[moves], *(("speed",) if speed else ()))
    if len(names) == 1:
        raise ValueError("moves='none' needs speed=True: time alone is no multi-objective task")

    def step(
        key: PRNGKeyArray, state: MountainCarState, action: Int[Array, ""], params: MountainCarParams
    ) -> tuple[MountainCarState, Timestep]:
        state, arrived = _drive(state, action.astype(jnp.float32) - 1.0, params)
        rewards = {
            "time": _time_reward(arrived),
            "reverse": -(action == _REVERSE).astype(jnp.float32),
            "forward": -(action == _FORWARD).astype(jnp.float32),
            "move": -(action != _COAST).astype(jnp.float32),
            "speed": params.speed_scale * jnp.abs(state.velocity),
        }
        reward = jnp.stack([rewards[name] for name in names])
        return state, Timestep(_observe(state), reward, arrived, jnp.array(False), {})

    worst = tuple(0.0 if name == "speed" else -float(limit) for name in names)
    return _build("mo/mountaincar", step, Discrete(3), names, worst, _params(power=0.001, goal_position=0.5), limit)


def mountain_car_continuous(limit: int = 999) -> Environment:
    """Builds mountain car whose action is the force a ∈ [−1, 1] itself.

    v ← clip(v + clip(a)·power − gravity·cos 3x), x ← clip(x + v); r = (−1, or 0 on arrival; −a²).

    Source: constants and objectives as in MO-Gymnasium's `mo-mountaincarcontinuous-v0`, which clips
    the force and not its cost. Observation: (position, velocity). The reference point lies 1 below the
    worst return of an episode of `limit` steps.

    Args:
        limit: steps after which an episode is truncated.
    """
    worst = (-float(limit),) * 2
    params = _params(power=0.0015, goal_position=0.45)
    action = Box(-1.0, 1.0, (1,))
    return _build("mo/mountaincar-continuous", _step_continuous, action, ("time", "fuel"), worst, params, limit)


def _build(
    name: str,
    step: Callable[..., tuple[MountainCarState, Timestep]],
    action: Discrete | Box,
    names: tuple[str, ...],
    worst: tuple[float, ...],
    params: MountainCarParams,
    limit: int,
) -> Environment:
    spec = EnvironmentSpec(
        name=name,
        observation=_OBSERVATION,
        action=action,
        num_objectives=len(names),
        objective_names=names,
        reference_point=tuple(value - 1.0 for value in worst),
        discount=0.99,
        unswept=() if "speed" in names else (("speed_scale", "it scales an objective that this variant has not"),),
    )
    return time_limit(Environment(_reset, step, params, spec), limit)


def _params(**differing: float) -> MountainCarParams:
    common = {
        "gravity": 0.0025,
        "max_speed": 0.07,
        "min_position": -1.2,
        "max_position": 0.6,
        "goal_velocity": 0.0,
        "start_low": -0.6,
        "start_high": -0.4,
        "speed_scale": 15.0,
    }
    return MountainCarParams(**{name: jnp.float32(value) for name, value in {**common, **differing}.items()})


def _reset(key: PRNGKeyArray, params: MountainCarParams) -> tuple[MountainCarState, Float[Array, "2"]]:
    position = params.start_low + jax.random.uniform(key) * (params.start_high - params.start_low)
    state = MountainCarState(position, jnp.zeros(()))
    return state, _observe(state)


def _observe(state: MountainCarState) -> Float[Array, "2"]:
    return jnp.stack([state.position, state.velocity])


def _time_reward(arrived: Bool[Array, ""]) -> Float[Array, ""]:
    return jnp.where(arrived, 0.0, -1.0)


def _drive(
    state: MountainCarState, force: Float[Array, ""], params: MountainCarParams
) -> tuple[MountainCarState, Bool[Array, ""]]:
    """One step under a force in [−1, 1], and whether the car has arrived."""
    velocity = state.velocity + force * params.power - params.gravity * jnp.cos(3.0 * state.position)
    velocity = jnp.clip(velocity, -params.max_speed, params.max_speed)
    position = jnp.clip(state.position + velocity, params.min_position, params.max_position)
    velocity = jnp.where((position == params.min_position) & (velocity < 0.0), 0.0, velocity)
    arrived = (position >= params.goal_position) & (velocity >= params.goal_velocity)
    return MountainCarState(position, velocity), arrived


def _step_continuous(
    key: PRNGKeyArray, state: MountainCarState, action: Float[Array, "1"], params: MountainCarParams
) -> tuple[MountainCarState, Timestep]:
    state, arrived = _drive(state, jnp.clip(action[0], -1.0, 1.0), params)
    reward = jnp.stack([_time_reward(arrived), -(action[0] ** 2)])
    return state, Timestep(_observe(state), reward, arrived, jnp.array(False), {})
