"""Time-aware learned policy gradient beside LPG, over horizons seen and unseen, by evolution.

    python experiments/ta_lpg.py

Both evolve for equally many generations on lives of 10 to 100 updates (log-uniform) on tiny grid-worlds, three
meta-seeds each, and learn the same held-out levels with the same random numbers for 10, 30, 100 and 200 updates, the
last longer than any life seen. Writes results/meta/ta_lpg.{json,png}: returns between a uniform policy (0) and A2C of
the same lifetime (1), paired differences with 95 % intervals over levels, and the schedule that each rule follows.
"""

import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from lpg import A2C, AGENT, ENVIRONMENT, LPG

import jaxrl
from jaxrl import plotting, statistics
from jaxrl.environments.grid import uniform_return
from jaxrl.meta import MetaStudy, evolve, make_tasks
from jaxrl.meta.held_out import held_out_key, held_out_tasks, learn_tasks
from jaxrl.meta.lifetimes import begin, grow

RESULTS = Path(__file__).parents[1] / "results" / "meta"
HORIZONS, TESTED, META_SEEDS, HELD_OUT = (10, 100), (10, 30, 100, 200), 3, 256
OUTER: dict[str, Any] = {
    "population_size": 64,
    "num_generations": 100,
    "learning_rate": 1e-2,
    "deviation": 0.1,
    "unroll": 5,
    "num_evaluations": 5,
    "evaluation_tasks": 64,
}
METHODS = ("lpg", "ta_lpg")


def learner(agent: str, **settings: Any) -> jaxrl.Trainer:
    """An agent that may live for the longest horizon."""
    steps = max(*HORIZONS, *TESTED) * AGENT["num_envs"] * AGENT["num_steps"]
    return jaxrl.trainer(agent, ENVIRONMENT, total_steps=steps, **{**AGENT, **settings})


def study(method: str) -> MetaStudy:
    """Evolution of one rule."""
    return evolve(learner(method, **LPG), make_tasks(ENVIRONMENT, HORIZONS), **OUTER)


def final_returns(agent: jaxrl.Trainer, horizon: int, **changed: Any) -> jax.Array:
    """Final returns `[level]` after `horizon` updates."""
    hyperparameters = agent.hyperparameters._replace(**changed)
    return learn_tasks(agent, make_tasks(ENVIRONMENT, horizon), held_out_key(), hyperparameters, HELD_OUT).final[:, 0]


def rules_returns(agent: jaxrl.Trainer, horizon: int, rules: Any) -> np.ndarray:
    """Final returns `[rule, level]` of many rules."""
    return np.asarray(jax.jit(jax.vmap(lambda rule: final_returns(agent, horizon, objective=rule)))(rules))


def schedule(agent: jaxrl.Trainer, value: Any, horizon: int) -> dict[str, np.ndarray]:
    """Entropy of the policy and size of π̂, means over levels, `[iteration]`."""
    tasks, hyperparameters = make_tasks(ENVIRONMENT, horizon), agent.hyperparameters._replace(objective=value)

    def one(key: jax.Array) -> dict[str, jax.Array]:
        return grow(agent, begin(agent, tasks, key, hyperparameters), hyperparameters, horizon)[1]

    metrics = jax.jit(jax.vmap(one))(jax.random.split(held_out_key(), 64))
    size = np.sqrt(np.asarray(metrics["policy_target_square"]))
    return {"entropy": np.asarray(metrics["entropy"]).mean(axis=0), "size": size.mean(axis=0)}


def draw(record: dict[str, Any]) -> None:
    """Returns over horizons, and schedules over progress."""
    panels = [("entropy", "entropy of the policy, nats"), ("size", "root mean square of π̂")]
    figure = plotting.new_figure(14.0, 3.7)
    axes, *rest = figure.subplots(1, 1 + len(panels))
    for index, method in enumerate(METHODS):
        label = method.replace("_", "-").upper()
        values = [record[method]["normalised"][str(horizon)] for horizon in TESTED]
        plotting.runs(axes, TESTED, np.asarray(values).T, index, label)
        for panel, (what, _) in zip(rest, panels, strict=True):
            curves = np.asarray([schedule[what] for schedule in record[method]["schedules"]])
            plotting.runs(panel, np.arange(curves.shape[1]) / curves.shape[1], curves, index, label)
    axes.axvline(HORIZONS[1], color="#8A8A8A", linewidth=0.8, linestyle=":", label="the longest life seen")
    axes.set_xscale("log")
    axes.set_xticks(TESTED, [str(horizon) for horizon in TESTED])
    axes.minorticks_off()
    plotting.style_axes(axes, "updates in a life", "held-out return (0 uniform, 1 A2C)")
    for panel, (_, label) in zip(rest, panels, strict=True):
        plotting.style_axes(panel, f"progress n/N, N = {HORIZONS[1]}", label)
    plotting.add_legend(figure, axes)
    plotting.note(figure, f"thin: each of {META_SEEDS} meta-seeds; thick: their mean")
    plotting.save(figure, RESULTS / "ta_lpg.png")


def main() -> None:
    """Meta-trains both, tests, writes."""
    jaxrl.use_cpu_cores()
    RESULTS.mkdir(parents=True, exist_ok=True)
    limit = make_tasks(ENVIRONMENT, 1).environment.spec.time_limit
    levels = held_out_tasks(make_tasks(ENVIRONMENT, 1), HELD_OUT).environment
    uniform = float(jax.jit(jax.vmap(lambda level: uniform_return(level, limit)))(levels).mean())
    a2c = learner("a2c", **A2C)
    anchors = {horizon: float(jax.jit(lambda h=horizon: final_returns(a2c, h))().mean()) for horizon in TESTED}
    record: dict[str, Any] = {"outer": OUTER, "horizons": HORIZONS, "held_out": HELD_OUT, "uniform": uniform}
    record["a2c"] = {str(horizon): value for horizon, value in anchors.items()}
    found: dict[str, dict[int, np.ndarray]] = {}
    for method in METHODS:
        built, began = study(method), time.perf_counter()
        swept = jaxrl.sweep(built, seeds=META_SEEDS, say=lambda _: None)
        values = [swept.learned(seed) for seed in range(META_SEEDS)]
        initial = [built.value(built.init(jax.random.key(seed), built.hyperparameters)) for seed in range(META_SEEDS)]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *values, *initial)
        every = {horizon: rules_returns(built.trainer, horizon, stacked) for horizon in TESTED}
        normal = {h: (every[h].mean(axis=1) - uniform) / (anchors[h] - uniform) for h in TESTED}
        record[method] = {
            "normalised": {str(h): normal[h][:META_SEEDS].tolist() for h in TESTED},
            "untrained": {str(h): normal[h][META_SEEDS:].tolist() for h in TESTED},
            "seconds_all_seeds": time.perf_counter() - began,
        }
        found[method] = {h: every[h][:META_SEEDS].mean(axis=0) for h in TESTED}
        drawn = [schedule(built.trainer, value, HORIZONS[1]) for value in values]
        record[method]["schedules"] = [
            {what: curve.round(4).tolist() for what, curve in each.items()} for each in drawn
        ]
        print(method, record[method], flush=True)
    for horizon in TESTED:
        difference = (found["ta_lpg"][horizon] - found["lpg"][horizon]) / (anchors[horizon] - uniform)
        low, high = statistics.interval(difference, lambda drawn: drawn.mean(axis=(1, 2)))
        record.setdefault("difference", {})[str(horizon)] = [float(difference.mean()), float(low), float(high)]
    print(record["difference"])
    (RESULTS / "ta_lpg.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(record)


if __name__ == "__main__":
    main()
