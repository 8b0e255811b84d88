"""One run on several devices: they divide the copies of its environment among them, and the samples of a minibatch.

What a run computes does not depend on it but for rounding: arrays stay whole to the program, and only where their rows
lie is said. Sums over samples, such as a gradient, are made of each device's own and exchanged. Where no devices are to
be divided, nothing here adds an equation.
"""

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrl.types import PyTree

__all__ = ["copies_mesh", "divided", "shardings", "whole"]

_AXIS = "copy"


def copies_mesh(devices: int) -> Mesh:
    """The first local devices, to divide the copies of one run."""
    return Mesh(np.asarray(jax.local_devices()[:devices]), (_AXIS,), axis_types=(AxisType.Auto,))


def divided(tree: PyTree, axis: int = 0) -> PyTree:
    """The same arrays, of which each device of the mesh in force holds its share along an axis.

    Leaves whose axis the devices do not divide are left as they are, and so is all where no `copies_mesh` is in force.
    """
    size = _devices()
    if size == 1:
        return tree

    def divide(leaf: jax.Array) -> jax.Array:
        if leaf.ndim <= axis or leaf.shape[axis] % size:
            return leaf
        return jax.lax.with_sharding_constraint(leaf, P(*(None,) * axis, _AXIS))

    return jax.tree.map(divide, tree)


def whole(tree: PyTree) -> PyTree:
    """The same arrays, of which each device of the mesh in force holds all."""
    if _devices() == 1:
        return tree
    return jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, P()), tree)


def shardings(mesh: Mesh, axes: PyTree) -> PyTree:
    """Where leaves lie: those with an axis 0 of copies are divided, those with None are on every device."""
    lies = lambda axis: NamedSharding(mesh, P() if axis is None else P(_AXIS))  # noqa: E731
    return jax.tree.map(lies, axes, is_leaf=lambda axis: axis is None)


def _devices() -> int:
    mesh = jax.sharding.get_abstract_mesh()
    return dict(zip(mesh.axis_names, mesh.axis_sizes, strict=True)).get(_AXIS, 1)
