"""Learned policy gradient on tiny grid-worlds, by evolution and by meta-gradient, on levels that neither has seen.

    python experiments/lpg.py                 # both, three meta-seeds each
    python experiments/lpg.py evolution

Returns of held-out levels are normalised: 0 is a uniform policy (exact), 1 a tuned A2C of the same lifetime. Writes
results/meta/lpg.{csv,json,png}, untrained objectives beside trained ones.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas
from matplotlib.ticker import EngFormatter

import jaxrl
from jaxrl import plotting
from jaxrl.environments.grid import uniform_return
from jaxrl.meta import MetaStudy, differentiate, evolve, make_tasks
from jaxrl.meta.held_out import held_out_key, held_out_tasks, learn_tasks

RESULTS = Path(__file__).parents[1] / "results" / "meta"
ENVIRONMENT, HORIZON, META_SEEDS, HELD_OUT = "grid/tiny", 50, 3, 256
AGENT: dict[str, Any] = {"num_envs": 16, "num_steps": 20, "network": "table", "optimiser": "sgd", "num_evaluations": 1}
# The best of 16 settings on this family.
A2C: dict[str, Any] = {
    "optimiser": "adam",
    "learning_rate": 0.1,
    "value_coefficient": 0.5,
    "entropy_coefficient": 0.01,
    "gae_lambda": 0.95,
    "anneal_learning_rate": False,
    "standardise_advantages": "batch",
}
LPG = {"learning_rate": 40.0, "num_outputs": 8, "objective_size": 16}
EVOLUTION = {"population_size": 64, "num_generations": 200, "learning_rate": 1e-2, "deviation": 0.1}
GRADIENT = {
    "num_agents": 32,
    "unroll": 5,
    "num_meta_steps": 600,
    "learning_rate": 1e-3,
    "max_gradient_norm": 0.1,
    "entropy_coefficient": 0.05,
    "regularisers": {"output_entropy": -1e-3, "policy_target_square": 5e-3, "output_target_square": 1e-3},
    "critic_network": "table",
    "critic_learning_rate": 0.1,
}
OUTER = {"num_evaluations": 10, "evaluation_tasks": HELD_OUT}


def learner(agent: str, **settings: Any) -> jaxrl.Trainer:
    """An agent that lives for one horizon."""
    steps = HORIZON * AGENT["num_envs"] * AGENT["num_steps"]
    return jaxrl.trainer(agent, ENVIRONMENT, total_steps=steps, **{**AGENT, **settings})


def studies() -> dict[str, MetaStudy]:
    """Both outer loops around the same agent and tasks."""
    tasks, inner = make_tasks(ENVIRONMENT, HORIZON), learner("lpg", **LPG)
    return {
        "evolution": evolve(inner, tasks, **EVOLUTION, **OUTER),
        "gradient": differentiate(inner, tasks, **GRADIENT, **OUTER),
    }


def anchors() -> dict[str, float]:
    """Mean held-out return of a uniform policy and of A2C, at the end of its life and after a tenth of it."""
    tasks, a2c = make_tasks(ENVIRONMENT, HORIZON), learner("a2c", **A2C)
    levels, limit = held_out_tasks(tasks, HELD_OUT).environment, tasks.environment.spec.time_limit
    uniform = jax.jit(jax.vmap(lambda level: uniform_return(level, limit)))(levels)
    learnt = jax.jit(lambda key: learn_tasks(a2c, tasks, key, a2c.hyperparameters, HELD_OUT))(held_out_key())
    a2c = {"a2c": float(learnt.final.mean()), "a2c_early": float(learnt.early.mean())}
    return {"uniform": float(uniform.mean()), **a2c}


def untrained(study: MetaStudy) -> np.ndarray:
    """Mean held-out return of every meta-seed's initial objective."""

    def one(seed: jax.Array) -> jax.Array:
        value = study.value(study.init(jax.random.key(seed), study.hyperparameters))
        return study.test(held_out_key(), value, study.hyperparameters, HELD_OUT).final.mean()

    return np.asarray(jax.jit(jax.vmap(one))(np.arange(META_SEEDS)))


def draw(table: pandas.DataFrame) -> None:
    """Normalised held-out return over environment steps and over seconds."""
    figure = plotting.new_figure(10.5, 3.4)
    labels = {"steps": "environment steps, all agents", "seconds": "seconds, compilation included"}
    for axes, (name, label) in zip(figure.subplots(1, 2, sharey=True), labels.items(), strict=True):
        for index, (method, rows) in enumerate(table.groupby("method")):
            curves = rows.pivot(index="seed", columns=name, values="normalised")
            plotting.runs(axes, curves.columns.to_numpy(), curves.to_numpy(), index, method)
        axes.axhline(1.0, color="#8A8A8A", linewidth=0.8, label="A2C, tuned")
        plotting.style_axes(axes, label, "")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    figure.axes[0].set_ylabel("held-out return (0 uniform, 1 A2C)")
    plotting.add_legend(figure, figure.axes[0])
    plotting.note(figure, f"thin: each of {table['seed'].nunique()} meta-seeds; thick: their mean")
    plotting.save(figure, RESULTS / "lpg.png")


def redraw() -> None:
    """The figure again, from the table."""
    draw(pandas.read_csv(RESULTS / "lpg.csv"))


def main(names: list[str]) -> None:
    """Meta-trains, tests and writes."""
    jaxrl.use_cpu_cores()
    RESULTS.mkdir(parents=True, exist_ok=True)
    scale = anchors()
    normalised = lambda value: (value - scale["uniform"]) / (scale["a2c"] - scale["uniform"])  # noqa: E731
    path, frames = RESULTS / "lpg.json", []
    record = json.loads(path.read_text()) if path.exists() else {}
    record |= {"agent": AGENT, "a2c": A2C, "lpg": LPG, "outer": {"evolution": EVOLUTION, "gradient": GRADIENT}}
    record |= {"horizon": HORIZON, "held_out": HELD_OUT, "returns": scale}
    for name, study in studies().items():
        if names and name not in names:
            continue
        began = time.perf_counter()
        swept = jaxrl.sweep(study, seeds=META_SEEDS, say=lambda _: None)
        seconds = time.perf_counter() - began
        timing = swept.groups[0].timing
        table = swept.table[["seed", "steps"]].assign(method=name, normalised=normalised(swept.table["final_return"]))
        table["seconds"] = timing.compile_seconds + timing.run_seconds * table["steps"] / table["steps"].max()
        frames.append(table)
        final = table[table["steps"] == table["steps"].max()]["normalised"].to_numpy()
        record[name] = {
            "untrained": normalised(untrained(study)).tolist(),
            "trained": final.tolist(),
            "seconds_all_seeds": seconds,
            "compile_seconds": timing.compile_seconds,
            "steps_per_second": META_SEEDS * int(table["steps"].max()) / timing.run_seconds,
        }
        print(name, record[name], flush=True)
    path.write_text(json.dumps(record, indent=1) + "\n")
    table = pandas.concat(frames)
    old = RESULTS / "lpg.csv"
    if old.exists():
        kept = pandas.read_csv(old)
        table = pandas.concat([kept[~kept["method"].isin(table["method"])], table])
    table.to_csv(old, index=False, float_format="%.6g")
    draw(table)


if __name__ == "__main__":
    main(sys.argv[1:])
