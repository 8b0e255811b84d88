"""A two-link arm in the plane with four targets at once; its dynamics in closed form."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.spaces import Box, Discrete
from jaxrl.environments.transforms import time_limit
from jaxrl.types import Array, Float, Int, PRNGKeyArray

__all__ = ["ReacherParams", "ReacherState", "reacher"]

_SUBSTEPS, _TIMESTEP = 2, 0.01
# MuJoCo's defaults of a joint limit: a critically damped spring of 0.02 s, and an impedance that
# rises from 0.9 to 0.95 over the first millirad beyond the limit.
_TIME_CONSTANT, _SOFT, _STIFF, _WIDTH = 0.02, 0.9, 0.95, 1e-3
_DAMPING_RATE = 2.0 / (_STIFF * _TIME_CONSTANT)
_STIFFNESS_RATE = 1.0 / (_STIFF * _TIME_CONSTANT) ** 2


class ReacherParams(NamedTuple):
    """What may be swept; metres, kilograms, seconds, radians.

    Attributes:
        targets: position of each target.
        lengths: from the shoulder to the elbow and from the elbow to the fingertip.
        centres: from the shoulder and from the elbow to their link's centre of mass.
        masses: of the upper arm, and of the forearm with the fingertip.
        inertias: of both about their centres of mass, kg m².
        armature: rotor inertia of each joint, kg m².
        damping: viscous damping of each joint, N m s.
        gear: torque of a full action, N m.
        elbow_limit: largest angle of the elbow either way.
    """

    targets: Float[Array, "target 2"]
    lengths: Float[Array, "2"]
    centres: Float[Array, "2"]
    masses: Float[Array, "2"]
    inertias: Float[Array, "2"]
    armature: Float[Array, ""]
    damping: Float[Array, ""]
    gear: Float[Array, ""]
    elbow_limit: Float[Array, ""]


class ReacherState(NamedTuple):
    """Angles of shoulder and elbow, and their rates."""

    angle: Float[Array, "2"]
    rate: Float[Array, "2"]


def reacher(limit: int = 50) -> Environment:
    """Builds the reacher: one objective per target, the torque of each joint −1, 0 or 1 of its gear.

    rᵢ = 1 − 4 ‖tip − targetᵢ‖, of the state before the action.

    Source: MO-Gymnasium's `mo-reacher-v5` and its MuJoCo model: M(q) q̈ + c(q, q̇) = gear · a − damping · q̇
    with a soft limit at the elbow, RK4 steps of 0.01 s, two per action.
    Observation: (cos q₁, cos q₂, sin q₁, sin q₂, q̇₁ / 10, q̇₂ / 10).
    Actions: 3 i + j gives the torques i − 1 and j − 1.

    Args:
        limit: steps after which an episode is truncated.
    """
    spec = EnvironmentSpec(
        name="mo/reacher",
        observation=Box(-jnp.inf, jnp.inf, (6,)),
        action=Discrete(9),
        num_objectives=4,
        objective_names=("right", "left", "up", "down"),
        reference_point=(-100.0,) * 4,
        discount=0.99,
    )
    return time_limit(Environment(_reset, _step, _params(), spec), limit)


def _params() -> ReacherParams:
    radius, length, density, tip = 0.01, 0.1, 1000.0, 0.11
    mass, inertia = _capsule(radius, length, density)
    ball = density * 4 / 3 * np.pi * radius**3
    # The forearm is a capsule with its middle at length / 2 and a ball at the fingertip.
    forearm = mass + ball
    centre = (mass * length / 2 + ball * tip) / forearm
    spread = mass * (length / 2 - centre) ** 2 + ball * (tip - centre) ** 2
    return ReacherParams(
        targets=jnp.array([[0.14, 0.0], [-0.14, 0.0], [0.0, 0.14], [0.0, -0.14]]),
        lengths=jnp.array([length, tip]),
        centres=jnp.array([length / 2, centre]),
        masses=jnp.array([mass, forearm]),
        inertias=jnp.array([inertia, inertia + 0.4 * ball * radius**2 + spread]),
        armature=jnp.float32(1.0),
        damping=jnp.float32(1.0),
        gear=jnp.float32(200.0),
        elbow_limit=jnp.float32(3.0),
    )


def _capsule(radius: float, length: float, density: float) -> tuple[float, float]:
    """Mass of a capsule and its inertia about an axis through its middle, across its length."""
    cylinder = density * np.pi * radius**2 * length
    sphere = density * 4 / 3 * np.pi * radius**3
    inertia = cylinder * (3 * radius**2 + length**2) / 12
    inertia += sphere * (2 * radius**2 / 5 + length**2 / 4 + 3 * length * radius / 8)
    return cylinder + sphere, inertia


def _reset(key: PRNGKeyArray, params: ReacherParams) -> tuple[ReacherState, Float[Array, "6"]]:
    state = ReacherState(jnp.array([0.0, 3.1415 / 2]), jax.random.uniform(key, (2,), minval=-0.005, maxval=0.005))
    return state, _observe(state)


def _observe(state: ReacherState) -> Float[Array, "6"]:
    return jnp.concatenate([jnp.cos(state.angle), jnp.sin(state.angle), 0.1 * state.rate])


def _step(
    key: PRNGKeyArray, state: ReacherState, action: Int[Array, ""], params: ReacherParams
) -> tuple[ReacherState, Timestep]:
    del key  # deterministic after the reset
    distance = jnp.sqrt(jnp.sum((_tip(state.angle, params) - params.targets) ** 2, axis=-1))
    torque = params.gear * (jnp.stack([action // 3, action % 3]) - 1).astype(jnp.float32)
    for _ in range(_SUBSTEPS):
        state = _runge_kutta(state, torque, params)
    never = jnp.zeros((), bool)
    return state, Timestep(_observe(state), 1.0 - 4.0 * distance, never, never, {})


def _tip(angle: Float[Array, "2"], params: ReacherParams) -> Float[Array, "2"]:
    heading = jnp.stack([angle[0], angle[0] + angle[1]])
    return jnp.stack([jnp.sum(params.lengths * jnp.cos(heading)), jnp.sum(params.lengths * jnp.sin(heading))])


def _runge_kutta(state: ReacherState, torque: Float[Array, "2"], params: ReacherParams) -> ReacherState:
    h, (angle, rate) = _TIMESTEP, state
    rates, accelerations = [rate], [_acceleration(angle, rate, torque, params)]
    for ahead in (0.5 * h, 0.5 * h, h):
        position, velocity = angle + ahead * rates[-1], rate + ahead * accelerations[-1]
        rates.append(velocity)
        accelerations.append(_acceleration(position, velocity, torque, params))

    def mean(slopes: list[Array]) -> Array:
        return (slopes[0] + 2 * slopes[1] + 2 * slopes[2] + slopes[3]) / 6

    return ReacherState(angle + h * mean(rates), rate + h * mean(accelerations))


def _acceleration(
    angle: Float[Array, "2"], rate: Float[Array, "2"], torque: Float[Array, "2"], params: ReacherParams
) -> Float[Array, "2"]:
    """q̈ = M⁻¹ (τ − damping q̇ − c), and what the elbow's limit adds to it."""
    inverse = _inverse_inertia(angle[1], params)
    lever = params.masses[1] * params.lengths[0] * params.centres[1] * jnp.sin(angle[1])
    coriolis = lever * jnp.stack([-rate[1] * (2 * rate[0] + rate[1]), rate[0] ** 2])
    free = inverse @ (torque - params.damping * rate - coriolis)
    return free + inverse[:, 1] * _limit_torque(angle[1], rate[1], free[1], inverse[1, 1], params)


def _inverse_inertia(elbow: Float[Array, ""], params: ReacherParams) -> Float[Array, "2 2"]:
    (upper, forearm), (reach, _), (near, far) = params.masses, params.lengths, params.centres
    last = params.inertias[1] + forearm * far**2
    cross = last + forearm * reach * far * jnp.cos(elbow)
    first = params.inertias[0] + upper * near**2 + forearm * reach**2 + 2 * cross - last
    first, last = first + params.armature, last + params.armature
    determinant = first * last - cross**2
    return jnp.stack([jnp.stack([last, -cross]), jnp.stack([-cross, first])]) / determinant


def _limit_torque(
    elbow: Float[Array, ""],
    rate: Float[Array, ""],
    free: Float[Array, ""],
    inverse: Float[Array, ""],
    params: ReacherParams,
) -> Float[Array, ""]:
    """The one-sided soft constraint of MuJoCo, solved exactly: f = max(0, (a* − a) / (A + R)).

    a* = −b v − k d x is the reference acceleration at depth x < 0, a the acceleration without the
    limit, A the inverse inertia, R = (1 − d) / d · A₀ and d the impedance at that depth.
    """
    side = jnp.sign(elbow)
    depth, approach, acceleration = params.elbow_limit - side * elbow, -side * rate, -side * free
    impedance = _impedance(jnp.abs(depth))
    reference = -_DAMPING_RATE * approach - _STIFFNESS_RATE * impedance * depth
    rest = _inverse_inertia(jnp.zeros(()), params)[1, 1]
    force = (reference - acceleration) / (inverse + (1 - impedance) / impedance * rest)
    return -side * jnp.where(depth < 0.0, jnp.maximum(force, 0.0), 0.0)


def _impedance(depth: Float[Array, ""]) -> Float[Array, ""]:
    """From soft to stiff over `_WIDTH`, along two parabolas that meet in the middle."""
    x = jnp.clip(depth / _WIDTH, 0.0, 1.0)
    return _SOFT + (_STIFF - _SOFT) * jnp.where(x < 0.5, 2 * x**2, 1 - 2 * (1 - x) ** 2)
