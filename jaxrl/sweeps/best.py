"""The state of every member's best evaluation, kept beside the last one."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl.errors import CheckpointError
from jaxrl.hyperparameters import leaves
from jaxrl.replay import without_buffers
from jaxrl.sweeps.checkpoint import Checkpoints
from jaxrl.sweeps.keys import data_of, on_host
from jaxrl.training.evaluation import return_columns
from jaxrl.training.program import Program, by_rows
from jaxrl.types import Float, Int, PyTree

__all__ = ["BEST", "Best", "read_best"]

BEST = "best"
"""The folder in that of the checkpoints."""


class Best:
    """What a run keeps of its best evaluations: for each member a state without buffers, its score and its iteration.

    A score is the evaluation's return under the member's weights, or the program's `score`. Larger is better; one that
    is not finite is worse than any; of equal ones the first is kept.

    Args:
        trainer: what is run.
        hyperparameters: of the run, with a member axis where they are swept.
        num_members: size of the member axis; 0 for one run.
        checkpoints: folder of the run's checkpoints, in which a folder of its own holds what is kept.
    """

    def __init__(self, trainer: Program, hyperparameters: Any, num_members: int, checkpoints: str | Path) -> None:
        self._trainer, self._hyperparameters, self._num_members = trainer, hyperparameters, num_members
        self._checkpoints = Checkpoints(Path(checkpoints) / BEST, keep=1)
        size = max(1, num_members)
        self.score, self.iteration = np.full(size, -np.inf), np.full(size, -1)
        self._state: PyTree = None
        self._changed = False
        self._due = np.asarray(trainer.evaluation_iterations)

    def until(self, start: int) -> int:
        """The end of a chunk that begins at `start` and ends with the next evaluation."""
        later = self._due[self._due >= start]
        return int(later[0]) + 1 if len(later) else self._trainer.num_iterations

    def look(self, evaluation: PyTree, end: int, state: Callable[[], PyTree]) -> None:
        """Keeps the state of those whose evaluation is their best.

        Args:
            evaluation: of the iterations before `end`, as the program gives it.
            end: iterations done.
            state: gives the members' state after them, on the host.
        """
        if end - 1 not in self._due:
            return
        scores = self._scores(evaluation)
        better = np.where(np.isfinite(scores), scores, -np.inf) > self.score
        if not better.any():
            return
        # What acts needs no buffer, and nothing is learned on from here.
        now = jax.tree.map(on_host, without_buffers(state()))
        old = now if self._state is None else self._state
        self._state = jax.tree.map(lambda new, old: self._chosen(better, new, old), now, old)
        self.score, self.iteration = np.where(better, scores, self.score), np.where(better, end - 1, self.iteration)
        self._changed = True

    def _chosen(self, better: np.ndarray, new: np.ndarray, old: np.ndarray) -> np.ndarray:
        if not self._num_members:
            return new
        return np.where(better.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

    def _scores(self, evaluation: PyTree) -> Float[np.ndarray, " member"]:
        axis = 1 if self._num_members else 0
        last = jax.tree.map(lambda leaf: np.take(np.asarray(leaf), [-1], axis), evaluation)
        columns = by_rows(self._trainer, last, num_axes=axis + 1)
        environment, weights = getattr(self._trainer, "environment", None), leaves(self._hyperparameters).get("weights")
        names = return_columns(environment.spec) if environment is not None else []
        returns = [columns[name] for name in names if name in columns]
        if weights is None or not returns or len(returns) < len(names):
            return np.asarray(columns[self._trainer.score], float)
        return np.sum(np.stack(returns, axis=-1) * np.asarray(weights, float), axis=-1)

    def save(self) -> None:
        """Writes what has been kept since the last time."""
        if self._changed:
            record = {"score": self.score.tolist(), "iteration": self.iteration.tolist()}
            self._checkpoints.save(int(self.iteration.max()), self._state, record)
            self._changed = False

    def restore(self, shapes: PyTree) -> None:
        """Goes on from what a former process kept; `shapes` are those of the members' state."""
        if self._checkpoints.latest() is None:
            return
        record = self._checkpoints.metadata()
        self.score, self.iteration = np.asarray(record["score"]), np.asarray(record["iteration"])
        shapes = jax.tree.map(partial(jax.eval_shape, data_of), without_buffers(shapes))
        # Former versions kept buffers, too.
        self._state = self._checkpoints.restore(shapes, partial=True, on_host=True)


def read_best(
    checkpoints: str | Path, shapes: PyTree
) -> tuple[PyTree, Float[np.ndarray, " member"], Int[np.ndarray, " member"]]:
    """States without replay buffers, scores and iterations of the best evaluations that a run has kept.

    Raises:
        CheckpointError: if it has kept none, or they are damaged.
    """
    kept = Checkpoints(Path(checkpoints) / BEST)
    if kept.latest() is None:
        raise CheckpointError(f"{Path(checkpoints).parent} kept its last state alone: train with --keep best")
    record = kept.metadata()
    state = kept.restore(without_buffers(shapes), partial=True, on_host=True)
    return state, np.asarray(record["score"]), np.asarray(record["iteration"])
