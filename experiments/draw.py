"""Draws figures of `results/` again, from the tables and records that lie beside them; nothing is trained.

python experiments/draw.py            all of them
python experiments/draw.py lpg open   those of the named scripts
"""

import importlib
import sys
from pathlib import Path

from jaxrl.errors import require_name

HERE = Path(__file__).parent
FOLDERS = (HERE, HERE / "multitask", HERE / "benchmarks")


def drawing() -> dict[str, Path]:
    """The scripts that can draw again, by name."""
    scripts = (path for folder in FOLDERS for path in sorted(folder.glob("*.py")))
    return {path.stem: path for path in scripts if "\ndef redraw(" in path.read_text()}


def main(names: list[str]) -> None:
    """Draws."""
    known = drawing()
    sys.path[:0] = map(str, FOLDERS)
    for name in names or known:
        importlib.import_module(require_name("script", name, known)).redraw()
        print(f"drawn: {name}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
