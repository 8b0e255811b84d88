"""Multi-task PPO on classic control and traffic: which way of putting tasks together learns more in equal steps.

    python experiments/multitask/multitask_ppo.py
    python experiments/multitask/multitask_ppo.py --families pendulum --methods pcgrad cagrad

Every method trains one policy, told its task, on all tasks of a family with the same seeds and steps: the plain
average, advantages normalised per task, gradients combined by PCGrad, CAGrad or the shortest convex combination, one
head per task. Scores are a task's return on a scale from an untrained policy (0) to a stated good one (1). Writes
results/multitask/multitask_ppo.{json,png} after every run; what was there of other families and methods stays.
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

import jaxrl
from jaxrl import plotting
from jaxrl.numerics.statistics import interquartile_mean, interval, probability_of_improvement

RESULTS = Path(__file__).parents[2] / "results" / "multitask"
SEEDS = 6
NUM_TASKS = 6
FAMILIES: dict[str, dict[str, Any]] = {
    "cart-pole": {"total_steps": 50_000, "learning_rate": 1e-3, "options": {"num_tasks": NUM_TASKS}},
    "pendulum": {
        "total_steps": 250_000,
        "learning_rate": 1e-3,
        "gae_lambda": 0.9,
        "discount": 0.95,
        "options": {"num_tasks": NUM_TASKS},
    },
    "acrobot": {"total_steps": 100_000, "learning_rate": 1e-3, "options": {"num_tasks": NUM_TASKS}},
    "highway": {"total_steps": 200_000, "learning_rate": 1e-3, "options": {"num_tasks": NUM_TASKS}},
}
# Returns that score 1: the most there is of cart-pole; of the others round numbers, stated, not measured.
GOOD = {"cart-pole": 500.0, "pendulum": -150.0, "acrobot": -80.0, "highway": 25.0}
TRAINING: dict[str, Any] = {
    "num_envs": 24,
    "num_steps": 128,
    "num_epochs": 4,
    "num_minibatches": 4,
    "entropy_coefficient": 0.001,
    "normalise_observations": True,
    "normalise_rewards": True,
    "num_evaluations": 6,
    "evaluation_episodes": 8,
}
METHODS: dict[str, dict[str, Any]] = {
    "average": {},
    "normalised per task": {"aggregator": "decoupled_normalisation"},
    "pcgrad": {"combination": "pcgrad"},
    "cagrad": {"combination": "cagrad"},
    "min_norm": {"combination": "min_norm"},
    "multi_head": {"multi_head": True},
}


@dataclass(frozen=True)
class Arguments:
    """What to run."""

    families: tuple[str, ...] = tuple(FAMILIES)
    """Families."""
    methods: tuple[str, ...] = tuple(METHODS)
    """Methods."""


def learn(name: str, method: str) -> dict[str, Any]:
    """Returns `[seed, evaluation, task]` of all seeds in one program, and those of untrained policies."""
    settings = dict(FAMILIES[name])
    options = settings.pop("options")
    environment = jaxrl.make(f"multitask/{name}", **options)
    trainer = jaxrl.trainer("ppo", environment, **{**TRAINING, **settings, **METHODS[method]})
    hp, keys = trainer.hyperparameters, jax.vmap(jax.random.key)(jnp.arange(SEEDS))
    run = jax.jit(jax.vmap(trainer.run, in_axes=(0, None))).lower(keys, hp)
    began = time.perf_counter()
    compiled = run.compile()
    compiled_after = time.perf_counter() - began
    returns = np.asarray(compiled(keys, hp).evaluation.returns, float)
    seconds = time.perf_counter() - began - compiled_after

    def untrained(key: jax.Array) -> jax.Array:
        return trainer.evaluate(key, trainer.init(key, hp).agent, hp).returns

    return {
        "steps": trainer.evaluation_steps.tolist(),
        "returns": np.round(returns, 2).tolist(),
        "untrained": np.round(np.asarray(jax.jit(jax.vmap(untrained))(keys), float), 2).tolist(),
        "compile_seconds": round(compiled_after, 1),
        "run_seconds": round(seconds, 1),
    }


def scores(name: str, found: dict[str, Any]) -> np.ndarray:
    """`[seed, evaluation, task]`: 0 for the mean untrained policy, 1 for a good one."""
    low = np.mean(found["untrained"], axis=0)
    return (np.asarray(found["returns"]) - low) / (GOOD[name] - low)


def measures(each: np.ndarray) -> dict[str, np.ndarray]:
    """`[seed, task]`: the score at the end, and its mean over evaluations, which says how fast it was reached."""
    return {"final": each[:, -1], "area": each.mean(axis=1)}


def summarise(record: dict[str, Any]) -> None:
    """Interquartile means with intervals, and how often a run of each method beats one of the average."""
    for name, runs in record["runs"].items():
        table = {}
        for method, found in runs.items():
            table[method] = {}
            for kind, each in measures(scores(name, found)).items():
                middle = round(float(interquartile_mean(each)), 3)
                table[method][kind] = {"iqm": middle, "interval": np.round(interval(each), 3).tolist()}
                if method != "average" and "average" in runs:
                    better = probability_of_improvement(each, measures(scores(name, runs["average"]))[kind])
                    table[method][kind]["better_than_average"] = [round(value, 2) for value in better]
        record["summary"][name] = table


def main(arguments: Arguments) -> None:
    """Runs, and writes after every method."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / "multitask_ppo.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"runs": {}, "summary": {}}
    record |= {"training": TRAINING, "families": FAMILIES, "methods": METHODS, "good": GOOD, "seeds": SEEDS}
    for name in arguments.families:
        for method in arguments.methods:
            record["runs"].setdefault(name, {})[method] = found = learn(name, method)
            summarise(record)
            shown = {key: found[key] for key in ("compile_seconds", "run_seconds")}
            print(name, method, record["summary"][name][method], shown, flush=True)
            path.write_text(json.dumps(record) + "\n")
    draw(record)


def draw(record: dict[str, Any]) -> None:
    """Interquartile means over training and at its end, with intervals."""
    from matplotlib.ticker import EngFormatter

    names = [name for name in FAMILIES if name in record["runs"]]
    figure = plotting.new_figure(13.0, 3.2 * len(names) + 0.4)
    for row, name in zip(figure.subplots(len(names), 2, squeeze=False), names, strict=True):
        runs = {method: record["runs"][name][method] for method in METHODS if method in record["runs"][name]}
        ends: dict[str, dict[str, tuple[float, float, float]]] = {"final": {}, "area": {}}
        for place, (method, found) in enumerate(runs.items()):
            each = scores(name, found)
            curve = interquartile_mean(np.moveaxis(each, 1, 0))
            row[0].plot(found["steps"], curve, label=method, markersize=4, **plotting.series_style(place))
            for kind, measure in measures(each).items():
                ends[kind][method] = (float(interquartile_mean(measure)), *interval(measure))
        label = "score: at the end (●), on average over training (■)"
        for index, (rows, color) in enumerate(zip(ends.values(), ("#222222", "#8A8A8A"), strict=True)):
            plotting.intervals_by_row(row[1], rows, label, index, color)
        plotting.style_axes(row[0], "environment steps", f"score, {name}")
        row[0].xaxis.set_major_formatter(EngFormatter(sep=""))
        row[1].set_title(name, fontsize=10, loc="left")
    plotting.add_legend(figure, figure.axes[0])
    seeds = record.get("seeds", SEEDS)
    plotting.note(
        figure, f"interquartile means over tasks and {seeds} seeds, bars: 95 % bootstrap intervals; 0 untrained, 1 good"
    )
    plotting.save(figure, RESULTS / "multitask_ppo.png")


def redraw() -> None:
    """The figure again, from the record."""
    draw(json.loads((RESULTS / "multitask_ppo.json").read_text()))


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
