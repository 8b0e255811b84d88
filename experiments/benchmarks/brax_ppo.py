"""PPO on a task of brax: jaxrl beside brax.training's own, on one engine of brax's, in turns.

The settings are those that brax's notebook trains the inverted pendulum with. Both have the same engine, number of
samples between updates, minibatches, epochs, policy and value networks, evaluations and episodes, on the same jax.
What differs: brax estimates advantages over unrolls of 5 steps, jaxrl over the 80 that a copy takes between updates;
brax multiplies rewards by a constant, jaxrl divides them by their running deviation; brax restarts an episode where it
began before, jaxrl from new starts; brax plays every evaluation to the time limit. brax.training needs a function that
jax 0.10 has removed, see `_brax_jax.py`.

`physics_share` is the processor time of the engine's steps alone, with restarts and fixed actions, over that of a run.

    python experiments/benchmarks/brax_ppo.py
    python experiments/benchmarks/brax_ppo.py --quick
"""

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from contenders import Contender, machine, measure, summarise, table
from peers import ROOT

NUM_EVALUATIONS = 5


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    quick: bool = False
    """Few copies, one turn and one iteration between evaluations: a check that everything runs."""
    task: str = "inverted_pendulum"
    """A task of brax."""
    backend: str = "spring"
    """Engine of both."""
    repeats: int = 3
    """Turns of both; medians are reported."""
    iterations: int = 3
    """Iterations between evaluations, of which there are five."""
    output: Path = ROOT / "results" / "benchmarks" / "brax_ppo.json"
    """Where the measurements are written."""


def settings_of(arguments: Arguments) -> dict[str, Any]:
    """What both are given."""
    num_envs, batch_size, num_minibatches, unroll_length = (
        (2048, 1024, 32, 5) if not arguments.quick else (32, 32, 4, 5)
    )
    steps_per_iteration = batch_size * num_minibatches * unroll_length
    return {
        "task": arguments.task,
        "backend": arguments.backend,
        "num_envs": num_envs,
        "batch_size": batch_size,
        "num_minibatches": num_minibatches,
        "unroll_length": unroll_length,
        "num_steps": steps_per_iteration // num_envs,
        "steps_per_iteration": steps_per_iteration,
        "total_steps": NUM_EVALUATIONS * arguments.iterations * steps_per_iteration,
        "num_epochs": 4,
        "learning_rate": 3e-4,
        "entropy_coefficient": 1e-2,
        "discount": 0.97,
        "reward_scaling": 10.0,
        "hidden_sizes": [32, 32, 32, 32],
        "num_evaluations": NUM_EVALUATIONS,
        "evaluation_episodes": 16,
    }


def rows_of(runs: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Medians, with compilation counted in and evaluations left out, and the engine's share of the processor time."""
    rows = summarise(runs)
    for name, row in rows.items():
        found = runs[name]
        row["steps_per_second_with_compilation"] = statistics.median(o["env_steps"] / o["total_seconds"] for o in found)
        training = [o["run_seconds"] - o["evaluation_seconds"] for o in found]
        row["training_steps_per_second"] = statistics.median(
            o["env_steps"] / seconds for o, seconds in zip(found, training, strict=True)
        )
        row["physics_share"] = statistics.median(o["physics_cpu_seconds"] / o["cpu_seconds"] for o in found)
    reference = next(iter(rows.values()))
    for row in rows.values():
        for name in ("steps_per_cpu_second", "steps_per_second_with_compilation", "training_steps_per_second"):
            row[f"{name}_ratio"] = row[name] / reference[name]
    return rows


def main(arguments: Arguments) -> None:
    """Measures both, writes the JSON and prints the table."""
    if arguments.quick:
        output = ROOT / "runs" / "brax_ppo_quick.json"
        arguments = Arguments(True, arguments.task, arguments.backend, repeats=1, iterations=1, output=output)
    settings = settings_of(arguments)
    scenario = f"{arguments.task}, {arguments.backend}, {settings['num_envs']} environments"
    print(scenario, file=sys.stderr)
    contenders = [
        Contender("brax.training", "_brax_ppo.py", None, settings),
        Contender("jaxrl", "_jaxrl_brax_ppo.py", None, settings),
    ]
    runs = measure(contenders, arguments.repeats)
    report = {"machine": machine(), "settings": settings, "results": {scenario: rows_of(runs)}, "runs": runs}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report["results"]))
    for name, row in report["results"][scenario].items():
        print(
            f"{name}: {row['steps_per_second_with_compilation']:,.0f} steps/s with compilation, "
            f"{row['training_steps_per_second']:,.0f} without evaluations, "
            f"the engine takes {row['physics_share']:.0%} of its processor time"
        )


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
