"""What XLA's pool of threads costs programs of small operations on a CPU: PPO on CartPole under one thread and more.

XLA hands parts of a program that do not wait for each other to a pool of NPROC threads. Where an operation takes a
microsecond, handing it over costs as much, and threads that look for work keep a core busy. One thread goes through
the program in order; results are the same to the bit. Both contenders are measured both ways, in turns.

    python experiments/benchmarks/threads.py
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import tyro
from cartpole_ppo import SHARED_SETTINGS
from contenders import Contender, machine, measure, summarise, table
from peers import ROOT

SCENARIOS = {
    "1 seed, 4 environments x 128 steps": {"num_seeds": 1, "num_envs": 4, "num_steps": 128, "share": 1.0},
    "16 seeds, 4 environments x 128 steps": {"num_seeds": 16, "num_envs": 4, "num_steps": 128, "share": 0.5},
    "1 seed, 2048 environments x 16 steps": {"num_seeds": 1, "num_envs": 2048, "num_steps": 16, "share": 10.0},
}


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    repeats: int = 2
    """Turns of every contender; medians are reported."""
    total_steps: int = 60_000
    """Environment steps of one seed; of 16 half as many, of the wide run ten times as many."""
    output: Path = ROOT / "results" / "benchmarks" / "threads.json"
    """Where the measurements are written."""


def contenders(arguments: Arguments, scenario: dict) -> list[Contender]:
    """rejax and jaxrl with the pool as it is and with one thread, and jaxrl's members over two devices."""
    shape = {name: value for name, value in scenario.items() if name != "share"}
    steps = int(arguments.total_steps * scenario["share"])
    common = SHARED_SETTINGS | shape | {"num_evaluations": 2, "evaluation_episodes": 16, "total_steps": steps}
    pools = {"": {"threads": 0, "num_devices": 1}, ", 1 thread": {"threads": 1, "num_devices": 1}}
    rows = [Contender(f"rejax{name}", "_rejax_ppo.py", "rejax", common | pool) for name, pool in pools.items()]
    if scenario["num_seeds"] > 1 and (os.cpu_count() or 1) > 1:
        pools |= {
            ", 2 devices, 4 threads": {"threads": 4, "num_devices": 2},
            ", 2 devices, 1 thread": {"threads": 1, "num_devices": 2},
        }
    return rows + [Contender(f"jaxrl{name}", "_jaxrl_ppo.py", None, common | pool) for name, pool in pools.items()]


def main(arguments: Arguments) -> None:
    """Measures every scenario, writes the JSON after each, and prints the table."""
    report: dict = {"machine": machine(), "settings": SHARED_SETTINGS, "results": {}, "runs": {}}
    for name, scenario in SCENARIOS.items():
        runs = measure(contenders(arguments, scenario), arguments.repeats)
        report["runs"][name], report["results"][name] = runs, summarise(runs)
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report["results"]))


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
