"""Half-cheetah and ant with goals: the locomotion tasks of MAML, on brax.

Goals of a velocity or a place are drawn uniformly; directions are the two there are. Episodes last 200 steps
(Finn et al., 2017, arXiv 1703.03400, section 5.3). brax is imported when a family is built.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment
from jaxrl.environments.family import TaskFamily, make_family
from jaxrl.environments.goals import GoalParams, with_goal
from jaxrl.environments.registry import make
from jaxrl.multitask.families.draws import uniform_family
from jaxrl.types import Array, Float, PyTree

__all__ = ["ant_direction", "ant_goal", "ant_velocity", "half_cheetah_direction", "half_cheetah_velocity"]

# MAML's code; brax's own half-cheetah and ant have 0.1 and 0.5.
_CHEETAH_CONTROL, _ANT_CONTROL = 0.05, 0.5
_SURVIVAL = 1.0


def half_cheetah_velocity(
    num_tasks: int = 10,
    num_held_out: int = 10,
    seed: int = 0,
    velocity: tuple[float, float] = (0.0, 2.0),
    backend: str = "spring",
    limit: int = 200,
) -> TaskFamily:
    """Run at a velocity: r = −|v − goal| − 0.05 ‖a‖².

    Args:
        num_tasks: tasks to train on.
        num_held_out: further ones for evaluation.
        seed: of the draws.
        velocity: bounds of the goal, m/s; MAML has 0 to 2.
        backend: of brax.
        limit: steps of an episode.
    """
    environment = with_goal(_brax("halfcheetah", backend, limit), _cheetah_velocity, jnp.zeros(()))
    return _drawn(environment, {"velocity": velocity}, num_tasks, num_held_out, seed)


def half_cheetah_direction(backend: str = "spring", limit: int = 200) -> TaskFamily:
    """Run forward or backward: r = ±v − 0.05 ‖a‖², two tasks.

    Args:
        backend: of brax.
        limit: steps of an episode.
    """
    return _directions(_brax("halfcheetah", backend, limit), _cheetah_direction)


def ant_velocity(
    num_tasks: int = 10,
    num_held_out: int = 10,
    seed: int = 0,
    velocity: tuple[float, float] = (0.0, 3.0),
    backend: str = "spring",
    limit: int = 200,
) -> TaskFamily:
    """Walk along x at a velocity: r = 1 − |vₓ − goal| − 0.5 ‖a‖²; an ant that falls goes on.

    Args:
        num_tasks: tasks to train on.
        num_held_out: further ones for evaluation.
        seed: of the draws.
        velocity: bounds of the goal, m/s; MAML has 0 to 3.
        backend: of brax.
        limit: steps of an episode.
    """
    environment = with_goal(_ant(backend, limit), _ant_velocity, jnp.zeros(()))
    return _drawn(environment, {"velocity": velocity}, num_tasks, num_held_out, seed)


def ant_direction(backend: str = "spring", limit: int = 200) -> TaskFamily:
    """Walk forward or backward: r = 1 ± vₓ − 0.5 ‖a‖², two tasks.

    Args:
        backend: of brax.
        limit: steps of an episode.
    """
    return _directions(_ant(backend, limit), _ant_direction)


def ant_goal(
    num_tasks: int = 10,
    num_held_out: int = 10,
    seed: int = 0,
    radius: float = 3.0,
    backend: str = "spring",
    limit: int = 200,
) -> TaskFamily:
    """Walk to a place drawn from a disc around the start: r = −‖position − goal‖ − 0.1 ‖a‖².

    Goals as in PEARL's ant (Rakelly et al., 2019, arXiv 1903.08254), whose code takes the L₁ distance.

    Args:
        num_tasks: tasks to train on.
        num_held_out: further ones for evaluation.
        seed: of the draws.
        radius: of the disc, metres.
        backend: of brax.
        limit: steps of an episode.
    """
    environment = with_goal(_ant(backend, limit), _ant_goal, jnp.zeros(2))

    def apply(drawn: dict[str, Array]) -> GoalParams:
        distance = radius * jnp.sqrt(drawn["share"])
        goal = distance * jnp.stack([jnp.cos(drawn["angle"]), jnp.sin(drawn["angle"])])
        return GoalParams(environment.params.inner, goal)

    bounds = {"share": (0.0, 1.0), "angle": (0.0, 2.0 * jnp.pi)}
    return uniform_family(environment, bounds, apply, num_tasks, num_held_out, seed)


def _brax(name: str, backend: str, limit: int, **options: Any) -> Environment:
    return make(f"brax/{name}", backend=backend, objectives="components", limit=limit, **options)


def _ant(backend: str, limit: int) -> Environment:
    # Where distance is paid for, falling over must not be a way out.
    return _brax("ant", backend, limit, terminate_when_unhealthy=False)


def _drawn(
    environment: Environment, bounds: dict[str, tuple[float, float]], num_tasks: int, num_held_out: int, seed: int
) -> TaskFamily:
    (name,) = bounds
    apply = lambda drawn: GoalParams(environment.params.inner, drawn[name])  # noqa: E731
    return uniform_family(environment, bounds, apply, num_tasks, num_held_out, seed)


def _directions(environment: Environment, reward: Callable[..., Array]) -> TaskFamily:
    built = with_goal(environment, reward, jnp.ones(()))
    params = [GoalParams(environment.params, jnp.asarray(sign)) for sign in (1.0, -1.0)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *params)
    return make_family(built, stacked, ("forward", "backward"))


def _effort(action: Array) -> Float[Array, ""]:
    return jnp.sum(jnp.square(action))


def _cheetah_velocity(state: PyTree, following: PyTree, rewards: Array, action: Array, goal: Array) -> Array:
    return -jnp.abs(rewards[0] - goal) - _CHEETAH_CONTROL * _effort(action)


def _cheetah_direction(state: PyTree, following: PyTree, rewards: Array, action: Array, goal: Array) -> Array:
    return goal * rewards[0] - _CHEETAH_CONTROL * _effort(action)


def _ant_velocity(state: PyTree, following: PyTree, rewards: Array, action: Array, goal: Array) -> Array:
    return _SURVIVAL - jnp.abs(rewards[0] - goal) - _ANT_CONTROL * _effort(action)


def _ant_direction(state: PyTree, following: PyTree, rewards: Array, action: Array, goal: Array) -> Array:
    return _SURVIVAL + goal * rewards[0] - _ANT_CONTROL * _effort(action)


def _ant_goal(state: PyTree, following: PyTree, rewards: Array, action: Array, goal: Array) -> Array:
    place = following.inner.x.pos[0, :2]
    return -jnp.linalg.norm(place - goal) - 0.1 * _effort(action)
