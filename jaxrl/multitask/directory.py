"""The stages of task grouping on a run directory: each reads what the one before left there.

grouping/affinity.csv   affinities of all pairs of tasks
grouping/groups.csv     the group of every task
grouping/returns.csv    returns of every task under its group's policy, and before
groups/0, 1, ...        run directories of the groups' policies
figures/                PNG
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxrl.figures import plotting
from jaxrl.multitask import pictures
from jaxrl.multitask.comparison import Comparison
from jaxrl.multitask.fine_tuning import fine_tune, group_masks, on_subset, own_returns
from jaxrl.multitask.grouping.clustering import ClusteringConfig, make_clustering
from jaxrl.multitask.study import group_study
from jaxrl.ranges import COUNT, SEED
from jaxrl.runs.configuration import read_configuration, write_atomically
from jaxrl.runs.experiment import build
from jaxrl.runs.report import write_table
from jaxrl.runs.saved import load, save_run

if TYPE_CHECKING:
    import pandas

__all__ = ["affinity", "finetune", "group", "write_comparison"]


def affinity(directory: str | Path, seed: int = 1, **settings: Any) -> "pandas.DataFrame":
    """Estimates affinities of the tasks of a run, and writes and draws them.

    Args:
        directory: of `jaxrl multitask train`.
        seed: of rollouts, projection and subsets.
        settings: as `group_study`.
    """
    import pandas

    SEED.check("seed", seed)
    directory = Path(directory)
    trainer = build(read_configuration(directory))
    study, policy = group_study(trainer, **settings), load(directory)
    found = jax.jit(study.estimate)(jax.random.key(seed), policy.state, policy.hyperparameters)
    names = trainer.environment.spec.objective_names
    table = pandas.DataFrame(np.asarray(found.affinity), columns=list(names), index=list(names))
    folder = _folder(directory)
    write_table(table.reset_index(names="task"), folder / "affinity.csv")
    write_atomically(folder / "affinity.json", json.dumps({"seed": seed, **settings}, indent=1))
    plotting.save(pictures.affinity_map(table.to_numpy(), names), directory / "figures" / "affinity.png")
    plotting.save(pictures.dendrogram(table.to_numpy(), names), directory / "figures" / "dendrogram.png")
    return table


def group(directory: str | Path, **settings: Any) -> "pandas.DataFrame":
    """Groups the tasks of a run by their affinities, and writes and draws the groups.

    Args:
        directory: in which `affinity` has been.
        settings: of `ClusteringConfig`.

    Raises:
        FileNotFoundError: if there are no affinities yet.
    """
    import pandas

    directory, clustering = Path(directory), make_clustering(ClusteringConfig(**settings))
    table = _read(directory, "affinity", "affinity").set_index("task")
    labels = np.asarray(jax.jit(clustering)(table.to_numpy(np.float32)).labels)
    groups = pandas.DataFrame({"task": table.index, "group": labels})
    write_table(groups, _folder(directory) / "groups.csv")
    figure = pictures.affinity_map(table.to_numpy(), list(table.index), labels)
    plotting.save(figure, directory / "figures" / "groups.png")
    return groups


def finetune(directory: str | Path, total_steps: int | None = None, seed: int = 1) -> "pandas.DataFrame":
    """Goes on from a run with one policy per group, which share the budget, and saves each as a run of its own.

    Args:
        directory: in which `group` has been.
        total_steps: environment steps of all groups together; default those of the run.
        seed: of what follows.

    Raises:
        FileNotFoundError: if there are no groups yet.
    """
    import pandas

    SEED.check("seed", seed)
    if total_steps is not None:
        COUNT.check("total_steps", total_steps)
    directory = Path(directory)
    labels = _read(directory, "groups", "group")["group"].to_numpy()
    trainer, policy = build(read_configuration(directory)), load(directory)
    masks, hp = group_masks(labels), policy.hyperparameters
    part = trainer.rebuild(total_steps=(total_steps or trainer.config.total_steps) // len(masks), num_evaluations=1)
    state = jax.jit(trainer.init)(jax.random.key(seed), hp)._replace(agent=policy.state)
    tuned = own_returns(jax.jit(lambda *rest: fine_tune(part, *rest))(jax.random.key(seed), state, hp, masks), masks)
    before = jax.jit(trainer.evaluate)(jax.random.key(seed), policy.state, hp)
    for index, mask in enumerate(masks):
        result = jax.tree.map(lambda leaf: leaf[index], tuned.result)  # noqa: B023
        save_run(part, seed, result, on_subset(hp, mask), directory / "groups" / str(index))
    spec = trainer.environment.spec
    columns = {"task": spec.objective_names, "group": labels, "before": before.returns, "return": tuned.returns}
    if np.isfinite(np.asarray(tuned.success)).any():
        columns |= {"success_before": before.success, "success": tuned.success}
    table = pandas.DataFrame({name: np.asarray(values) for name, values in columns.items()})
    write_table(table, _folder(directory) / "returns.csv")
    long = table.melt(["task"], ["before", "return"], "policy", "value").assign(seed=seed)
    long["policy"] = long["policy"].map({"before": "one for all", "return": "of the group"})
    figure = pictures.task_bars(long.rename(columns={"value": "return"}), by="policy")
    plotting.save(figure, directory / "figures" / "returns.png")
    return table


def write_comparison(comparison: Comparison, names: tuple[str, ...], directory: str | Path) -> None:
    """Tables and figures of a comparison of groupings."""
    import pandas

    directory = Path(directory)
    write_table(comparison.table, directory / "comparison.csv")
    for index, (found, labels) in enumerate(zip(comparison.affinities, comparison.labels, strict=True)):
        table = pandas.DataFrame(np.asarray(found.affinity), columns=list(names), index=list(names))
        write_table(table.reset_index(names="task"), directory / f"affinity_{index}.csv")
        chosen = next(iter(labels.values()))
        figure = pictures.affinity_map(table.to_numpy(), names, labels.get("estimated", chosen))
        plotting.save(figure, directory / "figures" / f"affinity_{index}.png")
    plotting.save(pictures.task_bars(comparison.table), directory / "figures" / "returns.png")
    if np.isfinite(comparison.table["success"]).any():
        plotting.save(pictures.task_bars(comparison.table, "success"), directory / "figures" / "success.png")


def _folder(directory: Path) -> Path:
    (directory / "grouping").mkdir(parents=True, exist_ok=True)
    return directory / "grouping"


def _read(directory: Path, name: str, stage: str) -> Any:
    import pandas

    path = directory / "grouping" / f"{name}.csv"
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: run `jaxrl multitask {stage} {directory}` first")
    return pandas.read_csv(path)
