"""Run directories: a configuration, and everything that running it leaves behind.

configuration.json   what was run: enough to repeat it exactly
metrics.csv          one tidy table
checkpoints/         of a single run; a sweep has group_*/block_* below it
figures/             PNG
front.csv, measures.csv   of a Pareto study
"""

import json
import os
import platform
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl import designs, plotting
from jaxrl.checkpoint import Checkpoints
from jaxrl.environments.base import Environment
from jaxrl.environments.registry import make
from jaxrl.errors import CheckpointError, require_name
from jaxrl.evaluation import evaluator
from jaxrl.hyperparameters import leaves
from jaxrl.morl.front import Front, front
from jaxrl.policy import Policy
from jaxrl.running import RunOptions, execute, program
from jaxrl.sweeps import Sweep, sweep
from jaxrl.tables import evaluation_columns, metrics_table, return_columns
from jaxrl.training import Result, Trainer, trainer

__all__ = ["Configuration", "Outcome", "load", "read_configuration", "run", "save_member"]


@dataclass(frozen=True)
class Configuration:
    """Everything that determines the numbers of a run."""

    kind: str
    """train, sweep or pareto."""
    agent: str
    """Name of the agent."""
    environment: str
    """Name of the environment."""
    environment_options: dict[str, Any] = field(default_factory=dict)
    """Static options of the environment."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of the trainer that differ from the defaults."""
    seeds: tuple[int, ...] = (0,)
    """Seeds; a single run uses the first."""
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    """Swept settings: lists, or strings such as `log:1e-5:1e-2` for ranges."""
    weights: Any = None
    """Number of preference weights, or the weights."""
    design: str = "grid"
    """grid, random or sobol."""
    samples: int | None = None
    """Settings of a random or Sobol design."""
    evaluation_episodes: int = 64
    """Episodes per policy of a Pareto study's final evaluation."""
    discounted: bool = False
    """Whether a front shows discounted returns."""

    def __post_init__(self) -> None:
        require_name("kind of run", self.kind, ("train", "sweep", "pareto"))


@dataclass(frozen=True)
class Outcome:
    """What `run` returns: the trainer, and a `Result`, or a `Sweep` with its `Front`."""

    trainer: Trainer
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
    _claim(directory, configuration)
    options = options or RunOptions()
    options = replace(options, label=f"{configuration.agent} {configuration.environment}")
    if configuration.kind == "train":
        return _train(configuration, built, directory, options)
    return _sweep(configuration, built, directory, options)


def _build(configuration: Configuration) -> Trainer:
    environment = make(configuration.environment, **configuration.environment_options)
    if configuration.kind == "pareto" and environment.spec.num_objectives < 2:
        raise ValueError(f"a Pareto study needs at least 2 objectives, {configuration.environment} has 1")
    return trainer(configuration.agent, environment, **configuration.settings)


def _train(configuration: Configuration, built: Trainer, directory: Path, options: RunOptions) -> Outcome:
    options = replace(options, checkpoint_directory=directory / "checkpoints")
    compiled = program(built, options.num_chunks)
    axes = jax.tree.map(lambda _: None, built.hyperparameters)
    key = jax.random.key(configuration.seeds[0])
    result = execute(built, compiled, key, built.hyperparameters, axes, options)
    spec = built.environment.spec
    table = metrics_table(result.metrics, spec, built.steps_per_iteration)
    evaluated = evaluation_columns(result.evaluation, spec)
    import pandas

    table = table.merge(pandas.DataFrame(evaluated), on="steps", how="left")
    table.insert(0, "seed", configuration.seeds[0])
    _write_table(table, directory / "metrics.csv")
    _draw_curves(table[table["length"].notna()].assign(setting=configuration.agent), built, directory)
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
    _write_table(table, directory / "metrics.csv")
    if configuration.kind == "sweep":
        _draw_sweep(table, swept, directory)
        return Outcome(built, sweep=swept)
    found = front(swept, configuration.evaluation_episodes, configuration.discounted)
    _write_front(found, swept, directory)
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


def _draw_curves(table: Any, built: Trainer, directory: Path) -> None:
    for column in return_columns(built.environment.spec):
        figure = plotting.learning_curves(table, value=column, title=built.environment.spec.name)
        plotting.save(figure, _figures(directory) / f"curve_{column}.png")


def _draw_sweep(table: Any, swept: Sweep, directory: Path) -> None:
    spec = swept.trainer.environment.spec
    if spec.num_objectives > 1 and any(group.weights is not None for group in swept.groups):
        points = {"all runs": swept.final_returns()}
        plotting.save(plotting.front(points, spec.objective_names), _figures(directory) / "front.png")
        return
    _draw_curves(table, swept.trainer, directory)
    column = return_columns(spec)[0]
    numeric = [name for name in swept.names if np.issubdtype(table[name].dtype, np.number)]
    for name in numeric:
        if table[name].nunique() > 1 and len(swept.names) == 1:
            plotting.save(plotting.sensitivity(table, name, column), _figures(directory) / f"sensitivity_{name}.png")
    if len(swept.names) == 2:
        x, y = swept.names
        plotting.save(plotting.sweep_heatmap(table, x, y, column), _figures(directory) / "heatmap.png")


def _write_front(found: Front, swept: Sweep, directory: Path) -> None:
    names = found.spec.objective_names
    _write_table(front_table(found, swept), directory / "front.csv")
    _write_table(found.measures, directory / "measures.csv")
    figure = plotting.front(found.points, names, found.spec.reference_point, title=found.spec.name)
    plotting.save(figure, _figures(directory) / "front.png")


def front_table(found: Front, swept: Sweep) -> Any:
    """One row per policy: seed, weights, returns, and whether it is on the front."""
    import pandas

    names = found.spec.objective_names
    rows = {"member": np.arange(len(found.points)), "on_front": found.on_front}
    rows |= {"seed": np.concatenate([group.seeds for group in swept.groups])}
    if swept.groups[0].weights is not None:
        weights = np.concatenate([group.weights for group in swept.groups])
        rows |= {f"weight_{name}": weights[:, i] for i, name in enumerate(names)}
    rows |= {f"return_{name}": found.points[:, i] for i, name in enumerate(names)}
    return pandas.DataFrame(rows)


def describe(outcome: Outcome) -> str:
    """The results as text: final returns of runs, or a front and its measures."""
    spec = outcome.trainer.environment.spec
    if outcome.result is not None:
        import pandas

        table = pandas.DataFrame(evaluation_columns(outcome.result.evaluation, spec))
        return _as_text(table)
    if outcome.front is None:
        return _as_text(_final_summary(outcome.sweep))
    found, swept = outcome.front, outcome.sweep
    rows = front_table(found, swept)
    on_front = rows[rows["on_front"]].drop(columns="on_front").sort_values(f"return_{spec.objective_names[0]}")
    return (
        f"Pareto front of {spec.name}: {len(on_front)} of {len(rows)} policies\n{_as_text(on_front)}\n\n"
        f"Measures (reference point {spec.reference_point})\n{_as_text(found.measures)}"
    )


def _as_text(table: Any) -> str:
    return table.to_string(index=False, float_format=lambda value: f"{value:.4g}")


def _final_summary(swept: Sweep) -> Any:
    """Interquartile means of the final returns per setting and weight."""
    from jaxrl.statistics import summary

    table = swept.table
    last = table[table["steps"] == table.groupby("member")["steps"].transform("max")]
    by = ["setting", *(name for name in table.columns if name.startswith("weight_"))]
    value = return_columns(swept.trainer.environment.spec)
    frames = [summary(last, by, column).assign(value=column) for column in value]
    import pandas

    return pandas.concat(frames, ignore_index=True)


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


def _figures(directory: Path) -> Path:
    (directory / "figures").mkdir(parents=True, exist_ok=True)
    return directory / "figures"


def _write_table(table: Any, path: Path) -> None:
    _write_atomically(path, table.to_csv(index=False))


def _write_atomically(path: Path, text: str) -> None:
    if jax.process_index() != 0:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


def _claim(directory: Path, configuration: Configuration) -> None:
    """Writes the configuration, or checks that the directory already holds the same one."""
    path = directory / "configuration.json"
    if path.exists():
        found = read_configuration(directory)
        if found != _roundtrip(configuration):
            changed = [
                name for name, value in asdict(_roundtrip(configuration)).items() if asdict(found)[name] != value
            ]
            raise CheckpointError(
                f"{directory} holds a run with another {', '.join(changed)}; choose another --out or delete it"
            )
        return
    import jaxlib

    from jaxrl import __version__

    versions = {
        "jaxrl": __version__,
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    devices = {"kind": jax.devices()[0].device_kind, "count": jax.device_count(), "processes": jax.process_count()}
    record = {"configuration": asdict(configuration), "versions": versions, "devices": devices}
    _write_atomically(path, json.dumps(record, indent=2, default=_jsonable))


def _jsonable(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _roundtrip(configuration: Configuration) -> Configuration:
    return _from_dict(json.loads(json.dumps(asdict(configuration), default=_jsonable)))


def _from_dict(values: dict[str, Any]) -> Configuration:
    return Configuration(**{**values, "seeds": tuple(values["seeds"])})


def read_configuration(directory: str | Path) -> Configuration:
    """The configuration of a run directory.

    Raises:
        CheckpointError: if the directory is not one, or its configuration is damaged.
    """
    path = Path(directory) / "configuration.json"
    if not path.exists():
        raise CheckpointError(f"{directory} is not a run directory: it has no configuration.json")
    try:
        return _from_dict(json.loads(path.read_text())["configuration"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


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
    environment: Environment = built.environment
    configuration = Configuration(
        kind="train",
        agent=built.agent_name,
        environment=environment.spec.name,
        environment_options=dict(environment.spec.options),
        settings=settings,
        seeds=(group.seeds[index],),
    )
    _claim(directory, configuration)
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
