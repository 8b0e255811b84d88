"""A ring of experience as pure functions: add, draw windows of consecutive steps, change priorities.

Rows lie in the order of time, the copies of the environment side by side, so that an iteration is written in one piece
and what follows a step lies one stride behind it. What is stored is any tree of arrays; groups of it that are wanted at
different steps of a window are stored, and taken, apart.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.replay import sum_tree
from jaxrl.replay.rows import Layout
from jaxrl.replay.sum_tree import SumTree
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

__all__ = ["Buffer", "Drawn", "Replay", "make_replay"]


class Buffer(NamedTuple):
    """What is kept of the past; the state of a `Replay`.

    Attributes:
        rows: by group and dtype, `[slot * env, width]`.
        written: slots written so far, those since overwritten included.
        priorities: pᵅ of the windows that begin at each row; None where all are alike.
        largest: the largest pᵅ so far; likewise.
    """

    rows: dict[str, dict[str, Array]]
    written: Int[Array, ""]
    priorities: SumTree | None = None
    largest: Float[Array, ""] | None = None


class Drawn(NamedTuple):
    """Windows that were drawn.

    Attributes:
        indices: rows at which they begin.
        probabilities: of having been drawn, of each draw.
        size: how many windows there were to draw from.
    """

    indices: Int[Array, "*batch"]
    probabilities: Float[Array, "*batch"]
    size: Int[Array, ""]


class Replay(NamedTuple):
    """A buffer's pure functions.

    Attributes:
        init: `() -> Buffer`.
        add: `(buffer, {group: tree}) -> Buffer`: an iteration's steps, leaves `[time, env, ...]`.
        draw: `(key, buffer, shape) -> Drawn`: windows, the last axis of `shape` a minibatch, over which draws by
            priority are spread out.
        take: `(buffer, group, indices, offset=0) -> tree`: what lies `offset` steps after rows, broadcast.
        prioritise: `(buffer, indices, pᵅ) -> Buffer`; as it was where all are alike.
        capacity: steps that fit, of all copies together.
        least: steps that must have been added before anything is drawn, so that a window is whole.
        num_bytes: of a buffer.
    """

    init: Callable[[], Buffer]
    add: Callable[[Buffer, Mapping[str, PyTree]], Buffer]
    draw: Callable[[PRNGKeyArray, Buffer, tuple[int, ...]], Drawn]
    take: Callable[..., PyTree]
    prioritise: Callable[[Buffer, Array, Array], Buffer]
    capacity: int
    least: int
    num_bytes: int


class _Ring(NamedTuple):
    """What is static of a buffer."""

    layouts: dict[str, Layout]
    num_slots: int
    num_envs: int
    num_steps: int
    window: int
    prioritised: bool

    @property
    def num_rows(self) -> int:
        return self.num_slots * self.num_envs


def make_replay(
    example: Mapping[str, PyTree],
    capacity: int,
    num_envs: int,
    num_steps: int,
    window: int = 1,
    prioritised: bool = False,
) -> Replay:
    """A buffer of experience.

    Args:
        example: by group, trees whose leaves have the shape and dtype of one step of one copy.
        capacity: steps to keep, of all copies together; rounded up to whole iterations.
        num_envs: copies that act side by side.
        num_steps: steps of each in an iteration, which are added at once.
        window: consecutive steps of one copy that are drawn together. A window never crosses the place where the
            oldest steps are overwritten; ends of episodes it may cross, whoever takes it looks out for them.
        prioritised: whether windows are drawn in proportion to a number of their own, pᵅ (Schaul et al., 2016,
            section 3.3), the largest one so far as long as they were not drawn.

    Raises:
        ValueError: for a capacity that holds no window, or is too large for 32-bit indices.
    """
    iterations = -(-capacity // (num_envs * num_steps))
    ring = _Ring(
        {name: Layout.of(tree) for name, tree in example.items()},
        iterations * num_steps,
        num_envs,
        num_steps,
        window,
        prioritised,
    )
    if ring.num_slots < window:
        raise ValueError(
            f"a buffer of {capacity} steps holds {ring.num_slots} of each of {num_envs} copies, fewer than the "
            f"{window} that are learned from together; it needs at least {window * num_envs}"
        )
    if ring.num_rows > 2**31 - 1:
        raise ValueError(f"a buffer of {capacity} steps has more rows than 32-bit indices count")
    num_bytes = ring.num_rows * sum(layout.num_bytes for layout in ring.layouts.values())
    return Replay(
        partial(_init, ring),
        partial(_add, ring),
        partial(_draw, ring),
        partial(_take, ring),
        _prioritise if prioritised else lambda buffer, indices, priorities: buffer,
        ring.num_rows,
        window * num_envs,
        num_bytes + (ring.num_rows * 4 if prioritised else 0),
    )


def _init(ring: _Ring) -> Buffer:
    zeros = lambda width, dtype: jnp.zeros((ring.num_rows, width), dtype)  # noqa: E731
    buffer = Buffer({name: layout.map_rows(zeros) for name, layout in ring.layouts.items()}, jnp.zeros((), jnp.int32))
    if not ring.prioritised:
        return buffer
    return buffer._replace(priorities=sum_tree.empty(ring.num_rows), largest=jnp.ones(()))


def _add(ring: _Ring, buffer: Buffer, steps: Mapping[str, PyTree]) -> Buffer:
    position = (buffer.written % ring.num_slots) * ring.num_envs
    count = ring.num_steps * ring.num_envs

    def write(rows: Array, new: Array) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(rows, new.reshape(count, -1), position, axis=0)

    packed = {name: layout.pack(steps[name]) for name, layout in ring.layouts.items()}
    buffer = buffer._replace(rows=jax.tree.map(write, buffer.rows, packed))
    written = buffer.written + ring.num_steps
    if ring.prioritised:
        buffer = buffer._replace(priorities=_with_new(ring, buffer, written))
    return buffer._replace(written=written)


def _with_new(ring: _Ring, buffer: Buffer, written: Int[Array, ""]) -> SumTree:
    """Windows that have become whole have the largest priority so far; those yet to be, none."""
    count = min(ring.num_steps + ring.window - 1, ring.num_slots)
    steps = written - count + jnp.arange(count)
    whole = (steps >= 0) & (steps <= written - ring.window)
    rows = (steps % ring.num_slots)[:, None] * ring.num_envs + jnp.arange(ring.num_envs)
    values = jnp.broadcast_to(jnp.where(whole, buffer.largest, 0.0)[:, None], rows.shape)
    # Before the first window is whole, steps below 0 lie on slots that nothing was written to.
    return sum_tree.update(buffer.priorities, rows.reshape(-1), values.reshape(-1))


def _draw(ring: _Ring, key: PRNGKeyArray, buffer: Buffer, shape: tuple[int, ...]) -> Drawn:
    stored = jnp.minimum(buffer.written, ring.num_slots)
    size = jnp.maximum(stored - ring.window + 1, 1) * ring.num_envs
    if ring.prioritised:
        spread = (jnp.arange(shape[-1]) + jax.random.uniform(key, shape)) / shape[-1]
        indices = sum_tree.find(buffer.priorities, spread * sum_tree.total(buffer.priorities))
        return Drawn(indices, sum_tree.probabilities(buffer.priorities, indices), size)
    chosen = jax.random.randint(key, shape, 0, size)
    first = (buffer.written - stored) % ring.num_slots * ring.num_envs
    return Drawn((first + chosen) % ring.num_rows, jnp.broadcast_to(1.0 / size, shape), size)


def _take(ring: _Ring, buffer: Buffer, group: str, indices: Array, offset: Any = 0) -> PyTree:
    rows = (indices + jnp.asarray(offset, jnp.int32) * ring.num_envs) % ring.num_rows
    return ring.layouts[group].unpack(jax.tree.map(lambda matrix: matrix[rows], buffer.rows[group]))


def _prioritise(buffer: Buffer, indices: Int[Array, " *batch"], priorities: Float[Array, " *batch"]) -> Buffer:
    indices, priorities = indices.reshape(-1), priorities.reshape(-1)
    return buffer._replace(
        priorities=sum_tree.update(buffer.priorities, indices, priorities),
        largest=jnp.maximum(buffer.largest, jnp.max(priorities)),
    )
