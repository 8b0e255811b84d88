"""What users and contributors wait for, beside an earlier commit: imports, help, lists, first and second runs, tracing.

Both commits are checked out into folders of their own and take turns under the same interpreter, each with its own
bytecode and its own caches. Seconds are medians: of the clock, and of all processors, which other load on the machine
disturbs less. With `--suite` the tests run once on each.

    python experiments/benchmarks/waiting.py [--repeats 3] [--suite]
"""

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "results" / "benchmarks" / "waiting.json"
BEFORE = "4555c2a"
TRAIN = ("train", "ppo", "gymnax/CartPole-v1", "--total-steps", "100000")
USED = "import jaxrl; jaxrl.make('gymnax/CartPole-v1'); jaxrl.trainer"
PROGRAMS = ("ppo", "c_morl", "lpg")
# What must not reach a measured process from the one that measures.
OWN = ("PYTHONDONTWRITEBYTECODE", "JAX_COMPILATION_CACHE_DIR", "JAXRL_COMPILATION_CACHE", "XLA_FLAGS")


class Side:
    """One commit, checked out."""

    def __init__(self, commit: str, folder: Path) -> None:
        self.commit = output("git", "rev-parse", "--short", commit)
        self.folder, self.cache, self.runs = folder / "code", folder / "cache", folder / "runs"
        self.folder.mkdir(parents=True)
        archive = subprocess.run(["git", "archive", self.commit], cwd=ROOT, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(self.folder, filter="data")
        kept = {name: value for name, value in os.environ.items() if name not in OWN}
        self.environment = kept | {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(self.folder), os.environ.get("PYTHONPATH")))),
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
            "XDG_CACHE_HOME": str(self.cache),
        }

    def python(self, *words: str, may_fail: bool = False) -> dict[str, Any]:
        """Runs the interpreter; seconds of the clock and of processors, and what it printed."""
        with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as errors:
            start = time.perf_counter()
            child = subprocess.Popen(
                [sys.executable, *words], cwd=self.folder, env=self.environment, stdout=printed, stderr=errors
            )
            _, status, used = os.wait4(child.pid, 0)
            wall = time.perf_counter() - start
            child.returncode = os.waitstatus_to_exitcode(status)
            printed.seek(0)
            errors.seek(0)
            if child.returncode and not may_fail:
                raise RuntimeError(f"{self.commit}: {' '.join(words)} failed: {errors.read()[-2000:]}")
            return {"wall": wall, "processor": used.ru_utime + used.ru_stime, "printed": printed.read()}

    def train(self, first: bool) -> dict[str, Any]:
        """The same command, with nothing that a run before it has left, or once more."""
        if first:
            shutil.rmtree(self.cache, ignore_errors=True)
        shutil.rmtree(self.runs, ignore_errors=True)
        return self.python("-m", "jaxrl", *TRAIN, "--out", str(self.runs))


def output(*words: str) -> str:
    """What a command prints."""
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def measures() -> dict[str, Callable[[Side], dict[str, Any]]]:
    """What is measured, in the order in which it is: the second run follows the first."""
    return {
        "import jax": lambda side: side.python("-c", "import jax"),
        "import jaxrl": lambda side: side.python("-c", "import jaxrl"),
        "import and use": lambda side: side.python("-c", USED),
        "--help": lambda side: side.python("-m", "jaxrl", "--help"),
        "list": lambda side: side.python("-m", "jaxrl", "list"),
        "first train": lambda side: side.train(first=True),
        "second train": lambda side: side.train(first=False),
    }


def tracing(side: Side, name: str) -> dict[str, float]:
    """Seconds of one processor to trace and to lower a program, and its equations."""
    script = str(Path(__file__).with_name("_tracing.py"))
    return json.loads(side.python("-W", "ignore", script, name)["printed"].splitlines()[-1])


def suite(side: Side) -> dict[str, Any]:
    """The tests as `make test` runs them; what it printed ends with how many passed."""
    words = ("-m", "pytest", "-q", "-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder")
    ran = side.python(*words, may_fail=True)
    print(side.commit, *ran["printed"].strip().splitlines()[-12:], sep="\n", flush=True)
    return ran


def medians(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Of every number."""
    names = [name for name, value in rows[0].items() if isinstance(value, int | float)]
    return {name: round(statistics.median(row[name] for row in rows), 3) for name in names}


def compared(before: dict[str, float], now: dict[str, float]) -> dict[str, Any]:
    """Both, and the ratio of each of their numbers."""
    return {"before": before, "now": now, "ratio": {name: round(now[name] / before[name], 3) for name in now}}


def run_all(sides: list[Side], repeats: int, with_suite: bool) -> dict[str, Any]:
    """Everything, by name; runs of the command line are taken in pairs, the second after its first."""
    for side in sides:
        # Bytecode, of jaxrl and of what it imports, is written once.
        side.python("-c", USED)
        side.train(first=True)
    rows: dict[str, list[list[dict[str, Any]]]] = {name: [[], []] for name in measures()}
    programs: dict[str, list[list[dict[str, Any]]]] = {name: [[], []] for name in PROGRAMS}
    for _ in range(repeats):
        for index, side in enumerate(sides):
            for name, measure in measures().items():
                rows[name][index].append(measure(side))
            for name in PROGRAMS:
                programs[name][index].append(tracing(side, name))
    seconds = {name: compared(*map(medians, found)) for name, found in rows.items()}
    found = {"seconds": seconds, "tracing": {name: compared(*map(medians, found)) for name, found in programs.items()}}
    if with_suite:
        ran = [suite(side) for side in sides]
        seconds["suite"] = compared(*(medians([each]) for each in ran))
        endings = (each["printed"].strip().splitlines()[-1].strip("= ") for each in ran)
        found["suites"] = dict(zip(("before", "now"), endings, strict=True))
    return found


def within(seconds: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Ratios within the commit of now."""
    pairs = {
        "import jaxrl / import jax": ("import jaxrl", "import jax"),
        "second / first": ("second train", "first train"),
    }
    pairs["import and use / import jax"] = ("import and use", "import jax")
    return {
        name: {unit: round(seconds[a]["now"][unit] / seconds[b]["now"][unit], 3) for unit in ("wall", "processor")}
        for name, (a, b) in pairs.items()
    }


def table(result: dict[str, Any]) -> str:
    """Seconds and ratios as text."""
    lines = [f"{'seconds of the clock (of processors)':<38}{'before':>18}{'now':>18}{'ratio':>16}"]

    def cell(row: dict[str, float], names: tuple[str, str]) -> str:
        return f"{row[names[0]]:.2f} ({row[names[1]]:.2f})"

    units = {"seconds": ("wall", "processor"), "tracing": ("trace", "lower")}
    for part, names in units.items():
        for name, row in result[part].items():
            shown = name if part == "seconds" else f"{name}: trace (lower)"
            cells = "".join(
                f"{cell(row[side], names):>{width}}" for side, width in (("before", 18), ("now", 18), ("ratio", 16))
            )
            lines.append(f"{shown:<38}{cells}")
    lines += [f"{name:<38}{cell(row, units['seconds']):>52}" for name, row in result["within"].items()]
    return "\n".join(lines)


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description="What users wait for, beside an earlier commit.")
    parser.add_argument("--before", default=BEFORE, help="commit to compare with")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--suite", action="store_true", help="also the tests, once on each side")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    if arguments.repeats < 3:
        parser.error(f"medians need at least 3 repeats, got {arguments.repeats}")
    with tempfile.TemporaryDirectory() as folder:
        sides = [Side(commit, Path(folder, name)) for name, commit in (("before", arguments.before), ("now", "HEAD"))]
        found = run_all(sides, arguments.repeats, arguments.suite)
    result = {
        "machine": f"{os.cpu_count()} cores",
        "repeats": arguments.repeats,
        "command": " ".join(("jaxrl", *TRAIN)),
        "commits": {"before": sides[0].commit, "now": sides[1].commit},
        **found,
        "within": within(found["seconds"]),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    print(table(result))


if __name__ == "__main__":
    main()
