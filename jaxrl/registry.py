"""Names and what they stand for: one registry per sort of thing, open to users and to modules that stand higher up."""

import importlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jaxrl.errors import require_name

__all__ = ["Registry"]

_NAME = re.compile(r"[A-Za-z][\w.-]*(/[\w.-]+)*")
_PATH = re.compile(r"[\w.]+:\w+")


class Registry(Mapping[str, Any]):
    """Entries by name; one that is written `module:attribute` is imported when it is asked for.

    So a registry stands low and holds what lives above it, and reading names imports nothing. A registry is a mapping:
    `name in registry`, `sorted(registry)` and `registry[name]` work, the last with the nearest name in its error.
    """

    def __init__(self, what: str, entries: Mapping[str, Any] | None = None) -> None:
        """An error calls an entry a `what`; `entries` are those that come with jaxrl."""
        self.what = what
        self._entries: dict[str, Any] = dict(entries or {})

    def register(self, name: str, entry: Any) -> None:
        """Adds an entry, or a path `module:attribute` to one.

        Raises:
            ValueError: if the name is no name, or is taken by something else.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"a {self.what} needs a name of letters, digits and _ . - /, got {name!r}")
        if name in self._entries and self._entries[name] is not entry and self._entries[name] != entry:
            raise ValueError(f"{self.what} {name!r} is already registered; choose another name")
        self._entries[name] = entry

    def path(self, name: str) -> str | None:
        """`module:attribute` of an entry that has not been imported, else None."""
        entry = self._entries[require_name(self.what, name, self._entries)]
        return entry if isinstance(entry, str) and _PATH.fullmatch(entry) else None

    def __getitem__(self, name: str) -> Any:
        """The entry called `name`.

        Raises:
            UnknownNameError: with the nearest match.
        """
        path = self.path(name)
        if path is not None:
            module, attribute = path.split(":")
            self._entries[name] = getattr(importlib.import_module(module), attribute)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
