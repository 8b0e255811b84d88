"""Policies of groups beside one policy for all, one per task and groups made otherwise, at equal environment steps."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxrl.errors import require_name
from jaxrl.multitask.fine_tuning import FineTuned, fine_tune, group_masks, own_returns
from jaxrl.multitask.grouping.clustering import ClusteringConfig, make_clustering
from jaxrl.multitask.grouping.similarity import cosine_affinity
from jaxrl.multitask.study import TaskAffinity, group_study
from jaxrl.ranges import COUNT, SEED
from jaxrl.training.trainer import Trainer

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
    SEED.check_each("a seed", seeds)
    if not seeds or not groupings:
        raise ValueError("a comparison needs at least one seed and one grouping")
    if fine_tune_steps is not None:
        COUNT.check("fine_tune_steps", fine_tune_steps)
    study = group_study(trainer, **settings)
    budget = fine_tune_steps or trainer.config.total_steps
    tuner, others = _tuners(trainer, budget), _other_groupings(study.clustering, groupings)
    certain = trainer.environment.spec.num_tasks if "each" in groupings else study.clustering.num_groups or 1
    # A share of the budget that is too small is said before the common training.
    trainer.rebuild(total_steps=budget // certain, num_evaluations=1)
    say(f"training on all {trainer.environment.spec.num_tasks} tasks, {len(seeds)} seeds")
    keys, meta = _train(trainer, seeds)
    estimate, group = jax.jit(study.estimate), jax.jit(study.group)
    affinities, all_labels, tuned, rows = [], [], [], []
    for index, seed in enumerate(seeds):
        state = jax.tree.map(lambda leaf: leaf[index], meta.state)  # noqa: B023
        key = jax.random.fold_in(keys[index], 1)
        affinity = estimate(key, state.agent, trainer.hyperparameters)
        labels = {"estimated": np.asarray(group(affinity.affinity).labels)}
        labels |= others(labels["estimated"], affinity, seed)
        affinities.append(affinity)
        all_labels.append({name: labels[name] for name in groupings})
        found = {}
        for name in groupings:
            say(f"seed {seed}: {name} groups {_describe(labels[name])}")
            masks = group_masks(labels[name])
            found[name] = own_returns(tuner(len(masks))(key, state, trainer.hyperparameters, masks), masks)
            rows += _rows(seed, name, labels[name], found[name], trainer)
        tuned.append(found)
    return Comparison(pandas.DataFrame(rows), affinities, all_labels, meta, tuned)


def _train(trainer: Trainer, seeds: tuple[int, ...]) -> tuple[Any, Any]:
    """Keys, and the runs on all tasks."""
    keys = jax.vmap(jax.random.key)(np.asarray(seeds, np.uint32))
    return keys, jax.jit(jax.vmap(trainer.run, (0, None)))(keys, trainer.hyperparameters)


def _other_groupings(clustering: ClusteringConfig, groupings: tuple[str, ...]) -> Callable[..., dict[str, np.ndarray]]:
    """`(estimated labels, affinity, seed) -> labels` of the other groupings, with as many groups."""

    @cache
    def into(count: int) -> Callable:
        return jax.jit(make_clustering(replace(clustering, num_groups=count, trace_penalty=None)))

    def others(estimated: np.ndarray, affinity: TaskAffinity, seed: int) -> dict[str, np.ndarray]:
        count, size = int(estimated.max()) + 1, len(estimated)
        labels = {"all": np.zeros(size, int), "each": np.arange(size)}
        labels["random"] = np.random.default_rng(seed).permutation(np.arange(size) % count)
        if "cosine" in groupings:
            labels["cosine"] = np.asarray(into(count)(cosine_affinity(affinity.gradients)).labels)
        return labels

    return others


def _tuners(trainer: Trainer, budget: int) -> Callable[[int], Callable[..., FineTuned]]:
    """`number of groups -> fine_tune` of so many, compiled once."""

    @cache
    def tuner(count: int) -> Callable[..., FineTuned]:
        return jax.jit(partial(fine_tune, trainer.rebuild(total_steps=budget // count, num_evaluations=1)))

    return tuner


def _describe(labels: np.ndarray) -> str:
    return " ".join("{" + ",".join(map(str, np.flatnonzero(labels == group))) + "}" for group in np.unique(labels))


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
