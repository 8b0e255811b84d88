"""Adapting to goals never trained on: RL², MAML, and one policy for all tasks that is then fine-tuned.

    python experiments/multitask/adaptation.py

A point mass is paid for walking to a goal that it cannot see; 12 goals to train on, 4 held out between them, equal
environment steps. RL² (a recurrent PPO over trials of 4 episodes) adapts within its memory, one episode at a time; MAML
and the plain multi-task policy (PPO over all tasks, not told which) take gradient steps on 8 episodes each, at
the best of the same rates. Writes results/multitask/adaptation.{json,png}.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

import jaxrl
from jaxrl import plotting
from jaxrl.environments.family import MergedParams
from jaxrl.multitask import adaptation_curve, maml, trials
from jaxrl.multitask.families import family

RESULTS = Path(__file__).parents[2] / "results" / "multitask"
SEEDS, EPISODES, STEPS = 4, 4, 1_000_000
GOALS = {"num_groups": 4, "group_size": 4, "spread": 1.2, "num_held_out": 4, "time_limit": 32}
# Rates that adapting is tried with; the one with the best last return is reported.
RATES = (0.03, 0.1, 0.3, 1.0)
GRADIENT: dict[str, Any] = {
    "num_envs": 8,
    "num_epochs": 2,
    "num_evaluations": 1,
    "evaluation_adaptations": 3,
    "learning_rate": 2e-3,
    "inner_learning_rate": 0.3,
    "hidden_sizes": (32, 32),
    "initial_log_std": -0.5,
}
METHODS: dict[str, dict[str, Any]] = {
    "MAML, second order": {"adaptation_steps": 1},
    "MAML, first order": {"adaptation_steps": 1, "order": "first"},
    "multi-task PPO, fine-tuned": {"adaptation_steps": 0},
}
RECURRENT: dict[str, Any] = {
    "network": "gru",
    "num_envs": 64,
    "num_steps": 64,
    "num_epochs": 4,
    "num_minibatches": 4,
    "learning_rate": 1e-3,
    "entropy_coefficient": 0.001,
    "hidden_sizes": (64,),
    # Policy and value share all layers but their heads: large returns would drown the policy's gradient.
    "normalise_rewards": True,
    "initial_log_std": -0.5,
    "num_evaluations": 1,
    "total_steps": STEPS,
}


ALL = ("RL²", "RL², untrained", *METHODS)


@dataclass(frozen=True)
class Arguments:
    """What to run."""

    methods: tuple[str, ...] = ALL
    """Methods; curves of others stay."""


def keys() -> jax.Array:
    """One per seed."""
    return jax.vmap(jax.random.key)(jnp.arange(SEEDS))


def recurrent(trained: bool = True) -> np.ndarray:
    """Return of every episode of a trial in held-out tasks, `[seed, episode]`."""
    tasks = family("point-mass", **GOALS)
    environment = trials(tasks.train, EPISODES)
    trainer = jaxrl.trainer("ppo", environment, **RECURRENT)
    hp, count = trainer.hyperparameters, tasks.num_held_out
    curve = adaptation_curve(environment, trainer.agent, 32)

    def one(key: jax.Array) -> jax.Array:
        state = trainer.run(key, hp).state if trained else trainer.init(key, hp)
        held_out = MergedParams(tasks.held_out.params, jnp.full(count, 1.0 / count))
        return curve(jax.random.fold_in(key, 1), state.agent, hp._replace(environment=held_out)).mean(axis=0)

    return np.asarray(jax.jit(jax.vmap(one))(keys()), float)


def gradient(settings: dict[str, Any]) -> dict[float, np.ndarray]:
    """Returns before and after each inner step in held-out tasks, `[seed, adaptation]`, by rate of the later steps.

    A policy that was trained to adapt takes its first step at the rate it was trained with (Finn et al., 2017, section
    5.3, lower it afterwards too).
    """
    tasks = family("point-mass", **GOALS)
    steps = maml(tasks, **GRADIENT, **settings).steps_per_iteration
    built = maml(tasks, **GRADIENT, **settings, num_iterations=STEPS // steps)
    hp = built.hyperparameters

    def one(key: jax.Array) -> jax.Array:
        params = built.run(key, hp).state.params

        def at(rate: jax.Array) -> jax.Array:
            first = hp.inner_learning_rate if settings["adaptation_steps"] else rate
            rates = hp._replace(inner_learning_rate=jnp.stack([first, rate]))
            return built.evaluate(jax.random.fold_in(key, 1), params, rates).returns

        return jax.lax.map(at, jnp.asarray(RATES)).mean(axis=-1)

    found = np.asarray(jax.jit(jax.vmap(one))(keys()), float)
    return {rate: found[:, i] for i, rate in enumerate(RATES)}


def learn(name: str) -> tuple[np.ndarray, int, float | None]:
    """A method's curve in held-out tasks, episodes from one point of it to the next, and the rate of its steps."""
    if name in ("RL²", "RL², untrained"):
        return recurrent(trained=name == "RL²"), 1, None
    found = gradient(METHODS[name])
    rate = max(found, key=lambda rate: found[rate][:, -1].mean())
    return found[rate], GRADIENT["num_envs"], rate


def main(arguments: Arguments) -> None:
    """Runs, prints, and writes after every method."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / "adaptation.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"curves": {}}
    record |= {"goals": GOALS, "steps": STEPS, "seeds": SEEDS, "gradient": GRADIENT, "recurrent": RECURRENT}
    for name in arguments.methods:
        began = time.perf_counter()
        curve, episodes, rate = learn(name)
        seconds = round(time.perf_counter() - began, 1)
        found = {"returns": np.round(curve, 3).tolist(), "episodes_each": episodes, "rate": rate, "seconds": seconds}
        record["curves"][name] = found
        print(name, curve.mean(axis=0).round(2), rate, seconds, flush=True)
        path.write_text(json.dumps(record) + "\n")
        draw(record)


def draw(record: dict[str, Any]) -> None:
    """Return in held-out tasks over the episodes that were seen of them."""
    figure = plotting.new_figure(12.0, 3.7)
    panels = figure.subplots(1, 2, sharey=True)
    for place, name in enumerate(name for name in ALL if name in record["curves"]):
        found = record["curves"][name]
        axes = panels[0] if found["episodes_each"] == 1 else panels[1]
        returns = np.asarray(found["returns"])
        label = name if found["rate"] is None else f"{name} (later rate {found['rate']})"
        seen = found["episodes_each"] * np.arange(returns.shape[1])
        # Both orders of MAML lie on each other.
        plotting.runs(axes, seen, returns, place, label, "--" if "first order" in name else None)
    for axes, title in zip(panels, ("by memory", "by gradient steps on 8 episodes each"), strict=True):
        plotting.style_axes(axes, "episodes seen of a held-out task", "")
        axes.set_title(title, fontsize=10, loc="left")
        if axes.lines:
            axes.legend(fontsize=8.5, frameon=False)
    panels[0].set_ylabel("return of an episode")
    plotting.note(figure, "thin: every seed (5 of RL², 4 of the others); thick: their mean")
    plotting.save(figure, RESULTS / "adaptation.png")


def redraw() -> None:
    """The figure again, from the record."""
    draw(json.loads((RESULTS / "adaptation.json").read_text()))


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
