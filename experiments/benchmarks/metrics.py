"""Non-dominated filter and hypervolume: jaxrl beside moocore (C) and pymoo, one set at a time, on one machine.

Every measurement is a process of its own; contenders take turns, and medians over the turns of each one's median call
are reported. Sets are random, or on a sphere, where no point is dominated and which is the worst case. jaxrl works in
float32 in compiled programs, whose compilation is timed apart; the others in float64. The hypervolume of five
objectives is compiled up to `largest_compiled` points and computed on the host beyond; `estimate` is jaxrl's
Monte-Carlo one with 100,000 samples; `batched` is one of 64 sets at once under vmap. What compiled metrics are for,
running inside a training program without a copy to the host, shows in no row.

    python experiments/benchmarks/metrics.py --quick
"""

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from contenders import machine
from peers import ROOT, interpreter, run_contender

CONTENDERS = {
    "jaxrl": ("_jaxrl_metrics.py", None),
    "moocore": ("_moocore_metrics.py", None),
    "pymoo": ("_pymoo_metrics.py", "pymoo"),
}
SHAPES = ("random", "sphere")
METRICS = ("filter", "hypervolume", "estimate")
# Relative difference from moocore beyond which a hypervolume counts as wrong: what float32 sums of thousands lose.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    quick: bool = False
    """Small sets and one repeat: a check that everything runs."""
    objectives: tuple[int, ...] = (2, 3, 5)
    """Numbers of objectives."""
    sizes: tuple[int, ...] = (10, 100, 1000, 10_000)
    """Points per set."""
    repeats: int = 2
    """Turns of every contender; medians are reported."""
    largest_compiled: int = 200
    """Points up to which jaxrl's hypervolume of five objectives is compiled."""
    output: Path = ROOT / "results" / "benchmarks" / "metrics.json"
    """Where the measurements are written, with a figure beside them."""


def measure(arguments: Arguments) -> list[dict[str, Any]]:
    """One row per contender, metric, shape, number of objectives and size: medians over all turns."""
    runs: dict[tuple, list[dict[str, Any]]] = {}
    for turn in range(arguments.repeats):
        for num_objectives in arguments.objectives:
            for shape in SHAPES:
                print(f"turn {turn}: {num_objectives} objectives, {shape}", file=sys.stderr)
                settings = {
                    "num_objectives": num_objectives,
                    "shape": shape,
                    "sizes": {metric: list(arguments.sizes) for metric in METRICS},
                    "largest_compiled": arguments.largest_compiled if num_objectives > 3 else max(arguments.sizes),
                    "batched": [size for size in arguments.sizes if size <= arguments.largest_compiled],
                }
                for name, (script, peer) in CONTENDERS.items():
                    python = sys.executable if peer is None else interpreter(peer)
                    for row in run_contender(python, script, settings)["rows"]:
                        key = (name, row.pop("metric"), shape, num_objectives, row.pop("size"))
                        runs.setdefault(key, []).append(row)
    rows = []
    for key, outcomes in runs.items():
        row = dict(zip(("contender", "metric", "shape", "num_objectives", "size"), key, strict=True))
        for field in ("run_seconds", "compile_seconds"):
            if field in outcomes[0]:
                row[field] = statistics.median(outcome[field] for outcome in outcomes)
        rows.append(row | {"value": outcomes[0]["value"]})
    return rows


def indexed(rows: list[dict[str, Any]]) -> dict[tuple, dict[str, Any]]:
    """Rows by contender, metric, shape, number of objectives and size."""
    return {(r["contender"], r["metric"], r["shape"], r["num_objectives"], r["size"]): r for r in rows}


def disagreements(rows: list[dict[str, Any]]) -> list[str]:
    """Where a contender's exact value is not moocore's, or an estimate is more than five standard errors off."""
    found, found_by = [], indexed(rows)
    for (name, metric, *rest), row in found_by.items():
        if (name, metric) == ("pymoo", "filter"):
            # It keeps every copy of equal points, the others one.
            continue
        exact = "hypervolume" if metric == "estimate" else metric.removeprefix("batched ")
        truth = found_by["moocore", exact, *rest]["value"][0]
        allowed = 5 * row["value"][1] if metric == "estimate" else _TOLERANCE * truth
        if abs(row["value"][0] - truth) > allowed + 1e-6 * truth:
            found.append(f"{name} {metric} {rest}: {row['value']}, moocore {truth}")
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """The results as a markdown table, milliseconds; pairs are random sets and sphere sets."""
    lines = [
        "| metric | objectives | points | jaxrl ms | moocore ms | pymoo ms | moocore / jaxrl | jaxrl compile s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    found = indexed(rows)

    def pair(key: tuple, field: str, scale: float, digits: str) -> str:
        values = [found.get((*key[:2], shape, *key[2:]), {}).get(field) for shape in SHAPES]
        return " / ".join("–" if value is None else f"{value * scale:{digits}}" for value in values)

    for key in sorted({(r["metric"], r["num_objectives"], r["size"]) for r in rows}):
        exact = (key[0].removeprefix("batched "), *key[1:])
        cells = [pair(("jaxrl", *key), "run_seconds", 1e3, ".3g")]
        cells += [pair((peer, *exact), "run_seconds", 1e3, ".3g") for peer in ("moocore", "pymoo")]
        ratios = []
        for shape in SHAPES:
            ours, theirs = (("jaxrl", key[0], shape, *key[1:]), ("moocore", exact[0], shape, *key[1:]))
            ratios.append(
                f"{found[theirs]['run_seconds'] / found[ours]['run_seconds']:.2g}" if theirs in found else "–"
            )
        cells += [" / ".join(ratios), pair(("jaxrl", *key), "compile_seconds", 1.0, ".1f")]
        lines.append(f"| {key[0]} | {key[1]} | {key[2]:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(rows: list[dict[str, Any]], arguments: Arguments) -> Any:
    """Seconds per set against its size: filter above, hypervolume below, a column per number of objectives."""
    from jaxrl.figures.figure import add_legend, new_figure, series_style, style_axes

    series = [(name, metric) for metric in ("exact", "batched") for name in (*CONTENDERS,)]
    canvas = new_figure(3.3 * len(arguments.objectives) + 2.2, 6.2)
    panels = canvas.subplots(2, len(arguments.objectives), sharex=True, sharey="row", squeeze=False)
    found = indexed(rows)
    for panel_row, metric in zip(panels, ("filter", "hypervolume"), strict=True):
        for axes, num_objectives in zip(panel_row, arguments.objectives, strict=True):
            for i, (name, kind) in enumerate(series):
                style = series_style(i)
                for shape, line in zip(SHAPES, (":", "-"), strict=True):
                    key = f"batched {metric}" if kind == "batched" else metric
                    at = [(name, key, shape, num_objectives, size) for size in arguments.sizes]
                    points = [(entry[-1], found[entry]["run_seconds"]) for entry in at if entry in found]
                    if points:
                        label = f"{name}, {'64 sets at once' if kind == 'batched' else 'one set'}, {shape}"
                        axes.plot(
                            *np.transpose(points),
                            label=label if num_objectives == arguments.objectives[-1] else None,
                            **{**style, "linestyle": line},
                            linewidth=1.5,
                            markersize=4.5,
                        )
            axes.set(xscale="log", yscale="log")
            style_axes(
                axes,
                "points" if metric == "hypervolume" else "",
                f"{metric}, s per set" if num_objectives == arguments.objectives[0] else "",
            )
            axes.set_title(f"{num_objectives} objectives" if metric == "filter" else "", fontsize=10)
    add_legend(canvas, panels[0][-1])
    return canvas


def main(arguments: Arguments) -> None:
    """Measures everything, writes the JSON and the figure, and prints the table.

    Raises:
        RuntimeError: if contenders disagree, after writing what they reported.
    """
    if arguments.quick:
        arguments = Arguments(sizes=(10, 100), repeats=1, output=ROOT / "runs" / "metrics_quick.json")
    rows = measure(arguments)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
    from jaxrl.figures.plotting import save

    save(figure(rows, arguments), arguments.output.with_suffix(".png"))
    print(table(rows))
    wrong = disagreements(rows)
    if wrong:
        raise RuntimeError("contenders disagree:\n" + "\n".join(wrong))


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
