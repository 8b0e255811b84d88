"""Minecart: jaxrl's studies beside morl-baselines' envelope Q-learning, at equal steps and in time.

The peer runs in an environment of its own, with the settings of its own example, its clock stopped during evaluation;
jaxrl's clock runs through compilation and evaluation. Each jaxrl algorithm runs twice: with the peer's number of
environment steps, and with as many as make a study of its kind. The front of every contender is that of the same evenly
spaced weights (or of its archive), by discounted returns over the same number of episodes, reference (-1, -1, -200).

    python experiments/benchmarks/minecart_fronts.py
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import tyro
from contenders import machine
from peers import ROOT, interpreter, run_contender

import jaxrl
from jaxrl.morl.problem import make_problem, measure

MEMBERS: dict[str, Any] = {
    "num_steps": 64,
    "num_epochs": 4,
    "num_minibatches": 4,
    "learning_rate": 1e-3,
    "entropy_coefficient": 0.01,
    "discount": 0.98,
}
STUDIES: dict[str, dict[str, Any]] = {
    "population": {"num_envs": 16, "num_members": 6, "evaluation_episodes": 8},
    "c_morl": {"num_envs": 16, "num_initial": 6, "num_selected": 5, "num_evaluations": 20, "evaluation_episodes": 8},
    "pgmorl": {"num_envs": 16, "num_members": 6, "num_evaluations": 20, "evaluation_episodes": 8},
    "conditioned": {"num_envs": 64, "num_evaluations": 10, "evaluation_episodes": 4},
}
# At the peer's few steps, copies and rollouts must be fewer for there to be several updates.
FEW_STEPS: dict[str, dict[str, Any]] = {
    "conditioned": {"num_envs": 8, "num_steps": 32, "num_evaluations": 5, "evaluation_episodes": 4},
}


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    peer_steps: int = 12_000
    """Environment steps of the peer."""
    study_steps: int = 4_000_000
    """Environment steps of one seed of a whole study, all members counted."""
    seeds: int = 3
    """Seeds of jaxrl's studies; the peer runs one."""
    num_weights: int = 21
    """Weights of the peer's front."""
    episodes: int = 5
    """Episodes per policy."""
    output: Path = ROOT / "results" / "benchmarks" / "minecart_fronts.json"
    """Where the measurements are written."""


def run_peer(arguments: Arguments) -> dict[str, Any]:
    """The peer's curve: steps, seconds and measures."""
    settings = {
        "seed": 0,
        "num_threads": 2,
        "num_weights": arguments.num_weights,
        "total_steps": arguments.peer_steps,
        "chunk": arguments.peer_steps // 3,
        "evaluation_episodes": arguments.episodes,
    }
    problem = make_problem(jaxrl.make("mo/minecart"))
    outcome = run_contender(interpreter("morl-baselines"), "_morl_baselines_minecart.py", settings)
    for row in outcome["curve"]:
        points = jnp.asarray(row.pop("points"), jnp.float32)
        row |= {name: float(value) for name, value in measure(problem, points).items()}
    return outcome


def run_study(algorithm: str, settings: dict[str, Any], total_steps: int, arguments: Arguments) -> dict[str, Any]:
    """One study: seconds with compilation, and the measures of every seed."""
    start = time.perf_counter()
    study = jaxrl.study(algorithm, "mo/minecart", total_steps=total_steps, **{**MEMBERS, **settings})
    sweep = jaxrl.sweep(study, seeds=arguments.seeds)
    found = jaxrl.front(sweep, num_episodes=arguments.episodes)
    seconds = time.perf_counter() - start
    measures = found.measures[found.measures["seed"] != "all"]
    timing, curve = sweep.groups[0].timing, sweep.table.groupby("steps")["hypervolume"].mean()
    return {
        "steps_per_seed": int(study.iteration_steps.sum()),
        "seeds": arguments.seeds,
        "seconds_all_seeds": seconds,
        "compile_seconds": timing.compile_seconds,
        "run_seconds": timing.run_seconds,
        "hypervolume": measures["hypervolume"].tolist(),
        "expected_utility": measures["expected_utility"].tolist(),
        "curve": {"steps": curve.index.tolist(), "hypervolume": curve.tolist()},
    }


def main(arguments: Arguments) -> None:
    """Measures all and prints a table."""
    jaxrl.use_cpu_cores()
    report: dict[str, Any] = {"machine": machine(), "members": MEMBERS, "studies": STUDIES, "few_steps": FEW_STEPS}
    report["jaxrl"] = {name: run_study(name, own, arguments.study_steps, arguments) for name, own in STUDIES.items()}
    report["jaxrl, the peer's steps"] = {
        name: run_study(name, own, arguments.peer_steps, arguments) for name, own in FEW_STEPS.items()
    }
    report["morl-baselines, envelope"] = run_peer(arguments)
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")
    last = report["morl-baselines, envelope"]["curve"][-1]
    speed = last["steps"] / last["seconds"]
    print(f"envelope: {last['steps']} steps, {speed:.0f} steps/s, HV {last['hypervolume']:.1f}")
    for kind in ("jaxrl", "jaxrl, the peer's steps"):
        for name, row in report[kind].items():
            ours = row["steps_per_seed"] * row["seeds"] / row["run_seconds"]
            print(
                f"{kind} {name}: {row['steps_per_seed']} steps x {row['seeds']}, {ours:,.0f} steps/s "
                f"({ours / speed:,.0f} times), {row['seconds_all_seeds']:.0f} s in all, "
                f"HV {np.mean(row['hypervolume']):.1f}, EU {np.mean(row['expected_utility']):.3f}"
            )


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
