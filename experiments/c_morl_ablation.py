"""What C-MORL's parts buy, at equal environment steps, and whether its constraints hold.

    python experiments/c_morl_ablation.py

Six variants on minecart and on deep sea treasure: the whole algorithm with the log barrier and with Lagrange
multipliers; extension without constraints; only the policies of phase ends in the archive; a random choice of what is
extended; and all steps spent on initial weights. For the constrained ones it reports how many bounds of the last round
hold, by the members' own training returns. Writes results/pareto/c_morl_ablation.{csv,json}.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas

import jaxrl

RESULTS = Path(__file__).parents[1] / "results" / "pareto"
SEEDS = 4
VARIANTS: dict[str, dict[str, Any]] = {
    "log barrier": {},
    "lagrangian": {"constraint": "lagrangian", "discounted": 1.0},
    "no constraint": {"constraint": "none"},
    "no archive of checkpoints": {"keep_all": False},
    "random selection": {"selection": "random"},
    "all steps on initial weights": {"initial_share": 1.0, "num_initial": 16},
}
ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "mo/deep-sea-treasure": {
        "total_steps": 500_000,
        "num_initial": 6,
        "num_selected": 4,
        "num_envs": 8,
        "num_steps": 64,
        "num_epochs": 4,
        "num_minibatches": 4,
        "learning_rate": 2e-3,
        "entropy_coefficient": 0.05,
        "discount": 0.99,
        "evaluation_episodes": 2,
    },
    "mo/minecart": {
        "total_steps": 4_000_000,
        "num_initial": 6,
        "num_selected": 5,
        "num_envs": 16,
        "num_steps": 64,
        "num_epochs": 4,
        "num_minibatches": 4,
        "learning_rate": 1e-3,
        "entropy_coefficient": 0.01,
        "discount": 0.98,
        "num_evaluations": 24,
        "evaluation_episodes": 8,
    },
}
# A bound counts as held within this share of the parent's return: estimates are means of a few noisy episodes.
TOLERANCE = 0.05


def bounds_held(sweep: jaxrl.Sweep) -> float:
    """Share of the bounds of the last round that the members' training returns meet."""
    state = sweep.groups[0].result.state
    if "thresholds" not in state.assignment.aggregator:
        return float("nan")
    bounds, found = np.asarray(state.assignment.aggregator["thresholds"]), np.asarray(state.estimate)
    bounded = np.isfinite(bounds) & np.isfinite(found)
    return float(np.mean((found >= bounds - TOLERANCE * np.abs(bounds))[bounded])) if bounded.any() else float("nan")


def main() -> None:
    """Runs every variant on every environment."""
    jaxrl.use_cpu_cores()
    rows = []
    for environment, settings in ENVIRONMENTS.items():
        for variant, changes in VARIANTS.items():
            chosen = {**settings, **changes}
            sweep = jaxrl.sweep(jaxrl.study("c_morl", environment, **chosen), seeds=SEEDS)
            measures = jaxrl.front(sweep).measures
            for _, row in measures[measures["seed"] != "all"].iterrows():
                rows.append({"environment": environment, "variant": variant, **row, "bounds_held": bounds_held(sweep)})
            shown = pandas.DataFrame(rows).query("environment == @environment and variant == @variant")
            print(environment, variant, shown[["hypervolume", "expected_utility", "bounds_held"]].mean().to_dict())
            pandas.DataFrame(rows).to_csv(RESULTS / "c_morl_ablation.csv", index=False, float_format="%.6g")
    record = {"seeds": SEEDS, "variants": VARIANTS, "environments": ENVIRONMENTS, "tolerance": TOLERANCE}
    (RESULTS / "c_morl_ablation.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
