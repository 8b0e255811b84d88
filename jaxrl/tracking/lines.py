"""The loggers of one run as it goes on: those in threads of their own, and callbacks, which can end it."""

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import jax
import numpy as np

from jaxrl.errors import StopRun
from jaxrl.tracking.base import Callback, Logger, Tracked

if TYPE_CHECKING:
    import pandas

__all__ = ["Tracking"]

# Chunks that may wait for a slow logger, and seconds that a run waits for it at its end.
_WAITING, _PATIENCE = 1000, 30.0


class Tracking:
    """The loggers of one run: a slow or failing one costs a warning and its own rows.

    A logger has a thread of its own. A callback is called in the run's, which waits for it and may be ended by it.
    """

    def __init__(
        self,
        loggers: Sequence[Logger | Callback],
        run: Tracked,
        say: Callable[[str], None],
        patience: float = _PATIENCE,
    ) -> None:
        # One host writes for all.
        here = loggers if loggers and jax.process_index() == 0 else ()
        self._lines = [
            _Line(logger, run, say, patience) if isinstance(logger, Logger) else _Call(logger, run, say)
            for logger in here
        ]

    def add(self, rows: "pandas.DataFrame", restored: bool = False) -> bool:
        """Gives rows to all, or, if a checkpoint held them already, to those that replay.

        Returns:
            Whether a callback asks the run to end here.
        """
        answers = [line.add(rows) for line in self._lines if line.replays or not restored]
        return any(answers)

    def close(self) -> None:
        """Waits until all rows are written, as long as patience lasts."""
        for line in self._lines:
            line.close()

    def __enter__(self) -> "Tracking":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Call:
    """One callback."""

    def __init__(self, function: Callback, run: Tracked, say: Callable[[str], None]) -> None:
        self._function, self._run, self._say = function, run, say
        self.replays, self._failed = getattr(function, "replays", False), False

    def add(self, rows: "pandas.DataFrame") -> bool:
        # A chunk of a sweep without an evaluation has no rows.
        if self._failed or not len(rows):
            return False
        try:
            answer = self._function(self._run.name, int(rows["steps"].max()), rows)
        except StopRun:
            return True
        except Exception as error:
            self._failed, name = True, getattr(self._function, "__name__", type(self._function).__name__)
            self._say(f"{name} failed and is not called again in this run: {type(error).__name__}: {error}")
            return False
        return isinstance(answer, bool | np.bool_) and bool(answer)

    def close(self) -> None:
        """Nothing is left open."""


class _Line:
    """One logger and the rows that wait for it."""

    def __init__(self, logger: Logger, run: Tracked, say: Callable[[str], None], patience: float) -> None:
        self._logger, self._run, self._say, self._patience = logger, run, say, patience
        self._name, self.replays = type(logger).__name__, getattr(logger, "replays", False)
        self._rows: queue.Queue = queue.Queue(_WAITING)
        self._failed = self._dropped = False
        # A daemon: a logger that hangs must not keep the process.
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"jaxrl {self._name}")
        self._thread.start()

    def add(self, rows: "pandas.DataFrame") -> bool:
        if self._failed or self._dropped:
            return False
        try:
            self._rows.put_nowait(rows)
        except queue.Full:
            self._dropped = True
            self._say(f"{self._name} is {_WAITING} chunks behind: it gets no more rows of this run")
        return False

    def close(self) -> None:
        with suppress(queue.Full):
            self._rows.put(None, timeout=self._patience)
        self._thread.join(self._patience)
        if self._thread.is_alive():
            self._say(f"{self._name} has not written all rows after {self._patience:g} s: the run ends without it")

    def _work(self) -> None:
        try:
            self._logger.open(self._run)
            try:
                while (rows := self._rows.get()) is not None:
                    self._logger.write(rows)
            finally:
                self._logger.close()
        except Exception as error:
            self._failed = True
            self._say(f"{self._name} failed and gets no more rows of this run: {type(error).__name__}: {error}")
            # Room for what may still be put.
            with suppress(queue.Empty):
                while True:
                    self._rows.get_nowait()
