"""DQN on CartPole-v1 and SAC on Pendulum-v1: jaxrl beside rejax in one run.

As in `cartpole_ppo.py` every measurement is a process of its own and contenders take turns. Both collect one step of
four copies and take one gradient step with the same batch, network, optimiser and schedule; a second row of jaxrl acts
for eight steps before it takes eight gradient steps. What differs: rejax clips every entry of a gradient, jaxrl its
global norm (both at 10, which neither reaches often); rejax treats time limits as terminations, stores no final
observation, and evaluates SAC's actions as they are drawn.

    python experiments/benchmarks/off_policy_speed.py --quick
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

SHARED: dict[str, Any] = {
    "num_envs": 4,
    "num_updates": 1,
    "buffer_size": 20_000,
    "learning_starts": 1_000,
    "batch_size": 128,
    "hidden_sizes": [64, 64],
    "activation": "relu",
    "discount": 0.99,
    "max_gradient_norm": 10.0,
    "num_devices": 1,
}
AGENTS: dict[str, dict[str, Any]] = {
    "dqn": {
        "environment": "CartPole-v1",
        "learning_rate": 5e-4,
        "target_rate": 0.01,
        "final_epsilon": 0.05,
        "exploration_fraction": 0.2,
    },
    "sac": {"environment": "Pendulum-v1", "learning_rate": 1e-3, "target_rate": 0.01},
}


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    quick: bool = False
    """A tenth of the steps, one repeat, few seeds: a check that everything runs."""
    agents: tuple[str, ...] = ("dqn", "sac")
    """Agents, each on its environment."""
    seeds: tuple[int, ...] = (1, 16)
    """Numbers of seeds trained side by side in one program."""
    repeats: int = 3
    """Turns of every contender; medians are reported."""
    total_steps: int = 100_000
    """Environment steps of one seed."""
    num_evaluations: int = 5
    """Evaluations in a run, inside the timed program."""
    evaluation_episodes: int = 8
    """Episodes of one evaluation."""
    num_devices: int = max(1, min(2, os.cpu_count() or 1))
    """Host devices over which jaxrl's members are sharded in a row of its own."""
    output: Path = ROOT / "results" / "benchmarks" / "off_policy_speed.json"
    """Where the measurements are written."""


def contenders(agent: str, num_seeds: int, arguments: Arguments) -> list[Contender]:
    """Who takes turns; the first is the one that ratios refer to."""
    settings = {
        **SHARED,
        **AGENTS[agent],
        "agent": agent,
        "num_seeds": num_seeds,
        "total_steps": arguments.total_steps,
        "num_evaluations": arguments.num_evaluations,
        "evaluation_episodes": arguments.evaluation_episodes,
    }
    found = [
        Contender("rejax", "_rejax_off_policy.py", "rejax", settings),
        Contender("jaxrl", "_jaxrl_off_policy.py", None, settings),
        Contender("jaxrl, 8 steps an iteration", "_jaxrl_off_policy.py", None, settings | {"num_steps": 8}),
    ]
    if num_seeds == 1:
        found.insert(2, Contender("jaxrl, one XLA thread", "_jaxrl_off_policy.py", None, settings | {"threads": 1}))
    elif arguments.num_devices > 1 and num_seeds % arguments.num_devices == 0:
        devices = {"num_devices": arguments.num_devices}
        name = f"jaxrl, {arguments.num_devices} host devices"
        found.insert(2, Contender(name, "_jaxrl_off_policy.py", None, settings | devices))
    return found


def main(arguments: Arguments) -> None:
    """Measures every scenario, writes the JSON after each, and prints the table."""
    if arguments.quick:
        output = ROOT / "runs" / "off_policy_speed_quick.json"
        arguments = Arguments(
            agents=arguments.agents, seeds=(1, 2), repeats=1, total_steps=10_000, num_evaluations=2, output=output
        )
    report: dict[str, Any] = {"machine": machine(), "settings": {"shared": SHARED, **AGENTS}, "results": {}, "runs": {}}
    if arguments.output.exists():
        earlier = json.loads(arguments.output.read_text())
        # Scenarios that are not measured now stay, if they are of the same settings.
        report |= {name: earlier[name] for name in ("results", "runs") if earlier["settings"] == report["settings"]}
    for agent in arguments.agents:
        for num_seeds in arguments.seeds:
            scenario = f"{agent} on {AGENTS[agent]['environment']}, {num_seeds} seed{'s' * (num_seeds > 1)}"
            scenario += f", {arguments.total_steps:,} steps each"
            print(scenario, file=sys.stderr)
            runs = measure(contenders(agent, num_seeds, arguments), arguments.repeats)
            report["runs"][scenario] = runs
            report["results"][scenario] = summarise(runs)
            arguments.output.parent.mkdir(parents=True, exist_ok=True)
            arguments.output.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report["results"]))


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
