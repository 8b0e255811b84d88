"""Kinds of runs in the shell: `jaxrl KIND ...`, by the kind's own command or by one made from its settings."""

import importlib
from collections.abc import Callable
from typing import Any

from jaxrl.cli.declaration import METHOD, Option, given, static_options, traced_options
from jaxrl.cli.options import base_options, sweep_members, sweep_options
from jaxrl.cli.parsing import first_word, parse
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
    absent = {"num_weights"}
    absent |= set() if kind.takes_environment else {"environment", "environment_option"}
    absent |= set() if len(names) > 1 else {"agent"}

    def own_options(name: str) -> list[Option]:
        return [option for part in kind.settings(name) for option in _options(part)] if kind.settings else []

    def options_of(name: str) -> list[Option]:
        shared = [*base_options(kind.name, names), *sweep_options("sweep", name)]
        return [*(option for option in shared if option.name not in absent), *own_options(name)]

    name = (first_word(arguments, names, options_of) if len(names) > 1 else None) or names[0]
    own = own_options(require_name(f"agent of {kind.name}", name, names))
    parsed = parse(kind.name, kind.description, arguments, options_of(name))
    for missing, value in (("agent", name), ("environment", ""), ("environment_option", ())):
        if missing in absent:
            setattr(parsed, missing, value)
    run(kind.name, parsed, {**given(parsed, own), **pairs(parsed.set)}, **sweep_members(parsed))


def _options(settings: Any) -> list[Option]:
    return traced_options(settings) if isinstance(settings, tuple) else static_options(settings, METHOD)
