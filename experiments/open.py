"""OPEN on small grid-worlds: an optimiser that is evolved, beside tuned SGD and tuned Adam on levels held out.

    python experiments/open.py [ppo|dqn]

PPO, or DQN, with small networks learns levels of 3x3 cells; three meta-seeds, and the untrained optimiser as control,
which changes nothing. Returns of held-out levels are normalised: 0 is a uniform policy (exact), 1 tuned Adam; learning
rates of Adam and SGD are the best on levels of their own. Writes results/meta/open.{json,png}, or open_dqn.
"""

import json
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxrl
from jaxrl import plotting
from jaxrl.environments.base import Environment
from jaxrl.environments.grid import grid, random_levels, uniform_return
from jaxrl.meta import MetaStudy, evolve, make_tasks
from jaxrl.meta.held_out import held_out_key, held_out_tasks, learn_tasks

RESULTS = Path(__file__).parents[1] / "results" / "meta"
HORIZON, LIMIT, META_SEEDS, HELD_OUT = 30, 20, 3, 256
NAME = sys.argv[1] if len(sys.argv) > 1 else "ppo"
FILE = {"ppo": "open", "dqn": "open_dqn"}[NAME]
AGENTS: dict[str, dict[str, Any]] = {
    "ppo": {
        "num_envs": 8,
        "num_steps": 20,
        "network": "mlp",
        "hidden_sizes": (4,),
        "num_epochs": 2,
        "num_minibatches": 1,
        "anneal_learning_rate": False,
        "num_evaluations": 1,
    },
    "dqn": {
        "num_envs": 8,
        "num_steps": 5,
        "num_updates": 4,
        "batch_size": 32,
        "buffer_size": 2_400,
        "learning_starts": 80,
        "network": "mlp",
        "hidden_sizes": (8,),
        "target_rate": 0.1,
        "epsilon_fraction": 0.5,
        "num_evaluations": 1,
    },
}
AGENT = AGENTS[NAME]
RATES = {"sgd": (0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0), "adam": (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3)}
# Steps are larger than the paper's 1e-3, because lives are 60 updates long.
OPEN = {"optimiser": "open", "learning_rate": 0.1}
OUTER = {
    "population_size": 32,
    "num_generations": 100,
    "learning_rate": 0.03,
    "deviation": 0.1,
    "shaping": "centred_rank",
    "num_evaluations": 10,
    "evaluation_tasks": HELD_OUT,
}


@cache
def environment() -> Environment:
    """Levels of 3x3 cells with two objects."""
    return grid(random_levels("minute", (3, 3), (2, 2), (LIMIT, LIMIT)))


def learner(**settings: Any) -> jaxrl.Trainer:
    """An agent that lives for one horizon."""
    steps = HORIZON * AGENT["num_envs"] * AGENT["num_steps"]
    return jaxrl.trainer(NAME, environment(), total_steps=steps, **{**AGENT, **settings})


def tuned(optimiser: str) -> dict[str, float]:
    """The best learning rate on other levels, and the mean final return with it on the held-out ones."""
    trainer, tasks = learner(optimiser=optimiser), make_tasks(environment(), HORIZON)

    @jax.jit
    def final(rate: jax.Array, key: jax.Array) -> jax.Array:
        hyperparameters = trainer.hyperparameters._replace(learning_rate=rate)
        return learn_tasks(trainer, tasks, key, hyperparameters, HELD_OUT).final.mean()

    tuning_key = jax.random.fold_in(held_out_key(), 1)
    best = max(RATES[optimiser], key=lambda rate: float(final(rate, tuning_key)))
    return {"learning_rate": best, "return": float(final(best, held_out_key()))}


def uniform() -> float:
    """Mean held-out return of a uniform policy."""
    levels = held_out_tasks(make_tasks(environment(), HORIZON), HELD_OUT).environment
    return float(jax.jit(jax.vmap(lambda level: uniform_return(level, LIMIT)))(levels).mean())


def untrained(study: MetaStudy) -> float:
    """Mean held-out return with an initial optimiser, whose random layers lead to an output of zero."""
    value = study.value(study.init(jax.random.key(0), study.hyperparameters))
    test = jax.jit(lambda value: study.test(held_out_key(), value, study.hyperparameters, HELD_OUT).final.mean())
    return float(test(value))


def draw(curves: np.ndarray, generations: np.ndarray, anchors: dict[str, float]) -> None:
    """Normalised held-out return `[meta-seed, evaluation]` over generations, beside tuned optimisers."""
    figure = plotting.new_figure(7.0, 3.6)
    axes = figure.subplots()
    from_start = np.concatenate([np.full((len(curves), 1), anchors["untrained"]), curves], axis=1)
    plotting.runs(axes, [0, *generations], from_start, 0, "OPEN")
    for index, (name, value) in enumerate(anchors.items()):
        if name != "untrained":
            axes.axhline(value, color="#8A8A8A", linewidth=0.9, linestyle=("--", ":", "-")[index], label=name)
    plotting.style_axes(axes, "generations", "held-out return (0 uniform, 1 Adam)")
    plotting.add_legend(figure, axes)
    plotting.note(figure, f"thin: each of {len(curves)} meta-seeds; thick: their mean; at 0 the untrained optimiser")
    plotting.save(figure, RESULTS / f"{FILE}.png")


def redraw() -> None:
    """The figure again, from the record."""
    record = json.loads((RESULTS / f"{FILE}.json").read_text())
    curves = np.asarray(list(record["curves"].values()))
    generations = np.linspace(0.0, record["outer"]["num_generations"], curves.shape[1] + 1)[1:]
    anchors = {name: value for name, value in record["normalised"].items() if name != "OPEN"}
    draw(curves, generations, anchors)


def main() -> None:
    """Meta-trains, tests and writes."""
    jaxrl.use_cpu_cores()
    RESULTS.mkdir(parents=True, exist_ok=True)
    scale = {"uniform": uniform(), **{name: tuned(name) for name in RATES}}
    print(scale, flush=True)
    low, high = scale["uniform"], scale["adam"]["return"]
    normalised = lambda value: (value - low) / (high - low)  # noqa: E731
    study = evolve(learner(**OPEN), make_tasks(environment(), HORIZON), "optimiser", **OUTER)
    began = time.perf_counter()
    swept = jaxrl.sweep(study, seeds=META_SEEDS, say=lambda _: None)
    seconds = time.perf_counter() - began
    table = swept.table[["seed", "steps", "final_return"]]
    table = table.assign(normalised=normalised(table["final_return"]))
    final = table[table["steps"] == table["steps"].max()]["normalised"]
    anchors = {
        "untrained": normalised(untrained(study)),
        "tuned SGD": normalised(scale["sgd"]["return"]),
        "tuned Adam": 1.0,
    }
    curves = {int(seed): np.round(rows["normalised"], 4).tolist() for seed, rows in table.groupby("seed")}
    record = {"agent": AGENT, "open": OPEN, "outer": OUTER, "horizon": HORIZON, "held_out": HELD_OUT, "returns": scale}
    record |= {"normalised": {**anchors, "OPEN": final.tolist()}, "curves": curves, "seconds_all_seeds": seconds}
    (RESULTS / f"{FILE}.json").write_text(json.dumps(record, indent=1) + "\n")
    print(record["normalised"], f"{seconds:.0f} s", flush=True)
    redraw()


if __name__ == "__main__":
    main()
