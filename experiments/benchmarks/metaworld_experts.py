"""Scripted policies on Meta-World here and on the original, over the same variations; and steps per second of both.

The original runs its own policies in MuJoCo, in an environment of its own; jaxrl runs its own (`experts.py`) on MJX,
all variations as one batch. An episode is solved if success is seen in any of its steps. Speeds are steps per second of
processor time, which other load on the machine disturbs less than the clock: of the original, stepping alone, one
environment at a time; of jaxrl, the whole batched episode with the policy in it, compiling counted apart. Tasks that
the result file already has are replaced.

    python experiments/benchmarks/metaworld_experts.py --tasks reach push
    python experiments/benchmarks/metaworld_experts.py
"""

import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from contenders import machine
from peers import ROOT, interpreter, run_contender

import jaxrl
from jaxrl.environments import make
from jaxrl.environments.base import Environment
from jaxrl.environments.metaworld import TASKS, MetaWorldParams, expert
from jaxrl.types import Array

# Where the original places the fixture instead of the goal.
_PLACES_FIXTURE = ("peg-insert-side", "basketball")
# Where it places the fixture instead of the object: at which offset from it.
_NAMES_FIXTURE = {"peg-unplug-side": (-0.044, 0.0, -0.131)}


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    tasks: tuple[str, ...] = tuple(TASKS)
    """Tasks, without the prefix `metaworld/`."""
    num_variations: int = 20
    """Variations of each task."""
    limit: int = 500
    """Steps of an episode."""
    seed: int = 0
    """Of the variations."""
    output: Path = ROOT / "results" / "benchmarks" / "metaworld_experts.json"
    """Where results are collected."""


def vectors(name: str, params: MetaWorldParams) -> list[list[float]]:
    """The variations as the original's random vectors."""
    place, goal = np.asarray(params.object, float), np.asarray(params.goal, float)
    if name in _NAMES_FIXTURE:
        return (place + np.array(_NAMES_FIXTURE[name])).tolist()
    if name == "disassemble":  # draws a second place that it does not use, apart from the first
        return np.concatenate([place, place - np.array([0.0, 0.2, 0.0])], axis=1).tolist()
    if TASKS[name].relative or name == "hammer":
        return place.tolist()
    goal = goal + np.array(TASKS[name].fixture) if name in _PLACES_FIXTURE else goal
    return np.concatenate([place, goal], axis=1).tolist()


def play(environment: Environment, name: str, limit: int, params: MetaWorldParams) -> tuple[Array, Array]:
    """Success [time] and reward [time] of one episode of the scripted policy."""
    act, key = expert(name), jax.random.key(0)

    def step(carry: tuple, _: None) -> tuple[tuple, tuple]:
        state, observation = carry
        state, timestep = environment.step(key, state, act(observation), params)
        return (state, timestep.observation), (timestep.info["success"], timestep.reward[0])

    return jax.lax.scan(step, environment.reset(key, params), None, length=limit)[1]


def ours(name: str, arguments: Arguments) -> tuple[dict[str, Any], MetaWorldParams]:
    """Plays all variations at once."""
    environment = make(f"metaworld/{name}", limit=arguments.limit)
    keys = jax.random.split(jax.random.key(arguments.seed), arguments.num_variations)
    # One set of physical constants for the whole batch.
    params = jax.vmap(environment.sample_params)(keys)._replace(physics=environment.params.physics)
    axes = MetaWorldParams(0, 0, None)
    began = time.process_time()
    run = jax.jit(jax.vmap(partial(play, environment, name, arguments.limit), in_axes=(axes,))).lower(params).compile()
    compile_seconds, began = time.process_time() - began, time.process_time()
    success, reward = jax.device_get(run(params))
    seconds = time.process_time() - began
    solved = [int(row.argmax()) if row.any() else None for row in success]
    returns = reward.sum(axis=1).tolist()
    return (
        {
            "solved": solved,
            "returns": returns,
            "steps_per_processor_second": success.size / seconds,
            "compile_processor_seconds": compile_seconds,
        },
        params,
    )


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """Rate of success, median step of it, mean return, speed."""
    steps = [step for step in result["solved"] if step is not None]
    return {
        "solved": len(steps),
        "median_step": float(np.median(steps)) if steps else None,
        "mean_return": round(float(np.mean(result["returns"])), 1),
        "steps_per_processor_second": round(result["steps_per_processor_second"]),
    }


def main(arguments: Arguments) -> None:
    """Measures task after task and saves after each."""
    # What another run has compiled would make compiling look free.
    jax.config.update("jax_enable_compilation_cache", False)
    document = json.loads(arguments.output.read_text()) if arguments.output.exists() else {"tasks": {}}
    document |= {"machine": machine(), "settings": {"limit": arguments.limit, "seed": arguments.seed}}
    document["versions"] = {"jax": jax.__version__, "jaxrl": jaxrl.__version__}
    for name in arguments.tasks:
        mine, params = ours(name, arguments)
        settings = {"task": name, "variations": vectors(name, params), "limit": arguments.limit}
        original = run_contender(interpreter("metaworld"), "_metaworld_experts.py", settings)
        document["versions"] |= original["versions"]
        entry = {"variations": arguments.num_variations, "ours": summary(mine), "original": summary(original)}
        entry["ours"]["compile_processor_seconds"] = round(mine["compile_processor_seconds"], 1)
        document["tasks"][name] = entry
        arguments.output.write_text(json.dumps(document, indent=2) + "\n")
        print(name, entry["ours"], entry["original"], flush=True)
    counts = [(entry["ours"]["solved"], entry["original"]["solved"]) for entry in document["tasks"].values()]
    print("solved, ours and the original's:", jnp.sum(jnp.array(counts), axis=0))


if __name__ == "__main__":
    main(tyro.cli(Arguments))
