"""Private environments of the peers that jaxrl is measured against, one per peer, made once and reused.

They live in `.peers/` at the root of the repository, which git ignores, because their
requirements exclude each other's and jaxrl's (rejax needs gymnax before 1.0).
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

__all__ = ["PEERS", "interpreter", "run_contender"]

ROOT = Path(__file__).resolve().parents[2]

# Stable-Baselines3 accepts any torch from 2 on; a build for CPUs is enough and much smaller.
PEERS: dict[str, tuple[str, ...]] = {
    # What groove's own requirements name, and the newest of theirs that go with jax 0.4.13 (Python 3.11 at most).
    "groove": (
        "jax==0.4.13",
        "jaxlib==0.4.13",
        "flax==0.6.11",
        "optax==0.1.5",
        "gymnax==0.0.6",
        "evosax==0.1.4",
        "chex<0.1.83",
        "orbax-checkpoint<0.4",
        "numpy<1.26",
        "six",  # which gymnax imports without declaring it
        "scipy<1.12",
    ),
    "highway-env": ("highway-env==1.10.1",),
    # gymnasium imports packaging without declaring it.
    "metaworld": ("metaworld==3.1.1", "packaging"),
    "pymoo": ("pymoo>=0.6.1",),
    "rejax": ("rejax==0.1.3", "gymnax<1"),
    "morl-baselines": (
        "torch>=2",
        "mo-gymnasium==1.3.2",
        "box2d",
        "pymoo",
        "cvxpy",
        "fire",
        "torchsummary",
        "matplotlib",
        "pandas",
        "scipy",
        "seaborn",
        "imageio",
        "wandb",
        "tqdm",
    ),
    # jaxrl.replay is imported there, too: both sides run in one process.
    "flashbax": ("flashbax==0.1.3", "jaxtyping"),
    "stable-baselines3": ("stable-baselines3>=2.4", "torch>=2"),
}

# Packages installed without what they ask for: morl-baselines wants libraries that only some of its algorithms import
# and that do not build everywhere.
ALONE: dict[str, tuple[str, ...]] = {"morl-baselines": ("morl-baselines==1.3.0",)}


def interpreter(peer: str) -> Path:
    """The Python of a peer's environment, which is created if it is not there.

    rejax and flashbax get the very jax that jaxrl runs on, so that both sides use one compiler.

    Raises:
        RuntimeError: if the peer's packages cannot be installed, with pip's last lines.
    """
    requirements, alone = list(PEERS[peer]), list(ALONE.get(peer, ()))
    if peer in ("rejax", "flashbax"):
        requirements.append(f"jax=={importlib.metadata.version('jax')}")
    folder = ROOT / ".peers" / peer
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    stamp = folder / "requirements.json"
    if stamp.exists() and json.loads(stamp.read_text()) == requirements + alone:
        return python
    print(f"installing {', '.join(requirements)} into {folder.relative_to(ROOT)}", file=sys.stderr)
    venv.create(folder, clear=True, with_pip=True)
    for chosen in (requirements, ["--no-deps", *alone] if alone else []):
        if not chosen:
            continue
        installed = subprocess.run([python, "-m", "pip", "install", "-q", *chosen], capture_output=True, text=True)
        if installed.returncode:
            lines = "\n".join(installed.stderr.splitlines()[-8:])
            raise RuntimeError(f"{peer} could not be installed ({', '.join(chosen)}):\n{lines}")
    stamp.write_text(json.dumps(requirements + alone))
    return python


def run_contender(
    python: Path | str, script: str, settings: dict[str, Any], timeout_seconds: float = 3600.0
) -> dict[str, Any]:
    """Runs a contender's script in a process of its own and returns what it reports.

    All contenders inherit the same environment variables, XLA flags among them.

    Raises:
        RuntimeError: if the script fails, with its last lines of output.
        subprocess.TimeoutExpired: if it takes longer than `timeout_seconds`.
    """
    path = Path(__file__).with_name(script)
    finished = subprocess.run(
        [python, path, json.dumps(settings)], capture_output=True, text=True, cwd=ROOT, timeout=timeout_seconds
    )
    if finished.returncode:
        lines = "\n".join(finished.stderr.splitlines()[-12:])
        raise RuntimeError(f"{script} failed with {settings}:\n{lines}")
    return json.loads(finished.stdout.strip().splitlines()[-1])
