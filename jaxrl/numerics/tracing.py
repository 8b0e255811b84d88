"""Functions that are called twice and traced once."""

from collections.abc import Callable

import jax

__all__ = ["traced_once"]


def traced_once(function: Callable) -> Callable:
    """The same function; where it is called again with arguments of the same shapes, its equations are copied.

    A shape that is asked for before a call would else be as slow to find as the call to trace.
    """
    return jax.jit(function, inline=True)
