"""Trees of arrays as rows of flat matrices, one for each dtype, so that many are taken by one gather."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.types import Array, PyTree

__all__ = ["Layout"]


class Layout(NamedTuple):
    """Where the leaves of a tree lie within a row; bits are kept exactly, and images of bytes stay bytes.

    Attributes:
        structure: of the tree.
        shapes: of the leaves, of one sample.
        dtypes: of the leaves.
    """

    structure: jax.tree_util.PyTreeDef
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[np.dtype, ...]

    @classmethod
    def of(cls, example: PyTree) -> "Layout":
        """Of trees like this one, whose leaves have the shape and dtype of one sample."""
        leaves, structure = jax.tree.flatten(example)
        return cls(structure, tuple(leaf.shape for leaf in leaves), tuple(np.dtype(leaf.dtype) for leaf in leaves))

    @property
    def widths(self) -> dict[str, int]:
        """Entries of a row, by the dtype that they are stored as."""
        found: dict[str, int] = {}
        for shape, dtype in zip(self.shapes, self.dtypes):
            name = _stored_as(dtype)
            found[name] = found.get(name, 0) + math.prod(shape)
        return found

    @property
    def num_bytes(self) -> int:
        """Of a row."""
        return sum(width * np.dtype(name).itemsize for name, width in self.widths.items())

    def pack(self, tree: PyTree) -> dict[str, Array]:
        """Rows `[*batch, width]` by dtype, from leaves with any leading axes, the same of all."""
        columns: dict[str, list[Array]] = {}
        for leaf, shape, dtype in zip(jax.tree.leaves(tree), self.shapes, self.dtypes):
            batch = leaf.shape[: leaf.ndim - len(shape)]
            flat = leaf.reshape(*batch, math.prod(shape))
            columns.setdefault(_stored_as(dtype), []).append(flat.astype(_stored_as(dtype)))
        return {name: jnp.concatenate(parts, axis=-1) for name, parts in columns.items()}

    def unpack(self, rows: dict[str, Array]) -> PyTree:
        """The tree that rows were packed from."""
        position = dict.fromkeys(rows, 0)
        leaves = []
        for shape, dtype in zip(self.shapes, self.dtypes):
            name, width = _stored_as(dtype), math.prod(shape)
            part = rows[name][..., position[name] : position[name] + width]
            position[name] += width
            leaves.append(part.reshape(*part.shape[:-1], *shape).astype(dtype))
        return jax.tree.unflatten(self.structure, leaves)

    def map_rows(self, function: Callable[[int, str], Array]) -> dict[str, Array]:
        """`function(width, dtype)` for every matrix."""
        return {name: function(width, name) for name, width in self.widths.items()}


def _stored_as(dtype: np.dtype) -> str:
    """Flags as bytes, all else as it is."""
    return "uint8" if dtype == np.bool_ else dtype.name
