"""Update rules evolved for two things at once: a good return early in life, and at its end.

    python experiments/pareto_meta_objectives.py

LPG on tiny grid-worlds as in lpg.py, by evolution: five weightings of the return after a tenth of the life and of the
final return, all of them and three meta-seeds one program, and selection by Pareto dominance, which takes no weights.
Writes results/meta/pareto_meta_objectives.{csv,json,png}: held-out returns, 0 a uniform policy, 1 A2C at its end.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from lpg import EVOLUTION, LPG, META_SEEDS, OUTER, anchors, learner, untrained

import jaxrl
from jaxrl.figures.figure import add_legend, new_figure, save, series_style, style_axes
from jaxrl.meta import MetaStudy, evolve, make_tasks
from jaxrl.meta.fitness import FITNESS
from jaxrl.morl.pareto import non_dominated

RESULTS = Path(__file__).parents[1] / "results" / "meta"
SETTINGS: dict[str, Any] = {**EVOLUTION, **OUTER, "num_generations": 120, "num_evaluations": 4}
EARLY_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
AXES = ("early_return", "final_return")


def weightings() -> list[list[float]]:
    """Weights of the components of fitness."""
    return [[{"early": share, "final": 1.0 - share}.get(name, 0.0) for name in FITNESS] for share in EARLY_SHARES]


def study(selection: str) -> MetaStudy:
    """Evolution with either selection."""
    tasks = make_tasks("grid/tiny", 50)
    fitness = {"early": 1.0, "final": 1.0}
    return evolve(learner("lpg", **LPG), tasks, selection=selection, fitness=fitness, **SETTINGS)


def last(swept: jaxrl.Sweep, labels: list[str]) -> pandas.DataFrame:
    """The last evaluation of every member, by what it was evolved for."""
    table = swept.table.groupby("member").tail(1).reset_index(drop=True)
    return table[["seed", *AXES]].assign(evolved_for=np.repeat(labels, META_SEEDS))


def draw(table: pandas.DataFrame, a2c: dict[str, float]) -> None:
    """Early against final return."""
    figure = new_figure(6.4, 3.6)
    axes = figure.subplots()
    for place, (label, rows) in enumerate(table.groupby("evolved_for", sort=False)):
        style = series_style(place)
        axes.plot(
            rows[AXES[0]], rows[AXES[1]], linestyle="none", marker=style["marker"], color=style["color"], label=label
        )
    axes.plot(a2c[AXES[0]], a2c[AXES[1]], "k*", markersize=10, linestyle="none", label="A2C")
    style_axes(axes, "held-out return after a tenth of the life", "final return (0 uniform, 1 A2C)")
    add_legend(figure, axes)
    save(figure, RESULTS / "pareto_meta_objectives.png")


def main() -> None:
    """Evolves, tests and writes."""
    jaxrl.use_cpu_cores()
    RESULTS.mkdir(parents=True, exist_ok=True)
    scale, began = anchors(), time.perf_counter()
    weighted = study("weighted")
    swept = jaxrl.sweep(weighted, seeds=META_SEEDS, hyperparameters={"outer.fitness_weights": weightings()})
    labels = [f"{share:.0%} early" for share in EARLY_SHARES]
    table = last(swept, labels)
    ranked = jaxrl.sweep(study("pareto"), seeds=META_SEEDS)
    table = pandas.concat([table, last(ranked, ["Pareto dominance"])], ignore_index=True)
    seconds = time.perf_counter() - began
    normalised = lambda values: (values - scale["uniform"]) / (scale["a2c"] - scale["uniform"])  # noqa: E731
    table[list(AXES)] = normalised(table[list(AXES)])
    table["non_dominated"] = np.asarray(non_dominated(table[list(AXES)].to_numpy(np.float32)))
    means = table.groupby("evolved_for", sort=False)[list(AXES)].mean()
    record = {
        "settings": SETTINGS,
        "untrained_final": normalised(untrained(weighted)).tolist(),
        "a2c": {AXES[0]: float(normalised(scale["a2c_early"])), AXES[1]: 1.0},
        "means": means.round(4).to_dict("index"),
        "non_dominated": table[table["non_dominated"]][["evolved_for", "seed"]].to_dict("records"),
        "seconds": round(seconds, 1),
    }
    print(json.dumps(record, indent=1))
    table.to_csv(RESULTS / "pareto_meta_objectives.csv", index=False, float_format="%.4f")
    (RESULTS / "pareto_meta_objectives.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(table, record["a2c"])


if __name__ == "__main__":
    main()
