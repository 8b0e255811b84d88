"""Run directories: a configuration, and everything that running it leaves behind.

configuration.json   what was run: enough to repeat it exactly
metrics.csv          one tidy table; rows come with every chunk
checkpoints/         of a single run; a sweep has group_*/ below it
figures/             PNG
outcome.json         when the run has ended
Kinds of runs add their own: a Pareto study front.csv and measures.csv.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import jax

from jaxrl.deferred import import_ahead
from jaxrl.errors import CheckpointError
from jaxrl.runs.configuration import (
    Configuration,
    check_claim,
    check_free,
    claim,
    read_configuration,
    record_of,
    write_outcome,
)
from jaxrl.runs.kinds import KINDS, Outcome
from jaxrl.runs.metrics import GrowingTable, read_metrics
from jaxrl.runs.parts import Elsewhere, begun_elsewhere, run_elsewhere
from jaxrl.runs.planning import build, parse_range, plan
from jaxrl.runs.report import draw_table, write_table
from jaxrl.sweeps.lock import lock
from jaxrl.sweeps.running import RunOptions
from jaxrl.sweeps.sweep import run_plan
from jaxrl.training.program import Program

__all__ = ["Configuration", "Outcome", "build", "draw", "parse_range", "plan", "read_configuration", "run"]


def run(
    configuration: Configuration,
    directory: str | Path,
    options: RunOptions | None = None,
    elsewhere: Elsewhere | None = None,
) -> Outcome:
    """Runs a configuration into a directory, or finishes what was begun there.

    Args:
        configuration: what is run.
        directory: of the run.
        options: of the host loop.
        elsewhere: trains the members as jobs of a cluster; default as it was begun, else in this process.

    Raises:
        ClusterError: if jobs failed; what is done is kept.
        CheckpointError: if the directory holds another configuration or no run, cannot be written, or is being written.
        ValueError: for what cannot be run. Nothing has been trained or written by then.
    """
    with lock(directory) as directory:
        check_free(directory)
        # What cannot be run is said before what the folder's run has otherwise: another folder would not help.
        built = build(configuration)
        check_claim(directory, configuration)
        options = replace(options or RunOptions(), label=f"{configuration.agent} {configuration.environment}".strip())
        # For tables and figures, which come after the program is compiled.
        import_ahead("pandas", "matplotlib.figure", "matplotlib.backends.backend_agg")
        drive = KINDS[configuration.kind].drive or partial(drive_members, elsewhere=elsewhere)
        if elsewhere is not None and KINDS[configuration.kind].drive:
            raise ValueError(f"--on cuts members into jobs, and a run of the kind {configuration.kind} has none")
        outcome = drive(built, configuration, directory, options)
        if not outcome.stopped:
            write_outcome(directory)
        return outcome


def drive_members(
    built: Program,
    configuration: Configuration,
    directory: Path,
    options: RunOptions,
    elsewhere: Elsewhere | None = None,
) -> Outcome:
    """Runs the members of a sweep, writes their table, and lets the kind finish."""
    planned = plan(built, configuration)
    claim(directory, configuration)
    elsewhere = elsewhere or begun_elsewhere(directory)
    if elsewhere is not None:
        run_elsewhere(planned, directory, options, elsewhere)
        options = replace(options, loggers=())
    growing = GrowingTable(directory / "metrics.csv")
    swept = run_plan(
        planned, options=options, directory=directory / "checkpoints", on_rows=growing.add,
        configuration=record_of(configuration),
    )  # fmt: skip
    outcome = Outcome(configuration, built, sweep=swept)
    if jax.process_index() != 0:
        return outcome
    kind, table = KINDS[configuration.kind], swept.table
    write_table(table, growing.path)
    if outcome.stopped:
        return outcome
    found = kind.finish(outcome, directory) if kind.finish else None
    if kind.draw or not kind.finish:
        (kind.draw or draw_table)(table, built, configuration, directory)
    return replace(outcome, found=found)


def draw(directory: str | Path) -> list[Path]:
    """Draws the figures of a run again, as far as it has come; returns their paths. Nothing is trained.

    Raises:
        CheckpointError: if there is no run, or nothing of it has been evaluated.
    """
    directory = Path(directory)
    configuration = read_configuration(directory)
    table = read_metrics(directory / "metrics.csv")
    (KINDS[configuration.kind].draw or draw_table)(table, build(configuration), configuration, directory)
    drawn = sorted((directory / "figures").glob("*.png"))
    if not drawn:
        raise CheckpointError(f"{directory} has no evaluation to draw yet: its metrics.csv has {len(table)} rows")
    return drawn
