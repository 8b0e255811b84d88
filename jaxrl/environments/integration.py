"""MJX over one control step: MuJoCo's Runge–Kutta as a loop, so that its physics are compiled once."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Float

__all__ = ["advance"]

# Classical Runge–Kutta: the step to the next stage and the stage's share of the result.
_STAGES = ((0.5, 1 / 6), (0.5, 1 / 3), (1.0, 1 / 3), (0.0, 1 / 6))


# Traced once for training, evaluation and checks of the contract, which is half of the time to lower a run.
@partial(jax.jit, static_argnames=("num_steps", "runge_kutta", "free"))
def advance(model: Any, data: Any, num_steps: int, runge_kutta: bool, free: bool) -> Any:
    """Steps `data` `num_steps` times.

    As in MuJoCo, what is derived from the state (positions of bodies, contact forces) is left at
    the last evaluation of the dynamics, one substep or one stage behind qpos.

    Args:
        model: `mjx.Model`.
        data: `mjx.Data` with state and control set.
        num_steps: substeps of `model.opt.timestep`.
        runge_kutta: RK4 in place of the model's own integrator.
        free: whether the first joint is a free joint; every other joint is a hinge or a slide.
    """
    from mujoco import mjx

    def body(data: Any, _: None) -> tuple[Any, None]:
        return (_runge_kutta(model, data, free) if runge_kutta else mjx.step(model, data)), None

    return jax.lax.scan(body, data, None, length=num_steps)[0]


def _runge_kutta(model: Any, data: Any, free: bool) -> Any:
    """y + h Σ bᵢ kᵢ. `mjx.step` does the same, unrolled: four times the program to compile."""
    from mujoco import mjx

    h, qpos, qvel = model.opt.timestep, data.qpos, data.qvel

    def stage(carry: tuple, weights: tuple) -> tuple[tuple, None]:
        data, velocity, acceleration = carry
        ahead, share = weights
        data = mjx.forward(model, data)
        velocity = velocity + share * data.qvel
        acceleration = acceleration + share * data.qacc
        # The last stage goes no further, and data stays where it was evaluated.
        following = data.replace(qpos=_integrate(qpos, data.qvel, ahead * h, free), qvel=qvel + ahead * h * data.qacc)
        return (following, velocity, acceleration), None

    ahead, share = (jnp.array(column) for column in zip(*_STAGES, strict=True))
    zero = jnp.zeros_like(qvel)
    (data, velocity, acceleration), _ = jax.lax.scan(stage, (data, zero, zero), (ahead, share))
    return data.replace(
        qpos=_integrate(qpos, velocity, h, free), qvel=qvel + h * acceleration, qacc_warmstart=data.qacc
    )


def _integrate(
    qpos: Float[Array, " position"], qvel: Float[Array, " dof"], h: Float[Array, ""], free: bool
) -> Float[Array, " position"]:
    """qpos moved along qvel for a time h; a free joint's quaternion turns in its own frame."""
    if not free:
        return qpos + h * qvel
    return jnp.concatenate([qpos[:3] + h * qvel[:3], _rotate(qpos[3:7], h * qvel[3:6]), qpos[7:] + h * qvel[6:]])


def _rotate(quaternion: Float[Array, "4"], turn: Float[Array, "3"]) -> Float[Array, "4"]:
    """quaternion · exp(turn / 2), normalised; `turn` is a rotation vector in radians."""
    angle = jnp.sqrt(jnp.sum(turn**2) + 1e-24)
    real, vector = jnp.cos(angle / 2), jnp.sin(angle / 2) / angle * turn
    scalar, axis = quaternion[0], quaternion[1:]
    product = jnp.concatenate(
        [(scalar * real - jnp.dot(axis, vector))[None], scalar * vector + real * axis + jnp.cross(axis, vector)]
    )
    return product / jnp.sqrt(jnp.sum(product**2))
