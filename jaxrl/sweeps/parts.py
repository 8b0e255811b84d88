"""A sweep in parts that run elsewhere, each into a folder of its own, and are joined as if they had run together."""

import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxrl import hyperparameters as named
from jaxrl.sweeps.best import BEST
from jaxrl.sweeps.checkpoint import Checkpoints
from jaxrl.sweeps.sweep import Plan

__all__ = ["Part", "cut", "join_parts"]


class Part(NamedTuple):
    """Members of a sweep, numbered over all of its groups, from `first` to the one before `end`."""

    first: int
    end: int

    def folder(self, jobs: str | Path) -> Path:
        """Where the part is written, in the folder of all parts."""
        return Path(jobs) / f"{self.first}-{self.end}"


def cut(num_members: int, num_parts: int) -> list[Part]:
    """Parts of nearly equal size, as many as there are members at most."""
    bounds = np.linspace(0, num_members, min(num_parts, num_members) + 1).astype(int)
    return [Part(int(first), int(end)) for first, end in pairwise(bounds)]


def join_parts(plan: Plan, parts: Sequence[Part], jobs: str | Path, checkpoints: str | Path) -> None:
    """Writes the finished checkpoints of a sweep from those of its parts, whose own are then removed.

    Args:
        plan: of the whole sweep.
        parts: that cover it, in order.
        jobs: folder of the parts.
        checkpoints: folder of the sweep's checkpoints.
    """
    first = 0
    for index, (program, _) in enumerate(plan.groups):
        end = first + len(plan.members)
        within = [part.folder(jobs) / f"group_{index}" for part in parts if part.first < end and part.end > first]
        swept = {f"1/{path.replace('.', '/')}" for path in _swept(plan, program)}
        _join(within, Path(checkpoints) / f"group_{index}", swept)
        if (within[0] / BEST).is_dir():
            _join([place / BEST for place in within], Path(checkpoints) / f"group_{index}" / BEST, None)
        first = end
    for part in parts:
        for place in part.folder(jobs).glob("group_*"):
            shutil.rmtree(place)


def _swept(plan: Plan, program: Any) -> list[str]:
    """Paths of the hyperparameters that have a member axis."""
    names = [*plan.settings[0], *(["weights"] if plan.weights is not None else [])]
    return [named.resolve(program.hyperparameters, name) for name in names]


def _join(places: list[Path], to: Path, swept: set[str] | None) -> None:
    """One checkpoint of several: arrays have a leading axis of members, hyperparameters where they are `swept`."""
    found = [Checkpoints(place).arrays() for place in places]
    records, arrays = [record for record, _ in found], [own for _, own in found]

    def joined(name: str) -> np.ndarray:
        shared = swept is not None and name.startswith("1/") and name not in swept
        return arrays[0][name] if shared else np.concatenate([own[name] for own in arrays])

    step = max(Checkpoints(place).latest() for place in places)
    Checkpoints(to).save(step, {name: joined(name) for name in arrays[0]}, _record(records))


def _record(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Of all parts: lists of members behind each other, seconds added, the rest, which is the same in all, once."""

    def joined(name: str) -> Any:
        values = [record[name] for record in records]
        if isinstance(values[0], list):
            return [entry for value in values for entry in value]
        return sum(values) if name.endswith("seconds") else values[0]

    return {name: joined(name) for name in records[0]}
