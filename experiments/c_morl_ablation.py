"""What C-MORL's parts buy, at equal environment steps, and whether its constraints hold.

    python experiments/c_morl_ablation.py [ENVIRONMENT ...]

Six variants on deep sea treasure, an allocation with a front in closed form, and minecart: the whole algorithm with the
log barrier and with Lagrange multipliers; extension without constraints; only the policies of phase ends in the
archive; a random choice of what is extended; and all steps spent on initial weights. The members of the last round are
then rolled out afresh as they train, sampling, and compared with the bounds that their parents set; without constraint,
with the bounds that would have been set. Writes results/pareto/c_morl_ablation.{csv,json,png}.
"""

import json
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas

import jaxrl
from jaxrl import plotting

RESULTS = Path(__file__).parents[1] / "results" / "pareto"
SEEDS = 4
VARIANTS: dict[str, dict[str, Any]] = {
    "log barrier": {},
    "lagrangian": {"constraint": "lagrangian", "discounted": 1.0, "multiplier_rate": 0.2},
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
    "mo/allocation-3": {
        "total_steps": 1_000_000,
        "num_initial": 6,
        "num_selected": 6,
        "num_envs": 16,
        "num_steps": 24,
        "num_epochs": 4,
        "num_minibatches": 4,
        "learning_rate": 2e-3,
        "entropy_coefficient": 0.1,
        "discount": 0.99,
        "num_evaluations": 24,
        "evaluation_episodes": 1,
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
# A bound counts as held within this share of the parent's return, which is itself a mean of noisy training episodes.
TOLERANCE = 0.05
EPISODES = 256


def bounds(sweep: jaxrl.Sweep) -> dict[str, np.ndarray]:
    """Per seed: the share of the last round's bounds that hold, and the mean relative shortfall of all."""
    state, study = sweep.groups[0].result.state, sweep.trainer
    if len(study.step.args[0].method.phases) == 1:
        return {"bounds_held": np.full(SEEDS, np.nan), "shortfall": np.full(SEEDS, np.nan)}
    evaluate = study.trainer.evaluator(EPISODES, explore=True)
    played = jax.jit(jax.vmap(jax.vmap(evaluate, in_axes=(None, 0, None)), in_axes=(None, 0, None)))
    found = played(jax.random.key(0), state.members.agent, study.trainer.hyperparameters).discounted_returns
    # The initialisation may have more members than a round, and they wait.
    wanted = np.asarray(state.memory)
    wanted = np.where(np.isfinite(wanted), wanted, np.nan)
    missing = (wanted - np.asarray(found)[:, : wanted.shape[1]]) / np.abs(wanted)
    bounded = np.isfinite(missing)
    held = np.where(bounded, missing <= TOLERANCE, np.nan)
    shortfall = np.where(bounded, np.maximum(missing, 0.0), np.nan)
    return {"bounds_held": _mean(held), "shortfall": _mean(shortfall)}


def _mean(values: np.ndarray) -> np.ndarray:
    """Over members and objectives; nan where there is nothing."""
    flat = values.reshape(len(values), -1)
    count = np.isfinite(flat).sum(axis=1)
    return np.where(count, np.nansum(flat, axis=1) / np.maximum(count, 1), np.nan)


def run(environment: str, variant: str) -> pandas.DataFrame:
    """One row per seed."""
    chosen = {**ENVIRONMENTS[environment], **VARIANTS[variant]}
    sweep = jaxrl.sweep(jaxrl.study("c_morl", environment, **chosen), seeds=SEEDS)
    measures = jaxrl.front(sweep, num_episodes=EPISODES).measures
    rows = measures[measures["seed"] != "all"].assign(environment=environment, variant=variant, **bounds(sweep))
    print(environment, variant, rows[[*SHOWN]].mean().round(4).to_dict(), flush=True)
    return rows


SHOWN = {
    "hypervolume": "hypervolume",
    "expected_utility": "expected utility",
    "bounds_held": "bounds held",
    "shortfall": "shortfall",
}


def draw(table: pandas.DataFrame) -> None:
    """A row of panels per environment: every seed a dot."""
    environments = list(dict.fromkeys(table["environment"]))
    figure = plotting.new_figure(14.0, 2.4 * len(environments) + 0.6)
    panels = figure.subplots(len(environments), len(SHOWN), sharey=True, squeeze=False)
    for row, environment in zip(panels, environments, strict=True):
        mine = table[table["environment"] == environment]
        for axes, (name, label) in zip(row, SHOWN.items(), strict=True):
            plotting.dots_by_row(axes, {v: mine.loc[mine["variant"] == v, name].to_numpy() for v in VARIANTS}, "")
            axes.set_title(f"{environment[3:]}: {label}", fontsize=9, loc="left")
    plotting.note(figure, f"dots: {table['seed'].nunique()} seeds each, bars: their means; equal environment steps")
    plotting.save(figure, RESULTS / "c_morl_ablation.png")


def redraw() -> None:
    """The figure again, from the table."""
    draw(pandas.read_csv(RESULTS / "c_morl_ablation.csv"))


def main(names: list[str]) -> None:
    """Runs every variant on the named environments, or all; each result replaces the one before."""
    jaxrl.use_cpu_cores()
    path = RESULTS / "c_morl_ablation.csv"
    for environment in names or ENVIRONMENTS:
        rows = pandas.concat([run(environment, variant) for variant in VARIANTS])
        old = pandas.read_csv(path) if path.exists() else pandas.DataFrame({"environment": []})
        table = pandas.concat([old[old["environment"] != environment], rows], ignore_index=True)
        table.to_csv(path, index=False, float_format="%.6g")
        draw(table)
    record = {"seeds": SEEDS, "variants": VARIANTS, "environments": ENVIRONMENTS, "tolerance": TOLERANCE}
    (RESULTS / "c_morl_ablation.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
