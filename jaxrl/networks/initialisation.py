"""Orthogonal initialisation of all kernels from one draw."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["Scales", "orthogonal_kernel", "orthogonal_params"]


class Scales(NamedTuple):
    """Gains of the orthogonal kernels that layers start with; the field's usual ones (Engstrom et al., 2020;
    Andrychowicz et al., 2021).

    Attributes:
        hidden: of all layers but the heads and what remembers, whose gain is 1.
        policy: of the policy's head.
        value: of the values' head.
    """

    hidden: float = float(np.sqrt(2.0))
    policy: float = 0.01
    value: float = 1.0


def orthogonal_params(
    key: PRNGKeyArray,
    shapes: PyTree,
    constants: dict[str, float],
    scales: Scales = Scales(),  # noqa: B008
) -> PyTree:
    """Orthogonal kernels (Saxe et al., 2014), zero biases and generators, and named constants, such as `log_std`, or
    `hf/bias` in layers of that name.

    All kernels are made of one draw of normal numbers, because every further draw lengthens compilation.
    """
    flat, structure = jax.tree_util.tree_flatten_with_path(shapes)
    names = [[entry.key for entry in path] for path, _ in flat]
    drawn = [name[-1] == "kernel" and "generator" not in name for name in names]
    sizes = [leaf.size if is_drawn else 0 for is_drawn, (_, leaf) in zip(drawn, flat)]
    draws = jnp.split(jax.random.normal(key, (sum(sizes),)), np.cumsum(sizes)[:-1])
    gains, leaves = {"actor_head": scales.policy, "critic_head": scales.value, "cell": 1.0}, []
    for name, is_drawn, (_, leaf), draw in zip(names, drawn, flat, draws):
        if is_drawn:
            leaves.append(gains.get(name[0], scales.hidden) * _orthogonal(draw, leaf.shape))
        else:
            constant = constants.get("/".join(name[-2:]), constants.get(name[-1], 0.0))
            leaves.append(jnp.full(leaf.shape, constant, leaf.dtype))
    return jax.tree.unflatten(structure, leaves)


def orthogonal_kernel(key: PRNGKeyArray, shape: tuple[int, ...], dtype: jax.typing.DTypeLike = jnp.float32) -> Array:
    """An orthogonal kernel, as an initialiser of flax; see `_orthogonal` for why not flax's own."""
    return _orthogonal(jax.random.normal(key, (math.prod(shape),)), shape).astype(dtype)


@partial(jax.jit, static_argnums=1)
def _orthogonal(draw: Float[Array, " size"], shape: tuple[int, ...]) -> Array:
    """An array of `shape` whose columns (or rows, the fewer) are orthonormal, uniform over such matrices.

    Gram-Schmidt, each column projected twice (Giraud et al., 2005), instead of LAPACK's QR: batched over members,
    that call holds every thread of a CPU while it waits for one, and a vmapped run would hang. Jitted, so that kernels
    of one shape, such as an actor's and a critic's, are traced and lowered once.
    """
    columns = shape[-1]
    rows = draw.size // columns
    matrix = draw.reshape(max(rows, columns), min(rows, columns))

    def body(i: Array, basis: Array) -> Array:
        column = matrix[:, i]
        for _ in range(2):
            column = column - basis @ (column @ basis)
        return basis.at[:, i].set(column / jnp.linalg.norm(column))

    basis = jax.lax.fori_loop(0, matrix.shape[1], body, jnp.zeros_like(matrix))
    return (basis if rows >= columns else basis.T).reshape(shape)
