"""Learning results of single-objective agents: several seeds, interquartile means, curves.

    python experiments/learning.py                  # all studies
    python experiments/learning.py cartpole acrobot # some of them
    python experiments/learning.py self_tuning/stacx  # variants whose name starts so; the others stay

Writes results/learning/STUDY.csv (one row per seed and evaluation), STUDY.png and summary.json, to which every study
adds its own entry.
"""

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax

import jaxrl
from jaxrl import plotting
from jaxrl.numerics.statistics import interquartile_mean, interval

RESULTS = Path(__file__).parents[1] / "results" / "learning"


@dataclass(frozen=True)
class Study:
    """One environment, its variants by name, and what is expected of the final interquartile mean."""

    environment: str
    seeds: int
    goal: str
    settings: dict[str, Any]
    variants: dict[str, dict[str, Any]] = field(default_factory=lambda: {"ppo": {}})


CLASSIC = {"num_envs": 8, "num_steps": 128, "learning_rate": 1e-3, "evaluation_episodes": 32}
CONTINUOUS = {
    "num_epochs": 10,
    "num_minibatches": 16,
    "num_steps": 256,
    "learning_rate": 1e-3,
    "normalise_rewards": True,
    "evaluation_episodes": 32,
}

STUDIES = {
    "cartpole": Study("gymnax/CartPole-v1", 16, "at least 490", {**CLASSIC, "total_steps": 500_000}),
    "agents": Study(
        "gymnax/CartPole-v1",
        16,
        "every agent above 400",
        {"total_steps": 500_000, "evaluation_episodes": 32},
        {
            "ppo": {"learning_rate": 1e-3},
            "dpo": {"learning_rate": 1e-3},
            "mdpo": {"learning_rate": 1e-3},
            "a2c": {"learning_rate": 2e-3},
            "reinforce": {"learning_rate": 1e-2},
        },
    ),
    "values": Study(
        "gymnax/CartPole-v1",
        4,
        "above 400",
        {"total_steps": 150_000, "evaluation_episodes": 32, "hidden_sizes": (64, 64)},
        {
            "dqn": {"learning_rate": 1e-3},
            "c51": {"learning_rate": 1e-3, "v_min": 0.0, "v_max": 100.0},
            "qr_dqn": {"learning_rate": 1e-3},
            "iqn": {"learning_rate": 1e-3},
            "munchausen_dqn": {"learning_rate": 1e-3},
            "rainbow": {"learning_rate": 1e-3, "v_min": 0.0, "v_max": 100.0},
            "r2d2": {"learning_rate": 1e-3},
            "pqn": {"learning_rate": 1e-3},
            "discrete_sac": {"learning_rate": 1e-3, "target_rate": 0.02, "target_entropy_ratio": 0.2},
        },
    ),
    "continuous": Study(
        "gymnax/Pendulum-v1",
        4,
        "above -250",
        {
            "total_steps": 20_000,
            "evaluation_episodes": 32,
            "hidden_sizes": (64, 64),
            "batch_size": 128,
            "learning_rate": 1e-3,
        },
        {
            "sac": {},
            "td3": {},
            "ddpg": {},
            "tqc": {"num_critics": 2},
            "crossq": {"critic_sizes": (64, 64)},
            "redq": {"num_critics": 4, "num_updates": 64, "policy_delay": 2, "total_steps": 5_000},
            "droq": {"num_updates": 96, "policy_delay": 3, "total_steps": 6_000},
            "simba": {"hidden_sizes": (32,), "critic_sizes": (64,), "total_steps": 10_000},
        },
    ),
    "recurrent_values": Study(
        "gymnax/MemoryChain-bsuite",
        4,
        "with burn-in 1, chance 0",
        {
            "total_steps": 30_000,
            "evaluation_episodes": 128,
            "learning_rate": 1e-3,
            "hidden_sizes": (32,),
        },
        {
            "r2d2": {"sequence_length": 6, "burn_in": 6, "return_steps": 1},
            "r2d2, no burn-in": {"sequence_length": 6, "burn_in": 0, "return_steps": 1},
            "dqn": {},
        },
    ),
    "pqn": Study(
        "gymnax/CartPole-v1",
        8,
        "above 400",
        {"total_steps": 300_000, "evaluation_episodes": 32, "hidden_sizes": (64, 64)},
        {"pqn": {"learning_rate": 1e-3}, "ppo": {"learning_rate": 1e-3}},
    ),
    "self_tuning": Study(
        "gymnax/Acrobot-v1",
        16,
        "tuned no worse than not tuned",
        {"total_steps": 500_000, "evaluation_episodes": 32, "learning_rate": 2e-3},
        {
            "stac": {},
            "stac, rate 1e-2": {"meta_learning_rate": 1e-2},
            "stac, nothing tuned": {"meta_learning_rate": 0.0},
            "stacx": {},
            "stacx, rate 1e-2": {"meta_learning_rate": 1e-2},
            "stacx, nothing tuned": {"meta_learning_rate": 0.0},
        },
    ),
    "acrobot": Study("gymnax/Acrobot-v1", 16, "at least -90", {**CLASSIC, "total_steps": 500_000}),
    "pendulum": Study(
        "gymnax/Pendulum-v1",
        8,
        "at least -250",
        {**CONTINUOUS, "num_envs": 8, "total_steps": 500_000, "discount": 0.95, "entropy_coefficient": 0.0},
    ),
    "mountain_car_continuous": Study(
        "gymnax/MountainCarContinuous-v0",
        8,
        "90 is solved (Gym)",
        {
            **CONTINUOUS,
            "num_envs": 16,
            "total_steps": 300_000,
            "discount": 0.999,
            "normalise_observations": True,
            "initial_log_std": 0.5,
        },
    ),
    "memory_chain": Study(
        "gymnax/MemoryChain-bsuite",
        8,
        "recurrent 1, feed-forward 0 (chance)",
        {"num_envs": 16, "num_steps": 64, "total_steps": 200_000, "learning_rate": 1e-3, "evaluation_episodes": 128},
        {"recurrent (GRU)": {"network": "gru"}, "feed-forward": {"network": "mlp"}},
    ),
    "breakout": Study(
        "gymnax/Breakout-MinAtar",
        4,
        "above 20 on every seed",
        {
            "num_envs": 64,
            "num_steps": 128,
            "num_minibatches": 8,
            "total_steps": 2_000_000,
            "learning_rate": 5e-3,
            "hidden_sizes": (128,),
            "activation": "relu",
            "shared_torso": True,
            "evaluation_episodes": 64,
            "evaluation_explores": True,
        },
    ),
}


def run(name: str, study: Study, chosen: str, known: dict[str, Any]) -> dict[str, Any]:
    """Runs the variants of a study whose name starts with `chosen`; writes table and figure and returns the summary.

    What is known of its other variants stays.
    """
    import pandas

    summary = {"environment": study.environment, "goal": study.goal, "seeds": study.seeds, "variants": {}}
    path, tables = RESULTS / f"{name}.csv", []
    if chosen and path.exists():
        table = pandas.read_csv(path)
        tables, summary["variants"] = [table[~table["setting"].str.startswith(chosen)]], dict(known["variants"])
    for variant, changes in study.variants.items():
        if not variant.startswith(chosen):
            continue
        named = variant.split(",")[0]
        agent = named if named in jaxrl.agents.AGENTS else "ppo"
        trainer = jaxrl.trainer(agent, study.environment, **{**study.settings, **changes})
        start = time.perf_counter()
        sweep = jaxrl.sweep(trainer, seeds=study.seeds)
        seconds = time.perf_counter() - start
        scores = sweep.final_returns()[:, 0]
        low, high = interval(scores, interquartile_mean)
        summary["variants"][variant] = {
            "settings": {key: str(value) for key, value in trainer.settings.items()},
            "final_return_iqm": round(float(interquartile_mean(scores)), 2),
            "interval_95": [round(float(low), 2), round(float(high), 2)],
            "worst_seed": round(float(scores.min()), 2),
            "seconds_compile_included": round(seconds, 1),
        }
        print(name, variant, json.dumps(summary["variants"][variant]), flush=True)
        tables.append(sweep.table.assign(setting=variant))
    table = pandas.concat(tables, ignore_index=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.6g")
    draw(name, table)
    summary["jax"] = jax.__version__
    return summary


def draw(name: str, table: Any) -> None:
    """Learning curves; in panels where their lines would hide each other."""
    figure = plotting.learning_curves(table, title=STUDIES[name].environment, panels=table["setting"].nunique() > 2)
    plotting.save(figure, RESULTS / f"{name}.png")


def redraw() -> None:
    """The figures again, from the tables."""
    import pandas

    for name in STUDIES:
        if (RESULTS / f"{name}.csv").exists():
            draw(name, pandas.read_csv(RESULTS / f"{name}.csv"))


def main(names: list[str]) -> None:
    """Runs the named studies, or all; `study/variant` runs the variants of a study whose name starts so."""
    jaxrl.use_cpu_cores()
    path = RESULTS / "summary.json"
    for name, _, chosen in (words.partition("/") for words in names or STUDIES):
        known = json.loads(path.read_text()) if path.exists() else {}
        found = run(name, STUDIES[name], chosen, known.get(name, {}))
        path.write_text(json.dumps({**known, name: found}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
