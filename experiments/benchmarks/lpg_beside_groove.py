"""Meta-gradients of LPG: jaxrl beside groove, the same levels, sizes and networks, meta-training steps per second.

    python experiments/benchmarks/lpg_beside_groove.py ~/groove        # a checkout of github.com/EmptyJackson/groove

Both meta-train LPG on the procedural family `small` (4 x 4 to 6 x 6, tabular agents that live for 250 updates, SGD at
rate 40), K = 5 updates and one outer rollout per meta-step, a GRU and predictions of the same widths, and as many
updates of a critic; neither recomputes rollouts in the backward pass. groove's meta-steps also evaluate every agent on
four episodes, and its critic's parameters never change (its loss does not depend on them). Under the curriculum of the
paper, algorithmic regret, groove trains an antagonist anew for every agent in every meta-step; jaxrl's antagonists live
beside the agents. A third program does nothing but the matrix products of the rule's GRU, step by step, which tells how
much of the time they are. Each runs as one compiled program in a process of its own.
Writes results/benchmarks/lpg_beside_groove.json.
"""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from contenders import Contender, machine, measure, summarise, table
from peers import ROOT


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    groove: tyro.conf.Positional[Path]
    """Checkout of groove."""
    meta_steps: int = 6
    """Meta-steps of each program."""
    agents: int = 16
    """Agents in progress."""
    envs: int = 64
    """Copies of the level per agent."""
    widths: tuple[int, ...] = (256, 32)
    """Of the rule's GRU; groove's own is 256."""
    curricula: tuple[str, ...] = ("uniform", "algorithmic_regret")
    """Where levels come from."""
    repeats: int = 3
    """Runs of each, in turns."""
    output: Path = ROOT / "results" / "benchmarks" / "lpg_beside_groove.json"
    """Where the measurements are written."""


def main(arguments: Arguments) -> None:
    """Measures, writes, prints the table."""
    settings: dict[str, Any] = {
        "levels": "small",
        "lifetime": 250,
        "num_agents": arguments.agents,
        "num_envs": arguments.envs,
        "num_steps": 20,
        "unroll": 5,
        "outputs": 8,
        "buffer_size": 256,
        "meta_steps": arguments.meta_steps,
    }
    checkout = str(arguments.groove.expanduser().resolve())
    rollouts = settings["meta_steps"] * settings["num_agents"] * (settings["unroll"] + 1)
    settings["env_steps"] = rollouts * settings["num_envs"] * settings["num_steps"]
    results, everything = {}, {}
    for curriculum, width in itertools.product(arguments.curricula, arguments.widths):
        sized = {**settings, "width": width, "curriculum": curriculum}
        rivals = [
            Contender("groove", "_groove_lpg.py", "groove", {**sized, "checkout": checkout}),
            Contender("jaxrl", "_jaxrl_lpg.py", None, sized),
            Contender("the GRU's products alone", "_gru_products.py", None, sized),
        ]
        name = f"{curriculum.replace('_', ' ')}, GRU of {width}"
        everything[name] = runs = measure(rivals, arguments.repeats)
        results[name] = rows = summarise(runs)
        for row in rows.values():
            row["meta_steps_per_second"] = arguments.meta_steps / row["run_seconds"]
    record = {"machine": machine(), "settings": settings, "results": results, "runs": everything}
    arguments.output.write_text(json.dumps(record, indent=1) + "\n")
    print(table(results))


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
