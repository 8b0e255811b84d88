"""One process at a time writes a run directory."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import jax

from jaxrl.errors import CheckpointError
from jaxrl.sweeps.files import check_writable, reason, shortened

try:
    import fcntl
except ImportError:  # Where there is no flock, nothing is locked.
    fcntl = None

__all__ = ["LOCK", "is_locked", "lock"]

LOCK = ".lock"


@contextmanager
def lock(directory: str | Path) -> Iterator[Path]:
    """Makes a directory, and keeps other processes from writing it.

    The operating system frees the lock when the process ends, however it ends: what a killed one leaves blocks nobody.
    Those who only read need none. Of the processes of a run on several hosts the first holds it for all.

    Raises:
        CheckpointError: if another process holds it, or the directory cannot be written.
    """
    check_writable(directory)
    directory = Path(directory)
    made = [place for place in (directory, *directory.parents) if not place.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = _acquire(directory / LOCK) if jax.process_index() == 0 else None
    except OSError as error:
        name = shortened(directory)
        raise CheckpointError(f"cannot write to {name}: {reason(error)}; choose another --out") from error
    try:
        yield directory
    finally:
        if handle is not None:
            (directory / LOCK).unlink(missing_ok=True)
            os.close(handle)
            _remove_empty(made)


def is_locked(directory: str | Path) -> bool:
    """Whether a process writes a directory, as far as its lock says who; asking locks nothing."""
    try:
        words = (Path(directory) / LOCK).read_text(errors="replace").split()
    except OSError:
        return False
    # What a killed process of this machine left means nothing.
    if len(words) != 4 or words[3] != socket.gethostname() or not words[1].isdigit():
        return bool(words)
    with suppress(PermissionError):  # Another user's process is one, too.
        try:
            os.kill(int(words[1]), 0)
        except ProcessLookupError:
            return False
    return True


def _remove_empty(made: list[Path]) -> None:
    """Of what refused to run, no folder is left."""
    for place in made:
        try:
            place.rmdir()
        except OSError:
            return


def _acquire(path: Path) -> int:
    """An open file, whose lock this process holds."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if fcntl is None:
                return handle
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 200).decode(errors="replace").strip() or "another process"
            os.close(handle)
            raise CheckpointError(
                f"{path.parent} is being written by {holder}: wait until it ends, or choose another --out"
            ) from None
        except OSError:
            return handle  # A file system without locks.
        if _is_at(handle, path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
            return handle
        os.close(handle)  # Its holder ended, and removed it, between the two calls.


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
