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
import numpy as np

from jaxrl import designs
from jaxrl.checkpoint import Checkpoints
from jaxrl.configuration import Configuration, claim, read_configuration
from jaxrl.environments.registry import make
from jaxrl.errors import require_name
from jaxrl.evaluation import evaluator
from jaxrl.hyperparameters import leaves
from jaxrl.morl.algorithms import ALGORITHMS, study
from jaxrl.morl.front import Front, front
from jaxrl.morl.study import Study
from jaxrl.policy import Policy
from jaxrl.report import draw_curves, draw_sweep, write_front, write_table
from jaxrl.running import RunOptions, execute, program
from jaxrl.sweeps import Sweep, sweep
from jaxrl.tables import evaluation_columns, metrics_table
from jaxrl.training import Result, Trainer, trainer

__all__ = ["Configuration", "Outcome", "load", "read_configuration", "run", "save_member"]


@dataclass(frozen=True)
class Outcome:
    """What `run` returns: the trainer, and a `Result`, or a `Sweep` with its `Front`."""

    trainer: Trainer | Study
    result: Result | None = None
    sweep: Sweep | None = None
    front: Front | None = None


def run(configuration: Configuration, directory: str | Path, options: RunOptions | None = None) -> Outcome:
    """Runs a configuration into a directory, or finishes what was begun there.

    Raises:
        CheckpointError: if the directory holds another configuration.
    """
    directory = Path(directory)
    built = _build(configuration)
    claim(directory, configuration)
    options = options or RunOptions()
    options = replace(options, label=f"{configuration.agent} {configuration.environment}")
    if configuration.kind == "train":
        return _train(configuration, built, directory, options)
    return _sweep(configuration, built, directory, options)


def _build(configuration: Configuration) -> Trainer | Study:
    environment = make(configuration.environment, **configuration.environment_options)
    if configuration.kind == "pareto" and environment.spec.num_objectives < 2:
        raise ValueError(f"a Pareto study needs at least 2 objectives, {configuration.environment} has 1")
    if configuration.kind == "pareto" and configuration.agent in ALGORITHMS:
        return study(configuration.agent, environment, **configuration.settings)
    return trainer(configuration.agent, environment, **configuration.settings)


def _train(configuration: Configuration, built: Trainer, directory: Path, options: RunOptions) -> Outcome:
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
    draw_curves(table[table["length"].notna()].assign(setting=configuration.agent), built, directory)
    return Outcome(built, result=result)


def _sweep(configuration: Configuration, built: Trainer, directory: Path, options: RunOptions) -> Outcome:
    values = {name: _parse_range(value) for name, value in configuration.hyperparameters.items()}
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
    if configuration.kind == "sweep":
        draw_sweep(table, swept, directory)
        return Outcome(built, sweep=swept)
    found = front(swept, configuration.evaluation_episodes, configuration.discounted)
    write_front(found, directory)
    return Outcome(built, sweep=swept, front=found)


def _parse_range(value: Any) -> Any:
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


def evaluate(
    directory: str | Path, num_episodes: int = 128, seed: int = 1, member: int | None = None, explore: bool = False
) -> Any:
    """Fresh episodes of a run directory's policies, one row each."""
    import pandas

    configuration = read_configuration(directory)
    if configuration.kind == "train":
        policy = load(directory, member)
        built = _build(configuration)
        one = evaluator(built.environment, built.agent, num_episodes, built.config.evaluation_steps, explore)
        result = jax.jit(one)(jax.random.key(seed), policy.state, policy.hyperparameters)
        result = jax.tree.map(lambda leaf: np.asarray(leaf)[None], result)
        spec, members = built.environment.spec, [0]
    else:
        swept = load_sweep(directory)
        result = swept.evaluate(num_episodes, seed, explore)
        spec, members = swept.trainer.environment.spec, list(range(swept.num_members))
        if member is not None:
            swept.locate(member)
            result, members = jax.tree.map(lambda leaf: leaf[member : member + 1], result), [member]
    columns = evaluation_columns(result, spec)
    del columns["steps"]
    return pandas.DataFrame({"member": members, "episodes": num_episodes, **columns})


def draw(directory: str | Path) -> list[Path]:
    """Draws the figures of a finished run again; returns their paths."""
    directory = Path(directory)
    run(read_configuration(directory), directory, RunOptions(progress=False))
    return sorted((directory / "figures").glob("*.png"))


def load(directory: str | Path, member: int | None = None, explore: bool = False) -> Policy:
    """A trained policy from a run directory: `policy(key, observation) -> action`.

    Args:
        directory: of `jaxrl train`, `jaxrl sweep` or `jaxrl pareto`.
        member: which run of a sweep.
        explore: sample actions instead of taking the most likely.

    Raises:
        CheckpointError: if there is no whole checkpoint.
        ValueError: for a sweep without `member`.
    """
    directory = Path(directory)
    configuration = read_configuration(directory)
    if configuration.kind != "train":
        swept = load_sweep(directory)
        if member is None:
            raise ValueError(f"{directory} is a sweep: say which with member=0 to {swept.num_members - 1}")
        return swept.policy(member, explore)
    if member not in (None, 0):
        raise ValueError(f"{directory} is a single run: it has no member {member}")
    built = _build(configuration)
    checkpoints = Checkpoints(directory / "checkpoints")
    template = jax.eval_shape(
        lambda key: (built.init(key, built.hyperparameters), built.hyperparameters), jax.random.key(0)
    )
    state, hyperparameters = checkpoints.restore(template, partial=True)
    checkpoints.close()
    return Policy(built.agent, state.agent, hyperparameters, explore)


def load_sweep(directory: str | Path) -> Sweep:
    """A finished sweep, from its checkpoints; an unfinished one is finished first."""
    directory = Path(directory)
    configuration = read_configuration(directory)
    if configuration.kind == "train":
        raise ValueError(f"{directory} is a single run, not a sweep; use jaxrl.load")
    values = {name: _parse_range(value) for name, value in configuration.hyperparameters.items()}
    return sweep(
        _build(configuration),
        seeds=configuration.seeds,
        hyperparameters=values,
        weights=configuration.weights,
        design=configuration.design,
        samples=configuration.samples,
        directory=directory / "checkpoints",
        say=lambda _: None,
    )


def save_member(swept: Sweep, member: int, directory: str | Path) -> None:
    """Writes one member as a run directory of its own, as if it had been trained alone.

    Raises:
        ValueError: if the trainer was built from a custom agent, which has no name to record.
    """
    group, index = swept.locate(member)
    built, directory = group.trainer, Path(directory)
    if built.agent_name == "custom":
        raise ValueError("a custom agent has no name that a run directory could record; save sweep.policy(i).state")
    state, hyperparameters = group.member(index)
    changed = {
        name: np.asarray(leaf).tolist()
        for name, leaf in leaves(hyperparameters).items()
        if not np.array_equal(leaf, leaves(built.hyperparameters)[name])
    }
    settings = {**built.settings, **group.static, **changed}
    environment = built.environment
    configuration = Configuration(
        kind="train",
        agent=built.agent_name,
        environment=environment.spec.name,
        environment_options=dict(environment.spec.options),
        settings=settings,
        seeds=(group.seeds[index],),
    )
    claim(directory, configuration)
    history = jax.tree.map(lambda leaf: np.asarray(leaf)[index], group.result.metrics)
    rows = _scattered(group.result.evaluation, index, built)
    checkpoints = Checkpoints(directory / "checkpoints")
    tree = (state, hyperparameters, (history, rows))
    checkpoints.save(built.num_iterations, tree, {"iteration": built.num_iterations})
    checkpoints.close()


def _scattered(evaluation: Any, index: int, built: Trainer) -> Any:
    """Evaluations as rows of all iterations, NaN where there was none, as the host loop keeps them."""

    def scatter(leaf: Any) -> np.ndarray:
        leaf = np.asarray(leaf)[index]
        rows = np.full((built.num_iterations, *leaf.shape[1:]), np.nan, leaf.dtype)
        rows[built.evaluation_iterations] = leaf
        return rows

    return jax.tree.map(scatter, evaluation)
