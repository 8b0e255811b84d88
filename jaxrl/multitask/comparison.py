"""Policies of groups beside one policy for all, one per task and groups made otherwise, at equal environment steps."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxrl.errors import require_name
from jaxrl.multitask.fine_tuning import FineTuned, fine_tune, group_masks, own_returns
from jaxrl.multitask.study import TaskAffinity, group_study
from jaxrl.rollouts import RunState
from jaxrl.training import Trainer
from jaxrl.types import PRNGKeyArray, PyTree

if TYPE_CHECKING:
    import pandas

__all__ = ["GROUPINGS", "Comparison", "compare_groupings"]

GROUPINGS = ("estimated", "cosine", "random", "all", "each")


class Comparison(NamedTuple):
    """What `compare_groupings` returns.

    Attributes:
        table: a row per seed, grouping and task: its group, return and success.
        affinities: by seed, the estimated one.
        labels: by seed and grouping, each task's group.
        meta: runs on all tasks, leading axis of seeds.
        fine_tuned: by seed and grouping.
    """

    table: "pandas.DataFrame"
    affinities: list[TaskAffinity]
    labels: list[dict[str, np.ndarray]]
    meta: Any
    fine_tuned: list[dict[str, FineTuned]]


def compare_groupings(
    trainer: Trainer,
    seeds: tuple[int, ...] = (0,),
    fine_tune_steps: int | None = None,
    groupings: tuple[str, ...] = GROUPINGS,
    say: Callable[[str], None] = lambda _: None,
    **settings: Any,
) -> Comparison:
    """Trains on all tasks, groups them, and goes on from that agent with each grouping's policies.

    All groupings share one budget after the common training: k groups have 1/k of it each. `cosine` and `random` make
    as many groups as `estimated`; `all` is one group, `each` has one task per group.

    Args:
        trainer: of the merged family; its `total_steps` is the budget of the training on all tasks.
        seeds: of whole studies.
        fine_tune_steps: the budget of each grouping; default the trainer's.
        groupings: of estimated, cosine, random, all and each.
        say: is told what is going on.
        settings: as `group_study`.

    Raises:
        UnknownNameError: for an unknown grouping or setting.
        ValueError: as `group_study`, or if the budget of a group is less than one iteration.
    """
    import pandas

    for name in groupings:
        require_name("grouping", name, GROUPINGS)
    study = group_study(trainer, **settings)
    cosine = group_study(trainer, **{**settings, "affinity": "cosine"})
    budget = fine_tune_steps or trainer.config.total_steps
    say(f"training on all {trainer.environment.spec.num_tasks} tasks, {len(seeds)} seeds")
    keys = jax.vmap(jax.random.key)(np.asarray(seeds))
    meta = jax.jit(jax.vmap(trainer.run, (0, None)))(keys, trainer.hyperparameters)
    estimate, group = jax.jit(study.estimate), jax.jit(study.group)
    tuners: dict[int, Callable] = {}
    affinities, all_labels, tuned, rows = [], [], [], []
    for index, seed in enumerate(seeds):
        state = jax.tree.map(lambda leaf: leaf[index], meta.state)  # noqa: B023
        key = jax.random.fold_in(keys[index], 1)
        affinity = estimate(key, state.agent, trainer.hyperparameters)
        labels = {"estimated": np.asarray(group(affinity.affinity).labels)}
        labels |= _others(cosine.clustering, labels["estimated"], affinity, groupings, seed)
        affinities.append(affinity)
        all_labels.append({name: labels[name] for name in groupings})
        found = {}
        for name in groupings:
            say(f"seed {seed}: {name} groups {_describe(labels[name])}")
            found[name] = _tune(tuners, trainer, key, state, trainer.hyperparameters, labels[name], budget)
            rows += _rows(seed, name, labels[name], found[name], trainer)
        tuned.append(found)
    return Comparison(pandas.DataFrame(rows), affinities, all_labels, meta, tuned)


def _others(
    clustering: Any, estimated: np.ndarray, affinity: TaskAffinity, groupings: tuple[str, ...], seed: int
) -> dict[str, np.ndarray]:
    """Labels of the other groupings, with as many groups."""
    from dataclasses import replace

    from jaxrl.multitask.grouping.clustering import make_clustering
    from jaxrl.multitask.grouping.similarity import cosine_affinity

    count, size = int(estimated.max()) + 1, len(estimated)
    labels = {"all": np.zeros(size, int), "each": np.arange(size)}
    if "cosine" in groupings:
        make = make_clustering(replace(clustering, num_groups=count, trace_penalty=None))
        labels["cosine"] = np.asarray(jax.jit(make)(cosine_affinity(affinity.gradients)).labels)
    labels["random"] = np.random.default_rng(seed).permutation(np.arange(size) % count)
    return labels


def _describe(labels: np.ndarray) -> str:
    return " ".join("{" + ",".join(map(str, np.flatnonzero(labels == group))) + "}" for group in np.unique(labels))


def _tune(
    tuners: dict[int, Callable],
    trainer: Trainer,
    key: PRNGKeyArray,
    state: RunState,
    hyperparameters: PyTree,
    labels: np.ndarray,
    budget: int,
) -> FineTuned:
    masks = group_masks(labels)
    count = len(masks)
    if count not in tuners:
        part = trainer.rebuild(total_steps=budget // count, num_evaluations=1)
        tuners[count] = jax.jit(lambda *arguments: fine_tune(part, *arguments))
    return own_returns(tuners[count](key, state, hyperparameters, masks), masks)


def _rows(seed: int, name: str, labels: np.ndarray, found: FineTuned, trainer: Trainer) -> list[dict[str, Any]]:
    spec = trainer.environment.spec
    return [
        {
            "seed": seed,
            "grouping": name,
            "task": spec.objective_names[i],
            "group": int(labels[i]),
            "return": float(found.returns[i]),
            "success": float(found.success[i]),
        }
        for i in range(spec.num_tasks)
    ]
