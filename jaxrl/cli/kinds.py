"""Kinds of runs in the shell: `jaxrl KIND ...`, as the kind says, or as follows from its settings."""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

from jaxrl.cli.declaration import METHOD, Option, static_options, traced_options
from jaxrl.cli.options import Shell, member_options, parse_settings, sweep_members
from jaxrl.runs.kinds import KINDS, Kind, kind_that_runs, names_of

__all__ = ["run_kind", "shell_of", "shell_that_runs"]


def run_kind(name: str, arguments: list[str], run: Callable[..., Any]) -> None:
    """Runs the command of a kind; `run` is what all commands that train share."""
    shell_of(KINDS[name]).command(arguments, run)


def shell_of(kind: Kind) -> Shell:
    """How a kind is run in the shell."""
    if isinstance(kind.command, str):
        module, attribute = kind.command.split(":")
        return getattr(importlib.import_module(module), attribute)
    return Shell(kind.command or partial(_command, kind), partial(_options, kind))


def shell_that_runs(name: str) -> Shell:
    """How that is run which is called `name`."""
    return shell_of(kind_that_runs(name))


def _options(kind: Kind, name: str) -> dict[str, Option]:
    """What the kind's settings say, by name."""
    found: list[Option] = []
    for part in kind.settings(name) if kind.settings else ():
        found += traced_options(part) if isinstance(part, tuple) else static_options(part, METHOD)
    return {option.name: option for option in found}


def _command(kind: Kind, arguments: list[str], run: Callable[..., Any]) -> None:
    """Options of a sweep over those settings."""
    names, absent = names_of(kind), set()
    if len(names) == 1:
        absent.add("agent")
    if not kind.takes_environment:
        absent |= {"environment", "environment_option"}
    parsed, settings = parse_settings(
        kind.name, arguments, lambda _: member_options(), names, lambda _: shell_of(kind), f"name of {kind.name}",
        absent, kind.description,
    )  # fmt: skip
    run(kind.name, parsed, settings, **sweep_members(parsed, settings))
