"""The end of a process, stood for by an error that leaves the host loop where it would be killed."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jaxrl.sweeps.checkpoint import Checkpoints


class StoppedError(Exception):
    """Stands for what ends a process."""


@contextmanager
def stopping(monkeypatch: pytest.MonkeyPatch, after: int, before_save: bool = False) -> Iterator[None]:
    """Ends the host loop once so many checkpoints have been saved, or are just about to be."""
    save, count = Checkpoints.save, []

    def saving(self, *arguments, **options):
        count.append(1)
        if not (before_save and len(count) == after):
            save(self, *arguments, **options)
        if len(count) == after:
            raise StoppedError

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", saving)
        with pytest.raises(StoppedError):
            yield
