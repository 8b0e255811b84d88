"""Loggers: where the rows of a run go besides its own metrics.csv, chunk by chunk and never from inside the program."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from jaxrl.registry import Registry

if TYPE_CHECKING:
    import pandas

__all__ = [
    "LOGGERS",
    "Callback",
    "Logger",
    "Tracked",
    "by_member",
    "folder_of",
    "identity_of",
    "numbers_of",
    "register_logger",
    "resolve_loggers",
    "settings_of",
]

# Columns that say which run a row is of, not what came of it.
_LABELS = ("member", "seed", "setting", "finite", "steps")


class Tracked(NamedTuple):
    """What a logger is told of a run before its rows.

    Attributes:
        name: of the run, its directory's or `jaxrl`.
        directory: where the run is written, and a logger may write; None where it is not.
        configuration: what determines the run, as plain values by name.
        columns: names of the settings that differ between members.
    """

    name: str
    directory: Path | None
    configuration: dict[str, Any]
    columns: tuple[str, ...] = ()


@runtime_checkable
class Callback(Protocol):
    """Any function that is told of the rows of every chunk, in the run's own thread: the run waits for it.

    A chunk ends with an evaluation wherever one is due and `num_chunks` is large enough. What the function raises costs
    a warning, and it is not called again.
    """

    def __call__(self, name: str, step: int, rows: "pandas.DataFrame") -> Any:
        """Told of one chunk.

        Args:
            name: of the run, its directory's or `jaxrl`.
            step: environment steps of each member so far.
            rows: as `Logger.write`.

        Returns:
            True to end the run here, with all saved; anything else goes on.

        Raises:
            StopRun: does the same as returning True.
        """


@runtime_checkable
class Logger(Protocol):
    """Where rows go. All methods are called in one thread of the logger's own, in this order.

    A logger with an attribute `replays` that is true is given all rows of a run that is resumed, from the first on, and
    tells those that it has already; others are given those that no checkpoint held.
    """

    def open(self, run: Tracked) -> None:
        """Before the first rows, also of a run that is resumed."""

    def write(self, rows: "pandas.DataFrame") -> None:
        """Rows of one chunk, with `seed` and `steps`; of a sweep with `member` and the settings, too.

        What was not measured in a row is NaN. A run that is killed and resumed gives some rows twice, with the same
        numbers.
        """

    def close(self) -> None:
        """After the last, also of a run that failed."""


LOGGERS = Registry(
    "logger",
    {
        "csv": "jaxrl.tracking.csv:CsvLogger",
        "mlflow": "jaxrl.tracking.mlflow:MlflowLogger",
        "tensorboard": "jaxrl.tracking.tensorboard:TensorBoardLogger",
        "wandb": "jaxrl.tracking.wandb:WandbLogger",
    },
)


def register_logger(name: str, builder: Callable[[], Logger | Callback]) -> Callable[[], Logger | Callback]:
    """Makes a logger known by name, to `--log` and `loggers=`.

    Args:
        name: letters, digits and _ . -.
        builder: a class or function without arguments that makes a logger or a callback.

    Raises:
        ValueError: if the name is no name, or is taken.
    """
    LOGGERS.register(name, builder, module=builder.__module__)
    return builder


def resolve_loggers(choices: Any) -> tuple[Logger | Callback, ...]:
    """Loggers of names, `tensorboard,csv`, loggers themselves and callbacks, in any mixture.

    Raises:
        UnknownNameError: for an unknown name.
        ImportError: for one whose library is not installed, with what to install.
        ValueError: for what is neither, or a name that is given twice, which would write every row twice.
    """
    words = choices.split(",") if isinstance(choices, str) else choices
    words = [words] if isinstance(words, Logger) or callable(words) else list(words)
    names = [word for word in words if isinstance(word, str)]
    if len({*names}) < len(names):
        raise ValueError(f"every logger is named once, got {', '.join(names)}")
    return tuple(_resolved(word) for word in words)


def _resolved(choice: Any) -> Logger | Callback:
    if isinstance(choice, str):
        return LOGGERS[choice]()
    if not isinstance(choice, Logger) and not callable(choice):
        raise ValueError(
            f"a logger has the methods open, write and close, is a function, or is one of {', '.join(LOGGERS)}; got "
            f"{choice!r}"
        )
    return choice


def by_member(rows: "pandas.DataFrame") -> "Iterator[tuple[str, pandas.DataFrame]]":
    """The rows of each member, and its name: `member_3`, or `seed_0` of a single run."""
    column = "member" if "member" in rows else "seed"
    for number, own in rows.groupby(column, sort=False):
        yield f"{column}_{number}", own


def folder_of(run: Tracked, chosen: str | Path | None, name: str) -> Path:
    """Where a logger writes files: as chosen, or a folder of the run directory.

    Raises:
        ValueError: if there is neither.
    """
    if chosen is None and run.directory is None:
        raise ValueError(f"a logger of a run without a directory needs a folder to write {name} to")
    return Path(chosen) if chosen is not None else run.directory / name


def settings_of(run: Tracked, row: dict[str, Any]) -> dict[str, Any]:
    """What determines a member: the run's configuration, its seed and the settings that differ between members."""
    return {**run.configuration, **{name: row[name] for name in ("seed", *run.columns) if name in row}}


def identity_of(run: Tracked, member: str) -> str | None:
    """The same for a member whenever its run directory is resumed; None where there is none."""
    if run.directory is None:
        return None
    return hashlib.sha256(f"{run.directory.resolve()} {member}".encode()).hexdigest()[:16]


def numbers_of(row: dict[str, Any], labels: Sequence[str] = ()) -> dict[str, float]:
    """What was measured in a row: numbers that are not NaN, without what says which run it is of."""
    found = {name: value for name, value in row.items() if name not in (*_LABELS, *labels)}
    return {name: float(value) for name, value in found.items() if not isinstance(value, str) and float(value) == value}
