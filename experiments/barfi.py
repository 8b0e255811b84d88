"""A sparse goal with a harmful or a helpful auxiliary reward: blends learnt by hypergradient beside fixed ones.

    python experiments/barfi.py

A 6 x 6 grid, 24 seeds, all runs one program. `decoy` pays for staying in a corner away from the goal, `distance` for
being near it. Writes results/meta/barfi.{json,png}: returns under the primary reward alone, at equal policy updates and
at equal episodes, where the episodes of outer gradients count against the bilevel runs.
"""

import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.bilevel import BarfiHyperparameters, BarfiStudy, barfi, goal_grid
from jaxrl.bilevel.goal_grid import auxiliary_table
from jaxrl.bilevel.soft_policies import expected_return
from jaxrl.figures.figure import add_legend, new_figure, save, series_style, style_axes
from jaxrl.morl.tabular.model import tabulate
from jaxrl.numerics.statistics import interval, mean

RESULTS = Path(__file__).parents[1] / "results" / "meta"
SIZE, LIMIT, SEEDS, LAST = 6, 40, 24, 10
SETTINGS: dict[str, Any] = {"network": "table", "residual_network": "table"}
KINDS = ("decoy", "distance")
# Fixed rewards learn at several rates, so that a blend does not win by its scale alone.
RATES = {"primary": (0.1, 1.0, 3.0, 10.0), "potential": (0.1, 3.0), "sum": (0.1, 3.0)}


def bilevel_members(study: BarfiStudy) -> tuple[list[tuple[str, str]], list[BarfiHyperparameters]]:
    """Labels (auxiliary reward, method) and hyperparameters of the method itself."""
    return [(kind, "bilevel") for kind in KINDS], [with_table(study.mode("bilevel"), kind) for kind in KINDS]


def fixed_members(study: BarfiStudy) -> tuple[list[tuple[str, str]], list[BarfiHyperparameters]]:
    """Likewise of the rewards that are not learnt; the primary reward needs no auxiliary one."""
    labels, settings = [], []
    for mode, rates in RATES.items():
        for kind in ("none",) if mode == "primary" else KINDS:
            for rate in rates:
                labels.append((kind, f"{mode}, rate {rate:g}"))
                hp = study.mode(mode)._replace(inner_learning_rate=jnp.float32(rate))
                settings.append(with_table(hp, kind))
    return labels, settings


def with_table(hyperparameters: BarfiHyperparameters, kind: str) -> BarfiHyperparameters:
    """The same on the grid with another auxiliary reward."""
    table = jnp.asarray(auxiliary_table(kind, SIZE))
    return hyperparameters._replace(environment=hyperparameters.environment._replace(auxiliary=table))


def joined(*groups: tuple[list[tuple[str, str]], list[BarfiHyperparameters]]) -> tuple[list, BarfiHyperparameters]:
    """All labels, and all hyperparameters stacked."""
    labels, settings = ([entry for part in parts for entry in part] for parts in zip(*groups, strict=True))
    return labels, jax.tree.map(lambda *leaves: jnp.stack(leaves), *settings)


def curves() -> tuple[dict[tuple[str, str], dict[str, np.ndarray]], dict[str, BarfiStudy], dict[str, float]]:
    """Metrics of every method by label, `[seed, update, ...]`; the studies; seconds."""
    environment = goal_grid(SIZE, limit=LIMIT)
    studies = {name: barfi(environment, hypergradient=name, **SETTINGS) for name in ("unrolled", "implicit")}
    asked = {
        "unrolled": joined(bilevel_members(studies["unrolled"]), fixed_members(studies["unrolled"])),
        "implicit": joined(bilevel_members(studies["implicit"])),
    }
    keys = jax.vmap(jax.random.key)(jnp.arange(SEEDS))

    def everything(keys: jax.Array, settings: dict[str, BarfiHyperparameters]) -> dict[str, dict[str, jax.Array]]:
        one = {name: lambda key, hp, run=study.run: run(key, hp).metrics for name, study in studies.items()}
        return {name: jax.vmap(jax.vmap(one[name], (0, None)), (None, 0))(keys, hp) for name, hp in settings.items()}

    settings = {name: hp for name, (_, hp) in asked.items()}
    began = time.perf_counter()
    program = jax.jit(everything).lower(keys, settings).compile()
    compiled = time.perf_counter()
    found = jax.device_get(program(keys, settings))
    seconds = {"compile": compiled - began, "run_all": time.perf_counter() - compiled}
    results = {}
    for name, (labels, _) in asked.items():
        for place, (kind, method) in enumerate(labels):
            title = f"bilevel, {name}" if method == "bilevel" else method
            results[kind, title] = {key: np.asarray(value)[place] for key, value in found[name].items()}
    return results, studies, seconds


def batches(method: str) -> int:
    """Batches of episodes per policy update: the inner one, and those of the outer gradient."""
    return {"bilevel, unrolled": 2, "bilevel, implicit": 3}.get(method, 1)


def summary(method: str, metrics: dict[str, np.ndarray]) -> dict[str, Any]:
    """Final primary returns, and areas under their curve."""
    primary = metrics["episode_return"][..., 0]
    final = primary[:, -LAST:].mean(axis=1)
    equal = primary[:, : primary.shape[1] // batches(method)].mean(axis=1)
    return {
        "final_return": {
            "mean": float(final.mean()),
            "worst_seed": float(final.min()),
            "interval": interval(final, mean),
        },
        "area_equal_updates": {"mean": float(primary.mean()), "interval": interval(primary.mean(axis=1), mean)},
        "area_equal_episodes": {"mean": float(equal.mean()), "interval": interval(equal, mean)},
        "final_length": float(metrics["episode_length"][:, -LAST:].mean()),
        "final_coefficients": np.round(metrics["coefficients"][:, -1].mean(axis=0), 3).tolist(),
        "final_discount": float(metrics["discount"][:, -1].mean()),
    }


def uniform_return() -> float:
    """Exact primary return of the policy that nobody trained."""
    environment = goal_grid(SIZE, limit=LIMIT)
    model = tabulate(environment)
    return float(expected_return(model, jnp.zeros(model.successor.shape), model.reward[..., 0], LIMIT))


def draw(results: dict[tuple[str, str], dict[str, np.ndarray]], best: str) -> None:
    """Primary return over policy updates, mean over seeds; one panel per auxiliary reward."""
    figure = new_figure(10.5, 3.6)
    panels = figure.subplots(1, len(KINDS), sharey=True)
    slow = f"primary, rate {RATES['primary'][0]:g}"
    order = ("bilevel, unrolled", "bilevel, implicit", slow, best, "potential, rate 3", "sum, rate 0.1", "sum, rate 3")
    for axes, kind in zip(panels, KINDS, strict=True):
        for place, method in enumerate(order):
            label = ("none" if method.startswith("primary") else kind, method)
            curve = results[label]["episode_return"][..., 0]
            low, high = np.quantile(curve, [0.1, 0.9], axis=0)
            steps, colour = np.arange(curve.shape[1]) + 1, series_style(place)["color"]
            axes.plot(steps, curve.mean(axis=0), color=colour, label=method)
            axes.fill_between(steps, low, high, color=colour, alpha=0.12, linewidth=0)
        axes.set_title({"decoy": "harmful auxiliary reward", "distance": "helpful auxiliary reward"}[kind], fontsize=11)
        style_axes(axes, "policy updates", "primary return (mean, 10 to 90 % of seeds)" if kind == KINDS[0] else "")
    add_legend(figure, panels[0])
    save(figure, RESULTS / "barfi.png")


def main() -> None:
    """Runs, measures and writes."""
    results, studies, seconds = curves()
    rates = [label[1] for label in results if label[0] == "none"]
    area = lambda name: summary(name, results["none", name])["area_equal_updates"]["mean"]  # noqa: E731
    best = max(rates, key=area)
    record: dict[str, Any] = {
        "settings": {name: vars(study.config) for name, study in studies.items()},
        "hyperparameters": {
            name: np.asarray(leaf).tolist()
            for name, leaf in studies["unrolled"].hyperparameters._asdict().items()
            if name != "environment"
        },
        "seeds": SEEDS,
        "uniform_policy_return": uniform_return(),
        "best_primary": best,
        "results": {},
        "seconds": seconds,
    }
    for (kind, method), metrics in results.items():
        record["results"].setdefault(kind, {})[method] = found = summary(method, metrics)
        print(kind, method, found, flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "barfi.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(results, best)
    print(seconds)


if __name__ == "__main__":
    main()
