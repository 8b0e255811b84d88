"""Run directories: a configuration, and everything that running it leaves behind.

configuration.json   what was run: enough to repeat it exactly
metrics.csv          one tidy table; rows come with every chunk
checkpoints/         of a single run; a sweep has group_*/ below it
figures/             PNG
outcome.json         when the run has ended
Kinds of runs add their own: a Pareto study front.csv and measures.csv.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from jaxrl.deferred import import_ahead
from jaxrl.errors import CheckpointError, require_name
from jaxrl.runs.configuration import (
    OUTCOME,
    Configuration,
    check_claim,
    claim,
    read_configuration,
    record_of,
    write_atomically,
)
from jaxrl.runs.kinds import KINDS, Outcome
from jaxrl.runs.metrics import GrowingTable, read_metrics
from jaxrl.runs.report import draw_table, write_table
from jaxrl.sweeps import designs
from jaxrl.sweeps.lock import lock
from jaxrl.sweeps.running import RunOptions
from jaxrl.sweeps.sweep import Plan, plan_sweep, run_plan
from jaxrl.training.program import Program, check_program

__all__ = ["Configuration", "Outcome", "build", "draw", "parse_range", "plan", "read_configuration", "run"]


def run(configuration: Configuration, directory: str | Path, options: RunOptions | None = None) -> Outcome:
    """Runs a configuration into a directory, or finishes what was begun there.

    Raises:
        CheckpointError: if the directory holds another configuration or no run, cannot be written, or is being written.
        ValueError: for what cannot be run. Nothing has been trained or written by then.
    """
    with lock(directory) as directory:
        check_claim(directory, configuration)
        built = build(configuration)
        options = replace(options or RunOptions(), label=f"{configuration.agent} {configuration.environment}".strip())
        # For tables and figures, which come after the program is compiled.
        import_ahead("pandas", "matplotlib.figure", "matplotlib.backends.backend_agg")
        drive = KINDS[configuration.kind].drive or drive_members
        outcome = drive(built, configuration, directory, options)
        if not outcome.stopped and not (directory / OUTCOME).exists():
            ended = datetime.now(UTC).isoformat(timespec="seconds")
            write_atomically(directory / OUTCOME, json.dumps({"ended": ended}))
        return outcome


def build(configuration: Configuration) -> Program:
    """The program of a configuration."""
    built = KINDS[configuration.kind].build(configuration)
    check_program(built)
    return built


def plan(built: Program, configuration: Configuration) -> Plan:
    """The members that a configuration asks for, all checked."""
    return plan_sweep(
        built,
        seeds=configuration.seeds,
        hyperparameters={name: parse_range(value) for name, value in configuration.hyperparameters.items()},
        weights=configuration.weights,
        design=configuration.design,
        samples=configuration.samples,
    )


def drive_members(built: Program, configuration: Configuration, directory: Path, options: RunOptions) -> Outcome:
    """Runs the members of a sweep, writes their table, and lets the kind finish."""
    planned = plan(built, configuration)
    claim(directory, configuration)
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


def parse_range(value: Any) -> Any:
    """`log:low:high`, `uniform:low:high` and `int:low:high` as ranges; anything else as it is."""
    if not isinstance(value, str):
        return value
    kind, *bounds = value.split(":")
    require_name("range", kind, ("log", "uniform", "int"))
    if len(bounds) != 2:
        raise ValueError(f"a range is written {kind}:low:high, got {value!r}")
    number = int if kind == "int" else float
    try:
        low, high = map(number, bounds)
    except ValueError:
        what = "integers" if kind == "int" else "numbers"
        raise ValueError(f"the bounds of a range {kind}:low:high are {what}, got {value!r}") from None
    return {"int": designs.Integer, "log": designs.LogUniform, "uniform": designs.Uniform}[kind](low, high)


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
