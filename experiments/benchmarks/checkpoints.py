"""jaxrl's checkpoints beside orbax's: seconds to import, save and restore, files, bytes, and damage that is noticed.

Both write the state of a sweep of PPO, in turns. Damage is one flipped bit, at places spread evenly over all files. It
is noticed where restoring raises an error, harmless where it gives what was saved, and else it is silent.

    python experiments/benchmarks/checkpoints.py [--members 64] [--repeats 10] [--flips 60]
"""

import argparse
import json
import logging
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxrl
from jaxrl.sweeps.checkpoint import Checkpoints

OUT = Path(__file__).resolve().parents[2] / "results" / "benchmarks" / "checkpoints.json"
IMPORTS = {"jaxrl": "import jax, jaxrl.sweeps.checkpoint", "orbax": "import jax, orbax.checkpoint"}


def save_ours(folder: Path, tree: Any) -> None:
    """A checkpoint of jaxrl."""
    Checkpoints(folder).save(1, tree)


def restore_ours(folder: Path, tree: Any) -> Any:
    """What it holds."""
    return Checkpoints(folder).restore(tree, on_host=True)


def save_orbax(folder: Path, tree: Any) -> None:
    """A checkpoint of orbax, complete when this returns."""
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "1", tree)


def restore_orbax(folder: Path, tree: Any) -> Any:
    """What it holds."""
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(folder / "1", tree)


SIDES: dict[str, tuple[Callable, Callable]] = {
    "jaxrl": (save_ours, restore_ours),
    "orbax": (save_orbax, restore_orbax),
}


def state(members: int) -> Any:
    """Parameters, optimiser, environments and statistics of a sweep's members, on the host."""
    trainer = jaxrl.trainer("ppo", "gymnax/CartPole-v1", normalise_observations=True)
    keys = jax.random.split(jax.random.key(0), members)
    begun = jax.jit(jax.vmap(trainer.init, in_axes=(0, None)))(keys, trainer.hyperparameters)
    data = jax.tree.map(
        lambda leaf: jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf,
        begun,
    )
    return jax.tree.map(np.asarray, data)


def seconds(function: Callable, *arguments: Any) -> float:
    """Of one call."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def import_seconds(code: str) -> float:
    """Of a fresh interpreter."""
    return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True))


def flipped(side: str, tree: Any, root: Path, count: int) -> dict[str, int]:
    """What becomes of `count` checkpoints with one flipped bit each."""
    save, restore = SIDES[side]
    whole = root / "whole"
    save(whole, tree)
    files = [path for path in sorted(whole.rglob("*")) if path.is_file()]
    ends = np.cumsum([path.stat().st_size for path in files])
    found: Counter[str] = Counter()
    for place in np.linspace(0, ends[-1] - 1, count).astype(int):
        index = int(np.searchsorted(ends, place, side="right"))
        copy = root / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(whole, copy)
        path = copy / files[index].relative_to(whole)
        data = bytearray(path.read_bytes())
        data[int(place - ends[index])] ^= 1
        path.write_bytes(data)
        found[outcome(restore, copy, tree)] += 1
    return dict(found)


def outcome(restore: Callable, folder: Path, tree: Any) -> str:
    """`noticed`, `harmless` or `silent`."""
    try:
        restored = restore(folder, tree)
    except Exception:
        return "noticed"
    same = jax.tree.map(lambda one, other: np.array_equal(one, other, equal_nan=True), restored, tree)
    return "harmless" if all(jax.tree.leaves(same)) else "silent"


def main() -> None:
    """Measures both in turns and writes the medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--flips", type=int, default=60)
    options = parser.parse_args()
    logging.getLogger("absl").setLevel(logging.ERROR)
    tree = state(options.members)
    rows: dict[str, dict[str, list[float]]] = {name: {"import": [], "save": [], "restore": []} for name in SIDES}
    result: dict[str, Any] = {"members": options.members, "repeats": options.repeats, "flips": options.flips}
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        for turn in range(options.repeats + 1):
            for name, (save, restore) in SIDES.items():
                folder = root / name / str(turn)
                taken = {"save": seconds(save, folder, tree), "restore": seconds(restore, folder, tree)}
                if turn:  # The first of each imports what it needs.
                    rows[name]["import"].append(import_seconds(IMPORTS[name]))
                    rows[name]["save"].append(taken["save"])
                    rows[name]["restore"].append(taken["restore"])
        for name in SIDES:
            files = [path for path in (root / name / "1").rglob("*") if path.is_file()]
            medians = {what: round(statistics.median(values), 4) for what, values in rows[name].items()}
            sizes = {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}
            result[name] = {**medians, **sizes, "damage": flipped(name, tree, root / "damage" / name, options.flips)}
    print(json.dumps(result, indent=2))
    OUT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
