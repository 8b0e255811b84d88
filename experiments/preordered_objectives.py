"""Objectives in order on a concave front: of expected returns, where policies mix, and of every single episode.

    python experiments/preordered_objectives.py

Concave deep sea treasure has ten Pareto-optimal plans, of which linear weights prefer the two extremes only. "Treasure
up to v, then time" names every plan in turn, v a little below its exact value. Of expected returns (`lexicographic`,
and `log_barrier`: least time subject to the same bound) the best policy is a mixture of plans that no deterministic one
reaches: it must keep the bound at less time than the plan's. Of single episodes (`utility`, the expected utility of
returns) it is the plan itself. Everything is discounted. Writes results/pareto/preordered.{json,png}.
"""

import json
import time
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import jaxrl
from jaxrl import plotting
from jaxrl.environments.multi_objective.fronts import front as exact_front
from jaxrl.morl.esr import esr_trainer
from jaxrl.types import Array, Float

RESULTS = Path(__file__).parents[1] / "results" / "pareto"
ENVIRONMENT = "deep-sea-treasure-concave"
DISCOUNT = 0.99
SEEDS = 4
# Shortfalls are small shares of the front's extent, and a run is 488 iterations long.
PRICES = {"multiplier_rate": 2.0, "estimate_rate": 1.0}
# Between the exact value and the next smaller one, so that nothing but the plan itself or a better one meets it.
MARGIN = 0.3
# Share of a bound that sampled episodes may miss it by.
TOLERANCE = 0.05
EPISODES = 256
TRAINING: dict[str, Any] = {
    "total_steps": 500_000,
    "num_envs": 16,
    "num_steps": 64,
    "num_epochs": 4,
    "num_minibatches": 4,
    "learning_rate": 2e-3,
    "entropy_coefficient": 0.05,
    "discount": DISCOUNT,
    "num_evaluations": 5,
    "evaluation_episodes": 1,
}


def lexicographic_utility(
    returns: Float[Array, " objective"], target: Float[Array, ""], horizon: Float[Array, ""]
) -> Float[Array, ""]:
    """20 min(treasure, target)/target + time/horizon: no time is worth missing the target, none more than it."""
    return 20.0 * jnp.minimum(returns[0], target) / target + returns[1] / horizon


def trainers(known: np.ndarray) -> dict[str, tuple[jaxrl.Trainer, dict[str, Any]]]:
    """For each method its trainer, and as many targets as the front has points: swept leaves, or weights."""
    scale = (known.max(axis=0) - known.min(axis=0)).tolist()
    targets = bounds(known).tolist()
    environment = f"mo/{ENVIRONMENT}"
    ordered = jaxrl.trainer("ppo", environment, aggregator="lexicographic", scale=scale, **PRICES, **TRAINING)
    barrier = jaxrl.trainer("ppo", environment, aggregator="log_barrier", scale=scale, **TRAINING)
    # Its agent discounts nothing, and a target far away takes more wandering to be found.
    single = {key: value for key, value in TRAINING.items() if key != "discount"} | {"entropy_coefficient": 0.1}
    parameters = {"target": targets[-1], "horizon": -float(known[:, 1].min())}
    utility = esr_trainer(
        environment, lexicographic_utility, "ppo", discount=DISCOUNT, parameters=parameters, scale=scale, **single
    )
    return {
        "linear": (jaxrl.trainer("ppo", environment, **TRAINING), {"weights": len(known)}),
        "lexicographic": (ordered, {"hyperparameters": {"thresholds": [[t, np.inf] for t in targets]}}),
        "log_barrier": (
            barrier,
            {"hyperparameters": {"thresholds": [[t, -np.inf] for t in targets]}, "weights": [[0.0, 1.0]]},
        ),
        "utility": (utility, {"hyperparameters": {"target": targets}}),
    }


def bounds(known: np.ndarray) -> np.ndarray:
    """The least treasure that each plan is asked for."""
    return known[:, 0] - MARGIN * np.diff(known[:, 0], prepend=0.0)


def run(name: str, trainer: jaxrl.Trainer, design: dict[str, Any], known: np.ndarray) -> dict[str, Any]:
    """Every target with every seed as one program: greedy plans, and what sampled episodes bring on average."""
    start = time.perf_counter()
    sweep = jaxrl.sweep(trainer, seeds=SEEDS, say=lambda _: None, **design)
    greedy, sampled = (played(sweep, known, explore) for explore in (False, True))
    found = (np.abs(greedy[:, :, None] - known).max(axis=-1) < 1e-3).any(axis=0)
    result = {
        "points_found": found.sum(axis=-1).tolist(),
        "share_of_seeds": found.mean(axis=0).round(3).tolist(),
        "sampled_returns": sampled.mean(axis=1).round(3).tolist(),
        "seconds": time.perf_counter() - start,
    }
    if name in ("lexicographic", "log_barrier"):
        held = sampled[..., 0] >= bounds(known)[:, None] * (1.0 - TOLERANCE)
        faster = sampled[..., 1] > known[:, None, 1] + 1e-3
        # The extremes cannot be bettered by mixing.
        result |= {"bounds_held": float(held.mean()), "held_and_faster": float((held & faster)[1:-1].mean())}
    return result


def played(sweep: jaxrl.Sweep, known: np.ndarray, explore: bool) -> np.ndarray:
    """Mean discounted returns of treasure and time, `[target, seed, objective]`; of `utility`, its last objectives."""
    evaluation = sweep.evaluate(EPISODES if explore else 1, seed=1, explore=explore)
    returns = np.asarray(evaluation.discounted_returns)
    return returns.reshape(-1, SEEDS, returns.shape[-1])[..., -known.shape[1] :]


def draw(known: np.ndarray, results: dict[str, dict[str, Any]]) -> None:
    """The exact front once per method: the darker a plan, the more seeds found it; crosses: sampled episodes."""
    figure = plotting.new_figure(13.0, 3.6)
    for axes, (name, result) in zip(figure.subplots(1, len(results), sharey=True), results.items(), strict=True):
        shade = {"c": result["share_of_seeds"], "cmap": "Blues", "vmin": 0.0, "vmax": 1.0}
        axes.plot(*known.T, color="#8A8A8A", linewidth=0.8, linestyle=(0, (4, 2)), zorder=2)
        axes.scatter(*known.T, edgecolors="#333333", zorder=3, **shade)
        axes.plot(*np.asarray(result["sampled_returns"]).T, "x", color="#D55E00", markersize=5, zorder=4)
        plotting.style_axes(axes, "treasure (discounted)", "")
        axes.set_title(f"{name}: {np.mean(result['points_found']):.1f} of {len(known)} plans", fontsize=10, loc="left")
    figure.axes[0].set_ylabel("time (discounted)")
    seeds = len(result["points_found"])
    plotting.note(
        figure,
        f"circles: the exact front's plans, the darker the more of {seeds} seeds found them; "
        "crosses: mean returns of sampled episodes, one per bound",
    )
    plotting.save(figure, RESULTS / "preordered.png")


def redraw() -> None:
    """The figure again, from the record."""
    record = json.loads((RESULTS / "preordered.json").read_text())
    draw(np.asarray(record["plans"]), record["methods"])


def main() -> None:
    """Runs all methods."""
    jaxrl.use_cpu_cores()
    known = np.asarray(exact_front(ENVIRONMENT, DISCOUNT))
    known = known[np.argsort(known[:, 0])]
    results = {}
    for name, (trainer, design) in trainers(known).items():
        results[name] = run(name, trainer, design, known)
        print(name, {key: value for key, value in results[name].items() if key != "sampled_returns"}, flush=True)
    record = {"environment": ENVIRONMENT, "training": TRAINING, "seeds": SEEDS, "margin": MARGIN}
    record |= {"plans": known.round(4).tolist(), "tolerance": TOLERANCE, "methods": results}
    (RESULTS / "preordered.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(known, results)


if __name__ == "__main__":
    main()
