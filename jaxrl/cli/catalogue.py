"""Names by kind with the first lines of their docstrings, of registries that nothing need have imported."""

import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

from jaxrl import plugins
from jaxrl.cli import sources
from jaxrl.registry import Registry

__all__ = ["listed"]

# Where the names of each kind are registered.
_KINDS = {
    "kinds": "jaxrl.runs.kinds:KINDS",
    "environments": "jaxrl.environments.registry:_SUITES",
    "agents": "jaxrl.agents:AGENTS",
    "objectives": "jaxrl.objectives.surrogate:SURROGATES",
    "preference-losses": "jaxrl.objectives.preference:PREFERENCE_LOSSES",
    "aggregators": "jaxrl.aggregation:AGGREGATORS",
    "optimisers": "jaxrl.optimisers:OPTIMISERS",
    "schedules": "jaxrl.numerics.schedules:SCHEDULES",
    "algorithms": "jaxrl.morl.algorithms:ALGORITHMS",
    "methods": "jaxrl.meta.methods:METHODS",
    "outer-loops": "jaxrl.meta.methods:OUTER",
    "curricula": "jaxrl.meta.curriculum:SCORES",
    "bilevel": "jaxrl.bilevel:BILEVEL",
    "combinations": "jaxrl.combination:COMBINATIONS",
    "task-families": "jaxrl.multitask.families:FAMILIES",
    "adaptation": "jaxrl.multitask:ADAPTATION",
    "affinities": "jaxrl.multitask.grouping.similarity:AFFINITIES",
    "loggers": "jaxrl.tracking.base:LOGGERS",
    "clusters": "jaxrl.clusters.base:CLUSTERS",
    "clusterings": "jaxrl.multitask.grouping.clustering:CLUSTERINGS",
}
# Private functions, whose docstrings say nothing to a user.
_NAMES_ONLY = ("curricula", "affinities", "clusterings")


def listed() -> dict[str, dict[str, str | None]]:
    """Names by kind, with the first lines of their docstrings."""
    plugins.load_installed()
    found = {kind: _entries(kind, *path.split(":")) for kind, path in _KINDS.items()}
    found["curricula"] = {"uniform": None, **found["curricula"]}
    return found


def _entries(kind: str, module: str, attribute: str) -> dict[str, str | None]:
    """From the source where nothing has imported the registry, so that nothing can have been added to it."""
    if module not in sys.modules:
        # What is written in a way that cannot be read is imported.
        with suppress(Exception):
            return _read(kind, module, attribute)
    return _imported(kind, module, attribute)


def _read(kind: str, module: str, attribute: str) -> dict[str, str | None]:
    entries = sources.read(module, attribute)
    if kind == "environments":
        modules = {suite: sources.describe(path) for suite, path in entries.items()}
        names = (f"{suite}/{name}" for suite, path in modules.items() for name in sources.read(path, "names"))
        return dict.fromkeys(sorted(names))
    return {name: None if kind in _NAMES_ONLY else _first(sources.describe(entries[name])) for name in entries}


def _imported(kind: str, module: str, attribute: str) -> dict[str, str | None]:
    if kind == "environments":
        return dict.fromkeys(import_module(module).list_environments())
    entries = getattr(import_module(module), attribute)
    return {name: None if kind in _NAMES_ONLY else _first(_described(entries, name)) for name in entries}


def _described(entries: Any, name: str) -> str | None:
    path = entries.path(name) if isinstance(entries, Registry) else None
    if path is not None:
        with suppress(Exception):
            return sources.describe(path)
    entry = entries[name]
    return getattr(entry, "description", None) or getattr(entry, "build", entry).__doc__


def _first(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0].strip()
