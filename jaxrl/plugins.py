"""Modules of users that register environments, agents, objectives and networks: imported by name, and recorded."""

import importlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from typing import Any

__all__ = ["GROUP", "load", "load_installed", "module_of", "needed", "note"]

GROUP = "jaxrl.plugins"
"""Entry points of installed packages, modules or functions, that register names when they are imported or called."""

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
# Imported by name, in order; which module registered which name; and whether entry points were looked at.
_IMPORTED: dict[str, None] = {}
_REGISTERED: dict[str, str] = {}
_INSTALLED: list[str] = []


def load(modules: Iterable[str], remember: bool = True) -> None:
    """Imports modules that register names, looked for in the current folder, too.

    Args:
        modules: their names.
        remember: whether every run directory that this process writes records them.

    Raises:
        ValueError: for what is no module's name.
        ImportError: for a module that is not found or fails, in one sentence.
    """
    for name in modules:
        if not isinstance(name, str) or not _MODULE.fullmatch(name) or name.endswith(".py"):
            hint = f", such as {_stem(name)!r}" if isinstance(name, str) and name.endswith(".py") else ""
            raise ValueError(f"what is imported is the name of a module{hint}, got {name!r}")
        folder = os.getcwd()
        if "" not in sys.path and folder not in sys.path:
            sys.path.append(folder)
        try:
            importlib.import_module(name)
        except Exception as error:
            raise ImportError(f"module {name!r} cannot be imported: {type(error).__name__}: {error}") from error
        if remember:
            _IMPORTED[name] = None


def _stem(path: str) -> str:
    return re.sub(r"[/\\]+", ".", path.removesuffix(".py").removeprefix("./"))


def load_installed() -> None:
    """Imports the entry points of the group `jaxrl.plugins`, once; a registry does it for a name that it lacks.

    Raises:
        ImportError: for one that fails, naming its package's entry point.
    """
    if _INSTALLED:
        return
    _INSTALLED.append(GROUP)
    for point in metadata.entry_points(group=GROUP):
        try:
            found = point.load()
            if callable(found):
                found()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise ImportError(f"plugin {point.name!r} ({point.value}) fails: {reason}") from error


def module_of(entry: Any) -> str:
    """The module that something is of, `__main__` where that is not known."""
    return getattr(entry, "__module__", None) or "__main__"


def note(name: str, module: str) -> None:
    """Remembers which module registered a name, unless it is jaxrl's or cannot be imported again."""
    if module != "__main__" and module.partition(".")[0] != "jaxrl":
        _REGISTERED[name] = module


def needed(*values: Any) -> tuple[str, ...]:
    """Modules to import before names in `values` can be looked up again.

    They are those that were imported by `load`, and those that registered a name found among `values`, which may be
    nested.
    """
    found = dict.fromkeys(_IMPORTED)
    found |= {_REGISTERED[name]: None for name in _names(values) if name in _REGISTERED}
    return tuple(found)


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _names(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _names(entry)
