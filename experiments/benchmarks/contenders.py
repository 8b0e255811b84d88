"""Contenders of a side-by-side measurement: who runs what, in turns, and the table of medians."""

import os
import platform
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from peers import interpreter, run_contender
from scipy.stats import trim_mean

__all__ = ["Contender", "machine", "measure", "summarise", "table"]


@dataclass(frozen=True)
class Contender:
    """One row: who runs which script with which settings."""

    name: str
    script: str
    peer: str | None
    settings: dict[str, Any]

    def measure(self, seed: int) -> dict[str, Any]:
        """Runs once."""
        python = sys.executable if self.peer is None else interpreter(self.peer)
        return run_contender(python, self.script, {**self.settings, "seed": seed})


def measure(contenders: list[Contender], repeats: int) -> dict[str, list[dict[str, Any]]]:
    """All repeats of all contenders, in turns."""
    runs: dict[str, list[dict[str, Any]]] = {contender.name: [] for contender in contenders}
    for repeat in range(repeats):
        for contender in contenders:
            outcome = contender.measure(seed=repeat)
            runs[contender.name].append(outcome)
            speed = outcome["env_steps"] / outcome["run_seconds"]
            print(
                f"  {contender.name}: {speed:,.0f} steps/s, compile {outcome['compile_seconds']:.1f} s", file=sys.stderr
            )
    return runs


def summarise(runs: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Medians over repeats, the ratio of speeds to the first contender, and returns over all seeds."""
    rows: dict[str, dict[str, float]] = {}
    for name, outcomes in runs.items():
        returns = np.concatenate([outcome["returns"] for outcome in outcomes])
        rows[name] = {
            "steps_per_second": statistics.median(o["env_steps"] / o["run_seconds"] for o in outcomes),
            "steps_per_cpu_second": statistics.median(o["env_steps"] / o["cpu_seconds"] for o in outcomes),
            "compile_seconds": statistics.median(o["compile_seconds"] for o in outcomes),
            "run_seconds": statistics.median(o["run_seconds"] for o in outcomes),
            "interquartile_mean_return": float(trim_mean(returns, 0.25)),
            "num_returns": len(returns),
        }
    reference = next(iter(rows.values()))["steps_per_second"]
    for row in rows.values():
        row["speed_ratio"] = row["steps_per_second"] / reference
    return rows


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """The results as a markdown table."""
    lines = [
        "| scenario | who | steps/s | ratio | steps per CPU second | compile s | run s | IQM return (runs) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for scenario, rows in results.items():
        for name, row in rows.items():
            lines.append(
                f"| {scenario} | {name} | {row['steps_per_second']:,.0f} | {row['speed_ratio']:.2f} | "
                f"{row['steps_per_cpu_second']:,.0f} | "
                f"{row['compile_seconds']:.1f} | {row['run_seconds']:.1f} | "
                f"{row['interquartile_mean_return']:.0f} ({row['num_returns']}) |"
            )
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """What the measurements ran on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "xla_threads": os.environ.get("NPROC", "default"),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
