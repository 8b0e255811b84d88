"""Highways here and in highway-env, driven by a uniform policy, in one run.

    python experiments/benchmarks/highway.py

Every measurement is a process of its own; contenders take turns, and medians over the turns are reported. The original
drives one highway at a time, jaxrl many as one program that restarts them by itself. Returns are those of whole
episodes in highway-env's scalar reward: they should agree.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from contenders import Contender, machine, measure, summarise, table
from peers import ROOT


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    num_envs: int = 256
    """Highways of jaxrl's side by side."""
    num_steps: int = 120
    """Steps of each."""
    peer_episodes: int = 60
    """Episodes of highway-env's."""
    repeats: int = 3
    """Turns of every contender; medians are reported."""
    output: Path = ROOT / "results" / "benchmarks" / "highway.json"
    """Where the measurements are written."""


def main(arguments: Arguments) -> None:
    """Measures and writes."""
    results = {}
    for name in ("highway-fast", "highway"):
        peer = {"environment": f"{name}-v0", "episodes": arguments.peer_episodes}
        own = {"environment": f"mo/{name}", "num_envs": arguments.num_envs, "num_steps": arguments.num_steps}
        row = [
            Contender("highway-env", "_highway_env.py", "highway-env", peer),
            Contender("jaxrl", "_jaxrl_highway.py", None, own),
        ]
        results[name] = summarise(measure(row, arguments.repeats))
    settings = {"num_envs": arguments.num_envs, "num_steps": arguments.num_steps, "repeats": arguments.repeats}
    arguments.output.write_text(json.dumps({"machine": machine(), "settings": settings, "results": results}, indent=1))
    print(table(results), file=sys.stderr)


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
