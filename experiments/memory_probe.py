"""What networks remember: name the cue of an episode's first step after a number of steps of noise.

    python experiments/memory_probe.py           # a few minutes on two cores
    python experiments/memory_probe.py --draw    # the figure again

One of four cues is shown at first, then noise, and on the last step the agent is asked: 1 for the right name, else 0. A
network without memory is right in a quarter of all episodes. In a second study an iteration is shorter than that delay,
so that no gradient reaches from the question back to the cue; a memory by attention holds what its layers were given,
and learns all the same what to make of it.

Writes results/learning/memory_probe.json and .png.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import jaxrl
from jaxrl import plotting
from jaxrl.environments import Box, Discrete, Environment, EnvironmentSpec, Timestep
from jaxrl.numerics.statistics import interquartile_mean, interval

RESULTS = Path(__file__).parents[1] / "results" / "learning"
CUES, NOISE, DELAY, SEEDS = 4, 2, 16, 5
NETWORKS = ("mlp", "gru", "lstm", "attention")
SETTINGS = {
    "recurrent_size": 32,
    "hidden_sizes": (32,),
    "evaluation_episodes": 128,
    "num_evaluations": 12,
}
STUDIES = {
    "whole episodes": {"num_steps": DELAY + 2, "num_envs": 32, "learning_rate": 1e-3, "total_steps": 480_000},
    # Here two iterations in three hold no reward at all: standardised, their noise would be followed.
    "iterations shorter than the delay": {
        "num_steps": 6,
        "num_envs": 128,
        "num_minibatches": 2,
        "learning_rate": 2e-3,
        "standardise_advantages": "none",
        "total_steps": 240_000,
    },
}


def recall(delay: int = DELAY) -> Environment:
    """One of four cues, `delay` steps of noise, then the question what it was."""
    spec = EnvironmentSpec(
        "probe/recall", Box(-jnp.inf, jnp.inf, (CUES + NOISE + 1,)), Discrete(CUES), time_limit=delay + 2
    )

    def observe(key: Any, cue: Any, steps: Any) -> Any:
        shown = jnp.where(steps == 0, jax.nn.one_hot(cue, CUES), 0.0)
        asked = (steps == delay + 1).astype(jnp.float32)
        return jnp.concatenate([shown, jax.random.normal(key, (NOISE,)), asked[None]])

    def reset(key: Any, params: Any) -> tuple:
        cue_key, noise_key = jax.random.split(key)
        cue, steps = jax.random.randint(cue_key, (), 0, CUES), jnp.zeros((), jnp.int32)
        return (cue, steps), observe(noise_key, cue, steps)

    def step(key: Any, state: tuple, action: Any, params: Any) -> tuple:
        cue, steps = state
        asked = steps == delay + 1
        right = (asked & (action == cue)).astype(jnp.float32)
        following = (cue, steps + 1)
        return following, Timestep(observe(key, *following), right[None], asked, jnp.array(False), {})

    return Environment(reset, step, (), spec)


def settings_of(network: str) -> dict[str, Any]:
    """As much of a network's own as the others do not have."""
    return {"network": network, **({"context_length": DELAY + 2} if network == "attention" else {})}


def run() -> dict[str, Any]:
    """Share of right answers of every network and seed, by evaluation."""
    found: dict[str, Any] = {"delay": DELAY, "seeds": SEEDS, "chance": 1.0 / CUES, "settings": SETTINGS, "studies": {}}
    for study, changes in STUDIES.items():
        found["studies"][study] = {}
        for network in NETWORKS:
            trainer = jaxrl.trainer("ppo", recall(), **SETTINGS, **changes, **settings_of(network))
            start = time.perf_counter()
            sweep = jaxrl.sweep(trainer, seeds=SEEDS, say=lambda _: None)
            seconds = time.perf_counter() - start
            table = sweep.table
            final = sweep.final_returns()[:, 0]
            low, high = interval(final, interquartile_mean)
            found["studies"][study][network] = {
                "steps": sorted(map(int, set(table["steps"]))),
                "right": [[round(float(x), 3) for x in own["return"]] for _, own in table.groupby("member", sort=True)],
                "final_iqm": round(float(interquartile_mean(final)), 3),
                "interval_95": [round(float(low), 3), round(float(high), 3)],
                "worst_seed": round(float(final.min()), 3),
                "seconds_compile_included": round(seconds, 1),
            }
            shown = {k: v for k, v in found["studies"][study][network].items() if k not in ("right", "steps")}
            print(study, network, json.dumps(shown), flush=True)
    return found


def draw(found: dict[str, Any]) -> None:
    """A panel for each study, a line for each seed."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(found["studies"]), figsize=(9.0, 3.4), sharey=True, layout="constrained")
    colours = dict(zip(NETWORKS, plt.rcParams["axes.prop_cycle"].by_key()["color"]))
    for axis, (study, networks) in zip(axes, found["studies"].items(), strict=True):
        for network, result in networks.items():
            for index, right in enumerate(result["right"]):
                label = network if index == 0 else None
                axis.plot(result["steps"], right, color=colours[network], alpha=0.7, linewidth=1.2, label=label)
        axis.axhline(found["chance"], color="0.5", linestyle=":", linewidth=1.0)
        axis.set_title(f"{study}: {STUDIES[study]['num_steps']} steps an iteration", fontsize=10)
        axis.set_xlabel("environment steps")
        axis.set_ylim(0.0, 1.03)
    axes[0].set_ylabel(f"share of right answers\nafter {found['delay']} steps, {SEEDS} seeds each")
    axes[0].legend(frameon=False)
    plotting.save(figure, RESULTS / "memory_probe.png")


def redraw() -> None:
    """The figure again."""
    draw(json.loads((RESULTS / "memory_probe.json").read_text()))


def main(arguments: list[str]) -> None:
    """Runs, or draws alone."""
    if "--draw" not in arguments:
        jaxrl.use_cpu_cores()
        found = run()
        (RESULTS / "memory_probe.json").write_text(json.dumps(found, indent=1) + "\n")
    redraw()


if __name__ == "__main__":
    main(sys.argv[1:])
