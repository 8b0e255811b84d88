"""Learned drifts on tiny grid-worlds: from no drift towards PPO, and whether the closed form DPO keeps up.

    python experiments/lpo.py
    python experiments/lpo.py "LPO from PPO"      # one of the two; the other's results stay
    python experiments/lpo.py rates               # the hand-written ones over learning rates alone

Agents take eight epochs with large steps on every rollout, so that the ratio needs a bound. Drifts start random (LPO)
or as PPO's clip, three meta-seeds each; held-out levels, final returns. Writes results/meta/lpo.{csv,json,png}.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas

import jaxrl
from jaxrl import plotting
from jaxrl.errors import require_name
from jaxrl.meta import MetaStudy, evolve, make_tasks
from jaxrl.meta.held_out import held_out_key, learn_tasks
from jaxrl.meta.microscope import mirror_conditions
from jaxrl.objectives.surrogate import make_surrogate

RESULTS = Path(__file__).parents[1] / "results" / "meta"
ENVIRONMENT, HORIZON, META_SEEDS, HELD_OUT = "grid/tiny", 50, 3, 256
RATES, RATE_LEVELS = (0.05, 0.1, 0.2, 0.3), 1024
AGENT: dict[str, Any] = {
    "num_envs": 16,
    "num_steps": 20,
    "network": "table",
    "num_epochs": 8,
    "num_minibatches": 1,
    "learning_rate": 0.3,
    "anneal_learning_rate": False,
    "num_evaluations": 1,
}
BASELINES = {"no drift": "unclipped", "PPO": "clip", "DPO": "drift"}
LEARNED = {"LPO": "learned_drift", "LPO from PPO": "learned_drift_from_clip"}
OUTER = {
    "population_size": 64,
    "num_generations": 150,
    "learning_rate": 0.03,
    "deviation": 0.05,
    "num_evaluations": 10,
    "evaluation_tasks": HELD_OUT,
}


def learner(surrogate: str) -> jaxrl.Trainer:
    """A tabular agent that lives for one horizon."""
    if surrogate == "unclipped":
        # A range that no ratio leaves: the surrogate -r A.
        return learner("clip").rebuild(clip_epsilon=1e9)
    steps = HORIZON * AGENT["num_envs"] * AGENT["num_steps"]
    return jaxrl.trainer("ppo", ENVIRONMENT, total_steps=steps, surrogate=surrogate, **AGENT)


def final_return(trainer: jaxrl.Trainer) -> float:
    """Mean final return on the held-out levels."""
    tasks = make_tasks(ENVIRONMENT, HORIZON)
    learn = jax.jit(lambda key: learn_tasks(trainer, tasks, key, trainer.hyperparameters, HELD_OUT))
    return float(learn(held_out_key()).final.mean())


def over_rates() -> dict[str, dict[str, float]]:
    """Mean final return of the hand-written surrogates at several learning rates, on more held-out levels.

    The same levels for all, so that shares of PPO's return are of paired lives.
    """
    tasks, returns = make_tasks(ENVIRONMENT, HORIZON), {}
    for name, surrogate in BASELINES.items():
        trainer = learner(surrogate)

        def learn(rate: jax.Array, trainer: jaxrl.Trainer = trainer) -> jax.Array:
            hyperparameters = trainer.hyperparameters._replace(learning_rate=rate)
            return learn_tasks(trainer, tasks, held_out_key(), hyperparameters, RATE_LEVELS).final.mean()

        found = jax.jit(lambda rates, learn=learn: jax.lax.map(learn, rates))(np.float32(RATES))
        returns[name] = dict(zip(map(str, RATES), np.asarray(found, float).round(4).tolist(), strict=True))
    return returns


def untrained(study: MetaStudy) -> list[float]:
    """Mean held-out return of every meta-seed's initial drift."""

    def one(seed: jax.Array) -> jax.Array:
        value = study.value(study.init(jax.random.key(seed), study.hyperparameters))
        return study.test(held_out_key(), value, study.hyperparameters, HELD_OUT).final.mean()

    return np.asarray(jax.jit(jax.vmap(one))(np.arange(META_SEEDS))).tolist()


def draw(table: pandas.DataFrame, returns: dict[str, float]) -> None:
    """Held-out return over generations, beside the hand-written surrogates."""
    figure = plotting.new_figure(7.4, 3.6)
    axes = figure.subplots()
    for index, (method, rows) in enumerate(table.groupby("method", sort=False)):
        curves = rows.pivot(index="seed", columns="generation", values="final_return")
        plotting.runs(axes, curves.columns.to_numpy(), curves.to_numpy(), index, method)
    for (name, value), line in zip(returns.items(), ("-.", "--", ":"), strict=True):
        axes.axhline(value, color="#8A8A8A", linewidth=0.9, linestyle=line, label=name)
    plotting.style_axes(axes, "generations", "return on held-out levels")
    plotting.add_legend(figure, axes)
    plotting.note(
        figure, f"thin: each of {table['seed'].nunique()} meta-seeds; thick: their mean; grey: written by hand"
    )
    plotting.save(figure, RESULTS / "lpo.png")


def redraw() -> None:
    """The figure again, from table and record."""
    draw(pandas.read_csv(RESULTS / "lpo.csv"), json.loads((RESULTS / "lpo.json").read_text())["returns"])


def main() -> None:
    """Meta-trains, tests and writes."""
    jaxrl.use_cpu_cores()
    RESULTS.mkdir(parents=True, exist_ok=True)
    returns = {name: final_return(learner(surrogate)) for name, surrogate in BASELINES.items()}
    print(returns, flush=True)
    path = RESULTS / "lpo.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    record |= {"agent": AGENT, "outer": OUTER, "horizon": HORIZON, "returns": returns}
    gap = returns["PPO"] - returns["no drift"]
    for method in sys.argv[1:] or [*LEARNED, "rates"]:
        if require_name("method", method, [*LEARNED, "rates"]) == "rates":
            record["rates"] = over_rates()
            print(record["rates"], flush=True)
            path.write_text(json.dumps(record, indent=1) + "\n")
            continue
        surrogate = LEARNED[method]
        study = evolve(learner(surrogate), make_tasks(ENVIRONMENT, HORIZON), **OUTER)
        began = time.perf_counter()
        swept = jaxrl.sweep(study, seeds=META_SEEDS, say=lambda _: None)
        seconds = time.perf_counter() - began
        table = swept.table[["seed", "steps", "final_return"]].assign(method=method)
        table["generation"] = table["steps"] / study.steps_per_iteration
        final = table[table["steps"] == table["steps"].max()]["final_return"]
        record[method] = {
            "untrained": untrained(study),
            "trained": final.tolist(),
            "share_of_gap": ((final - returns["no drift"]) / gap).tolist(),
            "conditions": [
                mirror_conditions(make_surrogate(surrogate), swept.learned(member)) for member in range(META_SEEDS)
            ],
            "seconds_all_seeds": seconds,
        }
        print(method, record[method], flush=True)
        path.write_text(json.dumps(record, indent=1) + "\n")
        curves = path.with_suffix(".csv")
        if curves.exists():
            kept = pandas.read_csv(curves)
            table = pandas.concat([kept[kept["method"] != method], table])
        table.to_csv(curves, index=False, float_format="%.6g")
        draw(table, returns)


if __name__ == "__main__":
    main()
