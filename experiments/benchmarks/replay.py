"""jaxrl's replay beside flashbax's item buffers: what an update costs by capacity and members; bytes of checkpoints.

An iteration adds 64 steps and draws the samples of 16 updates of 128, as `jaxrl train dqn` does; by priority it also
changes theirs. Both sides run in one process on one thread, in turns, and processor time of a turn is measured: what
else the machine does lengthens it least.

    python experiments/benchmarks/replay.py          # a few minutes
    python experiments/benchmarks/replay.py --draw   # the figure again
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
from contenders import machine
from peers import ROOT, interpreter, run_contender

import jaxrl
from jaxrl import plotting
from jaxrl.replay import without_buffers
from jaxrl.sweeps.checkpoint import Checkpoints

OUT = ROOT / "results" / "benchmarks" / "replay.json"
SETTINGS = {
    "num_steps": 8,
    "num_envs": 8,
    "num_updates": 16,
    "batch_size": 128,
    "threads": 1,
    "turns": 7,
}
CAPACITIES, MEMBERS, CAPACITY_OF_MEMBERS = (10_000, 100_000, 1_000_000), (1, 4, 16, 64), 10_000


def scenarios() -> list[dict[str, Any]]:
    """Capacities of one member, and members of one capacity."""
    sizes = [(capacity, 1) for capacity in CAPACITIES] + [(CAPACITY_OF_MEMBERS, members) for members in MEMBERS[1:]]
    return [
        {"prioritised": prioritised, "capacity": capacity, "members": members, "iterations": max(4, 64 // members)}
        for prioritised in (False, True)
        for capacity, members in sizes
    ]


def checkpoint_bytes() -> dict[str, Any]:
    """Of SAC on Pendulum with default settings, with its buffer of 100,000 steps and without."""
    trainer = jaxrl.trainer("sac", "gymnax/Pendulum-v1")
    state = trainer.init(jax.random.key(0), trainer.hyperparameters)
    found = {}
    with tempfile.TemporaryDirectory() as place:
        for name, tree in (("with_buffer", state), ("without_buffer", without_buffers(state))):
            Checkpoints(Path(place) / name).save(1, tree)
            found[name] = (Path(place) / name / "1.npz").stat().st_size
    return {"agent": "sac", "environment": "gymnax/Pendulum-v1", "steps": trainer.agent.config.buffer_size, **found}


def draw(report: dict[str, Any]) -> None:
    """Microseconds of an update by capacity, and of one member's by how many there are."""
    figure = plotting.new_figure(9.0, 3.8)
    both = figure.subplots(1, 2, sharey=True)
    for axes, over, label in zip(both, ("capacity", "members"), ("steps that are kept", "members in one program")):
        for index, kind in enumerate(("uniform", "by priority")):
            rows = [row for row in report["rows"] if row["prioritised"] == (kind == "by priority")]
            fixed = {"capacity": ("members", 1), "members": ("capacity", CAPACITY_OF_MEMBERS)}[over]
            chosen = [row for row in rows if row[fixed[0]] == fixed[1]]
            for side, dash in (("jaxrl", "-"), ("flashbax", "--")):
                values = [row[side]["microseconds"] / row["members"] for row in chosen]
                at = [row[over] for row in chosen]
                axes.plot(at, values, **{**plotting.series_style(index), "linestyle": dash}, label=f"{side}, {kind}")
        plotting.style_axes(axes, label, "µs of an update, per member" if over == "capacity" else "")
        axes.set_xscale("log", base=10 if over == "capacity" else 2)
        axes.set_ylim(0, None)
    plotting.add_legend(figure, both[1])
    plotting.note(
        figure, f"medians over {report['settings']['turns']} turns of both, on a machine shared with other work"
    )
    plotting.save(figure, OUT.with_suffix(".png"))


def main() -> None:
    """Measures, writes after every scenario, and draws."""
    if "--draw" in sys.argv:
        draw(json.loads(OUT.read_text()))
        return
    report = {"machine": machine(), "settings": SETTINGS, "checkpoint": checkpoint_bytes(), "rows": []}
    for scenario in scenarios():
        found = run_contender(interpreter("flashbax"), "_replay.py", {**SETTINGS, **scenario})
        report["rows"].append({**scenario, **found["rows"]})
        report["versions"] = found["versions"]
        print(json.dumps(report["rows"][-1]), flush=True)
        OUT.write_text(json.dumps(report, indent=1) + "\n")
    draw(report)


if __name__ == "__main__":
    main()
