"""A trainer, or members on a leading axis, compiled for the host loop."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrl.numerics.copies import shardings
from jaxrl.numerics.tracing import traced_once
from jaxrl.sweeps.kept import Kept
from jaxrl.training.program import Program
from jaxrl.types import PyTree

__all__ = ["CompiledProgram", "Timing", "program", "strongly_typed"]


# Programs of this process that stay compiled, in case they are run again.
_KEPT = 8


@dataclass
class Timing:
    """Seconds that a run took, of all the sessions that it was spread over.

    Attributes:
        compile_seconds: tracing and compiling.
        run_seconds: running what was compiled, to the results on the host.
    """

    compile_seconds: float = 0.0
    run_seconds: float = 0.0


class Compiled:
    """A jitted function that is compiled at its first call, ahead of running, so that both can be timed apart."""

    def __init__(self, function: Callable, mesh: Mesh | None = None, **options: Any) -> None:
        self.function = jax.jit(function, **options)
        self._mesh, self._recipe = mesh, (function, (options, mesh))
        self._executables: dict[tuple, Any] = {}

    def __call__(self, timing: "Timing", *arguments: Any) -> Any:
        """Calls it, adding what compiling for shapes that it has not seen takes to `timing`."""
        shapes = tuple(
            (leaf.shape, leaf.dtype, getattr(leaf, "weak_type", False)) for leaf in jax.tree.leaves(arguments)
        )
        if shapes not in self._executables:
            start = time.perf_counter()
            kept = Kept(*self._recipe, arguments)
            self._executables[shapes] = kept.load() or self._compile(arguments, kept)
            timing.compile_seconds += time.perf_counter() - start
        return self._executables[shapes](*arguments)

    def _compile(self, arguments: tuple, kept: Kept) -> jax.stages.Compiled:
        with nullcontext() if self._mesh is None else jax.set_mesh(self._mesh):
            return kept.compile(self.function.lower(*arguments))


class Timed(NamedTuple):
    """A compiled function whose compilation counts for one run; another run of the same program finds it compiled."""

    compiled: Compiled
    timing: Timing

    def __call__(self, *arguments: Any) -> Any:
        """As the function."""
        return self.compiled(self.timing, *arguments)

    @property
    def function(self) -> Callable:
        """The jitted function."""
        return self.compiled.function


class CompiledProgram(NamedTuple):
    """Compiled parts of a run, for one run or for members on a leading axis.

    Attributes:
        init: `(keys, hyperparameters) -> state`.
        advance: `(state, hyperparameters, start, count) -> (state, outputs)`, where `outputs` has
            room for `chunk` iterations and `count` of them are filled.
        chunk: iterations per call of `advance` at most.
        place: puts keys or hyperparameters where the program wants them.
        fetch: gathers results from all hosts as NumPy arrays.
        num_members: size of the member axis; 0 for a single run.
        timing: how long it took so far.
    """

    init: Timed
    advance: Timed
    chunk: int
    place: Callable[[PyTree, PyTree], PyTree]
    fetch: Callable[[PyTree], PyTree]
    num_members: int
    timing: Timing


def program(
    trainer: Program,
    num_chunks: int,
    axes: PyTree = None,
    num_members: int = 0,
    mesh: Mesh | None = None,
) -> CompiledProgram:
    """Compiles a trainer for the host loop.

    Args:
        trainer: the training program.
        num_chunks: host visits per run.
        axes: for members, a pytree like the hyperparameters with 0 at leaves that have a member
            axis and None at those that are shared.
        num_members: size of the member axis, a multiple of the mesh; 0 for one run without it.
        mesh: devices over which the member axis is sharded; of one run without it, `copies_mesh`, whose devices divide
            the copies of its environment, where the program says which leaves have them (`copy_axes`).
    """
    chunk = -(-trainer.num_iterations // max(1, min(num_chunks, trainer.num_iterations)))
    if mesh is not None and not num_members:
        axes = trainer.copy_axes(jax.eval_shape(trainer.init, jax.random.key(0), trainer.hyperparameters))
    leaves, structure = jax.tree.flatten(axes, is_leaf=lambda axis: axis is None)
    shared = _shared(trainer.init, trainer.step, chunk, tuple(leaves), structure, num_members, mesh)
    timing = Timing()
    place = _placer(mesh) if num_members else _place_alone
    fetch = _fetcher(mesh) if num_members else jax.device_get
    init, advance = (Timed(compiled, timing) for compiled in shared)
    return CompiledProgram(init, advance, chunk, place, fetch, num_members, timing)


@lru_cache(maxsize=_KEPT)
def _shared(
    init: Callable, step: Callable, chunk: int, axes: tuple, structure: Any, num_members: int, mesh: Mesh | None
) -> tuple[Compiled, Compiled]:
    """`init` and `advance` of a program, the same ones when the same program is run again in this process."""
    init, axes = strongly_typed(init), jax.tree.unflatten(structure, axes)
    if not num_members:
        return _compiled_alone(init, _advance(step, chunk, row_axis=0), axes, mesh)
    init = jax.vmap(init, in_axes=(0, axes))
    # The members' axis is inside of the loop: so rows are written by one index, not gathered by one per member.
    advance = _advance(jax.vmap(step, in_axes=(0, axes, None)), chunk, row_axis=1)
    if mesh is not None:
        member = P("member")
        specs = jax.tree.map(lambda axis: P() if axis is None else member, axes, is_leaf=lambda axis: axis is None)
        init = jax.shard_map(init, mesh=mesh, in_specs=(member, specs), out_specs=member, check_vma=False)
        advance = jax.shard_map(
            advance, mesh=mesh, in_specs=(member, specs, P(), P()), out_specs=(member, member), check_vma=False
        )
    return Compiled(init), Compiled(advance, donate_argnums=0)


def _compiled_alone(init: Callable, advance: Callable, axes: PyTree, mesh: Mesh | None) -> tuple[Compiled, Compiled]:
    """Of one run; with a mesh, its devices divide the copies of the environment."""
    if mesh is None:
        return Compiled(init), Compiled(advance, donate_argnums=0)
    state, everywhere = shardings(mesh, axes), NamedSharding(mesh, P())
    return Compiled(init, mesh, out_shardings=state), Compiled(
        advance,
        mesh,
        donate_argnums=0,
        in_shardings=(state, everywhere, everywhere, everywhere),
        out_shardings=(state, everywhere),
    )


def _advance(step: Callable, chunk: int, row_axis: int) -> Callable:
    """`(state, hyperparameters, start, count) -> (state, outputs)`: `count` steps, their outputs along `row_axis`."""
    step = traced_once(step)

    def advance(state: PyTree, hyperparameters: PyTree, start: jax.Array, count: jax.Array) -> tuple:
        shapes = jax.eval_shape(step, state, hyperparameters, start)[1]

        def room(leaf: jax.ShapeDtypeStruct) -> jax.Array:
            return jnp.zeros((*leaf.shape[:row_axis], chunk, *leaf.shape[row_axis:]), leaf.dtype)

        def write(i: jax.Array, rows: jax.Array, row: jax.Array) -> jax.Array:
            return jax.lax.dynamic_update_index_in_dim(rows, row, i, row_axis, allow_negative_indices=False)

        def body(i: jax.Array, carry: tuple) -> tuple:
            state, outputs = carry
            state, output = step(state, hyperparameters, start + i)
            return state, jax.tree.map(partial(write, i), outputs, output)

        return jax.lax.fori_loop(0, count, body, (state, jax.tree.map(room, shapes)))

    return advance


def strongly_typed(init: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """`init` whose state has the types that it keeps in the loop, so that later calls need no program of their own."""

    def strong(leaf: jax.Array) -> jax.Array:
        return leaf.astype(leaf.dtype) if jnp.issubdtype(leaf.dtype, jnp.number) else leaf

    def typed_init(*arguments: Any) -> PyTree:
        return jax.tree.map(strong, init(*arguments))

    return typed_init


def _place_alone(tree: PyTree, axes: PyTree) -> PyTree:
    return jax.tree.map(jnp.asarray, tree)


def _placer(mesh: Mesh | None) -> Callable[[PyTree, PyTree], PyTree]:
    def place(tree: PyTree, axes: PyTree) -> PyTree:
        """Leaves with a member axis are split over the mesh, the others copied to it; `axes` may be one for all."""
        if mesh is None:
            return jax.tree.map(jnp.asarray, tree)

        def put(axis: int | None, leaf: Any) -> jax.Array | None:
            # A part that an environment's parameters leave out.
            if leaf is None:
                return None
            sharding = NamedSharding(mesh, P() if axis is None else P("member"))
            if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                data = put(axis, jax.random.key_data(leaf))
                return jax.jit(jax.random.wrap_key_data, out_shardings=sharding)(data)
            host = np.asarray(leaf)
            return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

        if axes is None or isinstance(axes, int):
            return jax.tree.map(lambda leaf: put(axes, leaf), tree)
        return jax.tree.map(put, axes, tree, is_leaf=lambda axis: axis is None)

    return place


def _fetcher(mesh: Mesh | None) -> Callable[[PyTree], PyTree]:
    def gather(leaf: jax.Array) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(gather(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        return multihost_utils.process_allgather(leaf, tiled=True)

    def fetch(tree: PyTree) -> PyTree:
        if mesh is None or not mesh.is_multi_process:
            return jax.device_get(tree)
        return jax.tree.map(gather, tree)

    return fetch
