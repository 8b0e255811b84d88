"""The host loop: a long run as chunks of one compiled program.

Between chunks there is a progress bar, a checkpoint and a check of what is not finite. The numbers
are those of `trainer.run`, bit for bit, and a run that was killed continues from its checkpoint to
the same end.
"""

import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from jaxrl.checkpoint import Checkpoints
from jaxrl.errors import CheckpointError, NonFiniteError
from jaxrl.hyperparameters import leaves
from jaxrl.loop import Result
from jaxrl.program import Program
from jaxrl.trainable import Trainable
from jaxrl.types import Array, Key, PyTree

__all__ = ["RunOptions", "execute"]

# Fewest iterations that a share of losses is taken of.
_WINDOW = 10


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How the host drives a run; none of it changes the numbers."""

    num_chunks: int = 40
    """Host visits per run: progress, checkpoints and checks happen between them."""
    checkpoint_directory: str | Path | None = None
    """Where to save and to resume from; None saves nothing."""
    checkpoint_seconds: float = 20.0
    """Least time between checkpoints; 0 saves after every chunk."""
    progress: bool | None = None
    """Progress bar; None shows it on a terminal."""
    label: str = "train"
    """Text before the bar."""
    max_lost: float = 0.1
    """Largest share of environment steps, and of updates, that may be lost because they are not finite, over a chunk or
    ten iterations, whichever is more; a run that loses more stops, and keeps its last good checkpoint."""


def execute(
    trainer: Trainable,
    compiled: Program,
    keys: Key[Array, "*member"],
    hyperparameters: PyTree,
    axes: PyTree,
    options: RunOptions,
) -> Result:
    """Runs to the end, from a checkpoint if there is one.

    Returns:
        The `Result` on the host; with members, their axis leads everywhere.

    Raises:
        NonFiniteError: when a single run, or every member, loses more steps or updates than `options.max_lost`.
        CheckpointError: when the checkpoint was written by other settings or is damaged.
    """
    key_axes = 0 if compiled.num_members else None
    keys = compiled.place(keys, key_axes)
    hyperparameters = compiled.place(hyperparameters, axes)
    checkpoints = Checkpoints(options.checkpoint_directory) if options.checkpoint_directory else None
    if checkpoints and checkpoints.latest() is not None:
        start, state, history = _restore(trainer, compiled, checkpoints, keys, hyperparameters)
        state = compiled.place(state, key_axes)
    else:
        start, state, history = 0, compiled.init(keys, hyperparameters), None
    total = trainer.num_iterations
    bar = _progress_bar(trainer, max(1, compiled.num_members), options, start)
    last_save = time.monotonic()
    try:
        while start < total:
            count = min(compiled.chunk, total - start)
            began, compiling = time.perf_counter(), compiled.timing.compile_seconds
            state, outputs = compiled.advance(state, hyperparameters, jnp.asarray(start), jnp.asarray(count))
            rows = _rows(compiled.fetch(outputs), count, bool(compiled.num_members))
            compiling = compiled.timing.compile_seconds - compiling
            compiled.timing.run_seconds += time.perf_counter() - began - compiling
            history = rows if history is None else _append(history, rows, bool(compiled.num_members))
            start += count
            _stop_if_lost(trainer, history[0], start, count, options.max_lost, checkpoints)
            _advance_bar(bar, trainer, count, max(1, compiled.num_members), rows)
            due = time.monotonic() - last_save >= options.checkpoint_seconds
            if checkpoints and (due or start == total):
                record = {"iteration": start, **asdict(compiled.timing)}
                checkpoints.save(start, (state, hyperparameters, history), record)
                last_save = time.monotonic()
    finally:
        bar.close()
        if checkpoints:
            checkpoints.close()
    metrics, evaluation = history
    evaluated = trainer.evaluation_iterations
    if compiled.num_members:
        evaluation = jax.tree.map(lambda leaf: leaf[:, evaluated], evaluation)
    else:
        evaluation = jax.tree.map(lambda leaf: leaf[evaluated], evaluation)
    return Result(state, evaluation, metrics)


def _rows(outputs: PyTree, count: int, batched: bool) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[:, :count] if batched else leaf[:count], outputs)


def _append(history: PyTree, rows: PyTree, batched: bool) -> PyTree:
    axis = 1 if batched else 0
    return jax.tree.map(lambda old, new: np.concatenate([np.asarray(old), new], axis=axis), history, rows)


def _restore(
    trainer: Trainable,
    compiled: Program,
    checkpoints: Checkpoints,
    keys: Key[Array, "*member"],
    hyperparameters: PyTree,
) -> tuple[int, PyTree, PyTree]:
    """Iterations done, the state after them, and their outputs."""
    record = checkpoints.metadata()
    start = record["iteration"]
    compiled.timing.compile_seconds += record.get("compile_seconds", 0.0)
    compiled.timing.run_seconds += record.get("run_seconds", 0.0)
    state = jax.eval_shape(compiled.init.function, keys, hyperparameters)
    template = (state, hyperparameters, _history_template(trainer, compiled, state, hyperparameters, start))
    state, saved, history = checkpoints.restore(template)
    _same_hyperparameters(saved, hyperparameters)
    return start, state, history


def _history_template(trainer: Trainable, compiled: Program, state: PyTree, hp: PyTree, start: int) -> PyTree:
    """Shapes of the first `start` iterations' outputs."""
    zero = jnp.asarray(0)
    shapes = jax.eval_shape(compiled.advance.function, state, hp, zero, zero)[1]
    lead = 1 if compiled.num_members else 0

    def longer(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((*leaf.shape[:lead], start, *leaf.shape[lead + 1 :]), leaf.dtype)

    return jax.tree.map(longer, shapes)


def _same_hyperparameters(saved: PyTree, wanted: PyTree) -> None:
    wanted = leaves(wanted)
    for name, value in leaves(saved).items():
        if not np.array_equal(np.asarray(value), np.asarray(jax.device_get(wanted[name])), equal_nan=True):
            raise CheckpointError(
                f"the checkpoint was written with {name}={np.asarray(value).tolist()}, "
                f"these settings have {np.asarray(wanted[name]).tolist()}"
            )


def _stop_if_lost(
    trainer: Trainable, metrics: dict[str, np.ndarray], end: int, count: int, limit: float, checkpoints: Any
) -> None:
    """Raises if every member has lost more of its latest iterations than `limit`; `count` of them are new."""
    length = max(count, _WINDOW)
    window = slice(max(0, end - length), end)
    lost = {n: np.asarray(metrics[n])[..., window] for n in ("non_finite", "faulty_steps") if n in metrics}
    # A program that skips no updates has lost everything with the first one that is not finite.
    limit_of_updates = limit if "skipped_updates" in metrics else 0.0
    updates = lost["non_finite"].sum(axis=-1) / length
    each = np.asarray(getattr(trainer, "iteration_steps", np.full(end, trainer.steps_per_iteration)))[window]
    faulty = lost.get("faulty_steps", np.zeros(1)).sum(axis=-1) / each.sum()
    steps = faulty * each.size / length
    if not np.all((updates > limit_of_updates) | (steps > limit)):
        return
    iterations = f"iterations {window.start} to {end - 1}"
    kept = f"; the last good checkpoint is step {checkpoints.latest()}" if checkpoints else ""
    if np.all(steps > limit):
        raise NonFiniteError(
            f"{faulty.min():.0%} of the environment's steps are not finite in {iterations}, max_lost={limit:g}{kept}. "
            "Mend its physics (jaxrl.environments.check), shorten its time step or bound its actions"
        )
    raise NonFiniteError(
        f"the loss is not finite in {iterations}{kept}. "
        "Lower learning_rate or max_gradient_norm, or check the environment's rewards"
    )


def _progress_bar(trainer: Trainable, members: int, options: RunOptions, start: int) -> tqdm:
    shown = sys.stderr.isatty() if options.progress is None else options.progress
    per_iteration = trainer.steps_per_iteration * members
    return tqdm(
        total=trainer.num_iterations * per_iteration,
        initial=start * per_iteration,
        desc=options.label,
        unit="step",
        unit_scale=True,
        disable=not shown or jax.process_index() != 0,
        dynamic_ncols=True,
        mininterval=0.5,
    )


def _advance_bar(bar: tqdm, trainer: Trainable, count: int, members: int, rows: PyTree) -> None:
    if bar.disable:
        return
    finished = np.asarray(rows[0].get("episode_return", np.nan))
    if np.any(np.isfinite(finished)):
        returns = np.nanmean(finished.reshape(-1, finished.shape[-1]), axis=0)
        bar.set_postfix_str("return " + ", ".join(f"{value:.4g}" for value in returns), refresh=False)
    bar.update(count * trainer.steps_per_iteration * members)
