"""What normalising every reward within its group does to training: GDPO beside GRPO, and PPO with critics.

    python experiments/group_relative.py

Where episodes of a group differ in rewards but not in their weighted sum, or one reward's range hides another's, GRPO's
advantages cannot tell them apart; GDPO normalises each reward first. Every agent trains under the same weights, seeds
and environment steps, on fruit tree (six rewards of one range), on deep sea treasure (two of very different ranges) and
on allocation with one objective in other units. Writes results/pareto/group_relative.{json,png}.
"""

import json
import time
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import jaxrl
from jaxrl import plotting
from jaxrl.environments.base import Environment
from jaxrl.morl.problem import make_problem, measure

RESULTS = Path(__file__).parents[1] / "results" / "pareto"
SEEDS = 4
NUM_WEIGHTS = 12
# In other units the same objective's numbers are a hundred times smaller; weights stay, as a user's would.
SMALL_UNIT = 0.01
GROUPS = {"group_size": 16}
AGENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "GRPO": ("grpo", GROUPS),
    "GDPO": ("gdpo", GROUPS),
    "PPO": ("ppo", {}),
    "PPO, decoupled": ("ppo", {"aggregator": "decoupled_normalisation"}),
}
ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "fruit-tree-6": {"num_steps": 6, "total_steps": 150_000},
    "deep-sea-treasure": {"num_steps": 100, "total_steps": 1_500_000},
    "allocation-3, small unit": {"num_steps": 3, "total_steps": 150_000},
}
TRAINING: dict[str, Any] = {
    "num_envs": 64,
    "num_epochs": 4,
    "num_minibatches": 4,
    "learning_rate": 2e-3,
    "entropy_coefficient": 0.05,
    "num_evaluations": 5,
    "evaluation_episodes": 1,
}


def small_unit(environment: Environment) -> Environment:
    """Objective 0 in a larger unit, so that its numbers are small."""
    factors = jnp.ones(environment.spec.num_objectives).at[0].set(SMALL_UNIT)

    def step(key: Any, state: Any, action: Any, params: Any) -> Any:
        state, timestep = environment.step(key, state, action, params)
        return state, timestep._replace(reward=timestep.reward * factors)

    return environment._replace(step=step)


def run(name: str, agent: str, own: dict[str, Any]) -> dict[str, Any]:
    """Hypervolume and expected utility of all weights' policies, per seed."""
    environment = jaxrl.make(f"mo/{name.split(',')[0]}")
    problem = make_problem(environment)
    trained = small_unit(environment) if "small unit" in name else environment
    start = time.perf_counter()
    settings = {**TRAINING, **ENVIRONMENTS[name], **own, "discount": problem.discount}
    sweep = jaxrl.sweep(jaxrl.trainer(agent, trained, **settings), seeds=SEEDS, weights=NUM_WEIGHTS, say=lambda _: None)
    returns = sweep.final_returns(discounted=True).reshape(NUM_WEIGHTS, SEEDS, -1)
    if "small unit" in name:
        returns = returns / np.asarray([SMALL_UNIT, *[1.0] * (returns.shape[-1] - 1)])
    measured = [measure(problem, jnp.asarray(returns[:, seed], jnp.float32)) for seed in range(SEEDS)]
    result = {key: [float(row[key]) for row in measured] for key in ("hypervolume", "expected_utility")}
    result["best_of_first"] = returns[..., 0].max(axis=0).tolist()
    return {**result, "seconds": time.perf_counter() - start}


def draw(results: dict[str, dict[str, dict[str, Any]]]) -> None:
    """One panel per environment, a dot per seed."""
    figure = plotting.new_figure(12.0, 3.0)
    for axes, (environment, rows) in zip(figure.subplots(1, len(results), sharey=True), results.items(), strict=True):
        plotting.dots_by_row(axes, {name: row["hypervolume"] for name, row in rows.items()}, "hypervolume")
        axes.set_title(environment, fontsize=10, loc="left")
    plotting.note(
        figure, f"dots: {SEEDS} seeds each, bars: their means; {NUM_WEIGHTS} weights, equal environment steps"
    )
    plotting.save(figure, RESULTS / "group_relative.png")


def redraw() -> None:
    """The figure again, from the record."""
    draw(json.loads((RESULTS / "group_relative.json").read_text())["results"])


def main() -> None:
    """Runs every agent on every environment."""
    jaxrl.use_cpu_cores()
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for environment in ENVIRONMENTS:
        results[environment] = {}
        for label, (agent, own) in AGENTS.items():
            results[environment][label] = row = run(environment, agent, own)
            print(environment, label, {key: np.mean(value).round(3) for key, value in row.items()}, flush=True)
    record = {"training": TRAINING, "environments": ENVIRONMENTS, "weights": NUM_WEIGHTS, "seeds": SEEDS}
    (RESULTS / "group_relative.json").write_text(json.dumps({**record, "results": results}, indent=1) + "\n")
    draw(results)


if __name__ == "__main__":
    main()
