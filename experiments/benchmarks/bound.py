"""Where the time of one seed goes: PPO on CartPole beside its matrix products alone, and under one setting more.

Operations are counted in the text of the compiled program: of small ones, how many there are matters as much as what
they compute. The products alone, in the same loops and of the same shapes, are what no program with them goes below.
A lever is one setting of jaxrl or of XLA that leaves something out or does it in another way; most of them make another
algorithm, so that what it gives says what that part costs. All of them take turns, each in a process of its own.

    python experiments/benchmarks/bound.py [--quick]
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro
from cartpole_ppo import SHARED_SETTINGS
from contenders import Contender, machine, measure, summarise
from peers import ROOT

OUT = ROOT / "results" / "benchmarks" / "bound.json"
DEFAULT = "as it is"
ONE_THREAD = "one thread (`NPROC=1`)"
LEVERS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    ONE_THREAD: {"threads": 1},
    "one epoch of one minibatch": {"changed": {"num_epochs": 1, "num_minibatches": 1}},
    "layers of 8 units": {"changed": {"hidden_sizes": [8, 8]}},
    "`shared_torso=True`": {"changed": {"shared_torso": True}},
    '`optimiser="sgd"`': {"changed": {"optimiser": "sgd"}},
    '`standardise_advantages="none"`': {"changed": {"standardise_advantages": "none"}},
    "`num_evaluations=1`": {"changed": {"num_evaluations": 1}},
}
ALL_PRODUCTS = "all products"
# Settings, and the lever whose time they are a part of.
BOUNDS: dict[str, tuple[dict[str, Any], str]] = {
    "products of acting": ({"parts": ["acting"]}, DEFAULT),
    "products of estimating and learning": ({"parts": ["estimating", "learning"]}, DEFAULT),
    ALL_PRODUCTS: ({"parts": ["acting", "estimating", "learning"]}, DEFAULT),
    "all products, one thread": ({"parts": ["acting", "estimating", "learning"], "threads": 1}, ONE_THREAD),
}


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    quick: bool = False
    """A twelfth of the steps and one turn: a check that everything runs."""
    repeats: int = 3
    """Turns of every contender; medians are reported."""
    total_steps: int = 60_000
    """Environment steps of a run."""
    output: Path = OUT
    """Where the measurements are written; with `quick`, in `runs/` unless told."""


def settings(arguments: Arguments) -> dict[str, Any]:
    """What all contenders have in common. `turns` is how often the loops of an iteration go round."""
    shape = {"num_seeds": 1, "num_envs": 4, "num_steps": 128, "num_devices": 1, "threads": 0}
    schedule = {"num_evaluations": 2, "evaluation_episodes": 16, "total_steps": arguments.total_steps}
    minibatches = SHARED_SETTINGS["num_epochs"] * SHARED_SETTINGS["num_minibatches"]
    return SHARED_SETTINGS | shape | schedule | {"turns": {"acting": shape["num_steps"], "minibatch": minibatches}}


def contenders(common: dict[str, Any]) -> list[Contender]:
    """Every lever, the first of which is none, and the products."""
    levers = [
        Contender(name, "_bound_ppo.py", None, common | {"changed": {}} | lever) for name, lever in LEVERS.items()
    ]
    bounds = [Contender(name, "_bound_products.py", None, common | own) for name, (own, _) in BOUNDS.items()]
    return levers + bounds


def levers(runs: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Speeds of every lever and their ratios to the default's: of the medians, and the least and largest of a turn."""
    rows: dict[str, dict[str, Any]] = summarise({name: runs[name] for name in LEVERS})
    speeds = {name: [each["env_steps"] / each["run_seconds"] for each in runs[name]] for name in LEVERS}
    for name, row in rows.items():
        row["cpu_ratio"] = row["steps_per_cpu_second"] / rows[DEFAULT]["steps_per_cpu_second"]
        ratios = [speed / default for speed, default in zip(speeds[name], speeds[DEFAULT])]
        row["ratios_of_turns"] = [min(ratios), max(ratios)]
        row["operations_of_an_iteration"] = sum(runs[name][0]["counts"]["iteration"].values())
    return rows


def bounds(runs: dict[str, list[dict[str, Any]]], rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Speeds of the products alone, and their share of the seconds of the program that has them."""
    found = summarise({name: runs[name] for name in BOUNDS})
    for name, row in found.items():
        del row["interquartile_mean_return"], row["num_returns"], row["speed_ratio"]
        whole = rows[BOUNDS[name][1]]
        row["share"] = whole["steps_per_second"] / row["steps_per_second"]
        row["cpu_share"] = whole["steps_per_cpu_second"] / row["steps_per_cpu_second"]
    return found


def table(report: dict[str, Any]) -> str:
    """Counts, bound and levers as text."""
    lines = []
    for who, loops in report["counts"].items():
        lines += [f"{who}, {loop}: {kinds} = {sum(kinds.values())}" for loop, kinds in loops.items()]
    lines.append(f"the same products: {report['same_products']}")
    for name, row in report["bound"].items():
        lines.append(f"{name}: {row['share']:.0%} of the time, {row['cpu_share']:.0%} of the processor's")
    for name, row in report["levers"].items():
        least, most = row["ratios_of_turns"]
        lines.append(
            f"{name}: {row['steps_per_second']:,.0f} steps/s, ratio {row['speed_ratio']:.2f} ({least:.2f} to "
            f"{most:.2f}), of a processor {row['cpu_ratio']:.2f}, compile {row['compile_seconds']:.1f} s, "
            f"{row['operations_of_an_iteration']} operations an iteration"
        )
    return "\n".join(lines)


def main(arguments: Arguments) -> None:
    """Measures everything, writes the JSON and prints it as text."""
    if arguments.quick:
        output = ROOT / "runs" / "bound_quick.json" if arguments.output == OUT else arguments.output
        arguments = replace(arguments, repeats=1, total_steps=5_000, output=output)
    before, common = machine(), settings(arguments)
    runs = measure(contenders(common), arguments.repeats)
    first, alone = runs[DEFAULT][0], runs[ALL_PRODUCTS][0]
    rows = levers(runs)
    report = {
        "machine": before,
        "settings": common,
        "repeats": arguments.repeats,
        "counts": {"program": first["counts"], "products alone": alone["counts"]},
        "same_products": first["products"] == alone["products"],
        "bound": bounds(runs, rows),
        "levers": rows,
        "runs": runs,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
