"""Observations of one or several parts: functions of every part, their shapes, and leading axes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.environments.spaces import Dict, Space, Tuple
from jaxrl.types import PyTree

__all__ = ["batch_shape", "has_parts", "map_parts", "parts_of", "shapes", "zeros"]


def has_parts(space: Space) -> bool:
    """Whether observations are a `dict` or a `tuple` of arrays, and not one array."""
    return isinstance(space, Dict | Tuple)


def map_parts(function: Callable[..., Any], space: Space, *trees: PyTree) -> PyTree:
    """`function(its space, *it in every tree)` for every array of an observation, in the observation's form."""
    if isinstance(space, Dict):
        return {name: map_parts(function, part, *(tree[name] for tree in trees)) for name, part in space.parts}
    if isinstance(space, Tuple):
        return tuple(map_parts(function, part, *rest) for part, *rest in zip(space.parts, *trees, strict=True))
    return function(space, *trees)


def parts_of(space: Space, path: str = "") -> dict[str, Space]:
    """The space of every array of an observation by its path, `camera.left`, in the order of `jax.tree.leaves`.

    Of one array, whose path is empty, the space itself.
    """
    if not has_parts(space):
        return {path: space}
    named = space.parts if isinstance(space, Dict) else enumerate(space.parts)
    return {
        below: part for name, inner in named for below, part in parts_of(inner, f"{path}.{name}".lstrip(".")).items()
    }


def shapes(space: Space, batch: tuple[int, ...] = ()) -> PyTree:
    """An observation's shapes and types, under leading axes."""
    return map_parts(lambda part: jax.ShapeDtypeStruct((*batch, *part.shape), jnp.dtype(part.dtype)), space)


def zeros(space: Space, batch: tuple[int, ...] = ()) -> PyTree:
    """Observations that are all zero."""
    return map_parts(lambda part: jnp.zeros((*batch, *part.shape), part.dtype), space)


def batch_shape(space: Space, observation: PyTree) -> tuple[Any, ...]:
    """The leading axes of an observation."""
    part, leaf = next(iter(parts_of(space).values())), jax.tree.leaves(observation)[0]
    return leaf.shape[: leaf.ndim - len(part.shape)]
