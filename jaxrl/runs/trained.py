"""The kinds `train`, one run of an agent, and `sweep`, many of them; and saving one of the many as if trained alone."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxrl.agents import AGENTS
from jaxrl.environments.registry import make
from jaxrl.figures import plotting
from jaxrl.hyperparameters import leaves
from jaxrl.replay import without_buffers
from jaxrl.runs.configuration import Configuration, claim, record_of, write_outcome
from jaxrl.runs.kinds import Kind, Material, Outcome, Policies
from jaxrl.runs.metrics import GrowingTable
from jaxrl.runs.report import draw_curves, draw_table, figures, write_table
from jaxrl.sweeps.best import read_best
from jaxrl.sweeps.checkpoint import Checkpoints
from jaxrl.sweeps.devices import run_mesh
from jaxrl.sweeps.lock import lock
from jaxrl.sweeps.program import program
from jaxrl.sweeps.running import RunOptions, execute_until
from jaxrl.sweeps.sweep import Sweep
from jaxrl.sweeps.tables import run_table
from jaxrl.tracking import Tracked, Tracking
from jaxrl.training.loop import Result
from jaxrl.training.policy import Policy
from jaxrl.training.program import Program
from jaxrl.training.trainer import Trainer, trainer

if TYPE_CHECKING:
    from jaxrl.pages import Section

__all__ = ["SWEEP", "TRAIN", "restore_alone", "save_member", "save_run", "save_trained", "write_run"]


def build(configuration: Configuration) -> Trainer:
    """The trainer of a configuration."""
    environment = make(configuration.environment, **configuration.environment_options)
    return trainer(configuration.agent, environment, **configuration.settings)


def _agents() -> Iterable[str]:
    return AGENTS


def _drive(built: Trainer, configuration: Configuration, directory: Path, options: RunOptions) -> Outcome:
    """One run without a member axis."""
    mesh = run_mesh(built, options.devices)
    claim(directory, configuration)
    seed, axes = configuration.seeds[0], jax.tree.map(lambda _: None, built.hyperparameters)
    growing = GrowingTable(directory / "metrics.csv")

    tracked = Tracked(directory.name, directory, record_of(configuration))

    with Tracking(options.loggers, tracked, options.say) as told:

        def add(result: Result, span: tuple[int, int], restored: bool) -> bool:
            rows = run_table(built, result.metrics, result.evaluation, seed, span)[0]
            growing.add(rows, restored)
            return told.add(rows, restored)

        options = replace(options, checkpoint_directory=directory / "checkpoints", on_rows=add)
        compiled = program(built, options.num_chunks, mesh=mesh)
        result, done = execute_until(built, compiled, jax.random.key(seed), built.hyperparameters, axes, options)
    stopped_after = done if done < built.num_iterations else None
    span = None if stopped_after is None else (0, done)
    table, _ = run_table(built, result.metrics, result.evaluation, seed, span)
    write_table(table, growing.path)
    _draw_run(table, built, configuration, directory)
    return Outcome(configuration, built, result=result, stopped_after=stopped_after)


def _draw_run(table: Any, built: Trainer, configuration: Configuration, directory: Path) -> None:
    """Learning curves of a run, as far as it has come."""
    due = built.evaluation_iterations
    evaluated = table.iloc[due[due < len(table)]]
    draw_curves(evaluated.assign(setting=configuration.agent), built, directory)


def _policies(directory: Path, configuration: Configuration) -> Policies:
    """The one policy of a run."""
    built = build(configuration)

    def trained(key: Any) -> tuple:
        return built.init(key, built.hyperparameters), built.hyperparameters

    def policy(_: int) -> Policy:
        return Policy(*built.actor(*restore_alone(directory, trained)))

    def best(_: int) -> Policy:
        state, _ = jax.eval_shape(trained, jax.random.key(0))
        kept = read_best(directory / "checkpoints", state)[0]
        return Policy(*built.actor(kept, restore_alone(directory, trained)[1]))

    def save(_: int, to: Path) -> None:
        raise ValueError(f"{directory} is a single policy already")

    return Policies(1, policy, lambda _: built, save, alone=True, best=best)


def restore_alone(directory: Path, template: Any) -> Any:
    """What a directory with a single policy holds, as `template(key)` gives it before any training, without buffers."""
    shapes = without_buffers(jax.eval_shape(template, jax.random.key(0)))
    return Checkpoints(directory / "checkpoints").restore(shapes, partial=True)


def _draw_sweep(table: Any, built: Trainer, configuration: Configuration, directory: Path) -> None:
    """Curves and settings; of a sweep over preference weights, the returns."""
    spec = built.environment.spec
    if spec.num_objectives > 1 and configuration.weights is not None:
        last = table[np.isfinite(table["length"])].groupby("member").tail(1)
        points = {"all runs": last[[f"return_{name}" for name in spec.objective_names]].to_numpy(np.float32)}
        plotting.save(plotting.front(points, spec.objective_names), figures(directory) / "front.png")
        return
    draw_table(table, built, configuration, directory)


def _page_of_sweep(material: Material) -> "list[Section]":
    """Of a sweep over preference weights, the front."""
    from jaxrl.runs.front_page import sweep_sections

    return sweep_sections(material)


TRAIN = Kind(
    "train",
    "one agent, one seed",
    build,
    _agents,
    drive=_drive,
    policies=_policies,
    draw=_draw_run,
    command="jaxrl.cli.training:TRAIN",
)
SWEEP = Kind(
    "sweep",
    "seeds x settings x preference weights of an agent, as one program",
    build,
    _agents,
    draw=_draw_sweep,
    page=_page_of_sweep,
    command="jaxrl.cli.training:SWEEP",
)


def save_member(swept: Sweep, member: int, directory: str | Path) -> None:
    """Writes one member as a run directory of its own, as if it had been trained alone.

    Raises:
        ValueError: if the trainer was built from a custom agent, which has no name to record.
    """
    group, index = swept.locate(member)
    state, hyperparameters = group.member(index)
    history = jax.tree.map(lambda leaf: np.asarray(leaf)[index], group.result.metrics)
    rows = _scattered(jax.tree.map(lambda leaf: np.asarray(leaf)[index], group.result.evaluation), group.trainer)
    run_settings = {**_named(group.trainer).settings, **group.static}
    save_trained(
        group.trainer, run_settings, group.seeds[index], (state, hyperparameters, (history, rows)), Path(directory)
    )


def save_run(built: Trainer, seed: int, result: Result, hyperparameters: Any, directory: str | Path) -> None:
    """Writes a finished run as a run directory, as if the command line had trained it.

    Raises:
        ValueError: if the trainer was built from a custom agent, which has no name to record.
    """
    history = (jax.tree.map(np.asarray, result.metrics), _scattered(result.evaluation, built))
    save_trained(built, built.settings, seed, (result.state, hyperparameters, history), Path(directory))


def save_policy_of(built: Trainer, policy: Policy, directory: str | Path) -> None:
    """Writes a policy of a trainer as a run directory: what acts, without what learns or made it."""
    write_run("policy", _named(built).agent_name, built, 0, (policy.state, policy.hyperparameters), directory)


def save_trained(built: Trainer, settings: dict[str, Any], seed: int, tree: Any, directory: Path) -> None:
    """A finished run: its configuration, with the hyperparameters that differ from the defaults, and its checkpoint."""
    known = leaves(_named(built).hyperparameters)
    changed = {
        name: np.asarray(leaf).tolist()
        for name, leaf in leaves(tree[1]).items()
        if not np.array_equal(leaf, known[name])
    }
    write_run("train", built.agent_name, built, built.num_iterations, tree, directory, {**settings, **changed}, seed)


def write_run(
    kind: str,
    name: str,
    built: Any,
    iteration: int,
    tree: Any,
    directory: str | Path,
    settings: dict[str, Any] | None = None,
    seed: int = 0,
) -> None:
    """A run directory with a finished run's configuration and checkpoint."""
    spec, directory = built.environment.spec, Path(directory)
    settings = built.settings if settings is None else settings
    with lock(directory):
        claim(directory, Configuration(kind, name, spec.name, dict(spec.options), settings, (seed,)))
        Checkpoints(directory / "checkpoints").save(iteration, tree, {"iteration": iteration})
        write_outcome(directory)


def _named(built: Program) -> Trainer:
    """A trainer whose agent has a name; nothing else can be recorded."""
    if getattr(built, "agent_name", "custom") == "custom":
        raise ValueError(
            "a custom agent has no name that a run directory could record: register it with jaxrl.register_agent, or "
            "save the policy's state"
        )
    return built


def _scattered(evaluation: Any, built: Program) -> Any:
    """Evaluations as rows of all iterations, NaN where there was none, as the host loop keeps them."""

    def scatter(leaf: Any) -> np.ndarray:
        leaf = np.asarray(leaf)
        rows = np.full((built.num_iterations, *leaf.shape[1:]), np.nan, leaf.dtype)
        rows[built.evaluation_iterations] = leaf
        return rows

    return jax.tree.map(scatter, evaluation)
