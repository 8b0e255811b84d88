"""The members of a run in batches that fit the devices.

Batches are filled up to the size of the compiled program by members that are there already. Neither that nor the
division shows outside: states, outputs and shapes are those of the members alone, whatever the devices.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.sweeps.keys import is_key, on_host
from jaxrl.sweeps.program import CompiledProgram
from jaxrl.types import Array, Key, PyTree

__all__ = ["Batches"]


class Batches:
    """Members, or a single run, which is one batch without their axis.

    Between two calls of `advance` a single batch stays on the devices; of several, those that are not in turn wait
    on the host.
    """

    def __init__(
        self, compiled: CompiledProgram, keys: Key[Array, "*member"], hyperparameters: PyTree, axes: PyTree
    ) -> None:
        self.compiled, self.hyperparameters = compiled, hyperparameters
        self._keys, self._axes = keys, axes
        self._axis = 0 if compiled.num_members else None
        self.num_members = len(keys) if compiled.num_members else 0
        firsts = range(0, self.num_members, compiled.num_members) if compiled.num_members else (0,)
        self._rows = [np.arange(first, first + compiled.num_members) % max(1, self.num_members) for first in firsts]
        self._states: list[PyTree] = []
        self._placed: list[PyTree] = []

    def start(self, state: PyTree = None) -> None:
        """Puts the members on the devices, in a state that `state` gave, or at the beginning."""
        inputs = [self._inputs(rows) for rows in self._rows]
        self._placed = [self.compiled.place(own, self._axes) for _, own in inputs]
        if state is None:
            keys = (self.compiled.place(keys, self._axis) for keys, _ in inputs)
            begun = (self.compiled.init(*each) for each in zip(keys, self._placed, strict=True))
            self._states = [self._waiting(each) for each in begun]
        else:
            self._states = [self._waiting(self._place(self._take(state, rows))) for rows in self._rows]

    def advance(self, start: int, count: int) -> PyTree:
        """Goes on by `count` iterations; returns their outputs, on the host."""
        outputs = []
        for index, placed in enumerate(self._placed):
            state = self._states[index] if len(self._rows) == 1 else self._place(self._states[index])
            state, output = self.compiled.advance(state, placed, jnp.asarray(start), jnp.asarray(count))
            output = self.compiled.fetch(output)
            outputs.append(jax.tree.map(lambda leaf: leaf[:, :count] if self.num_members else leaf[:count], output))
            self._states[index] = self._waiting(state)
        return self._join(outputs)

    def beginning(self) -> PyTree:
        """The members' state before the first iteration, as `state` gives it."""
        self.start()
        state, self._states = self.state(), []
        return state

    def state(self, part: Callable[[PyTree], PyTree] = lambda state: state) -> PyTree:
        """The members' state, or a part of it, on the host; of a single run, where it is."""
        if not self.num_members:
            return part(self._states[0])
        return self._join([self.compiled.fetch(part(state)) for state in self._states])

    def shapes(self, count: int) -> tuple[PyTree, PyTree]:
        """Shapes of the state, and of the outputs of `count` iterations."""
        zero = jnp.asarray(0)
        keys, hyperparameters = self._inputs(self._rows[0])
        state = jax.eval_shape(self.compiled.init.function, keys, hyperparameters)
        outputs = jax.eval_shape(self.compiled.advance.function, state, hyperparameters, zero, zero)[1]
        if not self.num_members:
            return state, jax.tree.map(lambda leaf: _resized(leaf, (count, *leaf.shape[1:])), outputs)
        state = jax.tree.map(lambda leaf: _resized(leaf, (self.num_members, *leaf.shape[1:])), state)
        return state, jax.tree.map(lambda leaf: _resized(leaf, (self.num_members, count, *leaf.shape[2:])), outputs)

    def _inputs(self, rows: np.ndarray) -> tuple[Any, PyTree]:
        if not self.num_members:
            return self._keys, self.hyperparameters
        pick = lambda axis, leaf: leaf if axis is None else _rows_of(leaf, rows)  # noqa: E731
        own = jax.tree.map(pick, self._axes, self.hyperparameters, is_leaf=lambda axis: axis is None)
        return _rows_of(self._keys, rows), own

    def _take(self, state: PyTree, rows: np.ndarray) -> PyTree:
        return jax.tree.map(lambda leaf: _rows_of(leaf, rows), state) if self.num_members else state

    def _place(self, state: PyTree) -> PyTree:
        return self.compiled.place(state, self._axis)

    def _waiting(self, state: PyTree) -> PyTree:
        return state if len(self._rows) == 1 else self.compiled.fetch(state)

    def _join(self, parts: list[PyTree]) -> PyTree:
        if not self.num_members:
            return parts[0]
        return jax.tree.map(lambda *leaves: _joined(leaves, self.num_members), *parts)


def _rows_of(leaf: Any, rows: np.ndarray) -> Any:
    if is_key(leaf):
        data = on_host(leaf)[rows]
        return jax.random.wrap_key_data(jnp.asarray(data), impl=jax.random.key_impl(leaf))
    return np.asarray(leaf)[rows]


def _joined(leaves: tuple, count: int) -> Any:
    if is_key(leaves[0]):
        data = np.concatenate([on_host(leaf) for leaf in leaves])[:count]
        return jax.random.wrap_key_data(jnp.asarray(data), impl=jax.random.key_impl(leaves[0]))
    joined = leaves[0] if len(leaves) == 1 else np.concatenate(leaves)
    return np.asarray(joined)[:count]


def _resized(leaf: jax.ShapeDtypeStruct, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, leaf.dtype)
