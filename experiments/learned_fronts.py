"""Fronts that algorithms learn on finite environments, beside the exact ones.

    python experiments/learned_fronts.py                  # all environments
    python experiments/learned_fronts.py fruit-tree-6     # one

Every algorithm has the same environment steps, its members counted; returns are discounted as the environment's
protocol says, in training and evaluation alike. Writes results/pareto/learned_fronts.{csv,json} and a figure.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas

import jaxrl
from jaxrl import plotting
from jaxrl.environments.multi_objective.allocation import front as allocation_front
from jaxrl.environments.multi_objective.allocation import front_hypervolume
from jaxrl.environments.multi_objective.fronts import coverage_set
from jaxrl.environments.multi_objective.fronts import front as exact_front
from jaxrl.morl import pareto
from jaxrl.morl.problem import Problem, make_problem, measure

RESULTS = Path(__file__).parents[1] / "results" / "pareto"
SEEDS = 3
MEMBERS = {
    "num_envs": 8,
    "num_steps": 64,
    "num_epochs": 4,
    "num_minibatches": 4,
    "learning_rate": 2e-3,
    "entropy_coefficient": 0.05,
    "evaluation_episodes": 16,
    "front_episodes": 256,
}
ALGORITHMS: dict[str, dict[str, Any]] = {
    "population": {"num_members": 24, "evaluations_per_exchange": 2},
    "c_morl": {"num_initial": 12, "num_selected": 6},
    "conditioned": {"num_envs": 32, "num_steps": 32, "num_evaluations": 10},
}
# Fronts of many objectives have more points: more policies, with fewer steps each.
MANY: dict[str, dict[str, Any]] = {
    "population": {"num_members": 96, "archive_capacity": 400},
    "c_morl": {"num_initial": 64, "num_selected": 8, "archive_capacity": 400},
    "conditioned": {"num_policies": 400},
}
MANY_OBJECTIVES = ("fruit-tree-6", "allocation-9")
ENVIRONMENTS: dict[str, int] = {
    "deep-sea-treasure": 1_000_000,
    "deep-sea-treasure-concave": 1_000_000,
    "resource-gathering": 1_500_000,
    "breakable-bottles": 1_000_000,
    "fishwood": 1_000_000,
    "four-room": 2_000_000,
    "fruit-tree-6": 1_500_000,
    "allocation-9": 1_500_000,
}


def exact(name: str, discount: float) -> tuple[np.ndarray, bool]:
    """The exact Pareto front and True, or where that is too large its convex coverage set and False."""
    if name.startswith("allocation"):
        return allocation_front(int(name.rsplit("-", 1)[1]), discount), True
    if name in ("fishwood", "breakable-bottles"):
        return coverage_set(name, discount), False
    return exact_front(name, discount), True


def exact_hypervolume(name: str, known: jnp.ndarray, problem: Problem) -> float:
    """In closed form where the front has thousands of points."""
    if name.startswith("allocation"):
        return front_hypervolume(problem.num_objectives, problem.discount)
    return float(pareto.hypervolume(known, jnp.asarray(problem.reference_point)))


def study(name: str, total_steps: int) -> list[dict[str, Any]]:
    """One row per algorithm and seed."""
    environment = jaxrl.make(f"mo/{name}")
    problem = make_problem(environment)
    known, whole = exact(name, problem.discount)
    known = jnp.asarray(known, jnp.float32)
    truth = {"expected_utility": float(pareto.expected_utility(known, problem.weights))}
    truth["hypervolume"] = exact_hypervolume(name, known, problem)
    rows = []
    for algorithm, own in ALGORITHMS.items():
        start = time.perf_counter()
        more = MANY[algorithm] if name in MANY_OBJECTIVES else {}
        settings = {**MEMBERS, **own, **more, "total_steps": total_steps, "discount": problem.discount}
        sweep = jaxrl.sweep(jaxrl.study(algorithm, environment, **settings), seeds=SEEDS)
        found = jaxrl.front(sweep)
        seconds = time.perf_counter() - start
        for seed in range(SEEDS):
            points = jnp.asarray(found.points[found.labels["seed"] == seed], jnp.float32)
            ours = {key: float(value) for key, value in measure(problem, points).items()}
            row = {"environment": name, "algorithm": algorithm, "seed": seed, "exact_hypervolume": truth["hypervolume"]}
            row |= {**ours, "exact_utility": truth["expected_utility"], "exact_points": len(known)}
            # A coverage set has all of the best utility, but not all of the hypervolume.
            row |= {"hypervolume_share": ours["hypervolume"] / truth["hypervolume"] if whole else float("nan")}
            row |= {"igd_plus": float(pareto.igd_plus(points, known)), "seconds": seconds, "steps": total_steps}
            rows.append(row)
        mine = pandas.DataFrame(rows).query("algorithm == @algorithm").mean(numeric_only=True)
        shown = mine[["hypervolume_share", "expected_utility", "exact_utility", "seconds"]].round(4).to_dict()
        print(name, algorithm, shown, flush=True)
    return rows


def draw(table: pandas.DataFrame) -> None:
    """Share of the exact hypervolume, one dot per seed."""
    table = table[table["hypervolume_share"].notna()]
    names = list(dict.fromkeys(table["environment"]))
    figure = plotting.new_figure(9.0, 4.0)
    axes = figure.subplots()
    for index, (algorithm, rows) in enumerate(table.groupby("algorithm", sort=False)):
        places = [names.index(name) + 0.2 * (index - 1) for name in rows["environment"]]
        style = {**plotting.series_style(index), "linestyle": "none"}
        axes.plot(places, rows["hypervolume_share"], markersize=5, label=algorithm, alpha=0.75, **style)
    axes.axhline(1.0, color="#8A8A8A", linewidth=0.8, label="exact front")
    plotting.style_axes(axes, "", "share of the exact hypervolume")
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    plotting.add_legend(figure, axes)
    plotting.note(
        figure, f"one dot per seed, {table['seed'].nunique()} each; equal environment steps within an environment"
    )
    plotting.save(figure, RESULTS / "learned_fronts.png")


def redraw() -> None:
    """The figure again, from the table."""
    draw(pandas.read_csv(RESULTS / "learned_fronts.csv"))


def main(names: list[str]) -> None:
    """Runs the named environments, or all; each result replaces the one before."""
    jaxrl.use_cpu_cores()
    path = RESULTS / "learned_fronts.csv"
    for name in names or ENVIRONMENTS:
        rows = pandas.DataFrame(study(name, ENVIRONMENTS[name]))
        old = pandas.read_csv(path) if path.exists() else pandas.DataFrame({"environment": []})
        table = pandas.concat([old[old["environment"] != name], rows], ignore_index=True)
        table.to_csv(path, index=False, float_format="%.6g")
        draw(table)
    settings = {"members": MEMBERS, "algorithms": ALGORITHMS, "many_objectives": MANY, "environments": ENVIRONMENTS}
    (RESULTS / "learned_fronts.json").write_text(json.dumps(settings, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
