"""One process at a time writes a run directory."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from jaxrl.errors import CheckpointError
from jaxrl.sweeps.files import reason, writable

try:
    import fcntl
except ImportError:  # Where there is no flock, nothing is locked.
    fcntl = None

__all__ = ["LOCK", "lock"]

LOCK = ".lock"


@contextmanager
def lock(directory: str | Path) -> Iterator[Path]:
    """Makes a directory, and keeps other processes from writing it.

    The operating system frees the lock when the process ends, however it ends: what a killed one leaves blocks nobody.
    Those who only read need none. Of the processes of a run on several hosts the first holds it for all.

    Raises:
        CheckpointError: if another process holds it, or the directory cannot be written.
    """
    made = _missing(directory)
    directory = writable(directory)
    if fcntl is None or jax.process_index() != 0:
        yield directory
        return
    path = directory / LOCK
    try:
        handle = _acquire(path)
    except OSError as error:
        raise CheckpointError(f"cannot write to {directory}: {reason(error)}; choose another --out") from error
    try:
        yield directory
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)
        _remove_empty(made)


def _missing(directory: str | Path) -> list[Path]:
    """Of a path, what does not exist yet, innermost first."""
    try:
        return [place for place in (Path(directory), *Path(directory).parents) if not place.exists()]
    except OSError:
        return []  # `writable` will say why.


def _remove_empty(made: list[Path]) -> None:
    """Of what refused to run, no folder is left."""
    for place in made:
        try:
            place.rmdir()
        except OSError:
            return


def _acquire(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
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
