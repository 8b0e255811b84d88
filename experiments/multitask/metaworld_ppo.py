"""Multi-task PPO on Meta-World: one policy with a head per task, all tasks' physics in one program.

    python experiments/multitask/metaworld_ppo.py                        # five tasks, for two cores
    python experiments/multitask/metaworld_ppo.py --first-seed 1 --seeds 2   # two seeds more
    python experiments/multitask/metaworld_ppo.py --tasks mt10 --steps 3000000
    python experiments/multitask/metaworld_ppo.py --tasks mt10 --steps 20000000 --seeds 10   # a publication's budget

Every episode is one of 50 places of goal and object per task, trained and tested on alike, as in the MT protocols.
Writes results/multitask/metaworld_ppo.{csv,json,png}; rows of other tasks and budgets stay.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas
import tyro

import jaxrl
from jaxrl import plotting
from jaxrl.environments.metaworld import MT10
from jaxrl.multitask import suite

RESULTS = Path(__file__).parents[2] / "results" / "multitask"
FIVE = ("reach", "drawer-close", "button-press-topdown", "window-open", "window-close")
TEN = tuple(name.removeprefix("metaworld/") for name in MT10)
COPIES, VARIATIONS = 8, 50
TRAINING: dict[str, Any] = {
    "num_steps": 250,
    "num_epochs": 8,
    "num_minibatches": 8,
    "learning_rate": 5e-4,
    "gae_lambda": 0.97,
    "discount": 0.99,
    "entropy_coefficient": 1e-3,
    "hidden_sizes": (128, 128),
    "normalise_observations": True,
    "normalise_rewards": True,
    "multi_head": True,
    "num_evaluations": 10,
    "evaluation_episodes": 20,
}
COLUMNS = ("suite", "steps_in_all", "seed", "steps", "task", "return", "success", "steps_per_second", "compile_seconds")


@dataclass(frozen=True)
class Arguments:
    """What to run."""

    tasks: Literal["five", "mt10"] = "five"
    """Which suite."""
    steps: int = 1_500_000
    """Environment steps, all tasks counted."""
    seeds: int = 1
    """How many seeds."""
    first_seed: int = 0
    """The first of them."""


def learn(arguments: Arguments) -> pandas.DataFrame:
    """A row per seed, evaluation and task."""
    tasks = {"five": FIVE, "mt10": TEN}[arguments.tasks]
    environment = suite([jaxrl.make(f"metaworld/{name}", num_variations=VARIATIONS) for name in tasks], tasks)
    settings = {**TRAINING, "num_envs": COPIES * len(tasks), "total_steps": arguments.steps}
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    found = jaxrl.sweep(jaxrl.trainer("ppo", environment, **settings), seeds=seeds)
    timing = found.groups[0].timing
    rate = arguments.steps * arguments.seeds / timing.run_seconds
    rows = [
        {
            "suite": arguments.tasks,
            "steps_in_all": arguments.steps,
            "seed": int(row["seed"]),
            "steps": int(row["steps"]),
            "task": task,
            "return": round(row[f"return_{task}"], 1),
            "success": round(row[f"success_{task}"], 3),
            "steps_per_second": round(rate),
            "compile_seconds": round(timing.compile_seconds, 1),
        }
        for _, row in found.table.iterrows()
        for task in tasks
    ]
    return pandas.DataFrame(rows, columns=COLUMNS)


def keep(rows: pandas.DataFrame) -> pandas.DataFrame:
    """Adds rows to the table, in place of those of the same run."""
    path, names = RESULTS / "metaworld_ppo.csv", ["suite", "steps_in_all", "seed", "steps", "task"]
    if path.exists():
        rows = pandas.concat([pandas.read_csv(path), rows]).drop_duplicates(names, keep="last")
    rows.to_csv(path, index=False)
    return rows


def summarise(table: pandas.DataFrame) -> dict[str, Any]:
    """Mean success over tasks at the end of each run, and each task's."""
    last = table[table["steps"] == table.groupby(["suite", "steps_in_all"])["steps"].transform("max")]
    found = {}
    for (name, steps), rows in last.groupby(["suite", "steps_in_all"]):
        found[f"{name}, {steps} steps"] = {
            "mean_success": round(float(rows["success"].mean()), 3),
            "by_task": rows.groupby("task", sort=False)["success"].mean().round(3).to_dict(),
            "mean_success_by_seed": rows.groupby("seed")["success"].mean().round(3).tolist(),
            "steps_per_second": int(rows["steps_per_second"].mean()),
            "compile_seconds": round(float(rows["compile_seconds"].mean()), 1),
        }
    return found


def draw(table: pandas.DataFrame) -> None:
    """Success of every task over steps, a panel per task and one for their mean; a figure per suite."""
    for name, rows in table.groupby("suite"):
        rows = rows[rows["steps_in_all"] == rows["steps_in_all"].max()]
        mean = rows.groupby(["seed", "steps"], as_index=False)["success"].mean().assign(task="mean of all tasks")
        figure = plotting.learning_curves(
            pandas.concat([rows, mean]),
            by="task",
            value="success",
            labels={"success": "share of episodes", "steps": "environment steps, all tasks"},
            title=f"Success of one policy, {rows['task'].nunique()} tasks",
            panels=True,
        )
        plotting.save(figure, RESULTS / ("metaworld_ppo.png" if name == "five" else f"metaworld_ppo_{name}.png"))


def redraw() -> None:
    """The figures again, from the table."""
    draw(pandas.read_csv(RESULTS / "metaworld_ppo.csv"))


def main(arguments: Arguments) -> None:
    """Runs one suite and writes."""
    jaxrl.use_cpu_cores()
    table = keep(learn(arguments))
    record = {"training": TRAINING, "copies_per_task": COPIES, "variations": VARIATIONS, "runs": summarise(table)}
    (RESULTS / "metaworld_ppo.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(table)
    print(json.dumps(record["runs"], indent=1))


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
