"""A tree of sums over non-negative numbers, from which entries are drawn in proportion, in O(log size).

Every node is the sum of 8 below it: a million entries have seven levels, each of which is one gather and one product
over all draws together. On a CPU twenty narrow levels take longer, and so do four of 32, of which most is read in vain.
"""

import jax.numpy as jnp

from jaxrl.types import Array, Float, Int

__all__ = ["SumTree", "empty", "find", "total", "update"]

FAN = 8

SumTree = tuple[Float[Array, " _"], ...]
"""Levels from the leaves up; the last has at most 8 nodes."""


def empty(size: int) -> SumTree:
    """A tree of `size` zeros."""
    levels = []
    while True:
        size = -(-size // FAN)
        levels.append(jnp.zeros(size * FAN))
        if size == 1:
            return tuple(levels)


def total(tree: SumTree) -> Float[Array, ""]:
    """The sum of all entries."""
    return jnp.sum(tree[-1])


def update(tree: SumTree, indices: Int[Array, " entry"], values: Float[Array, " entry"]) -> SumTree:
    """The tree with some entries replaced; sums are made anew from what is below, so that no error builds up."""
    levels = [tree[0].at[indices].set(values)]
    for level in tree[1:]:
        indices = indices // FAN
        # Sums over a short last axis are faster as products, on a CPU severalfold.
        sums = jnp.matmul(levels[-1].reshape(-1, FAN)[indices], jnp.ones(FAN), precision="highest")
        levels.append(level.at[indices].set(sums))
    return tuple(levels)


def find(tree: SumTree, mass: Float[Array, "*batch"]) -> Int[Array, "*batch"]:
    """The entry i with Σ_{j<i} xⱼ ≤ mass < Σ_{j≤i} xⱼ, never one that is 0, unless all are.

    Args:
        tree: of sums.
        mass: in [0, total).
    """
    node, up_to = jnp.zeros(mass.shape, jnp.int32), jnp.triu(jnp.ones((FAN, FAN)))
    for level in reversed(tree):
        below = level.reshape(-1, FAN)[node]
        sums = jnp.matmul(below, up_to, precision="highest")
        # Sums are rounded: what is left may exceed those of all children that are not 0.
        last = FAN - 1 - jnp.argmax(below[..., ::-1] > 0.0, axis=-1)
        chosen = jnp.minimum(jnp.sum(mass[..., None] >= sums, axis=-1), last)
        before = jnp.where(jnp.arange(FAN) < chosen[..., None], below, 0.0)
        mass = jnp.maximum(mass - jnp.sum(before, axis=-1), 0.0)
        # A child that is 0 has no room between two sums; only the first of all zeros is met with mass 0.
        node = node * FAN + chosen.astype(jnp.int32)
    return node


def probabilities(tree: SumTree, indices: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Shares of entries in the sum."""
    return tree[0][indices] / jnp.maximum(total(tree), jnp.finfo(jnp.float32).tiny)
