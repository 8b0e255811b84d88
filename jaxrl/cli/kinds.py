"""Kinds of runs in the shell: `jaxrl KIND ...`, by the kind's own command or by one made from its settings."""

import importlib
from collections.abc import Callable
from typing import Any

from jaxrl.cli.options import (
    base_options,
    given,
    parse,
    static_options,
    sweep_members,
    sweep_options,
    traced_options,
)
from jaxrl.cli.values import pairs
from jaxrl.errors import require_name
from jaxrl.runs.kinds import KINDS, Kind, names_of

__all__ = ["run_kind", "user_kinds"]


def user_kinds() -> dict[str, str]:
    """Kinds that are known besides those of jaxrl, with their descriptions."""
    found = [KINDS[name] for name in KINDS if KINDS.path(name) is None]
    return {kind.name: kind.description for kind in found if kind.command is None and kind.drive is None}


def run_kind(kind: Kind, arguments: list[str], run: Callable[..., Any]) -> None:
    """Runs the command of a kind; `run` is what all training commands share."""
    command = kind.command or _command
    if isinstance(command, str):
        module, function = command.split(":")
        command = getattr(importlib.import_module(module), function)
    if command is _command:
        _command(kind, arguments, run)
    else:
        command(arguments, run)


def _command(kind: Kind, arguments: list[str], run: Callable[..., Any]) -> None:
    """Options of a sweep over whatever the kind's settings say, for the thing that is named first."""
    names = names_of(kind)
    name = next((word for word in arguments if not word.startswith("-")), names[0])
    name = require_name(f"agent of {kind.name}", name, names) if len(names) > 1 else names[0]
    own = [option for part in kind.settings(name) for option in _options(part)] if kind.settings else []
    absent = {"num_weights"}
    absent |= set() if kind.takes_environment else {"environment", "environment_option"}
    absent |= set() if len(names) > 1 else {"agent"}
    shared = [*base_options(kind.name), *sweep_options("sweep", name)]
    options = [*(option for option in shared if option[0] not in absent), *own]
    parsed = parse(kind.name, kind.description, arguments, options)
    for missing, value in (("agent", name), ("environment", ""), ("environment_option", ())):
        if missing in absent:
            setattr(parsed, missing, value)
    run(kind.name, parsed, {**given(parsed, own), **pairs(parsed.set)}, **sweep_members(parsed))


def _options(settings: Any) -> list[tuple]:
    return traced_options(settings) if isinstance(settings, tuple) else static_options(settings)
