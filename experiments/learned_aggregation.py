"""An aggregator evolved for hypervolume, beside the weighted sum that it starts from.

    python experiments/learned_aggregation.py

A2C with tables learns deep sea treasure under eight evenly spaced weights; the hypervolume of the eight final returns
is the fitness, for which a small network that reads advantages, weights and progress evolves, three meta-seeds. Tested
with fresh random numbers on the convex treasure, and on the concave and the mirrored one that it never saw. Writes
results/meta/learned_aggregation.{json,png}.
"""

import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl
from jaxrl import plotting
from jaxrl.meta import evolve, make_tasks
from jaxrl.meta.held_out import held_out_key, learn_tasks
from jaxrl.morl.pareto import hypervolume
from jaxrl.numerics.weights import equally_spaced

RESULTS = Path(__file__).parents[1] / "results" / "meta"
TRAINED, UNSEEN = "mo/deep-sea-treasure", ("mo/deep-sea-treasure-concave", "mo/deep-sea-treasure-mirrored")
HORIZON, WEIGHTS, META_SEEDS, RUNS = 80, 8, 3, 16
AGENT: dict[str, Any] = {
    "num_envs": 8,
    "num_steps": 16,
    "network": "table",
    "optimiser": "adam",
    "learning_rate": 0.1,
    "entropy_coefficient": 0.02,
    "anneal_learning_rate": False,
    "num_evaluations": 1,
}
OUTER: dict[str, Any] = {
    "population_size": 16,
    "num_generations": 60,
    "learning_rate": 0.03,
    "deviation": 0.1,
    "fitness": "hypervolume",
    "spread_weights": True,
    "tasks_per_candidate": WEIGHTS,
    "num_evaluations": 1,
    "evaluation_tasks": 8,
}


def learner(environment: str, aggregator: str) -> jaxrl.Trainer:
    """An agent that lives for one horizon."""
    steps = HORIZON * AGENT["num_envs"] * AGENT["num_steps"]
    return jaxrl.trainer("a2c", environment, total_steps=steps, aggregator=aggregator, **AGENT)


def hypervolumes(environment: str, aggregator: str, parameters: Any = None) -> np.ndarray:
    """Of `RUNS` fresh fronts of eight weights, `[run]`."""
    agent = learner(environment, aggregator)
    tasks, reference = make_tasks(environment, HORIZON), jnp.asarray(agent.environment.spec.reference_point)
    hyperparameters = agent.hyperparameters
    if parameters is not None:
        hyperparameters = hyperparameters._replace(aggregator=parameters)

    def final(weights: jax.Array) -> jax.Array:
        return learn_tasks(agent, tasks, held_out_key(), hyperparameters._replace(weights=weights), RUNS).final

    points = jax.jit(jax.vmap(final, out_axes=1))(equally_spaced(reference.size, WEIGHTS))
    return np.asarray(jax.vmap(lambda front: hypervolume(front, reference))(points))


def main() -> None:
    """Evolves, tests, writes."""
    jaxrl.use_cpu_cores()
    RESULTS.mkdir(parents=True, exist_ok=True)
    study = evolve(learner(TRAINED, "learned"), make_tasks(TRAINED, HORIZON), "aggregator", **OUTER)
    began = time.perf_counter()
    swept = jaxrl.sweep(study, seeds=META_SEEDS, say=lambda _: None)
    record: dict[str, Any] = {"agent": AGENT, "outer": OUTER, "horizon": HORIZON, "runs": RUNS}
    record["seconds_all_seeds"] = time.perf_counter() - began
    for environment in (TRAINED, *UNSEEN):
        found = {
            "weighted sum": hypervolumes(environment, "linear"),
            "weighted sum, standardised (untrained)": hypervolumes(environment, "learned"),
            "smooth Chebyshev": hypervolumes(environment, "smooth_chebyshev"),
        }
        for seed in range(META_SEEDS):
            found[f"learned, meta-seed {seed}"] = hypervolumes(environment, "learned", swept.learned(seed))
        record[environment] = {name: [float(v.mean()), float(v.std() / RUNS**0.5)] for name, v in found.items()}
        print(environment, record[environment], flush=True)
    (RESULTS / "learned_aggregation.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(record)


def draw(record: dict[str, Any]) -> None:
    """Hypervolumes of fresh fronts, with standard errors."""
    figure = plotting.new_figure(12.0, 3.0)
    panels = figure.subplots(1, 3, sharey=True)
    titles = ("convex treasure (seen)", "concave (unseen)", "mirrored (unseen)")
    for axes, environment, title in zip(panels, (TRAINED, *UNSEEN), titles, strict=True):
        rows = {name: (mean, mean - error, mean + error) for name, (mean, error) in record[environment].items()}
        plotting.intervals_by_row(axes, rows, "hypervolume")
        axes.set_title(title, fontsize=10, loc="left")
    plotting.note(figure, f"means over {record['runs']} fresh fronts, bars: one standard error")
    plotting.save(figure, RESULTS / "learned_aggregation.png")


def redraw() -> None:
    """The figure again, from the record."""
    draw(json.loads((RESULTS / "learned_aggregation.json").read_text()))


if __name__ == "__main__":
    main()
