"""PPO on MinAtar Breakout: jaxrl beside rejax, the same settings and network, learning curves and time.

Both flatten the image into a multilayer perceptron of equal size (rejax has no convolution), sample actions in
evaluation and do not anneal. The settings are PureJaxRL's for MinAtar (64 copies x 128 steps, 4 epochs of 8
minibatches, relu), with the learning rate as an option. Every contender runs in a process of its own.

    python experiments/benchmarks/breakout_ppo.py
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from contenders import Contender, machine, measure, summarise, table
from matplotlib.ticker import EngFormatter
from peers import ROOT

from jaxrl import plotting


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    total_steps: int = 10_000_000
    """Environment steps of one seed."""
    seeds: int = 4
    """Seeds side by side in one program."""
    learning_rate: float = 2.5e-3
    """Adam's step size."""
    output: Path = ROOT / "results" / "benchmarks" / "breakout_ppo.json"
    """Where the measurements are written; the figure goes beside it."""


def contenders(arguments: Arguments) -> list[Contender]:
    """rejax and jaxrl."""
    settings: dict[str, Any] = {
        "environment": "Breakout-MinAtar",
        "activation": "relu",
        "hidden_sizes": [64, 64],
        "num_envs": 64,
        "num_steps": 128,
        "num_epochs": 4,
        "num_minibatches": 8,
        "learning_rate": arguments.learning_rate,
        "discount": 0.99,
        "gae_lambda": 0.95,
        "clip_range": 0.2,
        "value_coefficient": 0.5,
        "entropy_coefficient": 0.01,
        "max_gradient_norm": 0.5,
        "num_evaluations": 20,
        "evaluation_episodes": 64,
        "total_steps": arguments.total_steps,
        "num_seeds": arguments.seeds,
        "num_devices": 1,
        "network": "mlp",
    }
    return [
        Contender("rejax", "_rejax_ppo.py", "rejax", settings),
        Contender("jaxrl", "_jaxrl_ppo.py", None, settings),
    ]


def draw(runs: dict[str, list[dict[str, Any]]], settings: dict[str, Any], path: Path) -> None:
    """Mean return over seeds against environment steps."""
    figure = plotting.new_figure(7.4, 3.8)
    axes = figure.subplots()
    for index, (name, outcomes) in enumerate(runs.items()):
        curve = outcomes[0]["curve"]
        steps = np.arange(1, len(curve) + 1) * settings["total_steps"] / len(curve)
        style = plotting.series_style(index)
        axes.plot(steps, curve, label=name, color=style["color"], linestyle=("-", "--")[index], linewidth=1.7)
    plotting.style_axes(axes, "environment steps", "return, MinAtar Breakout")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    plotting.add_legend(figure, axes)
    plotting.note(figure, f"means over {settings['num_seeds']} seeds, {settings['evaluation_episodes']} episodes each")
    plotting.save(figure, path)


def redraw() -> None:
    """The figure again, from the report."""
    path = Arguments.output
    report = json.loads(path.read_text())
    draw(report["runs"], report["settings"], path.with_suffix(".png"))


def main(arguments: Arguments) -> None:
    """Measures, writes JSON and figure, prints the table."""
    rivals = contenders(arguments)
    runs = measure(rivals, repeats=1)
    results = {"MinAtar Breakout": summarise(runs)}
    report = {"machine": machine(), "settings": rivals[0].settings, "results": results, "runs": runs}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")
    draw(runs, rivals[0].settings, arguments.output.with_suffix(".png"))
    print(table(results))


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
