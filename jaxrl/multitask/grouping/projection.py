"""Random projections of parameters and gradients that are regenerated from a key, never held whole in memory."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxrl.configs import check_config
from jaxrl.errors import require_name
from jaxrl.ranges import COUNT
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

__all__ = ["Projection", "ProjectionConfig", "random_projection"]


@dataclass(frozen=True, kw_only=True)
class ProjectionConfig:
    """Static settings. With the key they fix P: another chunk size draws another P."""

    projection_dimension: Annotated[int, COUNT] = 400
    """d, columns of P."""
    projection_entries: str = "gaussian"
    """gaussian (normal with variance 1/d) or rademacher (a fair choice of ±1/√d; 32 entries per random word)."""
    projection_rows: Annotated[int, COUNT] = 2048
    """Rows of P that exist at a time."""

    def __post_init__(self) -> None:
        check_config(self)
        require_name("entries of a projection", self.projection_entries, ENTRIES)


class Projection(NamedTuple):
    """P ∈ ℝ^{p×d} as three functions of a key; the entries have mean 0 and variance 1/d, so that E[P Pᵀ] = I.

    Attributes:
        project: `(key, tree) -> Pᵀ g [feature]` for g, the leaves of `tree` end to end. Vmapped over trees it draws P
            once for all of them.
        lift: `(key, x [feature]) -> P x`, shaped and typed like the parameters. ⟨g, P x⟩ = ⟨Pᵀ g, x⟩ exactly.
        gram: `key -> Pᵀ P [feature, feature]`; ‖P x‖² = xᵀ Pᵀ P x needs no P x.
        dimension: d.
        num_parameters: p.
    """

    project: Callable[[PRNGKeyArray, PyTree], Array]
    lift: Callable[[PRNGKeyArray, Array], PyTree]
    gram: Callable[[PRNGKeyArray], Array]
    dimension: int
    num_parameters: int


def _gaussian(key: PRNGKeyArray, rows: int, dimension: int) -> Float[Array, "row feature"]:
    return jax.random.normal(key, (rows, dimension)) / math.sqrt(dimension)


def _rademacher(key: PRNGKeyArray, rows: int, dimension: int) -> Float[Array, "row feature"]:
    words = jax.random.bits(key, (rows, -(-dimension // 32)), jnp.uint32)
    bits = (words[..., None] >> jnp.arange(32, dtype=jnp.uint32)) & 1
    signs = 2.0 * bits.reshape(rows, -1)[:, :dimension].astype(jnp.float32) - 1.0
    return signs / math.sqrt(dimension)


ENTRIES: dict[str, Callable[[PRNGKeyArray, int, int], Array]] = {"gaussian": _gaussian, "rademacher": _rademacher}


class _Shape(NamedTuple):
    tree: jax.tree_util.PyTreeDef
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[np.dtype, ...]

    @property
    def sizes(self) -> list[int]:
        return [math.prod(shape) for shape in self.shapes]


def _ravel(tree: PyTree) -> Float[Array, " parameter"]:
    return jnp.concatenate([jnp.ravel(leaf).astype(jnp.float32) for leaf in jax.tree.leaves(tree)])


def _unravel(shape: _Shape, flat: Float[Array, " parameter"]) -> PyTree:
    parts = jnp.split(flat, np.cumsum(shape.sizes)[:-1])
    leaves = [part.reshape(s).astype(t) for part, s, t in zip(parts, shape.shapes, shape.dtypes)]
    return jax.tree.unflatten(shape.tree, leaves)


def random_projection(
    params: PyTree, config: ProjectionConfig = ProjectionConfig(), mesh: Mesh | None = None
) -> Projection:
    """A seeded random projection of parameters like `params` (Johnson and Lindenstrauss; GradEx, arXiv 2409.06091).

    Chunk c of P's rows is drawn from fold_in(key, c) wherever it is needed, so that memory holds one chunk per
    device, and any number of samples or devices sees the same P.

    Args:
        params: arrays or their shapes; floats only.
        config: static settings.
        mesh: with one axis: its devices share the chunks; every device holds an equal run of P's rows while it needs
            them, and the partial products are summed. By default one device draws all.

    Raises:
        UnknownNameError: by `ProjectionConfig`, for unknown entries.
        ValueError: for parameters that are not all floats, no parameters, or a mesh with several axes.
    """
    leaves, tree = jax.tree.flatten(params)
    shape = _Shape(tree, tuple(leaf.shape for leaf in leaves), tuple(np.dtype(leaf.dtype) for leaf in leaves))
    if wrong := [str(t) for t in shape.dtypes if not jnp.issubdtype(t, jnp.floating)]:
        raise ValueError(f"a projection takes parameters that are floats, got {', '.join(sorted(set(wrong)))}")
    if not sum(shape.sizes):
        raise ValueError("a projection needs at least one parameter, got none")
    if mesh is not None and len(mesh.axis_names) != 1:
        raise ValueError(f"the mesh of a projection has one axis, got {mesh.axis_names}")
    devices = 1 if mesh is None else mesh.size
    chunks = -(-sum(shape.sizes) // (config.projection_rows * devices)) * devices
    parts = (shape, config, chunks, mesh)
    return Projection(
        partial(_project, *parts),
        partial(_lift, *parts),
        partial(_gram, *parts),
        config.projection_dimension,
        sum(shape.sizes),
    )


def _chunk(
    config: ProjectionConfig, num_parameters: int, key: PRNGKeyArray, index: Int[Array, ""]
) -> Float[Array, "row feature"]:
    """The rows of P in one chunk; those beyond the parameters are zero."""
    rows = config.projection_rows
    drawn = ENTRIES[config.projection_entries](jax.random.fold_in(key, index), rows, config.projection_dimension)
    return jnp.where((index * rows + jnp.arange(rows) < num_parameters)[:, None], drawn, 0.0)


def _over_devices(function: Callable, mesh: Mesh | None, in_axes: tuple[bool, ...], summed: bool) -> Callable:
    """`function` on every device's share of the chunks; its results summed, or put end to end."""
    if mesh is None:
        return function
    axis = PartitionSpec(mesh.axis_names[0])
    whole = PartitionSpec()

    def share(*arguments: Array) -> Array:
        result = function(*arguments)
        return jax.lax.psum(result, mesh.axis_names[0]) if summed else result

    specs = tuple(axis if split else whole for split in in_axes)
    return jax.shard_map(share, mesh=mesh, in_specs=specs, out_specs=whole if summed else axis, check_vma=False)


def _project(
    shape: _Shape, config: ProjectionConfig, chunks: int, mesh: Mesh | None, key: PRNGKeyArray, tree: PyTree
) -> Float[Array, " feature"]:
    flat = _ravel(tree)
    num_parameters = sum(shape.sizes)
    if flat.shape != (num_parameters,):
        raise ValueError(f"this projection takes {num_parameters} parameters, got {flat.size}")
    blocks = jnp.pad(flat, (0, chunks * config.projection_rows - num_parameters)).reshape(chunks, -1)

    def body(total: Array, entry: tuple[Array, Array], key: PRNGKeyArray) -> tuple[Array, None]:
        index, block = entry
        return total + block @ _chunk(config, num_parameters, key, index), None

    def add(key: PRNGKeyArray, indices: Array, blocks: Array) -> Array:
        return jax.lax.scan(partial(body, key=key), jnp.zeros(config.projection_dimension), (indices, blocks))[0]

    return _over_devices(add, mesh, (False, True, True), summed=True)(key, jnp.arange(chunks), blocks)


def _lift(
    shape: _Shape, config: ProjectionConfig, chunks: int, mesh: Mesh | None, key: PRNGKeyArray, x: Array
) -> PyTree:
    if x.shape != (config.projection_dimension,):
        raise ValueError(
            f"this projection lifts vectors of {config.projection_dimension} features, got shape {x.shape}"
        )
    num_parameters = sum(shape.sizes)

    def rows(key: PRNGKeyArray, indices: Array, x: Array) -> Array:
        return jax.lax.map(lambda index: _chunk(config, num_parameters, key, index) @ x, indices)

    flat = _over_devices(rows, mesh, (False, True, False), summed=False)(key, jnp.arange(chunks), x)
    return _unravel(shape, flat.reshape(-1)[:num_parameters])


def _gram(
    shape: _Shape, config: ProjectionConfig, chunks: int, mesh: Mesh | None, key: PRNGKeyArray
) -> Float[Array, "feature feature"]:
    num_parameters = sum(shape.sizes)

    def body(total: Array, index: Array, key: PRNGKeyArray) -> tuple[Array, None]:
        rows = _chunk(config, num_parameters, key, index)
        return total + rows.T @ rows, None

    def add(key: PRNGKeyArray, indices: Array) -> Array:
        return jax.lax.scan(partial(body, key=key), jnp.zeros((config.projection_dimension,) * 2), indices)[0]

    return _over_devices(add, mesh, (False, True), summed=True)(key, jnp.arange(chunks))
