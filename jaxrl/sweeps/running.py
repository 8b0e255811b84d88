"""The host loop: a long run as chunks of one compiled program.

Between chunks there is a progress bar, a checkpoint and a check for non-finite losses. The numbers
are those of `trainer.run`, bit for bit, and a run that was killed continues from its checkpoint to
the same end.
"""

import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from jaxrl.errors import CheckpointError, NonFiniteError
from jaxrl.hyperparameters import leaves
from jaxrl.sweeps.checkpoint import Checkpoints
from jaxrl.sweeps.program import CompiledProgram
from jaxrl.training.loop import Result
from jaxrl.training.program import Program
from jaxrl.types import Array, Key, PyTree

__all__ = ["RunOptions", "execute"]


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


def execute(
    trainer: Program,
    compiled: CompiledProgram,
    keys: Key[Array, "*member"],
    hyperparameters: PyTree,
    axes: PyTree,
    options: RunOptions,
) -> Result:
    """Runs to the end, from a checkpoint if there is one.

    Returns:
        The `Result` on the host; with members, their axis leads everywhere.

    Raises:
        NonFiniteError: when a loss of a single run, or of every member, is not finite.
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
            _stop_if_not_finite(rows[0], start, checkpoints)
            history = rows if history is None else _append(history, rows, bool(compiled.num_members))
            start += count
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
    trainer: Program,
    compiled: CompiledProgram,
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


def _history_template(trainer: Program, compiled: CompiledProgram, state: PyTree, hp: PyTree, start: int) -> PyTree:
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


def _stop_if_not_finite(metrics: dict[str, np.ndarray], start: int, checkpoints: Checkpoints | None) -> None:
    bad = np.asarray(metrics.get("non_finite", 0.0)).sum(axis=-1) > 0
    if np.all(bad):
        kept = f"; the last good checkpoint is step {checkpoints.latest()}" if checkpoints else ""
        raise NonFiniteError(
            f"the loss is not finite in iterations {start} to {start + metrics['non_finite'].shape[-1] - 1}{kept}. "
            "Lower learning_rate or max_gradient_norm, or check the environment's rewards"
        )


def _progress_bar(trainer: Program, members: int, options: RunOptions, start: int) -> tqdm:
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


def _advance_bar(bar: tqdm, trainer: Program, count: int, members: int, rows: PyTree) -> None:
    if bar.disable:
        return
    finished = np.asarray(rows[0].get("episode_return", np.nan))
    if np.any(np.isfinite(finished)):
        returns = np.nanmean(finished.reshape(-1, finished.shape[-1]), axis=0)
        bar.set_postfix_str("return " + ", ".join(f"{value:.4g}" for value in returns), refresh=False)
    bar.update(count * trainer.steps_per_iteration * members)
