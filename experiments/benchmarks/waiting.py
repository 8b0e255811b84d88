"""What users and contributors wait for, beside an earlier commit: imports, commands, tracing and the test suite.

    python experiments/benchmarks/waiting.py                 # results/benchmarks/waiting.json
    python experiments/benchmarks/waiting.py --suite         # the test suite of both, besides

Checks the earlier commit out into a folder of its own, runs both with this interpreter, in turns, and reports medians
of seconds that passed and of seconds of processors, and their ratios. Every command starts a process of its own.
Training starts with no compiled programs kept (`first train`) and goes on with those that it kept (`second train`).
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BASELINE = "4555c2a"
OUT = ROOT / "results" / "benchmarks" / "waiting.json"
TRAIN = ["-m", "jaxrl", "train", "ppo", "gymnax/CartPole-v1", "--total-steps", "100000", "--progress", "False"]
PROGRAMS = ("ppo", "c_morl", "lpg")
SUITE = ["-m", "pytest", "-q", "-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"]


def run(tree: Path, arguments: list[str], **environment: str) -> dict[str, float]:
    """Seconds of one Python process in a checkout, and what it printed."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    settings = {**os.environ, "PYTHONPATH": str(tree), "JAX_PLATFORMS": "cpu", **environment}
    done = subprocess.run([sys.executable, *arguments], cwd=tree, env=settings, capture_output=True, text=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed in {tree.name}: {done.stderr[-600:]}")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "processor": processor, "printed": done.stdout}


def once(tree: Path, scratch: Path) -> dict[str, dict[str, float]]:
    """Everything but the suite, once."""
    scratch.mkdir()
    kept = {"JAXRL_COMPILATION_CACHE": str(scratch / "kept")}
    found = {
        "import jax": run(tree, ["-c", "import jax"]),
        "import jaxrl": run(tree, ["-c", "import jaxrl"]),
        "jaxrl --help": run(tree, ["-m", "jaxrl", "--help"]),
        "jaxrl list": run(tree, ["-m", "jaxrl", "list"]),
        "first train": run(tree, [*TRAIN, "--out", str(scratch / "first")], **kept),
        "second train": run(tree, [*TRAIN, "--out", str(scratch / "second")], **kept),
    }
    script = str(Path(__file__).with_name("_tracing.py"))
    for name in PROGRAMS:
        measured = json.loads(run(tree, [script, name])["printed"].splitlines()[-1])
        found[f"trace and lower {name}"] = {"processor": measured["trace"] + measured["lower"]}
        found[f"equations {name}"] = {"processor": measured["equations"]}
    return {name: {key: value for key, value in row.items() if key != "printed"} for name, row in found.items()}


def median_of(rounds: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Medians over rounds, by what was measured and how."""
    return {
        name: {how: statistics.median(each[name][how] for each in rounds) for how in row}
        for name, row in rounds[0].items()
    }


def report(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Both, and the ratio of what was measured by the clock, or of processor seconds where only these were."""
    rows = {}
    for name in now:
        how = "wall" if "wall" in now[name] else "processor"
        rows[name] = {"before": before[name], "now": now[name], "ratio": now[name][how] / before[name][how]}
    return rows


def main() -> None:
    """Measures and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="rounds of both")
    parser.add_argument("--suite", action="store_true", help="run the test suite of both too, once")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        trees = {"before": place / "before", "now": ROOT}
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(trees["before"])], check=True)
        subprocess.run(["git", "checkout", "--quiet", BASELINE], cwd=trees["before"], check=True)
        rounds: dict[str, list] = {name: [] for name in trees}
        for index in range(arguments.repeats + 1):
            for name, tree in trees.items():
                measured = once(tree, place / f"{name}_{index}")
                # The first round writes bytecode.
                rounds[name] += [measured] if index else []
        medians = {name: median_of(each) for name, each in rounds.items()}
        if arguments.suite:
            for name, tree in trees.items():
                medians[name]["suite"] = run(tree, SUITE, JAX_COMPILATION_CACHE_DIR=str(place / f"suite_{name}"))
                del medians[name]["suite"]["printed"]
    rows = report(medians["before"], medians["now"])
    train = {name: each["second train"]["wall"] / each["first train"]["wall"] for name, each in medians.items()}
    imports = {name: each["import jaxrl"]["wall"] / each["import jax"]["wall"] for name, each in medians.items()}
    summary = {
        "cores": os.cpu_count(),
        "repeats": arguments.repeats,
        "baseline": BASELINE,
        "second train over first": train,
        "import jaxrl over import jax": imports,
        "measured": rows,
    }
    if "suite" not in rows and OUT.exists():
        kept = json.loads(OUT.read_text())["measured"].get("suite")
        rows |= {"suite": kept} if kept else {}
    OUT.write_text(json.dumps(summary, indent=2) + "\n")
    for name, row in rows.items():
        numbers = [f"{key} {row[key].get('wall', row[key]['processor']):8.2f}" for key in ("before", "now")]
        print(f"{name:26}{'   '.join(numbers)}   ratio {row['ratio']:.2f}")
    print(f"second train over first: {train}\nimport jaxrl over import jax: {imports}")


if __name__ == "__main__":
    main()
