"""DiscoRL: the published rule on Catch, and a small rule of the same kind that is meta-trained on tiny grid-worlds.

    python experiments/disco.py catch --parameters disco_103.npz   # your own copy
    python experiments/disco.py catch                              # random rules
    python experiments/disco.py meta

Catch is 5x5, learnt on-policy by 16 copies and an MLP in 750 updates of 29 steps; a return of 1 is perfect, a uniform
policy has -0.6. Meta-training is by meta-gradient through 5 updates of 16 agents, tested on levels that it never saw,
beside the random rule that it began from. Writes results/meta/disco.{json,png}; every call replaces its own part.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxrl
from jaxrl import plotting
from jaxrl.environments.grid import uniform_return
from jaxrl.meta import MetaStudy, differentiate, make_tasks
from jaxrl.meta.held_out import held_out_key, held_out_tasks
from jaxrl.meta.methods import METHODS

RESULTS = Path(__file__).parents[1] / "results" / "meta"
CATCH: dict[str, Any] = {
    "total_steps": 750 * 16 * 29,
    "num_evaluations": 15,
    "evaluation_episodes": 256,
    "learning_rate": 1e-2,
    "hidden_sizes": (64, 64),
}
TASKS, HORIZON, HELD_OUT = "grid/tiny", 50, 64
LIFE: dict[str, Any] = {"num_envs": 8, "num_steps": 20, "network": "table", "num_evaluations": 1}
RULE: dict[str, Any] = {
    "num_predictions": 8,
    "num_bins": 31,
    "max_value": 5.0,
    "trajectory_size": 32,
    "lifetime_size": 16,
    "learning_rate": 0.1,
    "discount": 0.99,
}
OUTER: dict[str, Any] = {
    **METHODS["disco"].outer_settings,
    "unroll": 5,
    "num_agents": 16,
    "num_meta_steps": 500,
    "learning_rate": 2e-3,
    "discount": 0.99,
    "critic_network": "table",
    "critic_learning_rate": 0.1,
    "num_evaluations": 10,
    "evaluation_tasks": HELD_OUT,
}


def learn_catch(parameters: str, seeds: int) -> dict[str, Any]:
    """Mean returns of evaluations, one row per seed."""
    environment = jaxrl.make("gymnax/Catch-bsuite", rows=5, columns=5)
    trainer = jaxrl.trainer("disco", environment, parameters=parameters, **CATCH)
    keys = jax.random.split(jax.random.key(0), seeds)
    rules = jax.vmap(trainer.agent.initialisers["objective"])(keys)
    began = time.perf_counter()
    run = jax.jit(
        jax.vmap(lambda key, rule: trainer.run(key, trainer.hyperparameters._replace(objective=rule)).evaluation)
    )
    program = run.lower(keys, rules).compile()
    compiled = time.perf_counter()
    returns = np.asarray(program(keys, rules).returns)[..., 0]
    ended = time.perf_counter()
    return {
        "updates": (trainer.evaluation_iterations + 1).tolist(),
        "returns": returns.tolist(),
        "final": returns[:, -1].tolist(),
        "compile_seconds": compiled - began,
        "seconds_per_update_and_seed": (ended - compiled) / trainer.num_iterations / seeds,
    }


def meta_study() -> MetaStudy:
    """Meta-gradients around a tabular agent."""
    steps = HORIZON * LIFE["num_envs"] * LIFE["num_steps"]
    inner = jaxrl.trainer("disco", TASKS, total_steps=steps, **LIFE, **RULE)
    return differentiate(inner, make_tasks(TASKS, HORIZON), **OUTER)


def uniform() -> float:
    """Mean held-out return of a uniform policy, exact."""
    tasks = make_tasks(TASKS, HORIZON)
    levels, limit = held_out_tasks(tasks, HELD_OUT).environment, tasks.environment.spec.time_limit
    return float(jax.jit(jax.vmap(lambda level: uniform_return(level, limit)))(levels).mean())


def meta_train(seeds: int) -> dict[str, Any]:
    """Mean held-out returns of every meta-seed, before meta-training and along it."""
    study = meta_study()

    def untrained(seed: jax.Array) -> jax.Array:
        value = study.value(study.init(jax.random.key(seed), study.hyperparameters))
        return study.test(held_out_key(), value, study.hyperparameters, HELD_OUT).final.mean()

    before = jax.jit(jax.vmap(untrained))(np.arange(seeds))
    swept = jaxrl.sweep(study, seeds=seeds, say=lambda _: None)
    timing = swept.groups[0].timing
    curves = np.asarray(swept.groups[0].result.evaluation.final_return)
    return {
        "uniform": uniform(),
        "updates_of_the_rule": (study.evaluation_iterations + 1).tolist(),
        "untrained": np.asarray(before).tolist(),
        "curves": curves.tolist(),
        "trained": curves[:, -1].tolist(),
        "compile_seconds": timing.compile_seconds,
        "run_seconds_all_seeds": timing.run_seconds,
    }


def draw(record: dict[str, Any]) -> None:
    """Catch under both rules, and held-out returns along meta-training."""
    figure = plotting.new_figure(10.5, 3.4)
    left, right = figure.subplots(1, 2)
    for index, name in enumerate(("published", "random")):
        found = record.get("catch", {}).get(name)
        if found:
            label = f"{name} rule, {len(found['returns'])} seeds"
            plotting.runs(left, found["updates"], found["returns"], index, label)
    plotting.style_axes(left, "updates of the agent, 5x5 Catch", "return")
    left.set_ylim(-1.05, 1.6)
    meta = record.get("meta")
    if meta:
        curves = [[start, *curve] for start, curve in zip(meta["untrained"], meta["curves"], strict=True)]
        label = f"meta-trained on other levels, {len(curves)} meta-seeds"
        plotting.runs(right, [0, *meta["updates_of_the_rule"]], curves, 2, label)
        right.axhline(meta["uniform"], color="#8A8A8A", linewidth=0.8, label="uniform policy")
    plotting.style_axes(right, "updates of the rule, tiny grids", "return on held-out levels")
    for axes, place in ((left, "upper right"), (right, "lower right")):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=9, loc=place, bbox_to_anchor=(1.0, 0.06) if axes is right else None)
    plotting.note(figure, "thin: every seed; thick: their mean")
    plotting.save(figure, RESULTS / "disco.png")


def redraw() -> None:
    """The figure again, from the record."""
    draw(json.loads((RESULTS / "disco.json").read_text()))


def main() -> None:
    """Runs one part and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=("catch", "meta"))
    parser.add_argument("--parameters", default="", help="your own copy of disco_103.npz")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    jaxrl.use_cpu_cores()
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / "disco.json"
    record = json.loads(path.read_text()) if path.exists() else {}
    if options.part == "catch":
        # Without a file, only the random rule.
        name = "published" if options.parameters else "random"
        record["catch"] = {
            **record.get("catch", {}),
            "settings": CATCH,
            name: learn_catch(options.parameters, options.seeds),
        }
        print(name, record["catch"][name], flush=True)
    else:
        settings = {
            "tasks": TASKS,
            "horizon": HORIZON,
            "held_out": HELD_OUT,
            "life": LIFE,
            "rule": RULE,
            "outer": OUTER,
        }
        record["meta"] = {"settings": settings, **meta_train(options.seeds)}
        print(record["meta"], flush=True)
    path.write_text(json.dumps(record, indent=1) + "\n")
    draw(record)


if __name__ == "__main__":
    main()
