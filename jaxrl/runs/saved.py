"""What a finished run directory gives back: policies, sweeps and fresh evaluations; and saving one policy alone."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl.environments.base import EnvironmentSpec
from jaxrl.hyperparameters import leaves
from jaxrl.morl.front import Front, choose, front
from jaxrl.morl.study import Study
from jaxrl.runs.configuration import Configuration, claim, read_configuration
from jaxrl.runs.experiment import build, parse_range
from jaxrl.runs.tables import evaluation_columns
from jaxrl.sweeps.checkpoint import Checkpoints
from jaxrl.sweeps.sweep import Sweep, sweep
from jaxrl.training.evaluation import Evaluation
from jaxrl.training.loop import Result
from jaxrl.training.policy import Policy
from jaxrl.training.trainer import Trainer
from jaxrl.types import PRNGKeyArray

# Kinds of run directories that hold one policy: a run, and a policy that no run made.
_ONE_POLICY = ("train", "policy")

__all__ = ["choose_policy", "evaluate", "load", "load_sweep", "save_member", "save_policy", "save_run"]


def evaluate(
    directory: str | Path, num_episodes: int = 128, seed: int = 1, member: int | None = None, explore: bool = False
) -> Any:
    """Fresh episodes of a run directory's policies, one row each; of a study, the policies in front.csv's order."""
    configuration = read_configuration(directory)
    if configuration.kind in _ONE_POLICY:
        built = build(configuration)
        return _fresh({0: load(directory, member)}, lambda _: built, num_episodes, seed, explore)
    swept = load_sweep(directory)
    if isinstance(swept.trainer, Study):
        found = _front(swept, configuration)
        _require_policies(found)
        chosen = range(len(found.points)) if member is None else [_require_policy(found, member)]
        return _fresh({index: found.policy(index) for index in chosen}, found.source, num_episodes, seed, explore)
    result, members = swept.evaluate(num_episodes, seed, explore), list(range(swept.num_members))
    if member is not None:
        swept.locate(member)
        result, members = jax.tree.map(lambda leaf: leaf[member : member + 1], result), [member]
    return _table(result, members, swept.trainer.environment.spec, num_episodes)


def _fresh(
    policies: Mapping[int, Policy],
    source: Callable[[int], Trainer | Study],
    num_episodes: int,
    seed: int,
    explore: bool | None,
) -> Any:
    """A row of fresh returns for each numbered policy of a `source`; all face the same episodes."""
    results, compiled = [], {}
    for index, policy in policies.items():
        built = source(index)
        if id(built) not in compiled:
            compiled[id(built)] = jax.jit(built.evaluator(num_episodes, explore))
        results.append(compiled[id(built)](jax.random.key(seed), policy.state, policy.hyperparameters))
    stacked = jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *results)
    return _table(stacked, [*policies], built.environment.spec, num_episodes)


def _table(result: Evaluation, members: list[int], spec: EnvironmentSpec, num_episodes: int) -> Any:
    import pandas

    columns = evaluation_columns(result, spec)
    del columns["steps"]
    return pandas.DataFrame({"member": members, "episodes": num_episodes, **columns})


def _front(swept: Sweep, configuration: Configuration) -> Front:
    return front(swept, configuration.evaluation_episodes, configuration.discounted)


def _require_policies(found: Front) -> None:
    if not len(found.points):
        raise ValueError(f"the front of {found.spec.name} is empty: the study found no policy")


def _require_policy(found: Front, index: int) -> int:
    _require_policies(found)
    if not 0 <= index < len(found.points):
        raise IndexError(f"policy {index} does not exist: this study has policies 0 to {len(found.points) - 1}")
    return index


def load(directory: str | Path, member: int | None = None, explore: bool = False) -> Policy:
    """A trained policy from a run directory: `policy(key, observation) -> action`.

    Args:
        directory: of `jaxrl train`, `jaxrl sweep` or `jaxrl pareto`.
        member: which run of a sweep, or which policy of a study, a row of front.csv.
        explore: sample actions instead of taking the most likely.

    Raises:
        CheckpointError: if there is no whole checkpoint.
        ValueError: for a sweep or a study without `member`.
        IndexError: for a member that does not exist.
    """
    directory = Path(directory)
    configuration = read_configuration(directory)
    if configuration.kind not in _ONE_POLICY:
        swept = load_sweep(directory)
        found = _front(swept, configuration) if isinstance(swept.trainer, Study) else None
        if found:
            _require_policies(found)
        if member is None:
            count = len(found.points) if found else swept.num_members
            raise ValueError(f"{directory} holds many policies: say which with member=0 to {count - 1}")
        if not found:
            return swept.policy(member, explore)
        policy = found.policy(_require_policy(found, member))
        return Policy(policy.agent, policy.state, policy.hyperparameters, explore)
    if member not in (None, 0):
        raise ValueError(f"{directory} is a single run: it has no member {member}")
    built = build(configuration)
    checkpoints = Checkpoints(directory / "checkpoints")
    alone = _alone(built, configuration.kind)
    state, hyperparameters = checkpoints.restore(jax.eval_shape(alone, jax.random.key(0)), partial=True)
    checkpoints.close()
    return Policy(built.agent, state.agent if configuration.kind == "train" else state, hyperparameters, explore)


def _alone(built: Trainer | Study, kind: str) -> Callable[[PRNGKeyArray], tuple]:
    """What a directory with a single policy holds, before any training: all of a run, or what acts."""

    def of_trainer(key: PRNGKeyArray) -> tuple:
        state = built.init(key, built.hyperparameters)
        return state if kind == "train" else built.agent.actor(state.agent), built.hyperparameters

    def of_study(key: PRNGKeyArray) -> tuple:
        return built.policy(built.init(key, built.hyperparameters), built.hyperparameters, 0)

    return of_study if isinstance(built, Study) else of_trainer


def load_sweep(directory: str | Path) -> Sweep:
    """A finished sweep, from its checkpoints; an unfinished one is finished first."""
    directory = Path(directory)
    configuration = read_configuration(directory)
    if configuration.kind in _ONE_POLICY:
        raise ValueError(f"{directory} holds a single policy, not a sweep; use jaxrl.load")
    values = {name: parse_range(value) for name, value in configuration.hyperparameters.items()}
    return sweep(
        build(configuration),
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
    state, hyperparameters = group.member(index)
    history = jax.tree.map(lambda leaf: np.asarray(leaf)[index], group.result.metrics)
    rows = _scattered(jax.tree.map(lambda leaf: np.asarray(leaf)[index], group.result.evaluation), group.trainer)
    run_settings = {**group.trainer.settings, **group.static}
    _save(group.trainer, run_settings, group.seeds[index], (state, hyperparameters, (history, rows)), Path(directory))


def save_run(built: Trainer, seed: int, result: Result, hyperparameters: Any, directory: str | Path) -> None:
    """Writes a finished run as a run directory, as if the command line had trained it.

    Raises:
        ValueError: if the trainer was built from a custom agent, which has no name to record.
    """
    history = (jax.tree.map(np.asarray, result.metrics), _scattered(result.evaluation, built))
    _save(built, built.settings, seed, (result.state, hyperparameters, history), Path(directory))


def save_policy(found: Front, index: int, directory: str | Path) -> None:
    """Writes one policy of a front as a run directory of its own, without the history of the study.

    Raises:
        ValueError: if the trainer was built from a custom agent, or the study of no registered algorithm: they have no
            name to record.
    """
    built, policy = found.source(index), found.policy(index)
    if isinstance(built, Study) and built.rebuild is None:
        raise ValueError("a study of no registered algorithm has no name to record; save the policy's state")
    name = built.algorithm if isinstance(built, Study) else _agent_name(built)
    _write(_configuration("policy", name, built), 0, (policy.state, policy.hyperparameters), directory)


def _save(built: Trainer, settings: dict[str, Any], seed: int, tree: Any, directory: Path) -> None:
    """A finished run: its configuration, with the hyperparameters that differ from the defaults, and its checkpoint."""
    name, known = _agent_name(built), leaves(built.hyperparameters)
    changed = {
        name: np.asarray(leaf).tolist()
        for name, leaf in leaves(tree[1]).items()
        if not np.array_equal(leaf, known[name])
    }
    configuration = _configuration("train", name, built, settings={**settings, **changed}, seeds=(seed,))
    _write(configuration, built.num_iterations, tree, directory)


def _agent_name(built: Trainer) -> str:
    if built.agent_name == "custom":
        raise ValueError(
            "a custom agent has no name that a run directory could record: register it with jaxrl.register_agent, or "
            "save the policy's state"
        )
    return built.agent_name


def _configuration(kind: str, name: str, built: Trainer | Study, **rest: Any) -> Configuration:
    spec = built.environment.spec
    rest = {"settings": built.settings, **rest}
    return Configuration(kind=kind, agent=name, environment=spec.name, environment_options=dict(spec.options), **rest)


def _write(configuration: Configuration, iteration: int, tree: Any, directory: str | Path) -> None:
    """A run directory with a finished run's configuration and checkpoint."""
    directory = Path(directory)
    claim(directory, configuration)
    checkpoints = Checkpoints(directory / "checkpoints")
    checkpoints.save(iteration, tree, {"iteration": iteration})
    checkpoints.close()


def choose_policy(
    directory: str | Path,
    weights: Sequence[float] | None = None,
    at_least: Mapping[str | int, float | int] | None = None,
    point: int | None = None,
    num_episodes: int = 128,
    seed: int = 1,
    save: str | Path | None = None,
) -> tuple[int, Any]:
    """Chooses a policy of a finished Pareto study and rolls it out.

    Args:
        directory: of `jaxrl pareto`.
        weights, at_least: as `jaxrl.choose`.
        point: the policy itself, a row of front.csv, instead.
        num_episodes: fresh episodes.
        seed: of the episodes.
        save: a run directory to write the policy to.

    Returns:
        The policy's row in front.csv, and a table of its fresh returns.

    Raises:
        ValueError: for a directory that is no Pareto study, or as `jaxrl.choose`.
        IndexError: for a point that does not exist.
    """
    configuration = read_configuration(directory)
    if configuration.kind != "pareto":
        raise ValueError(f"{directory} holds a {configuration.kind}, not a Pareto study")
    found = _front(load_sweep(directory), configuration)
    index = choose(found, weights, at_least) if point is None else _require_policy(found, point)
    # Exploring or not, as in training.
    table = _fresh({index: found.policy(index)}, found.source, num_episodes, seed, None)
    if save:
        save_policy(found, index, save)
    return index, table


def _scattered(evaluation: Any, built: Trainer) -> Any:
    """Evaluations as rows of all iterations, NaN where there was none, as the host loop keeps them."""

    def scatter(leaf: Any) -> np.ndarray:
        leaf = np.asarray(leaf)
        rows = np.full((built.num_iterations, *leaf.shape[1:]), np.nan, leaf.dtype)
        rows[built.evaluation_iterations] = leaf
        return rows

    return jax.tree.map(scatter, evaluation)
