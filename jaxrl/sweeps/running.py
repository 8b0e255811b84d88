"""The host loop: a long run as chunks of one compiled program.

Between chunks there is a progress bar, a checkpoint and a check of what is not finite. The numbers
are those of `trainer.run`, bit for bit, and a run that was killed continues from its checkpoint to
the same end.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl.errors import DamagedError, NonFiniteError, require_name
from jaxrl.ranges import COUNT, NOT_NEGATIVE, PROBABILITY
from jaxrl.replay import without_buffers
from jaxrl.sweeps.batches import Batches
from jaxrl.sweeps.best import BEST, Best
from jaxrl.sweeps.checkpoint import Checkpoints
from jaxrl.sweeps.program import CompiledProgram
from jaxrl.sweeps.resuming import NOTHING, restore
from jaxrl.tracking import resolve_loggers
from jaxrl.training.loop import Result
from jaxrl.training.program import Program
from jaxrl.types import Array, Key, PyTree

__all__ = ["RunOptions", "execute", "execute_until"]


def _say(text: str) -> None:
    print(f"jaxrl: {text}", file=sys.stderr)


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
    keep: str = "last"
    """Which states checkpoints hold: `last`, or `best`, that of every member's best evaluation beside the last."""
    checkpoint_buffers: bool = True
    """Whether checkpoints hold replay buffers. A run that is resumed without one fills it anew before it learns on, and
    does not come to the same bits."""
    loggers: Any = ()
    """Where rows go besides the run's own table, after every chunk: names of `jaxrl list loggers`, loggers, or
    functions `(name, step, rows)`, of which one that returns True ends the run."""
    devices: int | None = None
    """Devices that divide the copies of the environment of a run that is alone; default all GPUs or TPUs, if each has
    256 copies, and one CPU. Members of a sweep have devices of their own."""
    on_rows: Callable[[Result, tuple[int, int], bool], Any] | None = None
    """Given what every chunk gave, without the state: metrics and evaluations, the first iteration and the one after
    the last, and whether a checkpoint held them already. True ends the run after the chunk."""
    say: Callable[[str], None] = _say
    """Told what a user must know, such as that a damaged checkpoint was left out."""

    def __post_init__(self) -> None:
        COUNT.check("num_chunks", self.num_chunks)
        NOT_NEGATIVE.check("checkpoint_seconds", self.checkpoint_seconds)
        PROBABILITY.check("max_lost", self.max_lost)
        if self.devices is not None:
            COUNT.check("devices", self.devices)
        require_name("state to keep", self.keep, ("last", "best"))
        object.__setattr__(self, "loggers", resolve_loggers(self.loggers))


def execute(
    trainer: Program,
    compiled: CompiledProgram,
    keys: Key[Array, "*member"],
    hyperparameters: PyTree,
    axes: PyTree,
    options: RunOptions,
) -> Result:
    """Runs to the end, from a checkpoint if there is one.

    Args:
        trainer: what is run.
        compiled: its program; for members, of any size: they run in batches.
        keys: of the run, or one per member.
        hyperparameters: with a member axis where `axes` is 0.
        axes: 0 or None per leaf of the hyperparameters.
        options: of the host loop.

    Returns:
        The `Result` on the host; with members, their axis leads everywhere. Of a run that `options.on_rows` ended early
        it holds what was done, and the next call goes on from there.

    Raises:
        NonFiniteError: when a single run, or every member, loses more steps or updates than `options.max_lost`.
        CheckpointError: when the checkpoint was written by other settings, is damaged or cannot be written.
        ValueError: when the best state is to be kept and there is no place for it.
    """
    return execute_until(trainer, compiled, keys, hyperparameters, axes, options)[0]


def execute_until(
    trainer: Program,
    compiled: CompiledProgram,
    keys: Key[Array, "*member"],
    hyperparameters: PyTree,
    axes: PyTree,
    options: RunOptions,
) -> tuple[Result, int]:
    """As `execute`, and how many iterations are done: fewer than all where `options.on_rows` ended the run."""
    batches = Batches(compiled, keys, hyperparameters, axes)
    best = _best(trainer, batches, options)
    checkpoints = Checkpoints(options.checkpoint_directory) if options.checkpoint_directory else None
    found = restore(batches, checkpoints, trainer.num_iterations, options.say) if checkpoints else NOTHING
    start, state, history = found.start, found.state, [*found.history]
    whole = options.checkpoint_buffers and found.buffers
    if start and options.on_rows:
        rows = jax.tree.map(np.asarray, history[0])
        options.on_rows(_result(trainer, batches, None, rows, (0, start)), (0, start), True)
    total, stopping = trainer.num_iterations, False
    if start < total:
        batches.start(state)
        state = None
    bar = _progress_bar(trainer, max(1, batches.num_members), options, start)
    last_save = time.monotonic()
    with bar:
        while start < total and not stopping:
            count = min(compiled.chunk, total - start, best.until(start) - start if best else total)
            began, compiling = time.perf_counter(), compiled.timing.compile_seconds
            rows = batches.advance(start, count)
            compiling = compiled.timing.compile_seconds - compiling
            compiled.timing.run_seconds += time.perf_counter() - began - compiling
            history.append(rows)
            _stop_if_lost(trainer, history, start + count, count, options.max_lost, checkpoints)
            if options.on_rows:
                span = start, start + count
                stopping = _agreed(options.on_rows(_result(trainer, batches, None, rows, span), span, False) is True)
            start += count
            if best:
                best.look(rows[1], start, batches.state)
            _advance_bar(bar, trainer, count, max(1, batches.num_members), rows)
            due = time.monotonic() - last_save >= options.checkpoint_seconds
            if checkpoints and (due or stopping or start == total):
                history = [_joined(history, batches)]
                if best:
                    best.save()
                saved = batches.state() if whole else batches.state(without_buffers)
                record = {"iteration": start, "buffers": whole, **asdict(compiled.timing)}
                checkpoints.save(start, (saved, hyperparameters, history[0]), record)
                last_save = time.monotonic()
    history = jax.tree.map(np.asarray, _joined(history, batches))
    result = _result(trainer, batches, batches.state() if state is None else state, history, (0, start))
    return result, start


def _agreed(stop: bool) -> bool:
    """Whether any process wants to stop: all of them must."""
    if jax.process_count() == 1:
        return stop
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.asarray(stop))))


def _best(trainer: Program, batches: Batches, options: RunOptions) -> Best | None:
    """What is kept of the best evaluations, as asked for now or when the run began."""
    place = options.checkpoint_directory and Path(options.checkpoint_directory)
    if options.keep != "best" and not (place and (place / BEST).is_dir()):
        return None
    if not place:
        raise ValueError("keep='best' needs a directory to keep it in")
    found = Best(trainer, batches.hyperparameters, batches.num_members, place)
    if jax.process_index() == 0:
        (place / BEST).mkdir(parents=True, exist_ok=True)
    try:
        found.restore(batches.shapes(1)[0])
    except DamagedError as error:
        options.say(f"{error}; the best is that of the evaluations from here on")
    return found


def _result(trainer: Program, batches: Batches, state: PyTree, rows: PyTree, span: tuple[int, int]) -> Result:
    """What a part of a run gave, of whose iterations some end with an evaluation."""
    metrics, evaluation = rows
    due = trainer.evaluation_iterations
    due = due[(due >= span[0]) & (due < span[1])] - span[0]
    evaluation = jax.tree.map(lambda leaf: leaf[:, due] if batches.num_members else leaf[due], evaluation)
    return Result(state, evaluation, metrics)


def _joined(history: list[PyTree], batches: Batches) -> PyTree:
    axis = 1 if batches.num_members else 0
    return jax.tree.map(lambda *rows: np.concatenate(rows, axis=axis), *history) if len(history) > 1 else history[0]


def _stop_if_lost(
    trainer: Program, history: list[PyTree], end: int, count: int, limit: float, checkpoints: Checkpoints | None
) -> None:
    """Raises if every member has lost more of its latest iterations than `limit`; `count` of them are new."""
    length = max(count, _WINDOW)
    lost = _latest(history, ("non_finite", "faulty_steps"), length)
    if not lost:
        return
    first = max(0, end - length)
    # A program that skips no updates has lost everything with the first one that is not finite.
    limit_of_updates = limit if "skipped_updates" in history[-1][0] else 0.0
    updates = lost.get("non_finite", np.zeros(1)).sum(axis=-1) / length
    each = np.asarray(getattr(trainer, "iteration_steps", np.full(end, trainer.steps_per_iteration)))[first:end]
    faulty = lost.get("faulty_steps", np.zeros(1)).sum(axis=-1) / max(1, each.sum())
    steps = faulty * each.size / length
    if not np.all((updates > limit_of_updates) | (steps > limit)):
        return
    iterations, kept = f"iterations {first} to {end - 1}", _kept(checkpoints)
    if np.all(steps > limit):
        raise NonFiniteError(
            f"{faulty.min():.0%} of the environment's steps are not finite in {iterations}, max_lost={limit:g}{kept}. "
            "Mend its physics (jaxrl.environments.check), shorten its time step or bound its actions"
        )
    raise NonFiniteError(
        f"the loss is not finite in {iterations}{kept}. "
        "Lower learning_rate or max_gradient_norm, or check the environment's rewards"
    )


def _latest(history: list[PyTree], names: tuple[str, ...], length: int) -> dict[str, np.ndarray]:
    """The last iterations of metrics, as far as there are any of that name."""
    parts, found = [], 0
    for metrics, _ in reversed(history):
        parts.insert(0, {name: np.asarray(metrics[name]) for name in names if name in metrics})
        found += next((rows.shape[-1] for rows in parts[0].values()), length)
        if found >= length:
            break
    return {name: np.concatenate([part[name] for part in parts], axis=-1)[..., -length:] for name in parts[0]}


def _kept(checkpoints: Checkpoints | None) -> str:
    """What a run that stops leaves behind."""
    if checkpoints is None:
        return ""
    step = checkpoints.latest()
    return "; no checkpoint was saved before" if step is None else f"; the last good checkpoint is step {step}"


def _progress_bar(trainer: Program, members: int, options: RunOptions, start: int) -> Any:
    from tqdm import tqdm

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


def _advance_bar(bar: Any, trainer: Program, count: int, members: int, rows: PyTree) -> None:
    if bar.disable:
        return
    finished = np.asarray(rows[0].get("episode_return", np.nan))
    if np.any(np.isfinite(finished)):
        returns = np.nanmean(finished.reshape(-1, finished.shape[-1]), axis=0)
        bar.set_postfix_str("return " + ", ".join(f"{value:.4g}" for value in returns), refresh=False)
    bar.update(count * trainer.steps_per_iteration * members)
