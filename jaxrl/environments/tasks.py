"""Objectives that are tasks: every episode is about one, which its observations name, and pays that one alone."""

import jax
import jax.numpy as jnp

from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.parts import map_parts
from jaxrl.environments.spaces import Box, Dict, MultiDiscrete, Space
from jaxrl.types import Array, Float, PyTree

__all__ = ["TASK", "measured_parts", "paying", "task_of", "without_task"]

TASK = "task"
"""The part of a `Dict` observation that names the task by its number."""


def paying(spec: EnvironmentSpec, observation: PyTree) -> Float[Array, "*batch objective"] | None:
    """1 for the task that an observation is of and 0 for the others; None where objectives are not tasks."""
    return task_of(spec.observation, spec.num_tasks, observation) if spec.num_tasks else None


def task_of(space: Space, num_tasks: int, observation: PyTree) -> Float[Array, "*batch task"]:
    """The task, one-hot, that an observation names.

    It is the last `num_tasks` entries of the observation, or, of a `MultiDiscrete` space, the first entry's value, or,
    of a `Dict`, the part `task`.
    """
    if isinstance(space, Dict):
        return jax.nn.one_hot(observation[TASK], num_tasks)
    if isinstance(space, MultiDiscrete):
        return jax.nn.one_hot(observation[..., 0], num_tasks)
    return observation[..., -num_tasks:]


def measured_parts(spec: EnvironmentSpec) -> PyTree:
    """What running statistics are kept of, as shapes in the form of an observation; None for what they leave out.

    They are kept of every `Box`, less the name of the task and the mask of actions.
    """

    def measured(space: Space) -> jax.ShapeDtypeStruct | None:
        if not isinstance(space, Box):
            return None
        named = spec.num_tasks if space is spec.observation else 0
        shape = (*space.shape[:-1], space.shape[-1] - named) if named else space.shape
        return jax.ShapeDtypeStruct(shape, jnp.float32)

    found = map_parts(measured, spec.observation)
    return {**found, spec.action_mask: None} if spec.action_mask else found


def without_task(space: Space, num_tasks: int, features: Array) -> Array:
    """Features of an encoded observation (`spaces.encode`) less those that name the task; none of a `Dict`'s do."""
    return features[..., num_tasks:] if isinstance(space, MultiDiscrete) else features[..., :-num_tasks]
