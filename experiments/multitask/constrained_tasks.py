"""Bounds on the return of every task, kept by multipliers on natural policy gradients where averaging breaks them.

    python experiments/multitask/constrained_tasks.py

One policy that cannot see its task walks a point mass; three tasks pay it for three goals, two of them close together
(shared policy: a lower bound on the lonely goal's task conflicts with the average). Then a policy that sees its task,
with an upper and a lower bound (seen tasks). Natural policy gradient with multipliers (arXiv 2405.02456), PPO with the
same multipliers, and natural policy gradient on the plain average, equal steps and seeds.
Writes results/multitask/constrained_tasks.{json,png}.
"""

import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl
from jaxrl import plotting
from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.multitask import TaskFamily, make_family, merge
from jaxrl.multitask.families import family
from jaxrl.multitask.families.point_mass import PointMassParams

RESULTS = Path(__file__).parents[2] / "results" / "multitask"
SEEDS = 5
ANGLES = (0.0, 0.4, 2.2)
STEPS = 400_000
TRAINING: dict[str, Any] = {
    "num_envs": 64,
    "num_steps": 32,
    "hidden_sizes": (32, 32),
    "entropy_coefficient": 0.0,
    "num_evaluations": 10,
    "evaluation_episodes": 32,
    "evaluation_explores": True,
    "initial_log_std": -0.5,
    "total_steps": STEPS,
}
BOUNDED = {"multiplier_rate": 0.05, "proportional_gain": 0.5, "scale": 5.0}
# Returns of 32 steps: about -4.5 straight to the goal, -46 at a goal on the other side.
SETTINGS: dict[str, dict[str, list[float]]] = {
    "shared policy": {"thresholds": [-np.inf, -np.inf, -27.0], "upper": [np.inf] * 3},
    "seen tasks": {"thresholds": [-12.0, -np.inf, -np.inf], "upper": [np.inf, np.inf, -20.0]},
}
METHODS: dict[str, tuple[str, str]] = {
    "natural gradient, multipliers": ("npg", "lagrangian"),
    "PPO, multipliers": ("ppo", "lagrangian"),
    "natural gradient, average": ("npg", "linear"),
}


def goals() -> TaskFamily:
    """Three goals on the unit circle."""
    base = family("point-mass").environment
    places = [jnp.asarray([np.cos(angle), np.sin(angle)], jnp.float32) for angle in ANGLES]
    return make_family(base, [PointMassParams(place) for place in places], ("goal 1", "goal 2", "lonely goal"))


def shared_policy(tasks: TaskFamily) -> Environment:
    """All tasks at once: one episode, which every task pays. For tasks that differ in rewards alone."""
    inner, count = tasks.environment, tasks.num_tasks

    def reset(key: Any, params: Any) -> Any:
        return inner.reset(key, jax.tree.map(lambda leaf: leaf[0], params))

    def step(key: Any, state: Any, action: Any, params: Any) -> tuple[Any, Timestep]:
        states, timesteps = jax.vmap(lambda one: inner.step(key, state, action, one))(params)
        state, timestep = jax.tree.map(lambda leaf: leaf[0], (states, timesteps))
        return state, timestep._replace(reward=timesteps.reward[:, 0])

    spec = EnvironmentSpec(
        "shared-policy", inner.spec.observation, inner.spec.action, count, inner.spec.time_limit, tasks.names
    )
    return Environment(reset, step, tasks.params, spec)


def curves(setting: str, method: str) -> dict[str, Any]:
    """Returns of every seed, evaluation and task, and how far bounds are missed at the end."""
    agent, aggregator = METHODS[method]
    environment = shared_policy(goals()) if setting == "shared policy" else merge(goals())
    trainer = jaxrl.trainer(agent, environment, aggregator=aggregator, **TRAINING)
    hp, bounds = trainer.hyperparameters, SETTINGS[setting]
    if aggregator == "lagrangian":
        values = {**BOUNDED, **bounds}
        like = hp.aggregator
        values = {name: jnp.broadcast_to(jnp.asarray(value), like[name].shape) for name, value in values.items()}
        hp = hp._replace(aggregator={**like, **values})
    began = time.perf_counter()
    run = jax.jit(jax.vmap(trainer.run, in_axes=(0, None)))
    result = run(jax.vmap(jax.random.key)(jnp.arange(SEEDS)), hp)
    returns = np.asarray(result.evaluation.returns, float)
    # Of the last three evaluations, so that a multiplier's swing counts.
    final = returns[:, -3:].mean(axis=1)
    missed = np.maximum(np.asarray(bounds["thresholds"]) - final, final - np.asarray(bounds["upper"]))
    return {
        "steps": trainer.evaluation_steps.tolist(),
        "returns": np.round(returns, 3).tolist(),
        "final": final.mean(axis=0).round(2).tolist(),
        "average": round(float(final.mean()), 2),
        "worst_violation": np.maximum(missed, 0.0).max(axis=1).round(2).tolist(),
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    """Runs, prints, writes."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    bounds = {s: {k: [None if np.isinf(x) else x for x in v] for k, v in b.items()} for s, b in SETTINGS.items()}
    record: dict[str, Any] = {"bounds": bounds, "seeds": SEEDS, "training": TRAINING, "multipliers": BOUNDED}
    for setting in SETTINGS:
        record[setting] = {}
        for method in METHODS:
            record[setting][method] = found = curves(setting, method)
            print(
                setting, "|", method, {name: found[name] for name in ("final", "average", "worst_violation", "seconds")}
            )
            (RESULTS / "constrained_tasks.json").write_text(json.dumps(record) + "\n")
    draw(record)


def draw(record: dict[str, Any]) -> None:
    """Return of each bounded task over training, its bound dashed."""
    from matplotlib.ticker import EngFormatter

    figure = plotting.new_figure(14.5, 3.6)
    panels = [("shared policy", 2, "lower"), ("seen tasks", 0, "lower"), ("seen tasks", 2, "upper")]
    names = goals().names
    for axes, (setting, task, kind) in zip(figure.subplots(1, 3), panels, strict=True):
        bound = SETTINGS[setting]["thresholds" if kind == "lower" else "upper"][task]
        for place, method in enumerate(METHODS):
            found = record[setting][method]
            plotting.runs(axes, found["steps"], np.asarray(found["returns"])[:, :, task], place, method)
        axes.axhline(bound, color="black", linestyle="--", linewidth=1, label="bound")
        plotting.style_axes(axes, "environment steps", "return")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_title(f"{setting}: {names[task]}, {kind} bound", fontsize=10, loc="left")
    plotting.add_legend(figure, figure.axes[0])
    plotting.note(figure, f"thin: each of {record['seeds']} seeds; thick: their mean")
    plotting.save(figure, RESULTS / "constrained_tasks.png")


def redraw() -> None:
    """The figure again, from the record."""
    draw(json.loads((RESULTS / "constrained_tasks.json").read_text()))


if __name__ == "__main__":
    main()
