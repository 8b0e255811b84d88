"""A CSV file per member."""

from pathlib import Path
from typing import TYPE_CHECKING

from jaxrl.tracking.base import Tracked, by_member, folder_of

if TYPE_CHECKING:
    import pandas

__all__ = ["CsvLogger"]


class CsvLogger:
    """`seed_0.csv`, or `member_0.csv` of a sweep, one row per iteration or evaluation, in a folder.

    Args:
        folder: where; default `csv` in the run directory.
    """

    replays = True

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = folder

    def open(self, run: Tracked) -> None:
        self._folder = folder_of(run, self.folder, "csv")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._last: dict[Path, int] = {}

    def write(self, rows: "pandas.DataFrame") -> None:
        for name, own in by_member(rows):
            path = self._folder / f"{name}.csv"
            if path not in self._last:
                self._last[path] = _last_step(path)
            # A run that was resumed gives rows again which it had written before it was killed.
            own = own[own["steps"] > self._last[path]]
            own.to_csv(path, mode="a", index=False, header=not path.exists())
            self._last[path] = max(self._last[path], int(rows["steps"].max()))

    def close(self) -> None:
        """Nothing is left open."""


def _last_step(path: Path) -> int:
    """The last step that a file holds."""
    import pandas

    return int(pandas.read_csv(path)["steps"].max()) if path.exists() else -1
