"""Files that no crash leaves half written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from jaxrl.errors import CheckpointError

__all__ = ["check_writable", "reason", "remove_leftovers", "replaced", "shortened"]

_LONGEST = 120


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` in one step, once it is on the disk; after an error `path` is as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Processes that write the same file, such as a table beside a run, do not write into each other.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):  # Of a full disk it does not say which file.
            raise OSError(error.errno, reason(error), str(path)) from error
        raise
    _sync(path.parent)


def remove_leftovers(directory: Path, pattern: str) -> None:
    """Removes what killed processes had begun to write to files of that `pattern`."""
    for path in directory.glob(f"{pattern}.*.tmp"):
        number = path.name.split(".")[-2]
        if number.isdigit() and not _runs(int(number)):
            path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # Another user's.
    return True


def _sync(directory: Path) -> None:
    """Names of new files reach the disk too."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        pass  # Some file systems have no such operation.
    finally:
        os.close(handle)


def check_writable(directory: str | Path) -> None:
    """Raises CheckpointError for what is no folder, or cannot be made or written to."""
    if not str(directory):
        raise CheckpointError("a run needs a folder, got ''; choose another --out")
    directory = Path(directory)
    try:
        parent = next(place for place in (directory, *directory.absolute().parents) if place.exists())
    except OSError as error:
        raise CheckpointError(
            f"cannot write to {shortened(directory)}: {reason(error)}; choose another --out"
        ) from error
    if not parent.is_dir():
        raise CheckpointError(f"{parent} is a file, not a folder for a run; choose another --out")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise CheckpointError(f"{parent} cannot be written to; choose another --out")


def reason(error: BaseException) -> str:
    """What an error says, in at most a line."""
    text = getattr(error, "strerror", None) or " ".join(str(error).split())
    return shortened(text or type(error).__name__)


def shortened(text: object) -> str:
    """At most a line of it."""
    text = str(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."
