"""metrics.csv while a run is going on: rows are appended chunk by chunk, and whole whenever the process ends."""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import jax

from jaxrl.errors import CheckpointError
from jaxrl.sweeps.files import reason, remove_leftovers, replaced

if TYPE_CHECKING:
    import pandas

__all__ = ["GrowingTable", "read_metrics"]


class GrowingTable:
    """A table whose rows reach the disk as they come.

    Only the new rows are written. What was restored from a checkpoint replaces what a former process left, in one step
    with the first new rows: nothing is there twice, and nothing is missing. A run ends by writing the whole table in
    its own order.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._restored: list[pandas.DataFrame] = []
        self._columns: list[str] = []

    def add(self, rows: "pandas.DataFrame", restored: bool = False) -> None:
        """Appends rows; restored ones with the next that are not.

        Raises:
            CheckpointError: if they cannot be written.
        """
        if jax.process_index() != 0:
            return
        if restored:
            self._restored.append(rows)
            return
        try:
            self._write(rows)
        except OSError as error:
            raise CheckpointError(
                f"cannot write {self.path}: {reason(error)}; jaxrl resume goes on from the last checkpoint"
            ) from error

    def _write(self, rows: "pandas.DataFrame") -> None:
        if not self._columns:
            self._replace([*self._restored, rows])
        elif set(rows.columns) <= set(self._columns):
            _append(self.path, rows.reindex(columns=self._columns).to_csv(index=False, header=False))
        else:
            # A column of which the first rows knew nothing, such as successes before the first evaluation.
            self._replace([read_metrics(self.path, as_text=True), rows])

    def _replace(self, tables: list["pandas.DataFrame"]) -> None:
        import pandas

        # Each table by its own types: what is an integer here stays one, whatever the others lack.
        self._columns = list(dict.fromkeys(name for table in tables for name in table.columns))
        text = [table.reindex(columns=self._columns).to_csv(index=False, header=False) for table in tables]
        header = pandas.DataFrame(columns=self._columns).to_csv(index=False)
        remove_leftovers(self.path.parent, self.path.name)
        with replaced(self.path) as file:
            file.write("".join([header, *text]).encode())


def _append(path: Path, text: str) -> None:
    with path.open("ab") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def read_metrics(path: Path, as_text: bool = False) -> "pandas.DataFrame":
    """The whole rows of a metrics.csv: without a last one of which a killed process wrote a part.

    Args:
        path: of the file.
        as_text: leave the values as they are written.

    Raises:
        CheckpointError: if there is none yet, or it is damaged.
    """
    import pandas

    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} has no {path.name} yet: it comes with the first chunk of a run") from None
    try:
        whole = text[: text.rfind(b"\n") + 1].decode()
        return pandas.read_csv(io.StringIO(whole), **({"dtype": str, "keep_default_na": False} if as_text else {}))
    except (ValueError, pandas.errors.ParserError) as error:
        raise CheckpointError(f"{path} is damaged ({reason(error)}): jaxrl resume writes it again") from error
