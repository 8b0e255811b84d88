"""Event files for TensorBoard."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxrl.tracking.base import Tracked, numbers_of

if TYPE_CHECKING:
    import pandas

__all__ = ["TensorBoardLogger"]


class TensorBoardLogger:
    """A folder of events per member, which TensorBoard shows as a run each, with the settings that differ.

    Args:
        folder: where; default `tensorboard` in the run directory.

    Raises:
        ImportError: without tensorboardX.
    """

    replays = True

    def __init__(self, folder: str | Path | None = None) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ImportError("logging for TensorBoard needs tensorboardX: pip install 'jaxrl[tensorboard]'") from error
        self.folder, self._writer = folder, SummaryWriter

    def open(self, run: Tracked) -> None:
        if self.folder is None and run.directory is None:
            raise ValueError("a TensorBoard logger of a run without a directory needs one: TensorBoardLogger('logs')")
        self._folder, self._run = Path(self.folder or run.directory / "tensorboard"), run
        self._writers: dict[str, Any] = {}

    def write(self, rows: "pandas.DataFrame") -> None:
        column = "member" if "member" in rows else "seed"
        for row in rows.to_dict("records"):
            name = f"{column}_{row[column]}"
            if name not in self._writers:
                # Events from here on replace those of a process that was killed.
                # Files of one second would have one name.
                self._writers[name] = self._writer(
                    str(self._folder / name), purge_step=int(row["steps"]), filename_suffix=f".{time.time_ns()}"
                )
                self._writers[name].add_text("configuration", _as_markdown(self._run, row), 0)
            for metric, value in numbers_of(row, self._run.columns).items():
                self._writers[name].add_scalar(metric, value, int(row["steps"]))
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


def _as_markdown(run: Tracked, row: dict[str, Any]) -> str:
    """Configuration and the member's own settings, as a table."""
    own = {name: row[name] for name in ("seed", *run.columns) if name in row}
    lines = (f"| {name} | {value} |" for name, value in {**run.configuration, **own}.items())
    return "\n".join(["| setting | value |", "|---|---|", *lines])
