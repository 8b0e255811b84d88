"""Populations: one program for 64 weights x 8 seeds against 512 calls, and PGMORL beside morl-baselines.

    python experiments/benchmarks/populations.py

The 512 runs of scalarised PPO are done as one compiled program (`jaxrl.sweep`), as 512 calls of one compiled function,
and, on a sample, as 512 programs that each compile for themselves, as scripts started one by one do. The peer's PGMORL
and jaxrl's then learn the same environment with the same sizes of population, rollouts, minibatches and epochs; both
clocks run through evaluation, and jaxrl's speed is given without compilation and with it. Writes
results/benchmarks/populations.json.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from contenders import machine
from peers import ROOT, interpreter, run_contender

import jaxrl
from jaxrl.morl.problem import make_problem, measure
from jaxrl.numerics.weights import equally_spaced

RUN = {"num_envs": 8, "num_steps": 64, "num_evaluations": 1, "evaluation_episodes": 2}
GENERATIONS: dict[str, Any] = {
    "num_envs": 4,
    "num_steps": 2048,
    "num_minibatches": 32,
    "num_epochs": 10,
    "discount": 0.99,
    "num_members": 6,
}


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    environment: str = "mo/deep-sea-treasure"
    """Environment of the 512 runs."""
    steps: int = 16_384
    """Environment steps of each of them."""
    weights: int = 64
    """Preference weights."""
    seeds: int = 8
    """Seeds."""
    sample: int = 3
    """Runs that are compiled anew each."""
    warmup_iterations: int = 4
    """PGMORL's iterations before the first selection."""
    evolutionary_iterations: int = 4
    """PGMORL's iterations after it."""
    output: Path = ROOT / "results" / "benchmarks" / "populations.json"
    """Where the measurements are written."""


def one_program(arguments: Arguments) -> dict[str, float]:
    """All runs on one member axis."""
    start = time.perf_counter()
    trainer = jaxrl.trainer("ppo", arguments.environment, total_steps=arguments.steps, **RUN)
    sweep = jaxrl.sweep(trainer, seeds=arguments.seeds, weights=arguments.weights)
    returns = sweep.final_returns()
    timing = sweep.groups[0].timing
    return {
        "seconds": time.perf_counter() - start,
        "compile_seconds": timing.compile_seconds,
        "run_seconds": timing.run_seconds,
        "mean_return": returns.mean(axis=0).tolist(),
    }


def separate_calls(arguments: Arguments) -> dict[str, float]:
    """The same runs, one call each of one compiled function."""
    weights = equally_spaced(jaxrl.make(arguments.environment).spec.num_objectives, arguments.weights)
    start = time.perf_counter()
    trainer = jaxrl.trainer("ppo", arguments.environment, total_steps=arguments.steps, **RUN)
    hyperparameters = trainer.hyperparameters
    run = jax.jit(trainer.run).lower(jax.random.key(0), hyperparameters).compile()
    compiled = time.perf_counter() - start
    returns = []
    for weight in weights:
        for seed in range(arguments.seeds):
            result = run(jax.random.key(seed), hyperparameters._replace(weights=weight))
            returns.append(np.asarray(result.evaluation.returns[-1]))
    return {
        "seconds": time.perf_counter() - start,
        "compile_seconds": compiled,
        "mean_return": np.mean(returns, axis=0).tolist(),
    }


def separate_programs(arguments: Arguments) -> dict[str, float]:
    """The same again with a compilation for every run; the time of all from that of a few."""
    start = time.perf_counter()
    for seed in range(arguments.sample):
        jax.clear_caches()
        trainer = jaxrl.trainer("ppo", arguments.environment, total_steps=arguments.steps, **RUN)
        jax.block_until_ready(jax.jit(trainer.run)(jax.random.key(seed), trainer.hyperparameters))
    seconds = time.perf_counter() - start
    return {
        "runs_measured": arguments.sample,
        "seconds": seconds * arguments.weights * arguments.seeds / arguments.sample,
    }


def our_generations(arguments: Arguments, seeds: int) -> dict[str, Any]:
    """jaxrl's PGMORL; every seed has a core, and the front is that of the first."""
    start = time.perf_counter()
    iterations = arguments.warmup_iterations + arguments.evolutionary_iterations
    per_iteration = GENERATIONS["num_envs"] * GENERATIONS["num_steps"] * GENERATIONS["num_members"]
    study = jaxrl.study(
        "pgmorl",
        "mo/mountaincar-continuous",
        total_steps=iterations * per_iteration,
        num_evaluations=iterations,
        evaluations_per_generation=arguments.evolutionary_iterations,
        warm_up_share=arguments.warmup_iterations / iterations,
        evaluation_episodes=5,
        **GENERATIONS,
    )
    sweep = jaxrl.sweep(study, seeds=seeds)
    found = jaxrl.front(sweep, num_episodes=5)
    timing, steps = sweep.groups[0].timing, int(study.iteration_steps.sum()) * seeds
    return {
        "env_steps": steps,
        "seconds": time.perf_counter() - start,
        "compile_seconds": timing.compile_seconds,
        "run_seconds": timing.run_seconds,
        "points": np.asarray(found.points[found.labels["seed"] == 0]).tolist(),
    }


def peer_generations(arguments: Arguments) -> dict[str, Any]:
    """morl-baselines' PGMORL."""
    environment = jaxrl.make("mo/mountaincar-continuous")
    settings = {
        **GENERATIONS,
        "environment": "mo-mountaincarcontinuous-v0",
        "reference_point": list(environment.spec.reference_point),
        "warmup_iterations": arguments.warmup_iterations,
        "evolutionary_iterations": arguments.evolutionary_iterations,
        "num_threads": 2,
        "seed": 0,
    }
    return run_contender(interpreter("morl-baselines"), "_morl_baselines_pgmorl.py", settings)


def main(arguments: Arguments) -> None:
    """Measures all and prints the ratios."""
    jaxrl.use_cpu_cores()
    report: dict[str, Any] = {"machine": machine(), "run": RUN, "generations": GENERATIONS}
    report |= {"arguments": {key: value for key, value in vars(arguments).items() if key != "output"}}
    report["one program"] = one_program(arguments)
    report["separate calls"] = separate_calls(arguments)
    report["separate programs"] = separate_programs(arguments)
    whole = report["one program"]["seconds"]
    for name in ("separate calls", "separate programs"):
        print(f"{name}: {report[name]['seconds']:.0f} s, {report[name]['seconds'] / whole:.1f} times one program's")
    peer = report["morl-baselines pgmorl"] = peer_generations(arguments)
    speed = peer["env_steps"] / peer["run_seconds"]
    print(f"pgmorl by the peer: {speed:,.0f} steps/s")
    problem = make_problem(jaxrl.make("mo/mountaincar-continuous"))
    peer["hypervolume"] = float(measure(problem, jnp.asarray(peer["points"], jnp.float32))["hypervolume"])
    for seeds in (1, 2):
        row = report[f"jaxrl pgmorl, seeds={seeds}"] = our_generations(arguments, seeds)
        row["hypervolume"] = float(measure(problem, jnp.asarray(row["points"], jnp.float32))["hypervolume"])
        row["ratio"] = row["env_steps"] / row["run_seconds"] / speed
        row["ratio_with_compilation"] = row["env_steps"] / row["seconds"] / speed
        print(f"{seeds} seeds: {row['ratio']:.1f} times, {row['ratio_with_compilation']:.1f} with compilation")
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
