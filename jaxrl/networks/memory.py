"""What networks remember of an episode, and how: cells by name, each with a memory that is any tree of arrays."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.networks.attention import Attention, AttentionMemory, empty_cache
from jaxrl.networks.initialisation import orthogonal_kernel
from jaxrl.types import Array, Bool, PyTree

__all__ = ["INITIAL", "RECURRENT", "fresh_memory", "make_cell", "remember"]

RECURRENT = ("gru", "lstm", "attention")
"""Networks with a memory."""
INITIAL = {"hf/bias": 1.0, "scale": 1.0, "gate_bias": 2.0}
"""Parameters that start at another number than 0: an LSTM forgets slowly (Jozefowicz et al., 2015), norms scale by 1,
and gates are nearly closed."""


def make_cell(kind: str, width: int, attention: Attention) -> nn.Module:
    """A cell, `(memory, features) -> (memory, output)`; gru, lstm or attention."""
    if kind == "attention":
        return AttentionMemory(width, attention)
    cell = nn.GRUCell if kind == "gru" else nn.OptimizedLSTMCell
    return cell(width, recurrent_kernel_init=orthogonal_kernel)


def fresh_memory(kind: str, width: int, attention: Attention, batch_shape: tuple[int, ...]) -> PyTree:
    """Memory at the start of an episode, all of it zero: of an LSTM, of cell and output."""
    if kind == "attention":
        return empty_cache(attention, width, batch_shape)
    zeros = jnp.zeros((*batch_shape, width))
    return zeros if kind == "gru" else (zeros, zeros)


def remember(cell: Any, features: Array, memory: PyTree, start: Bool[Array, "*batch"]) -> tuple[PyTree, Array]:
    """The next memory and the output of one step; where an episode begins, the old memory is forgotten."""

    def forgotten(leaf: Array) -> Array:
        axes = tuple(range(start.ndim, leaf.ndim))
        return jnp.where(jnp.expand_dims(start, axes), jnp.zeros((), leaf.dtype), leaf)

    return cell(jax.tree.map(forgotten, memory), features)
