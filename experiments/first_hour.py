"""The first fifteen things of a researcher's day, as docs/tutorial.md shows them: each run and timed, in one folder.

    python experiments/first_hour.py            # writes results/first_hour.json, from which the page is written

Every step of first_hour.toml is one command or a few lines. What is timed is the whole step as a user waits for it:
imports, compilation (nothing is kept from before), training, tables and figures.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results" / "first_hour.json"


STEPS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["steps"]


def run(step: dict[str, Any], folder: Path, environment: dict[str, str]) -> tuple[float, str]:
    """Seconds, and the last lines that the step printed."""
    if "file" in step:
        (folder / step["file"]).write_text(step["python"])
    words = ["bash", "-e", "-c", step["shell"]] if "shell" in step else [sys.executable, "-c", step["python"]]
    start = time.perf_counter()
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{step['title']}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds, done.stdout


def measured(path: Path) -> list[dict[str, Any]]:
    """The steps of a former run."""
    return json.loads(path.read_text())["steps"]


def main() -> None:
    """Runs all steps in an empty folder and writes what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--again", nargs="+", help="titles of the only steps to run, beside what is measured already")
    arguments = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "XDG_CACHE_HOME": str(folder / ".cache")}
        kept = {} if arguments.again is None else {row["title"]: row for row in measured(arguments.out)}
        for step in STEPS:
            if arguments.again is not None and step["title"] not in arguments.again:
                found.append(kept[step["title"]])
                continue
            seconds, printed = run(step, folder, environment)
            print(f"{step['title']}: {seconds:.1f} s", flush=True)
            found.append({**step, "seconds": round(seconds, 1), "printed": printed.strip().splitlines()[-3:]})
    arguments.out.write_text(json.dumps({"cores": os.cpu_count(), "steps": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
