"""States of programs without the buffers in them, which are most of their size."""

from typing import Any

import jax

from jaxrl.replay.buffer import Buffer
from jaxrl.types import PyTree

__all__ = ["with_buffers", "without_buffers"]


def without_buffers(state: PyTree) -> PyTree:
    """The tree with () in place of every `Buffer`."""
    return jax.tree.map(lambda part: () if _is_buffer(part) else part, state, is_leaf=_is_buffer)


def with_buffers(state: PyTree, other: PyTree) -> PyTree:
    """What `without_buffers` made of a state, with the buffers of another state of the same kind."""
    parts, structure = jax.tree.flatten(other, is_leaf=_is_buffer)
    own = structure.flatten_up_to(state)
    return structure.unflatten([theirs if _is_buffer(theirs) else mine for mine, theirs in zip(own, parts)])


def _is_buffer(part: Any) -> bool:
    return isinstance(part, Buffer)
