"""Run directories: a configuration, and everything that running it leaves behind.

configuration.json   what was run: enough to repeat it exactly
metrics.csv          one tidy table
checkpoints/         of a single run; a sweep has group_*/block_* below it
figures/             PNG
front.csv, measures.csv   of a Pareto study
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax

from jaxrl.bilevel import BILEVEL
from jaxrl.environments.registry import make
from jaxrl.errors import require_name
from jaxrl.meta.methods import meta_learner
from jaxrl.morl.algorithms import ALGORITHMS, study
from jaxrl.morl.front import Front, front
from jaxrl.multitask import maml
from jaxrl.multitask.families import family
from jaxrl.runs.configuration import Configuration, claim, read_configuration
from jaxrl.runs.report import adaptation_columns, draw_curves, draw_sweep, write_front, write_table
from jaxrl.runs.tables import evaluation_columns, metrics_table, return_columns
from jaxrl.sweeps import designs
from jaxrl.sweeps.program import program
from jaxrl.sweeps.running import RunOptions, execute
from jaxrl.sweeps.sweep import Sweep, sweep
from jaxrl.trainable import Trainable
from jaxrl.training.loop import Result
from jaxrl.training.trainer import trainer

__all__ = ["Configuration", "Outcome", "build", "draw", "parse_range", "read_configuration", "run"]


# Kinds of configuration that a study is built from.
_STUDIES = ("pareto", "policy")


@dataclass(frozen=True)
class Outcome:
    """What `run` returns: the trainer, and a `Result`, or a `Sweep` with its `Front`."""

    trainer: Trainable
    result: Result | None = None
    sweep: Sweep | None = None
    front: Front | None = None


def run(configuration: Configuration, directory: str | Path, options: RunOptions | None = None) -> Outcome:
    """Runs a configuration into a directory, or finishes what was begun there.

    Raises:
        CheckpointError: if the directory holds another configuration.
        ValueError: for a single policy of a study, which is no run.
    """
    if configuration.kind == "policy":
        raise ValueError(f"{directory} holds one policy of a study: there is no run to go on with or to draw")
    directory = Path(directory)
    built = build(configuration)
    claim(directory, configuration)
    options = options or RunOptions()
    options = replace(options, label=f"{configuration.agent} {configuration.environment}")
    if configuration.kind == "train":
        return _train(configuration, built, directory, options)
    return _sweep(configuration, built, directory, options)


def build(configuration: Configuration) -> Trainable:
    """The trainer, study, meta-study, MAML or bilevel program of a configuration."""
    if configuration.kind == "maml":
        return maml(family(configuration.environment, **configuration.environment_options), **configuration.settings)
    environment = make(configuration.environment, **configuration.environment_options)
    if configuration.kind == "align":
        return BILEVEL[configuration.agent](environment, **configuration.settings)
    if configuration.kind in _STUDIES and environment.spec.num_objectives < 2:
        raise ValueError(f"a Pareto study needs at least 2 objectives, {configuration.environment} has 1")
    if configuration.kind in _STUDIES and configuration.agent in ALGORITHMS:
        return study(configuration.agent, environment, **configuration.settings)
    if configuration.kind == "meta":
        horizon = configuration.horizon if isinstance(configuration.horizon, int) else tuple(configuration.horizon)
        rest = (configuration.outer, configuration.outer_settings)
        return meta_learner(configuration.agent, environment, horizon, *rest, **configuration.settings)
    return trainer(configuration.agent, environment, **configuration.settings)


def _train(configuration: Configuration, built: Trainable, directory: Path, options: RunOptions) -> Outcome:
    options = replace(options, checkpoint_directory=directory / "checkpoints")
    compiled = program(built, options.num_chunks)
    axes = jax.tree.map(lambda _: None, built.hyperparameters)
    key = jax.random.key(configuration.seeds[0])
    result = execute(built, compiled, key, built.hyperparameters, axes, options)
    spec = built.environment.spec
    table = metrics_table(result.metrics, spec, built.steps_per_iteration)
    # Joined by iteration: counts of steps kept as float32 inside a program are inexact beyond 2^24.
    for name, values in evaluation_columns(result.evaluation, spec).items():
        if name != "steps":
            table.loc[built.evaluation_iterations, name] = values
    table.insert(0, "seed", configuration.seeds[0])
    write_table(table, directory / "metrics.csv")
    evaluated = table[table["length"].notna()].assign(setting=configuration.agent)
    draw_curves(evaluated, return_columns(spec), spec.name, directory)
    return Outcome(built, result=result)


def _sweep(configuration: Configuration, built: Trainable, directory: Path, options: RunOptions) -> Outcome:
    values = {name: parse_range(value) for name, value in configuration.hyperparameters.items()}
    swept = sweep(
        built,
        seeds=configuration.seeds,
        hyperparameters=values,
        weights=configuration.weights,
        design=configuration.design,
        samples=configuration.samples,
        options=options,
        directory=directory / "checkpoints",
    )
    if jax.process_index() != 0:
        return Outcome(built, sweep=swept)
    table = swept.table
    write_table(table, directory / "metrics.csv")
    if configuration.kind == "pareto":
        found = front(swept, configuration.evaluation_episodes, configuration.discounted)
        write_front(found, directory)
        return Outcome(built, sweep=swept, front=found)
    name = built.environment.spec.name
    if configuration.kind == "meta":
        draw_curves(table, ["final_return"], f"held out: {name}", directory)
    elif configuration.kind == "maml":
        draw_curves(table, adaptation_columns(table), name, directory)
    elif configuration.kind == "align":
        draw_curves(table, return_columns(built.environment.spec), name, directory)
    else:
        draw_sweep(table, swept, directory)
    return Outcome(built, sweep=swept)


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
