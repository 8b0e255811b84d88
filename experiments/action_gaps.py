"""Where waiting costs next to nothing: action values with and without a wider gap between actions, on minecart.

A cart that waits a step loses 1-γ of what it would bring home, here about 0.01, and values err by as much. Munchausen
values add a share of the log-policy to the reward, which widens the gap between the best action and the others
(Bellemare et al., 2016, "Increasing the action gap"; Vieillard et al., 2020, section 4). One preference, w = (0.45,
0.45, 0.1), four seeds each; the return is w·(discounted returns), of a cart that stays about -0.1.

    python experiments/action_gaps.py
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

import jaxrl
from jaxrl import plotting

PATH = Path(__file__).parents[1] / "results" / "learning" / "action_gaps.json"
WEIGHTS = (0.45, 0.45, 0.1)
SETTINGS: dict[str, Any] = {
    "total_steps": 30_000,
    "num_envs": 8,
    "num_steps": 4,
    "num_updates": 32,
    "batch_size": 128,
    "discount": 0.98,
    "replay": "prioritised",
    "return_steps": 3,
    "target_rate": 0.005,
    "epsilon_fraction": 1.0,
    "normalise_observations": True,
    "num_evaluations": 10,
    "evaluation_episodes": 8,
    "weights": WEIGHTS,
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "dqn": ("dqn", {}),
    "dqn, LayerNorm": ("dqn", {"layer_norm": True}),
    "munchausen_dqn": ("munchausen_dqn", {}),
    "munchausen_dqn, LayerNorm": ("munchausen_dqn", {"layer_norm": True}),
}
SEEDS = 4
# Of a cart that brings something home; one that stays has about -0.1.
HOME = 0.1


def curves(agent: str, settings: dict[str, Any]) -> tuple[list[int], np.ndarray]:
    """Steps, and weighted discounted returns `[seed, step]`."""
    table = jaxrl.sweep(jaxrl.trainer(agent, "mo/minecart", **SETTINGS, **settings), seeds=SEEDS).table
    names = [f"discounted_return_{name}" for name in ("ore_1", "ore_2", "fuel")]
    table = table.assign(value=table[names].to_numpy() @ np.asarray(WEIGHTS))
    wide = table.pivot(index="seed", columns="steps", values="value")
    return wide.columns.tolist(), wide.to_numpy()


def draw(found: dict[str, Any]) -> None:
    """Every seed of every variant, a panel each."""
    figure = plotting.new_figure(3.2 * len(found), 3.0)
    panels = figure.subplots(1, len(found), sharey=True)
    for index, (axes, (name, row)) in enumerate(zip(panels, found.items(), strict=True)):
        style = plotting.series_style(index)
        for seed, values in enumerate(row["returns"]):
            axes.plot(row["steps"], values, **{**style, "alpha": 1.0 - 0.18 * seed})
        axes.set_title(name)
        plotting.style_axes(axes, "environment steps", "weighted return" if index == 0 else "")
    plotting.note(figure, f"{SEEDS} seeds, each a line: mean of {SETTINGS['evaluation_episodes']} episodes")
    plotting.save(figure, PATH.with_suffix(".png"))


def main() -> None:
    """Trains all, writes and draws."""
    jaxrl.use_cpu_cores()
    found = {}
    for name, (agent, settings) in VARIANTS.items():
        steps, returns = curves(agent, settings)
        home = (returns[:, -3:] > HOME).mean()
        found[name] = {
            "steps": steps,
            "returns": returns.round(3).tolist(),
            "final": returns[:, -1].round(3).tolist(),
            "share_home_of_last_three": round(float(home), 3),
        }
        print(name, found[name]["final"], f"home {home:.2f}", flush=True)
    PATH.write_text(json.dumps({"settings": {k: str(v) for k, v in SETTINGS.items()}, "rows": found}, indent=1) + "\n")
    draw(found)


if __name__ == "__main__":
    main()
