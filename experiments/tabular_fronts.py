"""Fronts that the tabular algorithms find on deep sea treasure, beside the exact ones.

    python experiments/tabular_fronts.py

Every algorithm on the convex and on the concave map, undiscounted: exact points found, hypervolume over environment
steps, seconds of compiling and of running apart. Writes results/pareto/tabular.json and tabular.png.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl
from jaxrl.environments.base import Environment
from jaxrl.environments.multi_objective.fronts import convex_coverage_set
from jaxrl.environments.multi_objective.fronts import front as exact_front
from jaxrl.environments.transforms import time_limit
from jaxrl.figures.figure import add_legend, new_figure, save, series_style, style_axes
from jaxrl.morl import tabular
from jaxrl.morl.pareto import hypervolume

RESULTS = Path(__file__).parents[1] / "results" / "pareto"
MAPS = ("deep-sea-treasure", "deep-sea-treasure-concave")
SEEDS = 8
WEIGHTS = 16
# For comparison; these are others' numbers, not runs of this script.
PEERS = {
    "hypervolume of MO-Gymnasium's front, reference (0, -50), undiscounted": {MAPS[0]: 994.3, MAPS[1]: 4255.0},
    "points on the convex coverage set": {MAPS[0]: 9, MAPS[1]: 2},
    "morl-baselines GPI-LS, 100000 steps": "7 to 8 hours on an NVIDIA A30 (users' report, morl-baselines issue 100)",
    "morl-baselines Pareto Q-learning": "its example takes 10000 episodes; no figures published",
}


def pareto_q_learning(environment: Environment) -> tuple[tabular.Tabular, Callable]:
    """Sets learned from steps, `SEEDS` seeds."""
    return tabular.pareto_q_learning(environment, tabular.ParetoQLearningConfig(80_000, 20)), one_run


def optimistic_linear_support(environment: Environment) -> tuple[tabular.Tabular, Callable]:
    """Corner weights over value iteration."""
    return tabular.optimistic_linear_support(environment), one_run


def linear_support_q_learning(environment: Environment) -> tuple[tabular.Tabular, Callable]:
    """Corner weights over Q-learning."""
    config = tabular.OLSConfig("q_learning", max_queries=16, total_steps=16 * 100_000)
    return tabular.optimistic_linear_support(environment, config), one_run


def ipro_2d(environment: Environment) -> tuple[tabular.Tabular, Callable]:
    """Referents with the exact oracle."""
    return tabular.ipro_2d(environment), one_run


def chebyshev_exploration(environment: Environment) -> tuple[tabular.Tabular, Callable]:
    """Mixtures for 11 preferences after one exploration."""
    config = tabular.ChebyshevExplorationConfig(400 * 30, num_evaluations=4)
    return tabular.chebyshev_exploration(time_limit(environment, 30), config), one_run


def q_learning_linear(environment: Environment) -> tuple[tabular.Tabular, Callable]:
    """`WEIGHTS` linear weights."""
    return tabular.q_learning(environment, tabular.QLearningConfig(100_000, 10)), over_weights


def q_learning_chebyshev(environment: Environment) -> tuple[tabular.Tabular, Callable]:
    """`WEIGHTS` Chebyshev weights."""
    config = tabular.QLearningConfig(100_000, 10, scalarisation="chebyshev")
    return tabular.q_learning(environment, config), over_weights


ALGORITHMS = (
    pareto_q_learning,
    ipro_2d,
    optimistic_linear_support,
    linear_support_q_learning,
    chebyshev_exploration,
    q_learning_linear,
    q_learning_chebyshev,
)

# Nothing in these is random.
PLANNERS = (ipro_2d, optimistic_linear_support)


def one_run(algorithm: tabular.Tabular, key: jax.Array) -> tabular.Result:
    """One run with the defaults."""
    return algorithm.run(key, algorithm.hyperparameters)


def over_weights(algorithm: tabular.Tabular, key: jax.Array) -> tabular.Result:
    """One run for each of `WEIGHTS` weights, their points in one set and their steps added up."""
    first = jnp.linspace(0.0, 1.0, WEIGHTS)

    def run(key: jax.Array, weights: jax.Array) -> tabular.Result:
        return algorithm.run(key, algorithm.hyperparameters._replace(weights=weights))

    result = jax.vmap(run)(jax.random.split(key, WEIGHTS), jnp.stack([first, 1.0 - first], axis=-1))
    points, mask = result.points.reshape(-1, 2), result.mask.reshape(-1)
    volume = hypervolume(points, algorithm.hyperparameters.reference, mask)
    return result._replace(points=points, mask=mask, hypervolume=volume[None], steps=result.steps.sum(axis=0)[-1:])


def study(name: str, build: Callable, exact: np.ndarray) -> dict[str, Any]:
    """All seeds of one algorithm as one program."""
    start = time.perf_counter()
    algorithm, run = build(jaxrl.make(f"mo/{name}"))
    built = time.perf_counter()
    seeds = 1 if build in PLANNERS else SEEDS
    keys = jax.random.split(jax.random.key(0), seeds)
    program = jax.jit(jax.vmap(lambda key: run(algorithm, key))).lower(keys).compile()
    compiled = time.perf_counter()
    result = jax.device_get(jax.block_until_ready(program(keys)))
    finished = time.perf_counter()
    found = [
        int((np.abs(exact[:, None] - result.points[seed][result.mask[seed]][None]).max(-1).min(-1) < 1e-3).sum())
        for seed in range(seeds)
    ]
    names = ("gap", "queries", "evicted")
    summary = {
        "settings": {key: value for key, value in vars(algorithm.config).items() if key != "max_states"},
        "seeds": seeds,
        "environment_steps": result.steps.mean(axis=0).tolist(),
        "hypervolume": np.round(result.hypervolume, 2).tolist(),
        "final_hypervolume": {
            "mean": round(float(result.hypervolume[:, -1].mean()), 2),
            "worst_seed": round(float(result.hypervolume[:, -1].min()), 2),
        },
        "exact_points_found": found,
        "seconds": {
            "build": round(built - start, 2),
            "compile": round(compiled - built, 2),
            "run_all_seeds": round(finished - compiled, 2),
        },
        **{key: np.round(result.diagnostics[key][:, -1], 4).tolist() for key in names if key in result.diagnostics},
    }
    print(name, build.__name__, found, summary["final_hypervolume"], summary["seconds"], flush=True)
    return summary


def draw(studies: dict[str, Any]) -> None:
    """Hypervolume over environment steps; planners, whose steps are those of tabulating, as points."""
    figure = new_figure(11.5, 4.0)
    panels = figure.subplots(1, len(MAPS))
    for axes, name in zip(panels, MAPS):
        for place, (label, summary) in enumerate(studies[name]["algorithms"].items()):
            style, steps = series_style(place), np.asarray(summary["environment_steps"])
            curves = np.asarray(summary["hypervolume"])
            label = label.replace("_", " ") + (" (mixtures)" if label.startswith("chebyshev") else "")
            if np.ptp(steps) == 0:
                marker = {"color": style["color"], "marker": style["marker"], "linestyle": "none"}
                axes.plot(steps[-1:], curves.mean(axis=0)[-1:], label=label, **marker)
                continue
            axes.plot(steps, curves.mean(axis=0), label=label, markersize=3.5, linewidth=1.4, **style)
            axes.fill_between(steps, curves.min(axis=0), curves.max(axis=0), color=style["color"], alpha=0.15, lw=0)
        axes.axhline(
            studies[name]["exact_hypervolume"], color="black", linewidth=0.8, linestyle=":", label="exact front"
        )
        axes.set_xscale("log")
        axes.set_title(name.replace("-", " "), fontsize=11)
        style_axes(axes, "environment steps", f"hypervolume (mean and range of {SEEDS} seeds)")
    add_legend(figure, panels[0])
    save(figure, RESULTS / "tabular.png")


def main() -> None:
    """Runs every algorithm on both maps."""
    studies: dict[str, Any] = {"peers": PEERS}
    for name in MAPS:
        exact = np.asarray(exact_front(name, 1.0))
        studies[name] = {
            "exact_points": len(exact),
            "convex_coverage_set": len(convex_coverage_set(exact)),
            "exact_hypervolume": float(hypervolume(exact, jaxrl.make(f"mo/{name}").spec.reference_point)),
            "algorithms": {build.__name__: study(name, build, exact) for build in ALGORITHMS},
        }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "tabular.json").write_text(json.dumps(studies, indent=1) + "\n")
    draw(studies)


if __name__ == "__main__":
    main()
