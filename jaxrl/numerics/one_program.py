"""Functions of arrays that the host calls as well: there, too, they are one program instead of one per operation."""

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import jax
import numpy as np

__all__ = ["one_program", "refuse_nan"]


def one_program(*numbers: str) -> Callable[[Callable], Callable]:
    """Decorates a pure function of arrays; a program that calls it repeatedly holds it once for arguments of a shape.

    Called with arrays at hand, JAX would compile each of its operations by itself, for milliseconds each.

    Args:
        numbers: names of arguments that may hold no NaN, which can be asked of arrays at hand alone.
    """

    def decorate(function: Callable) -> Callable:
        compiled, signature = jax.jit(function), inspect.signature(function)

        @wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            bound = signature.bind(*arguments, **named).arguments
            for name in numbers:
                refuse_nan(bound[name], name)
            return compiled(**{name: _array(value) for name, value in bound.items()})

        return call

    return decorate


def refuse_nan(values: Any, name: str) -> None:
    """Raises a ValueError that names the argument if one of its values is NaN; traced ones have none yet."""
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values)):
        return
    array = np.asarray(values)
    if np.issubdtype(array.dtype, np.floating) and np.isnan(array).any():
        raise ValueError(f"{name} has an entry that is not a number: {np.round(array, 6).tolist()}")


def _array(value: Any) -> Any:
    """A sequence of numbers as an array; a pytree as it is."""
    is_sequence = isinstance(value, Sequence) and not hasattr(value, "_fields") and not isinstance(value, str)
    if not is_sequence:
        return value
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(value))
    return jax.numpy.asarray(value) if traced else np.asarray(value)
