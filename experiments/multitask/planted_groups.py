"""Groups that are known, found by the estimator from rollouts of one policy; and none found where there are none.

    python experiments/multitask/planted_groups.py

Ten seeds each of: goals of a point mass in three directions (groups by construction), the same goals with
their transitions dealt out to tasks at random (no structure left), and goals evenly spread over the
circle (neighbours agree, but no group is set apart). PPO trains one network that does not see the task; then affinities
are estimated, cosines of gradients taken, and the number of groups is chosen by description length,
or told. Writes
results/multitask/planted_groups.{json,png}.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl
from jaxrl.figures.plotting import save
from jaxrl.multitask import merge
from jaxrl.multitask.families import family
from jaxrl.multitask.grouping.partitions import adjusted_rand_index, normalised_mutual_information
from jaxrl.multitask.pictures import affinity_map
from jaxrl.multitask.study import GroupStudy, group_study

RESULTS = Path(__file__).parents[2] / "results" / "multitask"
SEEDS = 10
AGENT: dict[str, Any] = {
    "total_steps": 60_000,
    "num_envs": 32,
    "num_steps": 64,
    "learning_rate": 1e-3,
    "num_evaluations": 1,
    "observe_task": False,
}
SETTINGS: dict[str, Any] = {"projection_dimension": 200}
FAMILIES = {
    "three groups of four": {"num_groups": 3, "group_size": 4},
    "five groups of two": {"num_groups": 5, "group_size": 2},
    "no groups: evenly spread": {"num_groups": 12, "group_size": 1},
}


def affinity_of(study: GroupStudy, shuffled: bool, key: jax.Array, agent: Any) -> jax.Array:
    """Affinities of the tasks, or of tasks to which all transitions were dealt out at random."""
    hyperparameters = study.trainer.hyperparameters
    samples = study.sample(key, agent, hyperparameters)
    if shuffled:
        count = samples.advantage.size
        order = jax.random.permutation(jax.random.fold_in(key, 7), count)

        def deal(leaf: jax.Array) -> jax.Array:
            return leaf.reshape(count, *leaf.shape[2:])[order].reshape(leaf.shape)

        samples = samples._replace(features=deal(samples.features), advantage=deal(samples.advantage))
    return study.compare(key, samples, agent, hyperparameters).affinity


def measure(options: dict[str, int], shuffled: bool) -> tuple[list[dict[str, float]], np.ndarray]:
    """Agreement with the planted groups, seed by seed, and the first seed's affinities."""
    trainer = jaxrl.trainer("ppo", merge(family("point-mass", **options)), **AGENT)
    studies = {name: group_study(trainer, affinity=name, **SETTINGS) for name in ("estimated", "cosine")}
    planted = jnp.arange(trainer.environment.spec.num_tasks) % options["num_groups"]
    if options["group_size"] == 1:
        planted = jnp.zeros_like(planted)
    seeds = jax.vmap(jax.random.key)(jnp.arange(SEEDS))
    agents = jax.jit(jax.vmap(trainer.run, (0, None)))(seeds, trainer.hyperparameters).state.agent
    estimate = {name: jax.jit(partial(affinity_of, study, shuffled)) for name, study in studies.items()}
    group = jax.jit(studies["estimated"].group)
    group_told = jax.jit(group_study(trainer, num_groups=int(planted.max()) + 1, **SETTINGS).group)
    rows, shown = [], None
    for seed in range(SEEDS):
        agent = jax.tree.map(lambda leaf: leaf[seed], agents)  # noqa: B023
        row: dict[str, float] = {"seed": seed}
        for name in studies:
            key = jax.random.fold_in(seeds[seed], 1)
            affinity = estimate[name](key, agent)
            shown = np.asarray(affinity) if shown is None else shown
            labels, told = group(affinity).labels, group_told(affinity).labels
            row[f"{name}_groups"] = int(labels.max()) + 1
            row[f"{name}_rand_index"] = float(adjusted_rand_index(planted, labels))
            row[f"{name}_rand_index_told_how_many"] = float(adjusted_rand_index(planted, told))
            row[f"{name}_information"] = float(normalised_mutual_information(planted, labels))
        rows.append(row)
    return rows, shown


def main() -> None:
    """Measures, writes, draws."""
    jaxrl.use_cpu_cores()
    RESULTS.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {"agent": AGENT, "settings": SETTINGS, "seeds": SEEDS}
    for name, options in FAMILIES.items():
        for shuffled in (False, True):
            if shuffled and options["group_size"] == 1:
                continue
            case = name + (", transitions dealt out at random" if shuffled else "")
            rows, affinity = measure(options, shuffled)
            record[case] = rows
            print(case, [tuple(round(value, 2) for value in row.values()) for row in rows], flush=True)
            if name == "three groups of four" and not shuffled:
                names = family("point-mass", **options).names
                figure = affinity_map(affinity, names, np.arange(len(names)) % options["num_groups"], name)
                save(figure, RESULTS / "planted_groups.png")
    (RESULTS / "planted_groups.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
