"""Time and memory of estimating many subsets of tasks: 1,000 subsets, 50 tasks, a policy of 100k parameters.

    python experiments/benchmarks/subset_estimation.py [part ...]

Stage by stage on made-up trajectories: projected gradients of log π(a|o) in bounded memory, the adapted solutions of
1,000 random subsets, their affinity and groups. Then how solving scales with tasks n, subsets m and projection
dimension d, and what was not chosen: all regressions in one vmap, forward mode for the projected gradients. Wall-clock
seconds, and processor seconds, which other load on the machine disturbs less; compilation apart. Writes
results/benchmarks/subset_estimation.{json,png}.
"""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from _protocol import compile_then_run
from contenders import machine

from jaxrl import plotting
from jaxrl.errors import require_name
from jaxrl.figures.figure import new_figure, series_style, style_axes
from jaxrl.multitask.grouping.adaptation import surrogate_performance
from jaxrl.multitask.grouping.affinity import estimated_affinity
from jaxrl.multitask.grouping.clustering import ClusteringConfig, make_clustering
from jaxrl.multitask.grouping.estimation import EstimatorConfig, make_estimator
from jaxrl.multitask.grouping.gradients import projected_gradients
from jaxrl.multitask.grouping.projection import ProjectionConfig, random_projection
from jaxrl.multitask.grouping.samples import TaskSamples, task_samples
from jaxrl.multitask.grouping.subsets import random_subsets

RESULTS = Path(__file__).parents[2] / "results" / "benchmarks"
SIZES = (39, 256, 256, 96, 8)
TASKS, SAMPLES, SUBSETS, SUBSET_SIZE, DIMENSION, L2_WEIGHT = 50, 200, 1000, 5, 400, 1e-2
GRID = {"n": (5, 10, 20, 50), "m": (100, 300, 1000), "d": (50, 100, 200, 400)}
BASE = {"n": 20, "m": 300, "d": 100}
KEY = jax.random.key(0)


def init(key: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
    """A Gaussian policy for 39 numbers, four actions: means and logarithms of deviations."""
    keys = jax.random.split(key, len(SIZES))
    shapes = zip(keys, SIZES, SIZES[1:])
    return [(jax.random.normal(k, (rows, columns)) / rows**0.5, jnp.zeros(columns)) for k, rows, columns in shapes]


def log_probability(params: Any, sample: tuple[jax.Array, jax.Array]) -> jax.Array:
    """log π(a|o)."""
    x, action = sample
    *hidden, (kernel, bias) = params
    for weights, offset in hidden:
        x = jnp.tanh(x @ weights + offset)
    mean, log_deviation = jnp.split(x @ kernel + bias, 2)
    return jnp.sum(-((action - mean) ** 2) * jnp.exp(-2 * log_deviation) / 2 - log_deviation)


def trajectories(num: int) -> tuple[jax.Array, jax.Array]:
    """Observations and actions."""
    keys = jax.random.split(jax.random.key(1), 2)
    return jax.random.normal(keys[0], (num, SIZES[0])), jax.random.normal(keys[1], (num, SIZES[-1] // 2))


def gradients(entries: str, num: int, params: Any) -> tuple[jax.Array, dict[str, float]]:
    """Projected gradients of `num` samples, their seconds and the memory the program asks for."""
    config = ProjectionConfig(projection_dimension=DIMENSION, projection_entries=entries)
    projection = random_projection(params, config)
    run = lambda samples: projected_gradients(log_probability, params, samples, projection, KEY, 200).features  # noqa: E731
    samples = trajectories(num)
    features, seconds = compile_then_run(run, samples, budget_seconds=1.0)
    memory = jax.jit(run).lower(samples).compile().memory_analysis()
    sizes = {
        "megabytes_working": memory.temp_size_in_bytes / 1e6,
        "megabytes_result": features.nbytes / 1e6,
        "megabytes_of_all_gradients": 4e-6 * num * projection.num_parameters,
        "megabytes_of_the_whole_projection": 4e-6 * projection.num_parameters * DIMENSION,
    }
    return features, {**seconds, "samples": num, "parameters": projection.num_parameters, **sizes}


def made_up(n: int, d: int, samples: int = SAMPLES) -> TaskSamples:
    """Samples of n tasks whose advantages are noisy linear functions of d features."""
    keys = jax.random.split(jax.random.key(2), 3)
    features = jax.random.normal(keys[0], (n, samples, d))
    truth = jax.random.normal(keys[1], (n, d)) / d**0.5
    advantage = jnp.einsum("tsf,tf->ts", features, truth) + jax.random.normal(keys[2], (n, samples))
    return task_samples(features, advantage)


def solve(
    estimator: str,
    samples: TaskSamples,
    subsets: jax.Array,
    l2_weight: float = L2_WEIGHT,
    tolerance: float = 1e-3,
    at_once: int = 1,
) -> dict[str, float]:
    """Seconds of one estimator."""
    config = EstimatorConfig(
        estimator=estimator, solver_tolerance=tolerance, largest_subset=int(subsets[0].sum()), subsets_at_once=at_once
    )
    run = make_estimator(config)
    found, seconds = compile_then_run(lambda s, m: run(s, m, l2_weight), samples, subsets, budget_seconds=1.0)
    return {**seconds, "worst_gradient": float(found.gradient_norm.max()), "most_steps": int(found.iterations.max())}


def scaling(record: dict[str, Any]) -> None:
    """Seconds along each axis, the others at their base."""
    rows = record["scaling"] = {}
    for axis, values in GRID.items():
        rows[axis] = []
        for value in values:
            at = {**BASE, axis: value}
            samples = made_up(at["n"], at["d"])
            subsets = random_subsets(KEY, at["n"], at["m"], min(SUBSET_SIZE, at["n"]))
            rows[axis].append({axis: value, **{e: solve(e, samples, subsets) for e in ("logistic", "ridge")}})


def forward_mode(num: int, params: Any) -> dict[str, float]:
    """The same projected gradients as directional derivatives along the columns of P, sixteen at a time."""
    projection = random_projection(
        params, ProjectionConfig(projection_dimension=DIMENSION, projection_entries="rademacher")
    )

    def block(samples: Any, first: jax.Array) -> jax.Array:
        columns = jax.nn.one_hot(first + jnp.arange(16), DIMENSION)
        directions = jax.vmap(partial(projection.lift, KEY))(columns)
        values = lambda params: jax.vmap(partial(log_probability, params))(samples)  # noqa: E731
        return jax.vmap(lambda direction: jax.jvp(values, (params,), (direction,))[1])(directions)

    run = lambda samples: jax.lax.map(partial(block, samples), jnp.arange(0, DIMENSION, 16))  # noqa: E731
    _, seconds = compile_then_run(run, trajectories(num), budget_seconds=1.0)
    _, reverse = gradients("rademacher", num, params)
    return {**seconds, "samples": num, "reverse_cpu_seconds": reverse["cpu_seconds"]}


def all_gradients(record: dict[str, Any]) -> None:
    """Of all tasks, with both kinds of projection."""
    for entries in ("gaussian", "rademacher"):
        record[f"gradients, {entries}"] = gradients(entries, TASKS * SAMPLES, init(KEY))[1]


def solutions(record: dict[str, Any]) -> None:
    """Of all subsets on these gradients, with advantages that are mostly noise; affinity and groups."""
    features, _ = gradients("rademacher", TASKS * SAMPLES, init(KEY))
    features = features.reshape(TASKS, SAMPLES, DIMENSION)
    truth = jax.random.normal(jax.random.key(3), (TASKS, DIMENSION)) / jnp.linalg.norm(features, axis=-1).mean()
    noise = jax.random.normal(jax.random.key(4), (TASKS, SAMPLES))
    samples = task_samples(features / features.std(), jnp.einsum("tsf,tf->ts", features, truth) + noise)
    subsets = random_subsets(KEY, TASKS, SUBSETS, SUBSET_SIZE)
    record["solutions, ridge"] = solve("ridge", samples, subsets)
    for l2_weight, tolerance in ((0.01, 1e-3), (0.01, 1e-2), (0.1, 1e-2)):
        name = f"solutions, logistic, l2 {l2_weight:g}, tolerance {tolerance:g}"
        record[name] = solve("logistic", samples, subsets, l2_weight, tolerance)
        print(name, record[name], flush=True)
    x = jax.jit(make_estimator(EstimatorConfig(estimator="ridge")))(samples, subsets, L2_WEIGHT).x
    estimate = lambda s, x: estimated_affinity(surrogate_performance(s, x), subsets)  # noqa: E731
    affinity, record["affinity"] = compile_then_run(estimate, samples, x, budget_seconds=1.0)
    _, record["groups, spectral"] = compile_then_run(
        make_clustering(ClusteringConfig(clustering="spectral")), affinity, budget_seconds=1.0
    )


def draw(record: dict[str, Any]) -> None:
    """Processor seconds along n, m and d."""
    figure = new_figure(10.0, 2.9)
    names = {"n": "tasks n", "m": "subsets m", "d": "projection dimension d"}
    panels = figure.subplots(1, 3, sharey=True)
    for axes, (axis, rows) in zip(panels, record["scaling"].items()):
        for i, estimator in enumerate(("logistic", "ridge")):
            seconds = [row[estimator]["cpu_seconds"] for row in rows]
            axes.loglog([row[axis] for row in rows], seconds, label=estimator, **series_style(i))
        axes.set_xticks(GRID[axis], GRID[axis])
        axes.minorticks_off()
        rest = ", ".join(f"{name} = {value}" for name, value in BASE.items() if name != axis)
        axes.set_title(rest, fontsize=9)
        style_axes(axes, names[axis], "processor seconds" if axis == "n" else "")
    panels[0].legend(frameon=False, fontsize=9)
    plotting.save(figure, RESULTS / "subset_estimation.png")


def alternatives(record: dict[str, Any]) -> None:
    """What was not chosen."""
    record["forward mode"] = forward_mode(1000, init(KEY))
    samples, subsets = made_up(10, DIMENSION), random_subsets(KEY, 10, 100, 3)
    for at_once in (1, 100):
        record[f"100 regressions, {at_once} at once"] = solve("logistic", samples, subsets, at_once=at_once)


PARTS = {"gradients": all_gradients, "solutions": solutions, "scaling": scaling, "alternatives": alternatives}


def main() -> None:
    """Measures the parts named on the command line, by default all; writes."""
    path = RESULTS / "subset_estimation.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    settings = {"tasks": TASKS, "samples": SAMPLES, "subsets": SUBSETS, "subset_size": SUBSET_SIZE, "d": DIMENSION}
    record |= {"machine": machine(), "settings": {**settings, "l2_weight": L2_WEIGHT, "base": BASE}}
    for part in sys.argv[1:] or PARTS:
        PARTS[require_name("part", part, PARTS)](record)
        path.write_text(json.dumps(record, indent=1) + "\n")
    draw(record)
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
