"""Estimated against real: what adapting to subsets of tasks does, without training and with it.

    python experiments/multitask/subset_truth.py

For two small families, one policy is trained on all tasks; every subset of the given size is then really trained from
it, all in one program, and every task evaluated under each. Beside it: affinities from the surrogate, from rollouts of
adapted policies, and cosines of gradients, five seeds; rank correlations over pairs of tasks with the affinities of the
trained subsets, and the time of each with and without compilation. The relative error of log π to first order is
measured against the distance from the policy, on three families. Writes results/multitask/subset_truth.{json,png}.
"""

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import spearmanr

import jaxrl
from jaxrl.multitask import merge
from jaxrl.multitask.experience import gather, log_probability, parts_of, policy_parameters
from jaxrl.multitask.families import family
from jaxrl.multitask.fine_tuning import fine_tune
from jaxrl.multitask.grouping.affinity import estimated_affinity
from jaxrl.multitask.grouping.curvature import first_order_error
from jaxrl.multitask.grouping.subsets import all_subsets
from jaxrl.multitask.study import group_study

RESULTS = Path(__file__).parents[2] / "results" / "multitask"
SEEDS = 3
AGENT: dict[str, Any] = {"num_envs": 32, "num_steps": 64, "learning_rate": 1e-3, "num_evaluations": 1}
SUBSET_STEPS = 20 * 32 * 64
DISTANCES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1)
CASES: dict[str, dict[str, Any]] = {
    "point-mass": {"options": {"num_groups": 3, "group_size": 2, "spread": 0.6}, "steps": 60_000, "observe": False},
    "cart-pole": {"options": {"num_tasks": 6, "num_held_out": 0}, "steps": 100_000, "observe": False},
    "pendulum": {"options": {"num_tasks": 6, "num_held_out": 0}, "steps": 100_000, "observe": False},
}
TRAINED = ("point-mass", "cart-pole")


def timed(function: Any, *arguments: Any) -> tuple[Any, float, float]:
    """Result, seconds with compilation, and without."""
    began = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    first = time.perf_counter() - began
    began = time.perf_counter()
    result = jax.block_until_ready(function(*arguments))
    return result, first, time.perf_counter() - began


def pairs(matrix: Any) -> np.ndarray:
    """Entries above the diagonal."""
    matrix = np.asarray(matrix)
    return matrix[np.triu_indices(len(matrix), 1)]


def measure(name: str) -> dict[str, Any]:
    """One family: correlations with trained subsets and times."""
    case = CASES[name]
    environment = merge(family(name, **case["options"]).train)
    settings = {**AGENT, "total_steps": case["steps"], "observe_task": case["observe"], "evaluation_episodes": 64}
    trainer = jaxrl.trainer("ppo", environment, **settings)
    subsets = all_subsets(environment.spec.num_tasks, 3)
    part = trainer.rebuild(total_steps=SUBSET_STEPS, num_evaluations=1)
    train = jax.jit(lambda key, state: fine_tune(part, key, state, part.hyperparameters, subsets).evaluation.returns)
    choices = {
        "surrogate": {"affinity": "estimated"},
        "rollouts": {"affinity": "estimated", "performance": "rollouts", "relative_distance": 0.05},
        "cosine": {"affinity": "cosine"},
    }
    studies = {
        choice: jax.jit(group_study(trainer, projection_dimension=200, num_subsets=60, **given).estimate)
        for choice, given in choices.items()
    }
    run, record = jax.jit(trainer.run), {"tasks": environment.spec.num_tasks, "subsets": len(subsets), "seeds": []}
    for seed in range(SEEDS):
        key = jax.random.key(seed)
        state = run(key, trainer.hyperparameters).state
        returns, with_compilation, seconds = timed(train, jax.random.fold_in(key, 1), state)
        truth = estimated_affinity(returns[:, -1], subsets)
        row: dict[str, Any] = {"training": {"seconds": seconds, "with_compilation": with_compilation}}
        for choice, estimate in studies.items():
            arguments = (jax.random.fold_in(key, 2), state.agent, trainer.hyperparameters)
            found, with_compilation, seconds = timed(estimate, *arguments)
            correlation = float(spearmanr(pairs(found.affinity), pairs(truth)).statistic)
            row[choice] = {"correlation": correlation, "seconds": seconds, "with_compilation": with_compilation}
        record["seeds"].append(row)
        print(name, seed, {choice: round(row[choice]["correlation"], 3) for choice in studies}, row, flush=True)
    return record


def expansion(name: str) -> dict[str, Any]:
    """Relative error of log π(a|o) by distance, first order and none, in random directions."""
    case = CASES[name]
    environment = merge(family(name, **case["options"]).train)
    trainer = jaxrl.trainer("ppo", environment, **AGENT, total_steps=case["steps"], observe_task=case["observe"])
    agent = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters).state.agent
    policy = policy_parameters(agent.params)
    experience = jax.jit(partial(gather, trainer))(jax.random.key(1), agent, trainer.hyperparameters)
    flat = jax.tree.map(
        lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[::16], (experience.observation, experience.raw_action)
    )

    def function(policy: Any) -> jax.Array:
        return jax.vmap(lambda sample: log_probability(parts_of(trainer), agent.params, policy, sample))(flat)

    keys = jax.random.split(jax.random.key(2), 8)
    drawn = jax.vmap(lambda key: jax.tree.map(lambda leaf: jax.random.normal(key, leaf.shape), policy))(keys)
    error = jax.jit(lambda directions: first_order_error(function, policy, directions, jnp.asarray(DISTANCES)))(drawn)
    return {
        "distance": list(DISTANCES),
        "first_order": np.asarray(error.first_order.mean(axis=1)).tolist(),
        "zero_order": np.asarray(error.zero_order.mean(axis=1)).tolist(),
    }


def draw(record: dict[str, Any]) -> None:
    """Correlations by family, and errors by distance."""
    from jaxrl.figures.figure import add_legend, new_figure, series_style, style_axes
    from jaxrl.figures.plotting import save

    figure = new_figure(9.4, 3.6)
    left, right = figure.subplots(1, 2)
    for i, choice in enumerate(("surrogate", "rollouts", "cosine")):
        for place, name in enumerate(TRAINED):
            values = [row[choice]["correlation"] for row in record["subsets"][name]["seeds"]]
            style = {**series_style(i), "linestyle": "none"}
            x = place + 0.2 * (i - 1) + np.linspace(-0.04, 0.04, len(values))
            left.plot(x, values, markersize=4.5, label=choice if not place else None, **style)
    left.set_xticks(range(len(TRAINED)), TRAINED)
    left.set_ylim(-1.05, 1.05)
    style_axes(left, "", "rank correlation with trained subsets")
    for i, (name, errors) in enumerate(record["expansion"].items()):
        colour = series_style(i)["color"]
        right.plot(errors["distance"], errors["first_order"], color=colour, label=name, marker="o", markersize=4)
        right.plot(errors["distance"], errors["zero_order"], color=colour, linestyle=":")
    right.axhline(0.02, color="#8A8A8A", linewidth=0.8)
    right.set_xscale("log")
    right.set_yscale("log")
    style_axes(right, "relative distance from the policy", "relative error of log π (dotted: no gradient)")
    add_legend(figure, left)
    right.legend(frameon=False, fontsize=9)
    save(figure, RESULTS / "subset_truth.png")


def main() -> None:
    """Measures, writes, draws."""
    jaxrl.use_cpu_cores()
    RESULTS.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {"agent": AGENT, "subset_steps": SUBSET_STEPS}
    record["expansion"] = {name: expansion(name) for name in CASES}
    print(record["expansion"], flush=True)
    record["subsets"] = {name: measure(name) for name in TRAINED}
    (RESULTS / "subset_truth.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(record)


if __name__ == "__main__":
    main()
