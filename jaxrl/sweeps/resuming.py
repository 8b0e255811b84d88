"""Where a run goes on: what the newest checkpoint that is whole holds, and what it left out."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrl.errors import CheckpointError, DamagedError
from jaxrl.hyperparameters import leaves
from jaxrl.replay import with_buffers, without_buffers
from jaxrl.sweeps.batches import Batches
from jaxrl.sweeps.checkpoint import Checkpoints
from jaxrl.types import PyTree

__all__ = ["NOTHING", "Restored", "restore"]


class Restored(NamedTuple):
    """Where a run stands.

    Attributes:
        start: iterations done.
        state: after them; None at the beginning.
        history: their outputs, one tree; none at the beginning.
        buffers: whether the checkpoint holds replay buffers, where there are any. Else they are empty, and of a run
            that is over left out.
    """

    start: int
    state: PyTree
    history: tuple[Any, ...]
    buffers: bool


NOTHING = Restored(0, None, (), buffers=True)


def restore(batches: Batches, checkpoints: Checkpoints, end: int, say: Callable[[str], None]) -> Restored:
    """The state of the newest checkpoint that is whole.

    Args:
        batches: the members, which have not been started.
        checkpoints: of the run.
        end: iterations of the whole run.
        say: told of checkpoints that are damaged.

    Raises:
        DamagedError: if there are some, and none is whole.
        CheckpointError: if they were written by other settings.
    """
    damaged = None
    steps = checkpoints.steps()
    for step, older in zip(steps, [*steps[1:], None]):
        try:
            return _restore_step(batches, checkpoints, step, end)
        except DamagedError as error:
            damaged = damaged or error
            if older is not None:
                say(f"{error}: going on from step {older}")
    if damaged:
        raise DamagedError(f"{damaged}, and no other is whole: delete {checkpoints.directory} to start again")
    return NOTHING


def _restore_step(batches: Batches, checkpoints: Checkpoints, step: int, end: int) -> Restored:
    record, timing = checkpoints.metadata(step), batches.compiled.timing
    start, hyperparameters, whole = record["iteration"], batches.hyperparameters, record.get("buffers", True)
    state, (metrics, evaluation) = batches.shapes(start)
    state = state if whole else without_buffers(state)
    # An earlier version may have counted less; of its iterations that is not known.
    saved = checkpoints.names(step)
    unknown = {name: leaf for name, leaf in metrics.items() if f"2/0/{name}" not in saved}
    template = (state, hyperparameters, ({k: v for k, v in metrics.items() if k not in unknown}, evaluation))
    state, saved, history = checkpoints.restore(template, step, on_host=bool(batches.num_members))
    _same_hyperparameters(saved, hyperparameters)
    filled = {name: np.full(leaf.shape, np.nan).astype(leaf.dtype) for name, leaf in unknown.items()}
    history = ({**history[0], **filled}, history[1])
    if not whole and start < end:
        state = with_buffers(state, batches.beginning())
    timing.compile_seconds += record.get("compile_seconds", 0.0)
    timing.run_seconds += record.get("run_seconds", 0.0)
    return Restored(start, state, (history,), whole)


def _same_hyperparameters(saved: PyTree, wanted: PyTree) -> None:
    wanted = leaves(wanted)
    for name, value in leaves(saved).items():
        if not np.array_equal(np.asarray(value), np.asarray(jax.device_get(wanted[name])), equal_nan=True):
            raise CheckpointError(
                f"the checkpoint was written with {name}={np.asarray(value).tolist()}, "
                f"these settings have {np.asarray(wanted[name]).tolist()}"
            )
