"""Water reservoir: how much water a dam releases, between floods, irrigation and electricity."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.spaces import Box
from jaxrl.environments.transforms import time_limit
from jaxrl.types import Array, Float, PRNGKeyArray

__all__ = ["WaterReservoirParams", "WaterReservoirState", "water_reservoir"]

_NAMES = ("upstream_flood", "irrigation", "electricity", "downstream_flood")
_STARTS = (96.855361, 58.046026, 116.15767, 20.164311, 79.191, 140.13098, 131.01816, 44.351321, 13.185943, 73.508622)
# Per step, just below what releasing as little (first two) or as much (last two) as allowed returns.
_WORST = (-100.0, -15.0, -1.0, -15.0)
# Whole levels 0 .. 159, the starts of the penalised variant.
_NUM_LEVELS = 160
_JOULES_PER_KILOWATT_HOUR = 3.6e6


class WaterReservoirParams(NamedTuple):
    """What may be swept. Levels are in m; with a surface of 1 m², so are volumes in m³; time is in steps.

    Attributes:
        starts: levels from which the first one is drawn, each as likely as the others.
        inflow_mean: mean inflow per step; inflows are normal and may be negative.
        inflow_deviation: its standard deviation.
        surface: area of the reservoir, m².
        capacity: what a level exceeds it by must be released in that step.
        upstream_threshold: level from which on the shore is flooded.
        irrigation_demand: release per step that farmers ask for.
        electricity_demand: energy per step that the grid asks for, kWh.
        downstream_threshold: release per step from which on the valley is flooded.
        minimum_flow: release per step that bypasses the turbine.
        efficiency: efficiency of the turbine, in [0, 1].
        density: density of water, kg/m³.
        gravity: acceleration of free fall, m/s².
    """

    starts: Float[Array, " start"]
    inflow_mean: Float[Array, ""]
    inflow_deviation: Float[Array, ""]
    surface: Float[Array, ""]
    capacity: Float[Array, ""]
    upstream_threshold: Float[Array, ""]
    irrigation_demand: Float[Array, ""]
    electricity_demand: Float[Array, ""]
    downstream_threshold: Float[Array, ""]
    minimum_flow: Float[Array, ""]
    efficiency: Float[Array, ""]
    density: Float[Array, ""]
    gravity: Float[Array, ""]


class WaterReservoirState(NamedTuple):
    """Level of the reservoir, at least 0."""

    level: Float[Array, ""]


def water_reservoir(
    num_objectives: int = 2, normalized_action: bool = False, penalize: bool = False, limit: int = 100
) -> Environment:
    """Builds the water reservoir with the first `num_objectives` of four objectives.

    u = clip(a, max(s − capacity, 0), s), s' = max(s + ε − u, 0) with ε ~ N(inflow_mean, inflow_deviation²);
    r = −(max(s' − upstream_threshold, 0), max(irrigation_demand − u, 0),
          max(electricity_demand − s'·u·ρ·g·η/3.6e6, 0), max(u − downstream_threshold, 0)).

    Source: Castelletti et al., 2012 (IJCNN, doi 10.1109/IJCNN.2012.6252759); constants and order of
    operations as in MO-Gymnasium's `water-reservoir-v0`, which uses the level after the release for
    electricity too. Observation: (s,). Action: (a,), any real number; Gaussian policies start near 0
    and should use `normalized_action`. The reference point is (−100, −15, −1, −15) per step, below
    the undiscounted returns of the two extreme policies, least and most release: (−89, −11.7, −0.06,
    −10.3) and (−0.8, −11.1, −0.65, −10.9) per step. MO-Gymnasium's `antiutopia` would leave out both.

    Args:
        num_objectives: 2, 3 or 4.
        normalized_action: a ∈ [0, 1] is a fraction of the allowed range: u = low + a·(high − low);
            numbers outside [0, 1] are not clipped.
        penalize: |u − a| is taken from every objective (0 if normalised), and the first level is a
            whole number 0 .. 159 instead of one of ten historical levels.
        limit: steps after which an episode is truncated; it never terminates.

    Raises:
        ValueError: for another number of objectives.
    """
    if num_objectives not in (2, 3, 4):
        raise ValueError(f"num_objectives must be 2, 3 or 4, got {num_objectives}")
    spec = EnvironmentSpec(
        name="mo/water-reservoir" + ("" if num_objectives == 2 else f"-{num_objectives}"),
        observation=Box(0.0, float("inf"), (1,)),
        action=Box(0.0, 1.0 if normalized_action else float("inf"), (1,)),
        num_objectives=num_objectives,
        objective_names=_NAMES[:num_objectives],
        reference_point=tuple(limit * value for value in _WORST[:num_objectives]),
        discount=0.99,
    )
    step = partial(_step, num_objectives, normalized_action, penalize)
    return time_limit(Environment(_reset, step, _params(penalize), spec), limit)


def _params(penalize: bool) -> WaterReservoirParams:
    scalars = {
        "inflow_mean": 40.0,
        "inflow_deviation": 10.0,
        "surface": 1.0,
        "capacity": 100.0,
        "upstream_threshold": 50.0,
        "irrigation_demand": 50.0,
        "electricity_demand": 4.36,
        "downstream_threshold": 30.0,
        "minimum_flow": 0.0,
        "efficiency": 1.0,
        "density": 1000.0,
        "gravity": 9.81,
    }
    starts = jnp.arange(_NUM_LEVELS, dtype=jnp.float32) if penalize else jnp.array(_STARTS, jnp.float32)
    return WaterReservoirParams(starts, **{name: jnp.float32(value) for name, value in scalars.items()})


def _reset(key: PRNGKeyArray, params: WaterReservoirParams) -> tuple[WaterReservoirState, Float[Array, "1"]]:
    level = jax.random.choice(key, params.starts)
    return WaterReservoirState(level), level[None]


def _step(
    num_objectives: int,
    normalized_action: bool,
    penalize: bool,
    key: PRNGKeyArray,
    state: WaterReservoirState,
    action: Float[Array, "1"],
    params: WaterReservoirParams,
) -> tuple[WaterReservoirState, Timestep]:
    low, high = jnp.maximum(state.level - params.capacity, 0.0), state.level
    if normalized_action:
        release, violation = low + action[0] * (high - low), jnp.zeros(())
    else:
        release = jnp.clip(action[0], low, high)
        violation = jnp.abs(release - action[0])
    inflow = params.inflow_mean + params.inflow_deviation * jax.random.normal(key)
    level = jnp.maximum(state.level + inflow - release, 0.0)
    reward = -_costs(level, release, params)[:num_objectives] - (violation if penalize else 0.0)
    return WaterReservoirState(level), Timestep(level[None], reward, jnp.array(False), jnp.array(False), {})


def _costs(level: Float[Array, ""], release: Float[Array, ""], params: WaterReservoirParams) -> Float[Array, "4"]:
    """Excess or deficit of each objective, at least 0."""
    height = level / params.surface
    flow = jnp.maximum(release - params.minimum_flow, 0.0)
    joules = params.efficiency * params.gravity * params.density * height * flow
    excess = [
        height - params.upstream_threshold,
        params.irrigation_demand - release,
        params.electricity_demand - joules / _JOULES_PER_KILOWATT_HOUR,
        release - params.downstream_threshold,
    ]
    return jnp.maximum(jnp.stack(excess), 0.0)
