"""Labels that it takes to learn a policy from preferences, with and without the hypergradient's distribution term.

    python experiments/parl.py

A 5 x 5 grid whose cells have hidden random rewards, 1,024 seeds (each its own rewards), pairs of the current policy's
trajectories labelled by Bradley and Terry's model, policies of three temperatures; all runs one program. Returns are
normalised: 0 is a uniform policy, 1 the soft optimum under the hidden reward. Writes results/meta/parl.{json,png}.
"""

import json
import time
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.bilevel import ParlHyperparameters, ParlStudy, goal_grid, parl
from jaxrl.bilevel.soft_policies import expected_return, soft_optimum
from jaxrl.figures.figure import add_legend, new_figure, save, series_style, style_axes
from jaxrl.numerics.statistics import interval, mean

RESULTS = Path(__file__).parents[1] / "results" / "meta"
SIZE, HORIZON, SEEDS, TARGET = 5, 15, 1024, 0.9
SETTINGS: dict[str, Any] = {"penalty": 0.003, "weights": [0.0, 1.0]}
TEMPERATURES = (0.3, 0.6, 1.0)
# Coefficients of the distribution term by upper objective; 0 is alternating fits.
COEFFICIENTS = {"preference": (0.0, 0.03, 0.1), "likelihood": (0.01, 0.03, 0.1)}


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


def settings_of(study: ParlStudy, coefficients: tuple[float, ...]) -> ParlHyperparameters:
    """Every temperature with every coefficient, along a leading axis."""
    each = [
        study.hyperparameters._replace(temperature=jnp.float32(temperature), distribution_coefficient=jnp.float32(c))
        for temperature in TEMPERATURES
        for c in coefficients
    ]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)


def curves() -> tuple[dict[float, dict[str, dict[str, np.ndarray]]], dict[str, float]]:
    """Metrics by temperature and method, `[seed, round]`, and seconds."""
    built, keys = studies(), jax.vmap(jax.random.key)(jnp.arange(SEEDS))
    settings = {upper: settings_of(study, COEFFICIENTS[upper]) for upper, study in built.items()}

    def everything(keys: jax.Array, settings: dict[str, ParlHyperparameters]) -> dict[str, dict[str, jax.Array]]:
        runs = {upper: lambda key, hp, study=study: one_run(study, key, hp) for upper, study in built.items()}
        return {u: jax.vmap(jax.vmap(runs[u], (0, None)), (None, 0))(keys, hp) for u, hp in settings.items()}

    began = time.perf_counter()
    program = jax.jit(everything).lower(keys, settings).compile()
    compiled = time.perf_counter()
    found = jax.device_get(program(keys, settings))
    seconds = {"compile": compiled - began, "run_all": time.perf_counter() - compiled}
    results: dict[float, dict[str, dict[str, np.ndarray]]] = {temperature: {} for temperature in TEMPERATURES}
    for upper, coefficients in COEFFICIENTS.items():
        for place, (temperature, coefficient) in enumerate(product(TEMPERATURES, coefficients)):
            name = f"{upper}, {coefficient}" if coefficient else "alternating fits"
            results[temperature][name] = {key: np.asarray(value)[place] for key, value in found[upper].items()}
    return results, seconds


def labels_to_target(metrics: dict[str, np.ndarray]) -> np.ndarray:
    """Labels by the first round at the target, per seed; infinity where it is never reached."""
    reached = metrics["normalised"] >= TARGET
    return np.where(reached.any(axis=1), metrics["labels"][0][reached.argmax(axis=1)], np.inf)


def summary(metrics: dict[str, np.ndarray], base: np.ndarray) -> dict[str, Any]:
    """Labels to the target beside those of alternating fits on the same seeds, and final returns."""
    needed, most = labels_to_target(metrics), metrics["labels"].max()
    final = metrics["normalised"][:, -5:].mean(axis=1)
    median, capped = float(np.median(needed)), np.minimum(needed, most)
    difference = capped - np.minimum(base, most)
    return {
        "median_labels": median if np.isfinite(median) else None,
        "mean_labels_capped": float(capped.mean()),
        "more_labels_than_alternating": {"mean": float(difference.mean()), "interval": interval(difference, mean)},
        "share_of_seeds_at_target": float(np.isfinite(needed).mean()),
        "seeds_with_fewer_labels": int((needed < base).sum()),
        "seeds_with_more_labels": int((needed > base).sum()),
        "final_normalised_return": {"mean": float(final.mean()), "interval": interval(final, mean)},
        "area": float(metrics["normalised"].mean()),
    }


def draw(results: dict[float, dict[str, dict[str, np.ndarray]]]) -> None:
    """Share of seeds that have reached the target over labels, a panel per temperature."""
    figure = new_figure(12.5, 3.6)
    panels = figure.subplots(1, len(results), sharey=True)
    for axes, (temperature, methods) in zip(panels, results.items(), strict=True):
        for place, (name, metrics) in enumerate(methods.items()):
            style = series_style(place)
            style.pop("marker")
            labels, needed = metrics["labels"][0], labels_to_target(metrics)
            axes.plot(labels, (needed[:, None] <= labels).mean(axis=0), label=name, **style)
        axes.set_title(f"temperature {temperature}", fontsize=10)
        axes.set_xscale("log")
        style_axes(axes, "labels", f"share of seeds that have reached {TARGET}" if axes is panels[0] else "")
    add_legend(figure, panels[0], "upper objective, coefficient")
    save(figure, RESULTS / "parl.png")


def main() -> None:
    """Runs, measures and writes."""
    results, seconds = curves()
    bases = {temperature: labels_to_target(methods["alternating fits"]) for temperature, methods in results.items()}
    record = {
        "settings": SETTINGS,
        "seeds": SEEDS,
        "target": TARGET,
        "results": {
            f"temperature {temperature}": {name: summary(found, bases[temperature]) for name, found in methods.items()}
            for temperature, methods in results.items()
        },
        "seconds": seconds,
    }
    for temperature, methods in record["results"].items():
        for name, found in methods.items():
            print(temperature, name, found, flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "parl.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(results)
    print(seconds)


if __name__ == "__main__":
    main()
