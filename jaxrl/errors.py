"""Errors that name the offending value, what is allowed and the nearest valid choice."""

import difflib
from collections.abc import Iterable

__all__ = [
    "CheckpointError",
    "DamagedError",
    "NonFiniteError",
    "StopRun",
    "UnknownNameError",
    "missing_extra",
    "require_name",
]


class UnknownNameError(ValueError):
    """A name that is in no registry, with the nearest names that are."""


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or was written by other settings."""


class DamagedError(CheckpointError):
    """A checkpoint whose bytes are not those that were written."""


class ClusterError(RuntimeError):
    """Jobs of a cluster failed; what they had done is kept."""


class NonFiniteError(FloatingPointError):
    """A loss or a parameter stopped being finite; the last good checkpoint is kept."""


class StopRun(Exception):  # noqa: N818
    """Raised by a callback among `loggers` to end a run after the chunk that it was told of, as returning True does.

    All that was done is saved, and a run directory can be resumed.
    """


def nearest(name: str, allowed: Iterable[str], count: int = 3) -> list[str]:
    """The `count` entries of `allowed` most similar to `name`, best first, ignoring case."""
    by_lower = {entry.lower(): entry for entry in allowed}
    found = difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.4)
    return [by_lower[entry] for entry in found]


def require_name(kind: str, name: str, allowed: Iterable[str]) -> str:
    """Returns `name` if it is one of `allowed`.

    Raises:
        UnknownNameError: naming `kind`, the nearest match and every allowed name.
    """
    allowed = sorted(allowed)
    if name in allowed:
        return name
    close = nearest(name, allowed)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise UnknownNameError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(allowed)}.")


def missing_extra(package: str, extra: str) -> ImportError:
    """The error for a package that an optional extra provides."""
    return ImportError(f"{package!r} is not installed: install it with  pip install 'jaxrl[{extra}]'")
