"""Continuous control with several objectives under both reward families, beside published hypervolumes.

    python experiments/continuous_control.py                                   # all eight, small budget for two cores
    python experiments/continuous_control.py --full                            # the publications' budgets, for a GPU
    python experiments/continuous_control.py --full --algorithms c_morl --environments hopper-2-pgmorl

`-pgmorl` environments are those of the older papers (500 steps, undiscounted, reference at the origin); the others are
MO-Gymnasium v5's, with its discounted returns. Writes results/pareto/continuous_control.{csv,json}; rows of other
environments, algorithms and budgets stay.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import tyro

import jaxrl

RESULTS = Path(__file__).parents[1] / "results" / "pareto"
MEMBERS: dict[str, Any] = {
    "num_steps": 32,
    "num_epochs": 8,
    "num_minibatches": 8,
    "learning_rate": 1e-3,
    "entropy_coefficient": 0.0,
    "normalise_observations": True,
    "normalise_rewards": True,
    "front_episodes": 1,
}
# Where steps are few, all preferences share one network and so all experience.
SMALL: dict[str, dict[str, Any]] = {
    "conditioned": {"num_envs": 64, "num_evaluations": 2, "num_policies": 32, "num_evaluation_weights": 8},
}
FULL: dict[str, dict[str, Any]] = {
    "population": {"num_envs": 256, "num_members": 6, "learning_rate": 3e-4},
    "c_morl": {"num_envs": 256, "num_initial": 6, "num_selected": 5, "num_evaluations": 40, "learning_rate": 3e-4},
    "pgmorl": {"num_envs": 256, "num_members": 6, "num_evaluations": 40, "learning_rate": 3e-4},
    "conditioned": {"num_envs": 1024, "conditioning": "hypernetwork", "num_evaluations": 20, "learning_rate": 3e-4},
}
FULL_STEPS = 12_000_000
# Hypervolumes: COLA's table 1 (3M steps; its method and PGMORL's) for the older environments, C-MORL's as reprinted
# with D3PO (arXiv 2602.07764; 1.5M steps as stated, 12M as its code counts) for MO-Gymnasium's.
PUBLISHED: dict[str, dict[str, float]] = {
    "halfcheetah-pgmorl": {"PGMORL": 5.13e6, "COLA": 7.91e6},
    "hopper-2-pgmorl": {"PGMORL": 1.90e7, "COLA": 2.11e7},
    "hopper-3-pgmorl": {"PGMORL": 3.35e10, "COLA": 3.41e10},
    "ant-2-pgmorl": {"PGMORL": 5.40e6, "COLA": 1.133e7},
    "halfcheetah": {},
    "hopper-2": {"PGMORL": 1.20e5, "C-MORL": 1.37e5},
    "hopper-3": {"PGMORL": 1.59e7, "C-MORL": 2.19e7},
    "ant-2": {"PGMORL": 0.35e5, "C-MORL": 1.31e5},
}


@dataclass(frozen=True)
class Arguments:
    """What to run."""

    environments: tuple[str, ...] = tuple(PUBLISHED)
    """Names without `mo/`."""
    algorithms: tuple[str, ...] = ()
    """Algorithms; all of the budget's if none is named."""
    steps: int = 250_000
    """Environment steps of the small budget."""
    seeds: int = 1
    """Seeds."""
    full: bool = False
    """The publications' budget."""


def run(environment: str, algorithm: str, settings: dict[str, Any], steps: int, seeds: int) -> list[dict[str, Any]]:
    """One study: its measures and what it began with, one row per seed."""
    start = time.perf_counter()
    study = jaxrl.study(algorithm, f"mo/{environment}", total_steps=steps, **{**MEMBERS, **settings})
    sweep = jaxrl.sweep(study, seeds=seeds, say=lambda _: None)
    found = jaxrl.front(sweep, num_episodes=1)
    measures = found.measures[found.measures["seed"] != "all"]
    first = sweep.table.sort_values("steps").groupby("seed")["hypervolume"].first()
    timing, total = sweep.groups[0].timing, int(study.iteration_steps.sum())
    rows = []
    for (_, row), early in zip(measures.iterrows(), first, strict=True):
        rows.append(
            {
                "environment": environment,
                "algorithm": algorithm,
                "steps": total,
                "seed": int(row["seed"]),
                "hypervolume": float(row["hypervolume"]),
                "expected_utility": float(row["expected_utility"]),
                "cardinality": float(row["cardinality"]),
                "first_hypervolume": float(early),
                "seconds": time.perf_counter() - start,
                "compile_seconds": timing.compile_seconds,
                "steps_per_second": total * seeds / timing.run_seconds,
            }
        )
    return rows


def keep(rows: list[dict[str, Any]]) -> pandas.DataFrame:
    """Adds rows to the table, in place of those of the same study."""
    path, names = RESULTS / "continuous_control.csv", ["environment", "algorithm", "steps", "seed"]
    table = pandas.DataFrame(rows)
    if path.exists():
        table = pandas.concat([pandas.read_csv(path), table]).drop_duplicates(names, keep="last")
    order = {name: place for place, name in enumerate(PUBLISHED)}
    table = table.sort_values(names, key=lambda column: column.map(order) if column.name == names[0] else column)
    table.to_csv(path, index=False, float_format="%.6g")
    return table


def main(arguments: Arguments) -> None:
    """Runs, prints beside what is published, and writes after every study."""
    jaxrl.use_cpu_cores()
    budget, steps = (FULL, FULL_STEPS) if arguments.full else (SMALL, arguments.steps)
    record = {"members": MEMBERS, "small": SMALL, "full": FULL, "full_steps": FULL_STEPS, "published": PUBLISHED}
    (RESULTS / "continuous_control.json").write_text(json.dumps(record, indent=1) + "\n")
    for environment in arguments.environments:
        for algorithm in arguments.algorithms or budget:
            rows = run(environment, algorithm, budget[algorithm], steps, arguments.seeds)
            keep(rows)
            mean = np.mean([row["hypervolume"] for row in rows])
            print(environment, algorithm, f"HV {mean:.4g}", PUBLISHED[environment], rows[0], flush=True)


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
