"""Fronts of off-policy agents for all preferences, beside morl-baselines' envelope Q-learning.

Deep sea treasure (concave and convex) and minecart, each at several budgets: Munchausen, double and envelope
Q-learning, generalised policy improvement with and without linear support, and discrete soft actor-critic under all
preferences. Every row has the hypervolume and expected utility of every seed, and environment steps per second of all
seeds with compilation and evaluation in the clock. Rows are added to what the file has: a run may be of some of them.

    python experiments/benchmarks/off_policy_fronts.py
    python experiments/benchmarks/off_policy_fronts.py --environments minecart --steps 30000 --peer

The peer makes some tens of steps a second: it runs only where `--peer` asks for it. Of minecart a run of it is in
minecart_fronts.json.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from contenders import machine
from fronts_beside_envelope import Arguments as PeerArguments
from fronts_beside_envelope import measured, run_peer
from peers import ROOT

import jaxrl
from jaxrl import plotting
from jaxrl.environments import Box
from jaxrl.morl.problem import make_problem

PATH = ROOT / "results" / "benchmarks" / "off_policy_fronts.json"
SMALL: dict[str, Any] = {
    "num_envs": 8,
    "num_steps": 4,
    "num_updates": 32,
    "hidden_sizes": (128, 128),
    "batch_size": 128,
    "num_evaluations": 3,
    "evaluation_episodes": 2,
    "num_evaluation_weights": 10,
    "num_policies": 21,
}
VALUES: dict[str, Any] = {
    "replay": "prioritised",
    "layer_norm": True,
    "return_steps": 3,
    "target_rate": 0.005,
    "epsilon_fraction": 1.0,
    "normalise_observations": True,
}
IMPROVING: dict[str, Any] = {**VALUES, "policies": "acting", "num_critics": 1, "conditioning": "product"}
# A cart that waits loses 1-γ of what it would bring home: values must tell actions apart by more than their noise is,
# as those with a share of the log-policy do (Bellemare et al., 2016; Vieillard et al., 2020).
MUNCHAUSEN: dict[str, Any] = {
    **VALUES,
    "member_agent": "munchausen_dqn",
    "conditioning": "product",
    "layer_norm": False,
    "num_envs": 32,
    "num_steps": 1,
}
# Steps until ε has fallen.
EXPLORING = 30_000
CONTENDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "munchausen_dqn": ("conditioned", MUNCHAUSEN),
    "dqn": ("conditioned", {**MUNCHAUSEN, "member_agent": "dqn"}),
    "envelope_dqn": ("conditioned", {"member_agent": "envelope_dqn", "num_candidates": 4, **VALUES}),
    "gpi_dqn": ("conditioned", {"member_agent": "gpi_dqn", "num_candidates": 3, **IMPROVING}),
    "gpi_ls": ("gpi_ls", IMPROVING),
    "discrete_sac": ("conditioned", {"member_agent": "discrete_sac", "normalise_observations": True}),
}


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    environments: tuple[str, ...] = ("deep-sea-treasure", "deep-sea-treasure-concave", "minecart")
    """Where to learn."""
    contenders: tuple[str, ...] = tuple(CONTENDERS)
    """Who does."""
    steps: tuple[int, ...] = (30_000, 100_000, 400_000)
    """Environment steps of a seed."""
    seeds: tuple[int, ...] = (1, 8)
    """Numbers of seeds that go side by side."""
    episodes: int = 5
    """Episodes per policy of the final front."""
    peer: bool = False
    """Whether the peer runs on minecart, for the smallest number of steps."""
    path: Path = PATH
    """Where rows are kept."""


def row_of(environment: str, contender: str, steps: int, seeds: int, episodes: int) -> dict[str, Any]:
    """One row."""
    algorithm, own = CONTENDERS[contender]
    spec = jaxrl.make(f"mo/{environment}").spec
    settings = {**SMALL, "discount": spec.discount, **own, "total_steps": steps}
    if not isinstance(spec.observation, Box):
        settings.pop("normalise_observations", None)
    if "epsilon_fraction" in own:
        settings["epsilon_fraction"] = min(1.0, EXPLORING / steps)
    found = measured(algorithm, f"mo/{environment}", settings, seeds, episodes)
    speed = found["steps_per_seed"] * seeds / found["seconds_all_seeds"]
    return {
        **found,
        "steps_per_second_compilation_included": speed,
        "settings": {k: str(v) for k, v in settings.items()},
    }


def kept(path: Path, name: str, row: dict[str, Any]) -> None:
    """Adds a row to the file."""
    known = json.loads(path.read_text()) if path.exists() else {"rows": {}}
    known["rows"][name] = row | {"machine": machine()}
    path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def draw(path: Path) -> None:
    """Mean hypervolume over steps, a panel for every environment; of one contender all budgets, not single seeds."""
    rows = json.loads(path.read_text())["rows"]
    drawn = [(name.split(", "), row) for name, row in rows.items() if "curve" in row and row["seeds"] > 1]
    environments, contenders = (sorted({name[part] for name, _ in drawn}) for part in (0, 1))
    figure = plotting.new_figure(2.5 + 3.6 * len(environments), 3.4)
    panels = figure.subplots(1, len(environments), squeeze=False)[0]
    for axes, environment in zip(panels, environments, strict=True):
        for name, row in drawn:
            if name[0] == environment:
                steps = np.asarray(row["curve"]["steps"]) / 1000
                axes.plot(steps, row["curve"]["hypervolume"], **plotting.series_style(contenders.index(name[1])))
        plotting.style_axes(axes, "thousands of environment steps", "hypervolume" if axes is panels[0] else "")
        axes.set_title(environment)
        axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
    for index, contender in enumerate(contenders):
        panels[-1].plot([], [], label=contender, **plotting.series_style(index))
    plotting.add_legend(figure, panels[-1])
    plotting.note(figure, "mean over seeds, measured during training on fewer preferences than the final front")
    plotting.save(figure, path.with_suffix(".png"))


def main(arguments: Arguments) -> None:
    """Measures all, row by row."""
    jaxrl.use_cpu_cores()
    for environment in arguments.environments:
        for steps in arguments.steps:
            for seeds in arguments.seeds:
                for contender in arguments.contenders:
                    name = f"{environment}, {contender}, {steps} steps, {seeds} seeds"
                    row = row_of(environment, contender, steps, seeds, arguments.episodes)
                    kept(arguments.path, name, row)
                    print(
                        name, f"HV {np.mean(row['hypervolume']):.5g}", f"{row['seconds_all_seeds']:.0f} s", flush=True
                    )
    if arguments.peer:
        given = PeerArguments(peer_steps=min(arguments.steps))
        peer = run_peer(make_problem(jaxrl.make("mo/minecart")), given)
        kept(arguments.path, f"minecart, morl-baselines envelope, {given.peer_steps} steps, 1 seeds", {"peer": peer})
    draw(arguments.path)


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
