"""Imports of other libraries put off until what they bind is used, or made while the processor waits for another."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["deferred", "import_ahead"]


class _Later(ModuleType):
    """Stands for a module, which is imported when something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


@contextmanager
def deferred(*names: str) -> Iterator[None]:
    """Modules that are imported inside, once more, bind these modules without importing them.

    Args:
        names: of modules, packages before what is in them. Those that are imported already are bound as they are.
    """
    standing = {name: _Later(name) for name in names if name not in sys.modules}
    for name, module in standing.items():
        package, _, rest = name.rpartition(".")
        if package in standing:
            setattr(standing[package], rest, module)
    sys.modules.update(standing)
    try:
        yield
    finally:
        for name in standing:
            del sys.modules[name]


def import_ahead(*names: str) -> None:
    """Imports modules in a thread of their own, while the caller compiles; one that fails, fails where it is used."""

    def load() -> None:
        for name in names:
            with suppress(Exception):
                import_module(name)

    if not sys.modules.keys() >= {*names}:
        threading.Thread(target=load).start()
