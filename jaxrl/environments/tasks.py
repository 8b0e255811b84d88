"""Objectives that are tasks: every episode is about one, which its observations name, and pays that one alone."""

import jax

from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.spaces import MultiDiscrete, Space
from jaxrl.types import Array, Float

__all__ = ["measured_shape", "paying", "task_of", "without_task"]


def paying(spec: EnvironmentSpec, observation: Array) -> Float[Array, "*batch objective"] | None:
    """1 for the task that an observation is of and 0 for the others; None where objectives are not tasks."""
    return task_of(spec.observation, spec.num_tasks, observation) if spec.num_tasks else None


def task_of(space: Space, num_tasks: int, observation: Array) -> Float[Array, "*batch task"]:
    """The task, one-hot, that an observation names.

    It is the last `num_tasks` entries of the observation, or, of a `MultiDiscrete` space, the first entry's value.
    """
    if isinstance(space, MultiDiscrete):
        return jax.nn.one_hot(observation[..., 0], num_tasks)
    return observation[..., -num_tasks:]


def measured_shape(spec: EnvironmentSpec) -> tuple[int, ...]:
    """Shape of the part of an observation that running statistics are kept of: all but the name of the task."""
    shape = spec.observation.shape
    return (*shape[:-1], shape[-1] - spec.num_tasks) if spec.num_tasks else shape


def without_task(space: Space, num_tasks: int, features: Array) -> Array:
    """Features of an encoded observation (`spaces.encode`) less those that name the task."""
    return features[..., num_tasks:] if isinstance(space, MultiDiscrete) else features[..., :-num_tasks]
