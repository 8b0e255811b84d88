"""PPO on CartPole-v1: jaxrl beside rejax and Stable-Baselines3 in one run.

Every measurement is a process of its own; contenders take turns (A B A B), so that a busy
machine slows all of them alike, and medians over the turns are reported. The same PPO
hyperparameters, network, number of evaluations and episodes are used on both sides, learning
rates are not annealed, and compilation is timed apart from running. What differs: rejax clips every
entry of a gradient by 0.5, the others its global norm; Adam's epsilon is 1e-8 in rejax, 1e-5 in the others;
rejax treats time limits as terminations; Stable-Baselines3 does not clip values and its evaluation is not timed.

    python experiments/benchmarks/cartpole_ppo.py --quick
"""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from contenders import Contender, machine, measure, summarise, table
from peers import ROOT

SHARED_SETTINGS: dict[str, Any] = {
    "environment": "CartPole-v1",
    "activation": "tanh",
    "hidden_sizes": [64, 64],
    "num_epochs": 4,
    "num_minibatches": 4,
    "learning_rate": 2.5e-4,
    "discount": 0.99,
    "gae_lambda": 0.95,
    "clip_range": 0.2,
    "value_coefficient": 0.5,
    "entropy_coefficient": 0.01,
    "max_gradient_norm": 0.5,
}


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    quick: bool = False
    """A tenth of the steps, one repeat, few seeds: a check that everything runs."""
    seeds: tuple[int, ...] = (1, 16, 64)
    """Numbers of seeds trained side by side in one program."""
    repeats: int = 2
    """Turns of every contender; medians are reported."""
    total_steps: int = 500_000
    """Environment steps of one seed."""
    num_evaluations: int = 10
    """Evaluations in a run, inside the timed program."""
    evaluation_episodes: int = 16
    """Episodes of one evaluation."""
    stable_baselines_steps: int = 100_000
    """Steps of Stable-Baselines3, which is slow; its steps per second do not depend on it."""
    num_devices: int = max(1, min(2, os.cpu_count() or 1))
    """Host devices over which jaxrl's members are sharded in its second row."""
    output: Path = ROOT / "results" / "benchmarks" / "cartpole_ppo.json"
    """Where the measurements are written."""


def scenarios(arguments: Arguments) -> dict[str, list[Contender]]:
    """Contenders by scenario; the first is the one that ratios refer to."""
    common = SHARED_SETTINGS | {
        "num_evaluations": arguments.num_evaluations,
        "evaluation_episodes": arguments.evaluation_episodes,
        "total_steps": arguments.total_steps,
        "num_devices": 1,
    }
    narrow, wide = {"num_envs": 4, "num_steps": 128}, {"num_envs": 2048, "num_steps": 16}
    found: dict[str, list[Contender]] = {}
    for num_seeds in arguments.seeds:
        settings = common | narrow | {"num_seeds": num_seeds}
        row = [
            Contender("rejax", "_rejax_ppo.py", "rejax", settings),
            Contender("jaxrl", "_jaxrl_ppo.py", None, settings),
        ]
        if num_seeds == 1:
            few = settings | {"total_steps": arguments.stable_baselines_steps}
            row.append(Contender("stable-baselines3", "_sb3_ppo.py", "stable-baselines3", few))
        elif arguments.num_devices > 1 and num_seeds % arguments.num_devices == 0:
            sharded = settings | {"num_devices": arguments.num_devices}
            row.append(Contender(f"jaxrl, {arguments.num_devices} host devices", "_jaxrl_ppo.py", None, sharded))
        found[f"{num_seeds} seed{'s' * (num_seeds > 1)}, 4 environments x 128 steps"] = row
    settings = common | wide | {"num_seeds": 1}
    found["1 seed, 2048 environments x 16 steps"] = [
        Contender("rejax", "_rejax_ppo.py", "rejax", settings),
        Contender("jaxrl", "_jaxrl_ppo.py", None, settings),
    ]
    return found


def main(arguments: Arguments) -> None:
    """Measures every scenario, writes the JSON after each, and prints the table."""
    if arguments.quick:
        arguments = Arguments(
            seeds=(1, 4),
            repeats=1,
            total_steps=50_000,
            stable_baselines_steps=10_000,
            num_evaluations=2,
            num_devices=arguments.num_devices,
            output=ROOT / "runs" / "cartpole_ppo_quick.json",
        )
    report: dict[str, Any] = {"machine": machine(), "settings": SHARED_SETTINGS, "results": {}, "runs": {}}
    for scenario, contenders in scenarios(arguments).items():
        print(scenario, file=sys.stderr)
        runs = measure(contenders, arguments.repeats)
        report["runs"][scenario] = runs
        report["results"][scenario] = summarise(runs)
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report["results"]))


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
