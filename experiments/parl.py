"""Labels that it takes to learn a policy from preferences, with and without the hypergradient's distribution term.

    python experiments/parl.py

A 5 x 5 grid whose cells have hidden random rewards, 24 seeds (each its own rewards), pairs of the current policy's
trajectories labelled by Bradley and Terry's model; all runs one program. Returns are normalised: 0 is a uniform policy,
1 the soft optimum under the hidden reward. Writes results/meta/parl.{json,png}.
"""

import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl._figure import add_legend, new_figure, save, series_style, style_axes
from jaxrl.bilevel import ParlHyperparameters, ParlStudy, goal_grid, parl
from jaxrl.bilevel.soft_policies import expected_return, soft_optimum
from jaxrl.statistics import interval, mean

RESULTS = Path(__file__).parents[1] / "results" / "meta"
SIZE, HORIZON, SEEDS, TARGET = 5, 15, 24, 0.9
SETTINGS: dict[str, Any] = {"temperature": 0.3, "penalty": 0.003, "weights": [0.0, 1.0]}
# Coefficients of the distribution term by upper objective; 0 is alternating fits.
COEFFICIENTS = {"preference": (0.0, 0.03, 0.1, 0.3), "likelihood": (0.03, 0.1, 1.0)}


def studies() -> dict[str, ParlStudy]:
    """One per upper objective, on a grid without an end."""
    environment = goal_grid(SIZE, "none", HORIZON)
    environment = environment._replace(params=environment.params._replace(goal=jnp.int32(-1)))
    return {upper: parl(environment, upper=upper, **SETTINGS) for upper in COEFFICIENTS}


def one_run(study: ParlStudy, key: jax.Array, hyperparameters: ParlHyperparameters) -> dict[str, jax.Array]:
    """Normalised returns under hidden rewards that the key draws."""
    task_key, run_key = jax.random.split(key)
    hidden = jax.random.normal(task_key, (SIZE * SIZE,))
    environment = hyperparameters.environment._replace(auxiliary=hidden)
    hyperparameters, table = hyperparameters._replace(environment=environment), hidden[study.model.successor]
    best = soft_optimum(study.model, table, hyperparameters.discount, hyperparameters.temperature, 200)
    top, bottom = (expected_return(study.model, logits, table, HORIZON) for logits in (best, jnp.zeros_like(best)))
    metrics = study.run(run_key, hyperparameters).metrics
    return {**metrics, "normalised": (metrics["hidden_return"] - bottom) / (top - bottom)}


def curves() -> tuple[dict[str, dict[str, np.ndarray]], dict[str, float]]:
    """Metrics by method, `[seed, round]`, and seconds."""
    built, keys = studies(), jax.vmap(jax.random.key)(jnp.arange(SEEDS))
    settings = {
        upper: jax.tree.map(
            lambda *leaves: jnp.stack(leaves),
            *(study.hyperparameters._replace(distribution_coefficient=jnp.float32(c)) for c in COEFFICIENTS[upper]),
        )
        for upper, study in built.items()
    }

    def everything(keys: jax.Array, settings: dict[str, ParlHyperparameters]) -> dict[str, dict[str, jax.Array]]:
        runs = {upper: lambda key, hp, study=study: one_run(study, key, hp) for upper, study in built.items()}
        return {u: jax.vmap(jax.vmap(runs[u], (0, None)), (None, 0))(keys, hp) for u, hp in settings.items()}

    began = time.perf_counter()
    program = jax.jit(everything).lower(keys, settings).compile()
    compiled = time.perf_counter()
    found = jax.device_get(program(keys, settings))
    seconds = {"compile": compiled - began, "run_all": time.perf_counter() - compiled}
    results = {}
    for upper, coefficients in COEFFICIENTS.items():
        for place, coefficient in enumerate(coefficients):
            name = f"{upper}, {coefficient}" if coefficient else "alternating fits"
            results[name] = {key: np.asarray(value)[place] for key, value in found[upper].items()}
    return results, seconds


def labels_to_target(metrics: dict[str, np.ndarray]) -> np.ndarray:
    """Labels by the first round at the target, per seed; infinity where it is never reached."""
    reached = metrics["normalised"] >= TARGET
    return np.where(reached.any(axis=1), metrics["labels"][0][reached.argmax(axis=1)], np.inf)


def summary(metrics: dict[str, np.ndarray], base: np.ndarray) -> dict[str, Any]:
    """Labels to the target beside those of alternating fits on the same seeds, and final returns."""
    needed, most = labels_to_target(metrics), metrics["labels"].max()
    final = metrics["normalised"][:, -5:].mean(axis=1)
    median = float(np.median(needed))
    return {
        "median_labels": median if np.isfinite(median) else None,
        "mean_labels_capped": float(np.minimum(needed, most).mean()),
        "share_of_seeds_at_target": float(np.isfinite(needed).mean()),
        "seeds_with_fewer_labels": int((needed < base).sum()),
        "seeds_with_more_labels": int((needed > base).sum()),
        "final_normalised_return": {"mean": float(final.mean()), "interval": interval(final, mean)},
        "area": float(metrics["normalised"].mean()),
    }


def draw(results: dict[str, dict[str, np.ndarray]]) -> None:
    """Normalised return and share of seeds that have reached the target, over labels."""
    figure = new_figure(10.5, 3.6)
    panels = figure.subplots(1, 2)
    for place, (name, metrics) in enumerate(results.items()):
        style = series_style(place)
        style.pop("marker")
        labels = metrics["labels"][0]
        panels[0].plot(labels, metrics["normalised"].mean(axis=0), label=name, **style)
        needed = labels_to_target(metrics)
        panels[1].plot(labels, (needed[:, None] <= labels).mean(axis=0), **style)
    style_axes(panels[0], "labels", "normalised return, mean over seeds")
    style_axes(panels[1], "labels", f"share of seeds that have reached {TARGET}")
    add_legend(figure, panels[0], "upper objective, coefficient")
    save(figure, RESULTS / "parl.png")


def main() -> None:
    """Runs, measures and writes."""
    results, seconds = curves()
    base = labels_to_target(results["alternating fits"])
    record = {
        "settings": SETTINGS,
        "seeds": SEEDS,
        "target": TARGET,
        "results": {name: summary(metrics, base) for name, metrics in results.items()},
        "seconds": seconds,
    }
    for name, found in record["results"].items():
        print(name, found, flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "parl.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(results)
    print(seconds)


if __name__ == "__main__":
    main()
