"""Run directories: a configuration, and everything that running it leaves behind.

configuration.json   what was run: enough to repeat it exactly
metrics.csv          one tidy table
checkpoints/         of a single run; a sweep has group_*/block_* below it
figures/             PNG
Kinds of runs add their own: a Pareto study front.csv and measures.csv.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from jaxrl.errors import require_name
from jaxrl.runs.configuration import Configuration, check_claim, claim, read_configuration
from jaxrl.runs.kinds import KINDS, Outcome
from jaxrl.runs.report import finish_with_settings, write_table
from jaxrl.sweeps import designs
from jaxrl.sweeps.running import RunOptions
from jaxrl.sweeps.sweep import Plan, plan_sweep, run_plan
from jaxrl.training.program import Program, check_program

__all__ = ["Configuration", "Outcome", "build", "draw", "parse_range", "plan", "read_configuration", "run"]


def run(configuration: Configuration, directory: str | Path, options: RunOptions | None = None) -> Outcome:
    """Runs a configuration into a directory, or finishes what was begun there.

    Raises:
        CheckpointError: if the directory holds another configuration, or no run.
        ValueError: for what cannot be run. Nothing has been trained or written by then.
    """
    directory = Path(directory)
    check_claim(directory, configuration)
    built = build(configuration)
    options = replace(options or RunOptions(), label=f"{configuration.agent} {configuration.environment}".strip())
    drive = KINDS[configuration.kind].drive or drive_members
    return drive(built, configuration, directory, options)


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
    swept = run_plan(planned, options=options, directory=directory / "checkpoints")
    outcome = Outcome(configuration, built, sweep=swept)
    if jax.process_index() != 0:
        return outcome
    write_table(swept.table, directory / "metrics.csv")
    finish = KINDS[configuration.kind].finish or finish_with_settings
    return replace(outcome, found=finish(outcome, directory))


def parse_range(value: Any) -> Any:
    """`log:low:high`, `uniform:low:high` and `int:low:high` as ranges; anything else as it is."""
    if not isinstance(value, str):
        return value
    kind, *bounds = value.split(":")
    require_name("range", kind, ("log", "uniform", "int"))
    if len(bounds) != 2:
        raise ValueError(f"a range is written {kind}:low:high, got {value!r}")
    low, high = (float(bound) for bound in bounds)
    if kind == "int":
        return designs.Integer(int(low), int(high))
    return designs.LogUniform(low, high) if kind == "log" else designs.Uniform(low, high)


def draw(directory: str | Path) -> list[Path]:
    """Draws the figures of a finished run again; returns their paths."""
    directory = Path(directory)
    run(read_configuration(directory), directory, RunOptions(progress=False))
    return sorted((directory / "figures").glob("*.png"))
