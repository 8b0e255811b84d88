"""Policies of groups beside one for all, one per task, random groups and gradient-cosine groups, at equal steps.

    python experiments/multitask/grouped_training.py

Every grouping goes on from the same agent, which was trained on all tasks, with the same number of environment steps in
all. Writes results/multitask/grouped_training.{csv,json,png}.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import pandas

import jaxrl
from jaxrl.figures.plotting import save
from jaxrl.multitask import merge
from jaxrl.multitask.comparison import compare_groupings
from jaxrl.multitask.families import family
from jaxrl.numerics.statistics import summary

RESULTS = Path(__file__).parents[2] / "results" / "multitask"
SEEDS = tuple(range(5))
AGENT: dict[str, Any] = {"num_envs": 32, "num_steps": 64, "learning_rate": 1e-3, "num_evaluations": 1}
# As many groups as in the paper.
STUDY: dict[str, Any] = {"projection_dimension": 200, "num_groups": 3}
CASES: dict[str, dict[str, Any]] = {
    "point-mass": {"options": {"spread": 0.8}, "steps": 200_000},
    "cart-pole": {"options": {"num_held_out": 0}, "steps": 200_000},
    "pendulum": {"options": {"num_held_out": 0}, "steps": 400_000},
}


def measure(name: str, observe: bool) -> pandas.DataFrame:
    """One family: a row per seed, grouping and task."""
    case = CASES[name]
    environment = merge(family(name, **case["options"]).train)
    settings = {**AGENT, "total_steps": case["steps"], "evaluation_episodes": 32, "observe_task": observe}
    trainer = jaxrl.trainer("ppo", environment, **settings)
    began = time.perf_counter()
    found = compare_groupings(trainer, SEEDS, case["steps"], say=lambda text: print(text, flush=True), **STUDY)
    print(name, observe, f"{time.perf_counter() - began:.0f} s")
    return found.table.assign(family=name, observe_task=observe)


def main() -> None:
    """Measures, writes, draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", nargs="+", default=list(CASES), choices=list(CASES))
    arguments = parser.parse_args()
    jaxrl.use_cpu_cores()
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / "grouped_training.csv"
    table = pandas.read_csv(path) if path.exists() else pandas.DataFrame()
    for name in arguments.families:
        for observe in (False, True):
            kept = table[(table["family"] != name) | (table["observe_task"] != observe)] if len(table) else table
            table = pandas.concat([kept, measure(name, observe)], ignore_index=True)
            table.to_csv(path, index=False, float_format="%.5g")
    by = ["family", "observe_task", "grouping"]
    means = table.groupby([*by, "seed"], as_index=False, sort=False)["return"].mean()
    found = summary(means, by, "return")
    print(found.to_string(index=False))
    (RESULTS / "grouped_training.json").write_text(json.dumps(found.to_dict("records"), indent=1) + "\n")
    draw(found)


def draw(found: pandas.DataFrame) -> None:
    """Mean return over tasks, interquartile mean over seeds with its interval."""
    from jaxrl.figures.figure import new_figure, series_style, style_axes

    cases = list(found.groupby(["family", "observe_task"], sort=False))
    figure = new_figure(3.1 * len(cases), 3.2)
    for axes, ((name, observe), rows) in zip(figure.subplots(1, len(cases), squeeze=False)[0], cases, strict=True):
        for i, row in enumerate(rows.itertuples()):
            style = series_style(0 if row.grouping == "estimated" else 1)
            axes.vlines(i, row.low, row.high, color=style["color"])
            axes.plot(i, row.iqm, marker="o", color=style["color"])
        axes.set_xticks(range(len(rows)), rows["grouping"], rotation=45, ha="right")
        axes.set_title(f"{name}, task {'seen' if observe else 'hidden'}", fontsize=10)
        style_axes(axes, "", "mean return over tasks")
    save(figure, RESULTS / "grouped_training.png")


if __name__ == "__main__":
    main()
