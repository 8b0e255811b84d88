"""What a GPU does, in one table, in under ten minutes: sweeps, physics beside brax's PPO, fronts, meta-learning.

Every row is a process of its own, so that none finds memory taken, and has a share of the time that is left: one that
is not done by then is written as such, and the others go on. The JSON is written after each. Nothing is installed and
nothing is fetched; without a GPU the rows run on the CPU and say so, at toy size.

    python experiments/benchmarks/gpu.py                # writes results/benchmarks/gpu.json
    python experiments/benchmarks/gpu.py --size toy --out runs/gpu.json --rows cartpole minatar
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parents[2] / "results" / "benchmarks" / "gpu.json"

# Settings of brax's own training scripts, of its unrolls of 20 steps: ours collects as many samples between updates.
BRAX = {
    "hopper": {"discounting": 0.997, "learning_rate": 6e-4, "entropy_cost": 1e-2, "reward_scaling": 30.0},
    "halfcheetah": {"discounting": 0.95, "learning_rate": 3e-4, "entropy_cost": 1e-3, "reward_scaling": 1.0},
}
BRAX_SIZES = {
    "full": {"steps": 6_553_600, "num_envs": 2048, "batch_size": 512, "num_minibatches": 32, "epochs": 8},
    "toy": {"steps": 640, "num_envs": 8, "batch_size": 4, "num_minibatches": 4, "epochs": 2},
}
UNROLL = 20


def swept(trainer: Any, **sweep: Any) -> dict[str, Any]:
    """Runs a sweep; its steps, seconds and last scores."""
    import numpy as np

    import jaxrl

    start = time.perf_counter()
    found = jaxrl.sweep(trainer, say=lambda _: None, **sweep)
    total = time.perf_counter() - start
    group = found.groups[0]
    last = found.table.groupby("member").tail(1)
    steps = int(group.evaluation_steps[:, -1].sum())
    return {
        "members": found.num_members,
        "environment_steps": steps,
        "seconds": total,
        "compile_seconds": group.timing.compile_seconds,
        "run_seconds": group.timing.run_seconds,
        "steps_per_second": steps / group.timing.run_seconds,
        **{name: float(np.nanmean(last[name])) for name in found.trainer.summary if name in last},
    }


def cartpole(size: str) -> dict[str, Any]:
    """2,048 agents of PPO on CartPole, each with a seed of its own."""
    import jaxrl

    members, steps = {"full": (2048, 131_072), "toy": (4, 2_048)}[size]
    return swept(jaxrl.trainer("ppo", "gymnax/CartPole-v1", total_steps=steps, num_evaluations=2), seeds=members)


def minatar(size: str) -> dict[str, Any]:
    """PPO on MinAtar's Breakout."""
    import jaxrl

    members, settings = {
        "full": (16, {"total_steps": 4_000_000, "num_envs": 128, "num_steps": 64, "num_minibatches": 8}),
        "toy": (2, {"total_steps": 512, "num_envs": 4, "num_steps": 16, "evaluation_episodes": 2}),
    }[size]
    return swept(jaxrl.trainer("ppo", "gymnax/Breakout-MinAtar", num_evaluations=2, **settings), seeds=members)


def brax_ppo(task: str, size: str) -> dict[str, Any]:
    """PPO on a task of brax with brax's settings."""
    import jaxrl

    sizes, own = BRAX_SIZES[size], BRAX[task]
    steps = UNROLL * sizes["batch_size"] * sizes["num_minibatches"] // sizes["num_envs"]
    trainer = jaxrl.trainer(
        "ppo", f"brax/{task}", total_steps=sizes["steps"], num_envs=sizes["num_envs"], num_steps=steps,
        num_minibatches=sizes["num_minibatches"], num_epochs=sizes["epochs"], learning_rate=own["learning_rate"],
        anneal_learning_rate=False, discount=own["discounting"], entropy_coefficient=own["entropy_cost"],
        clip_epsilon=0.3, normalise_observations=True, normalise_rewards=True, distribution="tanh_gaussian",
        hidden_sizes=(32, 32, 32, 32), activation="swish", num_evaluations=2,
        evaluation_episodes=128 if size == "full" else 2,
    )  # fmt: skip
    return swept(trainer)


def brax_peer(task: str, size: str) -> dict[str, Any]:
    """brax.training's PPO, same settings and engine, on one device as ours; compilation is in its seconds."""
    from _brax_jax import give_back_device_put_replicated
    from brax import envs
    from brax.training.agents.ppo.train import train

    defined, sizes, seen = give_back_device_put_replicated(), BRAX_SIZES[size], []
    start = time.perf_counter()
    train(
        envs.get_environment(task, backend="spring"), num_timesteps=sizes["steps"], num_envs=sizes["num_envs"],
        episode_length=1000, unroll_length=UNROLL, batch_size=sizes["batch_size"],
        num_minibatches=sizes["num_minibatches"], num_updates_per_batch=sizes["epochs"], normalize_observations=True,
        num_evals=3, num_eval_envs=128 if size == "full" else 2, max_devices_per_host=1,
        progress_fn=lambda steps, metrics: seen.append((steps, metrics)), **BRAX[task],
    )  # fmt: skip
    total = time.perf_counter() - start
    steps, metrics = seen[-1]
    return {
        "members": 1,
        "environment_steps": int(steps),
        "seconds": total,
        "steps_per_second": float(metrics["training/sps"]),
        "return": float(metrics["eval/episode_reward"]),
        "device_put_replicated_defined_for_it": defined,
    }


def morl(size: str) -> dict[str, Any]:
    """A Pareto sweep on the two objectives of mo/halfcheetah."""
    import jaxrl

    weights, seeds, settings = {
        "full": (16, 2, {"total_steps": 1_000_000, "num_envs": 64, "num_steps": 128, "num_minibatches": 16}),
        "toy": (2, 1, {"total_steps": 64, "num_envs": 2, "num_steps": 16, "evaluation_episodes": 1}),
    }[size]
    trainer = jaxrl.trainer("ppo", "mo/halfcheetah", num_evaluations=2, **settings)
    return swept(trainer, weights=weights, seeds=seeds)


def mt10(size: str) -> dict[str, Any]:
    """One policy for the ten tasks of Meta-World."""
    import jaxrl

    settings = {
        "full": {"total_steps": 2_000_000, "num_envs": 320, "num_steps": 250, "num_minibatches": 8},
        "toy": {"total_steps": 80, "num_envs": 10, "num_steps": 8, "evaluation_episodes": 1, "num_minibatches": 2},
    }[size]
    trainer = jaxrl.trainer(
        "ppo", "metaworld/mt10", multi_head=True, normalise_observations=True, normalise_rewards=True,
        num_evaluations=1, **settings,
    )  # fmt: skip
    return swept(trainer)


def lpg(size: str) -> dict[str, Any]:
    """Meta-gradients of LPG in the setting that groove is measured in."""
    import jax
    import numpy as np
    from _jaxrl_lpg import build
    from _protocol import compile_then_run

    from jaxrl.training.loop import scan_steps

    sizes = {
        "full": {"lifetime": 250, "num_agents": 512, "num_envs": 64, "width": 256, "meta_steps": 50},
        "toy": {"lifetime": 10, "num_agents": 2, "num_envs": 2, "width": 8, "meta_steps": 2},
    }[size]
    settings = {
        "levels": "small", "num_steps": 20, "unroll": 5, "outputs": 8, "buffer_size": 256, "curriculum": "uniform",
        **sizes,
    }  # fmt: skip
    study = build(settings)

    def run(key: jax.Array, hyperparameters: object) -> jax.Array:
        start = study.init(key, hyperparameters)
        result = scan_steps(study.step, start, hyperparameters, settings["meta_steps"], np.zeros(1, int))
        return result.metrics["episode_return"]

    start = time.perf_counter()
    returns, seconds = compile_then_run(run, jax.random.key(0), study.hyperparameters, budget_seconds=1.0)
    steps = settings["meta_steps"] * study.steps_per_iteration
    return {
        "members": sizes["num_agents"],
        "environment_steps": steps,
        "seconds": time.perf_counter() - start,
        "compile_seconds": seconds["compile_seconds"],
        "run_seconds": seconds["run_seconds"],
        "steps_per_second": steps / seconds["run_seconds"],
        "return": float(np.nanmean(returns[-1])),
    }


ROWS: dict[str, Callable[[str], dict[str, Any]]] = {
    "cartpole": cartpole,
    "minatar": minatar,
    "hopper": partial(brax_ppo, "hopper"),
    "hopper, brax": partial(brax_peer, "hopper"),
    "halfcheetah": partial(brax_ppo, "halfcheetah"),
    "halfcheetah, brax": partial(brax_peer, "halfcheetah"),
    "morl halfcheetah": morl,
    "lpg": lpg,
    "mt10": mt10,
}


def in_its_own_process(row: str, size: str, seconds: float) -> dict[str, Any]:
    """A row's numbers, or why there are none."""
    words = [sys.executable, __file__, "--one", row, "--size", size]
    # Else the last line of an error is about what JAX leaves out of it.
    environment = {**os.environ, "JAX_TRACEBACK_FILTERING": "off"}
    try:
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {seconds:.0f} s"}
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1][:300] if done.stderr.strip() else "ended without a word"}
    return json.loads(done.stdout.splitlines()[-1])


def write(out: Path, found: dict[str, Any]) -> None:
    """All rows so far, with how often ours is as fast as brax's."""
    ratios = {
        task: found[task]["steps_per_second"] / found[f"{task}, brax"]["steps_per_second"]
        for task in BRAX
        if all("steps_per_second" in found.get(row, {}) for row in (task, f"{task}, brax"))
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"rows": found, "times_as_fast_as_brax": ratios}, indent=1) + "\n")


def main() -> None:
    """Measures all rows within the time, and prints them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--size", choices=("full", "toy"), default="full")
    parser.add_argument("--minutes", type=float, default=9.5)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--one", choices=ROWS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        import jax

        device = jax.devices()[0]
        print(json.dumps({"device": device.device_kind, "jax": jax.__version__, **ROWS[arguments.one](arguments.size)}))
        return
    found: dict[str, Any] = {}
    end = time.monotonic() + 60 * arguments.minutes
    for index, row in enumerate(arguments.rows):
        # Twice an equal share: most need less.
        share = 2 * (end - time.monotonic()) / (len(arguments.rows) - index)
        found[row] = in_its_own_process(row, arguments.size, min(share, end - time.monotonic()))
        print(row, found[row], flush=True)
        write(arguments.out, found)


if __name__ == "__main__":
    main()
