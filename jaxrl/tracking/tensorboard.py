"""Event files for TensorBoard."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxrl.tracking.base import Tracked, by_member, folder_of, numbers_of, settings_of

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
        self._folder, self._run = folder_of(run, self.folder, "tensorboard"), run
        self._writers: dict[str, Any] = {}

    def write(self, rows: "pandas.DataFrame") -> None:
        for name, own in by_member(rows):
            records = own.to_dict("records")
            writer = self._writers.get(name) or self._begin(name, records[0])
            for row in records:
                for metric, value in numbers_of(row, self._run.columns).items():
                    writer.add_scalar(metric, value, int(row["steps"]))
            writer.flush()

    def _begin(self, name: str, row: dict[str, Any]) -> Any:
        """A file whose events replace those of a process that was killed; files of one second would have one name."""
        self._writers[name] = writer = self._writer(
            str(self._folder / name), purge_step=int(row["steps"]), filename_suffix=f".{time.time_ns()}"
        )
        writer.add_text("configuration", _as_markdown(self._run, row), 0)
        return writer

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


def _as_markdown(run: Tracked, row: dict[str, Any]) -> str:
    """Configuration and the member's own settings, as a table."""
    lines = (f"| {name} | {value} |" for name, value in settings_of(run, row).items())
    return "\n".join(["| setting | value |", "|---|---|", *lines])
