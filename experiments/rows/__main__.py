"""Small checks of papers' headlines, one file each, in one table.

    python -m experiments.rows             # all rows
    python -m experiments.rows S030 S022   # some of them; the others stay

Every row is vmapped over its seeds. Writes results/rows.json and results/rows.csv.
"""

import csv
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import jax

import jaxrl
from experiments.rows.base import Row, estimate
from jaxrl.errors import require_name

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "results"


def rows() -> dict[str, str]:
    """The modules of all rows, by number."""
    return {path.stem[:4].upper(): f"experiments.rows.{path.stem}" for path in sorted(HERE.glob("s[0-9]*.py"))}


def run(row: Row) -> dict[str, Any]:
    """One line of the table; its seconds hold compilation."""
    start = time.perf_counter()
    found = row.measure()
    return {
        "paper": row.paper,
        "check": row.check,
        "value_name": row.value,
        "value": estimate(found.value),
        "baseline_name": row.baseline,
        "baseline": estimate(found.baseline),
        "holds": bool(found.holds),
        "note": found.note,
        "seconds": round(time.perf_counter() - start, 1),
        "jax": jax.__version__,
    }


def write(table: dict[str, dict[str, Any]]) -> None:
    """Both files."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "rows.json").write_text(json.dumps(table, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    names = ("row", "paper", "check", "value_name", "value", "value_low", "value_high")
    names += ("baseline_name", "baseline", "baseline_low", "baseline_high", "holds", "seconds", "note")
    with (RESULTS / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for number, line in sorted(table.items()):
            flat = {**line, "row": number, "holds": "yes" if line["holds"] else "no"}
            for part in ("value", "baseline"):
                low, high = line[part]["interval_95"]
                flat |= {part: f"{line[part]['mean']:.6g}", f"{part}_low": f"{low:.6g}", f"{part}_high": f"{high:.6g}"}
            writer.writerow(flat)


def main(names: list[str]) -> None:
    """Runs the named rows, or all, and writes after each."""
    jaxrl.use_cpu_cores()
    known, path = rows(), RESULTS / "rows.json"
    for name in names or known:
        row = importlib.import_module(known[require_name("row", name, known)]).ROW
        found = run(row)
        table = json.loads(path.read_text()) if path.exists() else {}
        write({**table, name: found})
        short = {part: [found[part]["mean"], *found[part]["interval_95"]] for part in ("value", "baseline")}
        print(name, json.dumps({**short, "holds": found["holds"], "seconds": found["seconds"]}), flush=True)
        print("    " + found["note"], flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
