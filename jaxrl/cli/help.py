"""What `--help` prints: a command's options by group, with their ranges and defaults."""

import shutil
import textwrap
from dataclasses import MISSING
from typing import Any

from jaxrl.cli.declaration import GROUPS, HOST, Option, flag, option_of
from jaxrl.cli.everywhere import EVERYWHERE

__all__ = ["help_text"]

_OF_ALL_COMMANDS = [
    option_of(flag[2:].replace("-", "_"), str, text, None, group=HOST, metavar=metavar)
    for flag, (metavar, _, text) in EVERYWHERE.items()
]
_COLUMN, _LEAST, _MOST = 32, 60, 110


def help_text(command: str, description: str, options: list[Option]) -> str:
    """The help of a command; positionals first, then the options of each group."""
    width = max(_LEAST, min(_MOST, shutil.get_terminal_size((100, 0)).columns))
    places = [option.shown for option in options if option.positional]
    parts = [f"usage: jaxrl {' '.join([command, *places])} [options]", textwrap.fill(description, width)]
    grouped: dict[str, list[Option]] = {}
    for option in sorted([*options, *_OF_ALL_COMMANDS], key=lambda option: (not option.positional, _place(option))):
        grouped.setdefault(option.group, []).append(option)
    for group in sorted(grouped, key=lambda name: _place(grouped[name][0])):
        entries = [_entry(option, width) for option in grouped[group]]
        parts.append("\n".join([f"{group}:", *entries]))
    return "\n\n".join(parts)


def _place(option: Option) -> int:
    return GROUPS.index(option.group) if option.group in GROUPS else len(GROUPS)


def _entry(option: Option, width: int) -> str:
    if option.positional:
        head = option.shown
    elif option.kind is bool and not option.optional:
        head = f"{flag(option.name)}, --no-{flag(option.name)[2:]}"
    else:
        head = f"{flag(option.name)} {option.shown}"
    lines = textwrap.wrap(_text(option), width - _COLUMN, break_long_words=False, break_on_hyphens=False) or [""]
    if len(head) > _COLUMN - 4:
        lines.insert(0, "")
    first, *rest = lines
    return "\n".join([f"  {head:<{_COLUMN - 2}}{first}".rstrip(), *(" " * _COLUMN + line for line in rest)])


def _text(option: Option) -> str:
    notes = []
    if option.range and str(option.range) not in ("any number", "any integer"):
        notes.append(str(option.range))
    if option.repeated:
        notes.append("repeatable")
    elif option.default is not MISSING and option.default is not None and option.default != ():
        notes.append(f"default {_shown(option.default)}")
    return option.help + (f" [{'; '.join(notes)}]" if notes else "")


def _shown(value: Any) -> str:
    """A default as it would be written."""
    if isinstance(value, tuple | list):
        return " ".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else repr(value) if value == "" else str(value)
