"""What can be wrong with an environment's spec before anything is run."""

from typing import Any

import numpy as np

from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.masks import mask_space
from jaxrl.environments.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple
from jaxrl.environments.tasks import TASK

__all__ = ["action_faults", "spec_faults"]

_ACTIONS = "Discrete, MultiDiscrete and Box"
_OBSERVATIONS = "Discrete, MultiDiscrete, Box, and Dict and Tuple of these"


def spec_faults(spec: EnvironmentSpec) -> list[str]:
    """One sentence for each fault of a spec."""
    faults = _observation_faults("observation", spec.observation) + _space_faults("action", spec.action, _ACTIONS)
    if not _is_count(spec.num_objectives):
        faults.append(f"spec.num_objectives must be an integer of at least 1, it is {spec.num_objectives!r}")
    if spec.time_limit is not None and not _is_count(spec.time_limit):
        faults.append(f"spec.time_limit must be None or an integer of at least 1, it is {spec.time_limit!r}")
    if not isinstance(spec.name, str) or not spec.name:
        faults.append(f"spec.name must be a text that is not empty, it is {spec.name!r}")
    if not 0.0 <= spec.discount <= 1.0:
        faults.append(f"spec.discount must lie in [0, 1], it is {spec.discount!r}")
    if len(set(spec.objective_names)) < len(spec.objective_names):
        faults.append(f"spec.objective_names must differ from each other, they are {spec.objective_names!r}")
    if spec.reference_point is not None and np.isnan(np.asarray(spec.reference_point, float)).any():
        faults.append(f"spec.reference_point must hold numbers, it is {spec.reference_point!r}")
    return faults or _hash_faults(spec) or [*_task_faults(spec), *_mask_faults(spec)]


def action_faults(spec: EnvironmentSpec) -> list[str]:
    """What every agent of jaxrl refuses, though the contract allows it."""
    if isinstance(spec.action, Box) and len(spec.action.shape) != 1:
        return [
            f"spec.action is a Box of shape {spec.action.shape}, agents act in vectors: "
            "give it the shape (n,), (1,) for one number, and reshape the action in step"
        ]
    return []


def _observation_faults(name: str, space: Any) -> list[str]:
    """Of a space, or of every part."""
    if isinstance(space, Tuple):
        named: Any = tuple(enumerate(space.parts))
    elif isinstance(space, Dict):
        named = space.parts
        wrong = [part for part, _ in named if not isinstance(part, str) or not part or set(part) & set("./")]
        if wrong:
            return [f"spec.{name} has a part {wrong[0]!r}: a part's name is a text that is not empty, without . and /"]
    else:
        return _space_faults(name, space, _OBSERVATIONS)
    if not named:
        return [f"spec.{name} is a {type(space).__name__} without parts"]
    return [fault for part, inner in named for fault in _observation_faults(f"{name}[{part!r}]", inner)]


def _space_faults(name: str, space: Any, allowed: str) -> list[str]:
    if isinstance(space, Discrete):
        if not _is_count(space.n):
            return [f"spec.{name} has no values: Discrete needs an integer of at least 1, it has n={space.n!r}"]
    elif isinstance(space, MultiDiscrete):
        if not isinstance(space.sizes, tuple) or not space.sizes or not all(map(_is_count, space.sizes)):
            return [
                f"spec.{name} has no values: MultiDiscrete needs a tuple of one or more integers of at least 1, "
                f"it has sizes={space.sizes!r}"
            ]
    elif isinstance(space, Box):
        return _box_faults(name, space)
    else:
        return [f"spec.{name} is of type {type(space).__name__}; allowed: {allowed}"]
    return []


def _box_faults(name: str, space: Box) -> list[str]:
    if not isinstance(space.shape, tuple) or not all(map(_is_count, space.shape)):
        return [f"spec.{name} has no entries: Box needs a shape of integers of at least 1, it has {space.shape!r}"]
    try:
        np.dtype(space.dtype)
    except TypeError:
        # Types that NumPy knows from elsewhere, such as bfloat16.
        import jax.numpy as jnp

        if not hasattr(jnp, str(space.dtype)):
            return [f"spec.{name} has no type: Box has dtype={space.dtype!r}"]
    low, high = np.asarray(space.low, float), np.asarray(space.high, float)
    for bound, values in (("low", low), ("high", high)):
        if values.shape not in ((), space.shape):
            return [
                f"spec.{name} has a bound {bound} of shape {values.shape}: it must be one float or of the Box's shape "
                f"{space.shape}"
            ]
    if not np.all(low <= high):
        return [f"spec.{name} has a bound low that is not at most high: {space.low} and {space.high}"]
    return []


def _hash_faults(spec: EnvironmentSpec) -> list[str]:
    try:
        hash(spec)
    except TypeError as error:
        return [f"spec must be hashable ({error}): use floats and tuples, for bounds that are arrays Box.from_arrays"]
    return []


def _task_faults(spec: EnvironmentSpec) -> list[str]:
    if not spec.num_tasks:
        return []
    space = spec.observation
    if isinstance(space, Dict) and dict(space.parts).get(TASK) == Discrete(spec.num_tasks):
        return []
    if isinstance(space, MultiDiscrete) and space.sizes[0] == spec.num_tasks:
        return []
    if isinstance(space, Box) and space.shape and space.shape[-1] >= spec.num_tasks:
        return []
    return [
        f"spec.num_tasks is {spec.num_tasks}, yet observations do not name the task: {space} needs {spec.num_tasks} "
        f"last entries, one-hot, to be a MultiDiscrete whose first entry is the task, or a Dict with a part {TASK!r}"
    ]


def _mask_faults(spec: EnvironmentSpec) -> list[str]:
    name = spec.action_mask
    if name is None:
        return []
    if not isinstance(spec.observation, Dict) or name not in dict(spec.observation.parts):
        return [
            f"spec.action_mask names a part of a Dict observation, {name!r} is none of {spec.observation}; "
            "transforms.action_mask adds one"
        ]
    if not isinstance(spec.action, Discrete | MultiDiscrete):
        return [f"spec.action_mask needs Discrete or MultiDiscrete actions, there are {spec.action}"]
    part, needed = spec.observation[name], mask_space(spec.action)
    size = int(np.prod(part.shape)) if isinstance(part, Box) else 0
    if size == needed.shape[0] and part.dtype == "bool":
        return []
    return [
        f"spec.observation[{name!r}] is {part}, a mask of {spec.action} is a Box of dtype 'bool' with "
        f"{needed.shape[0]} entries, True where an action is legal"
    ]


def _is_count(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 1
