"""Names and what they stand for: one registry per sort of thing, open to users and to modules that stand higher up."""

import importlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jaxrl import plugins
from jaxrl.errors import require_name

__all__ = ["Registry"]

_NAME = re.compile(r"[A-Za-z][\w.-]*(/[\w.-]+)*")
_PATH = re.compile(r"[\w.]+:\w+")


class Registry(Mapping[str, Any]):
    """Entries by name; one that is written `module:attribute` is imported when it is asked for.

    So a registry stands low and holds what lives above it, and reading names imports nothing. A registry is a mapping:
    `name in registry`, `sorted(registry)` and `registry[name]` work, the last with the nearest name in its error.
    """

    def __init__(self, what: str, entries: Mapping[str, Any] | None = None, kind: type | None = None) -> None:
        """An error calls an entry a `what`; `entries` come with jaxrl; `kind` is what they are, or build."""
        self.what = what
        self.kind = kind
        self._entries: dict[str, Any] = dict(entries or {})
        self._modules: dict[str, str] = {}

    def register(self, name: str, entry: Any, module: str | None = None) -> None:
        """Adds an entry, or a path `module:attribute` to one.

        Args:
            name: letters, digits and _ . - /.
            entry: what it stands for; the same entry may be registered again.
            module: where it is registered, to be imported again before a run is read, and from where it may be
                replaced, as by a cell of a notebook that is run again; default the entry's own.

        Raises:
            ValueError: if the name is no name, or is taken by something else.
        """
        self.check_name(name)
        taken = name in self._entries and self._entries[name] is not entry and self._entries[name] != entry
        if taken and (module is None or self._modules.get(name) != module):
            raise ValueError(f"{self.what} {name!r} is already registered; choose another name")
        self._entries[name] = entry
        if module is not None:
            self._modules.setdefault(name, module)
        own = entry.partition(":")[0] if isinstance(entry, str) else plugins.module_of(entry)
        plugins.note(name, module or own)

    def check_name(self, name: Any) -> None:
        """Raises ValueError for what is no name, such as the function under a decorator that was given none."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            article = "an" if self.what[0] in "aeiou" else "a"
            raise ValueError(f"{article} {self.what} needs a name of letters, digits and _ . - /, got {name!r}")

    def make(self, choice: Any, *arguments: Any) -> Any:
        """The entry called `choice`, built from the arguments; what is of the registry's kind passes through.

        Raises:
            UnknownNameError: for an unknown name, with the nearest match.
            ValueError: for what is neither a name nor of the kind.
        """
        if isinstance(choice, self.kind):
            return choice
        if not isinstance(choice, str):
            kind = type(choice).__name__
            raise ValueError(f"{self.what} takes a name or a {self.kind.__name__}, got {choice!r} of type {kind}")
        entry = self[choice]
        return entry if isinstance(entry, self.kind) else entry(*arguments)

    def path(self, name: str) -> str | None:
        """`module:attribute` of an entry that has not been imported, else None."""
        if name not in self._entries:
            plugins.load_installed()
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
