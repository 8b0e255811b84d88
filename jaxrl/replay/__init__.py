"""Replay inside the program: experience of many copies in flat matrices, drawn uniformly or by priority."""

from jaxrl.replay.buffer import Buffer, Drawn, Replay, make_replay
from jaxrl.replay.leaving_out import with_buffers, without_buffers
from jaxrl.replay.rows import Layout

__all__ = ["Buffer", "Drawn", "Layout", "Replay", "make_replay", "with_buffers", "without_buffers"]
