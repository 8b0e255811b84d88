"""Run directories below a folder as one table: what each is, how far it has come, and what came of it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxrl.errors import CheckpointError
from jaxrl.runs.configuration import OUTCOME, Configuration, read_configuration, record_of
from jaxrl.runs.metrics import read_metrics
from jaxrl.sweeps.lock import is_locked

if TYPE_CHECKING:
    import pandas

__all__ = ["find_runs", "run_directories", "state_of"]

_SHOWN = ("kind", "agent", "environment")
# Of a configuration, what is one column each, whatever it holds.
_PARTS = ("settings", "environment_options", "hyperparameters")


def find_runs(folder: str | Path) -> "pandas.DataFrame":
    """All runs in a folder and below it, one row each.

    Columns are the run's path from the folder, kind, agent, environment, every setting that is not the same in all
    runs, `state`, `steps`, the last returns, means over members, and `changed`, when the run was last written. A state
    is `finished`, `running` while a process writes the run, `stopped` where `jaxrl resume` goes on, or `damaged`.

    Args:
        folder: that holds run directories, at any depth, or is one.

    Raises:
        ValueError: if there is no such folder, or no run in it.
    """
    import pandas

    folder, places = Path(folder), run_directories(folder)
    described = [_described(place, folder) for place in places]
    settings = [settings for _, settings, _ in described]
    rows = [
        {**names, **own, **progress}
        for (names, _, progress), own in zip(described, _that_differ(settings), strict=True)
    ]
    order = dict.fromkeys(name for row in rows for name in row)
    last = ("state", "steps", *(name for name in order if name.startswith("return")), "changed")
    return pandas.DataFrame(rows, columns=[*(name for name in order if name not in last), *last])


def run_directories(folder: str | Path) -> list[Path]:
    """The run directories in a folder and below it, which may be one itself, by path.

    Raises:
        ValueError: if there is no such folder, or no run in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    places = sorted(path.parent for path in _configurations(folder))
    if not places:
        raise ValueError(f"{folder} holds no run directory")
    return places


def _configurations(folder: Path) -> Iterator[Path]:
    """Files called configuration.json, without looking into run directories for further ones where there are many."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name == "configuration.json":
            yield path
        elif path.is_dir() and not path.is_symlink() and path.name not in ("checkpoints", "figures"):
            yield from _configurations(path)


def _described(place: Path, folder: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A run's names, its settings and its progress."""
    run = {"run": str(place.relative_to(folder)) if place != folder else place.name}
    changed = datetime.fromtimestamp(_last_written(place), UTC).isoformat(sep=" ", timespec="seconds")
    try:
        configuration = read_configuration(place)
    except CheckpointError:
        return {**run, **dict.fromkeys(_SHOWN, "")}, {}, {"state": "damaged", "changed": changed}
    names = {name: getattr(configuration, name) for name in _SHOWN}
    progress = {"state": state_of(place), **_last_results(place), "changed": changed}
    return {**run, **names}, _settings(configuration), progress


def _last_written(place: Path) -> float:
    files = [path for name in ("metrics.csv", "configuration.json", OUTCOME) if (path := place / name).exists()]
    return max(path.stat().st_mtime for path in files)


def state_of(place: Path) -> str:
    """`finished`, `running` while a process writes the run, or `stopped`."""
    if is_locked(place):
        return "running"
    return "finished" if (place / OUTCOME).exists() else "stopped"


def _settings(configuration: Configuration) -> dict[str, Any]:
    """What determines a run besides its names, by name, as text where it is no number."""
    found: dict[str, Any] = {}
    for name, value in record_of(configuration).items():
        if name in _PARTS:
            found |= value
        elif name not in _SHOWN:
            found[name] = value
    found["seeds"] = len(configuration.seeds)
    return {name: value if isinstance(value, int | float | str) else json.dumps(value) for name, value in found.items()}


def _that_differ(settings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each run, the settings that are not the same in all of them; a dash where one was left at its default."""
    # What is damaged says nothing.
    known = [own for own in settings if own]
    names = dict.fromkeys(name for own in known for name in own)
    differing = [name for name in names if len({json.dumps(own.get(name, "–")) for own in known}) > 1]
    return [{name: own.get(name, "–") for name in differing} if own else {} for own in settings]


def _last_results(place: Path) -> dict[str, Any]:
    """Steps, and the mean over members of the last returns, as far as a run has come."""
    try:
        table = read_metrics(place / "metrics.csv")
    except CheckpointError:
        return {}
    returns = [name for name in table if name == "return" or name.startswith("return_")]
    found: dict[str, Any] = {"steps": int(table["steps"].max())} if "steps" in table and len(table) else {}
    if returns:
        evaluated = table.dropna(subset=returns)
        by = [name for name in ("member",) if name in evaluated]
        last = evaluated.groupby(by).tail(1) if by else evaluated.tail(1)
        found |= {name: float(last[name].mean()) for name in returns if len(last)}
    return found
