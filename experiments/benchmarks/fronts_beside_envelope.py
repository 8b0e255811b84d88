"""jaxrl's studies beside morl-baselines' envelope Q-learning: quality at equal steps, and time to equal quality.

The peer runs in an environment of its own, with the settings of its own example for minecart, its clock stopped during
evaluation; jaxrl's clock runs through compilation and evaluation. Each jaxrl algorithm runs with as many environment
steps as make a study of its kind, and the conditioned one with the peer's too. The front of every contender is that of
the same evenly spaced weights (or of its archive), by discounted returns over the same number of episodes, under the
environment's reference point.

    python experiments/benchmarks/fronts_beside_envelope.py
    python experiments/benchmarks/fronts_beside_envelope.py --environment lunar-lander --num-weights 35
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
import tyro
from contenders import machine
from peers import ROOT, interpreter, run_contender

import jaxrl
from jaxrl.morl.problem import Problem, make_problem, measure

MEMBERS: dict[str, Any] = {"num_steps": 64, "num_epochs": 4, "num_minibatches": 4, "learning_rate": 1e-3}
ENVIRONMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "minecart": ("minecart-v0", {"entropy_coefficient": 0.01, "discount": 0.98}),
    # Shaping sums to hundreds: without a scale the critic's loss would take up all of the clipped gradient.
    "lunar-lander": (
        "mo-lunar-lander-v3",
        {"entropy_coefficient": 0.01, "discount": 0.99, "normalise_observations": True, "normalise_rewards": True},
    ),
}
STUDIES: dict[str, dict[str, Any]] = {
    "population": {"num_envs": 16, "num_members": 6, "evaluation_episodes": 8},
    "c_morl": {"num_envs": 16, "num_initial": 6, "num_selected": 5, "num_evaluations": 20, "evaluation_episodes": 8},
    "pgmorl": {"num_envs": 16, "num_members": 6, "num_evaluations": 20, "evaluation_episodes": 8},
    "conditioned": {"num_envs": 64, "num_evaluations": 10, "evaluation_episodes": 4},
}
# PGMORL models improvements of two or three objectives.
MOST_OBJECTIVES = {"pgmorl": 3}
# At the peer's few steps, copies and rollouts must be fewer for there to be several updates.
FEW_STEPS: dict[str, Any] = {"num_envs": 8, "num_steps": 32, "num_evaluations": 10, "evaluation_episodes": 4}


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    environment: Literal["minecart", "lunar-lander"] = "minecart"
    """Where to learn."""
    peer_steps: int = 30_000
    """Environment steps of the peer."""
    peer_evaluations: int = 5
    """Times that the peer's front is measured, the last at the end."""
    study_steps: int = 4_000_000
    """Environment steps of one seed of a whole study, all members counted."""
    seeds: int = 3
    """Seeds of jaxrl's studies; the peer runs one."""
    num_weights: int = 21
    """Weights of the peer's front."""
    episodes: int = 5
    """Episodes per policy."""
    folder: Path = ROOT / "results" / "benchmarks"
    """Where the measurements are written."""


def run_peer(problem: Problem, arguments: Arguments) -> dict[str, Any]:
    """The peer's curve: steps, seconds and measures."""
    settings = {
        "environment": ENVIRONMENTS[arguments.environment][0],
        "discount": ENVIRONMENTS[arguments.environment][1]["discount"],
        "num_objectives": problem.num_objectives,
        "seed": 0,
        "num_threads": 2,
        "num_weights": arguments.num_weights,
        "total_steps": arguments.peer_steps,
        "chunk": arguments.peer_steps // arguments.peer_evaluations,
        "evaluation_episodes": arguments.episodes,
    }
    outcome = run_contender(interpreter("morl-baselines"), "_morl_baselines_envelope.py", settings)
    for row in outcome["curve"]:
        points = jnp.asarray(row.pop("points"), jnp.float32)
        row |= {name: float(value) for name, value in measure(problem, points).items()}
    return outcome


def run_study(algorithm: str, settings: dict[str, Any], total_steps: int, arguments: Arguments) -> dict[str, Any]:
    """One study of `STUDIES`; see `measured`."""
    settings = {**MEMBERS, **ENVIRONMENTS[arguments.environment][1], **settings, "total_steps": total_steps}
    return measured(algorithm, f"mo/{arguments.environment}", settings, arguments.seeds, arguments.episodes)


def measured(
    algorithm: str, environment: str, settings: dict[str, Any], seeds: int, num_episodes: int
) -> dict[str, Any]:
    """A study's seconds with compilation, the measures of every seed, and their mean hypervolume over time."""
    start = time.perf_counter()
    study = jaxrl.study(algorithm, environment, **settings)
    sweep = jaxrl.sweep(study, seeds=seeds)
    found = jaxrl.front(sweep, num_episodes=num_episodes)
    seconds = time.perf_counter() - start
    measures = found.measures[found.measures["seed"] != "all"]
    timing, curve = sweep.groups[0].timing, sweep.table.groupby("steps")["hypervolume"].mean()
    passed = timing.compile_seconds + timing.run_seconds * curve.index.to_numpy() / curve.index.max()
    return {
        "steps_per_seed": int(study.iteration_steps.sum()),
        "seeds": seeds,
        "seconds_all_seeds": seconds,
        "compile_seconds": timing.compile_seconds,
        "run_seconds": timing.run_seconds,
        "hypervolume": measures["hypervolume"].tolist(),
        "expected_utility": measures["expected_utility"].tolist(),
        "curve": {"steps": curve.index.tolist(), "seconds": passed.tolist(), "hypervolume": curve.tolist()},
    }


def seconds_to(curve: list[tuple[float, float]], hypervolume: float) -> float | None:
    """The first time at which a curve of (seconds, hypervolume) reaches a value."""
    return next((seconds for seconds, value in curve if value >= hypervolume), None)


def compare(study: dict[str, Any], peer: list[dict[str, Any]]) -> dict[str, Any]:
    """Steps per second, and the times of both to the lower of their final hypervolumes."""
    ours = list(zip(study["curve"]["seconds"], study["curve"]["hypervolume"], strict=True))
    theirs = [(row["seconds"], row["hypervolume"]) for row in peer]
    lower = min(ours[-1][1], theirs[-1][1])
    return {
        "steps_per_second": study["steps_per_seed"] * study["seeds"] / study["run_seconds"],
        "lower_hypervolume": lower,
        "seconds_to_it": seconds_to(ours, lower),
        "seconds_to_it_without_compilation": seconds_to([(s - study["compile_seconds"], h) for s, h in ours], lower),
        "peer_seconds_to_it": seconds_to(theirs, lower),
    }


def main(arguments: Arguments) -> None:
    """Measures all, writes and prints."""
    jaxrl.use_cpu_cores()
    problem = make_problem(jaxrl.make(f"mo/{arguments.environment}"))
    record: dict[str, Any] = {"machine": machine(), "members": MEMBERS, "studies": STUDIES, "few_steps": FEW_STEPS}
    record |= {"environment": arguments.environment, "settings": ENVIRONMENTS[arguments.environment][1]}
    results: dict[str, Any] = {}
    for name, own in STUDIES.items():
        if problem.num_objectives <= MOST_OBJECTIVES.get(name, problem.num_objectives):
            results[name] = run_study(name, own, arguments.study_steps, arguments)
    results["conditioned, the peer's steps"] = run_study("conditioned", FEW_STEPS, arguments.peer_steps, arguments)
    for name, row in results.items():
        quality = f"HV {np.mean(row['hypervolume']):.5g}, EU {np.mean(row['expected_utility']):.3f}"
        print(f"{name}: {row['steps_per_seed']} steps x {row['seeds']}, {row['seconds_all_seeds']:.0f} s, {quality}")
    peer = run_peer(problem, arguments)
    last = peer["curve"][-1]
    quality = f"HV {last['hypervolume']:.5g}, EU {last['expected_utility']:.3f}"
    print(f"envelope: {last['steps']} steps, {last['seconds']:.0f} s, {quality}")
    for name, row in results.items():
        row["beside_peer"] = compare(row, peer["curve"])
        print(name, row["beside_peer"])
    record |= {"jaxrl": results, "morl-baselines, envelope": peer}
    path = arguments.folder / f"{arguments.environment.replace('-', '_')}_fronts.json"
    path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
