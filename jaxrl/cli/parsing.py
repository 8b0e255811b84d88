"""The words of a command line against its options; what does not fit is one sentence."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import MISSING
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, get_args, get_origin

from jaxrl.cli.declaration import Option, flags, sentence
from jaxrl.cli.help import help_text
from jaxrl.errors import nearest

__all__ = ["first_word", "lenient", "parse", "unknown_flags"]

_HELP = ("-h", "--help")
_TRUTH = {"true": True, "false": False}


def parse(command: str, description: str, arguments: list[str], options: list[Option]) -> Any:
    """The values of a command's options, by name, and `written`, the names of those that were given.

    Raises:
        ValueError: for an unknown option, a missing or superfluous word, or a value of another kind or out of range.
        SystemExit: after help was asked for and printed.
    """
    if any(word in _HELP for word in arguments):
        print(help_text(command, sentence(description), options), flush=True)
        raise SystemExit(0)
    words, found = _split(arguments, options)
    values: dict[str, Any] = {}
    for option, written, texts in found:
        value = _value(option, written, texts)
        values[option.name] = (*values.get(option.name, ()), value) if option.repeated else value
    places = [option for option in options if option.positional]
    for option in places:
        if option.many:
            values |= {option.name: _value(option, option.shown, list(words))} if words else {}
            words.clear()
        elif words:
            values[option.name] = _value(option, option.shown, [words.popleft()])
        if option.name not in values and option.default is MISSING:
            raise ValueError(f"{option.shown} is missing: jaxrl {command} {' '.join(place.shown for place in places)}")
    if words:
        raise ValueError(f"jaxrl {command} has no place for {words[0]!r}; jaxrl {command} --help explains every option")
    defaults = {option.name: option.default for option in options}
    return SimpleNamespace(**{**defaults, **values, "written": frozenset(values)})


def lenient(arguments: list[str], options: list[Option]) -> tuple[list[str], dict[str, Any]]:
    """The words that belong to no option, and the values that fit theirs; an unknown option is taken to have one."""
    words, found = _split(arguments, options, lenient=True)
    values: dict[str, Any] = {}
    for option, written, texts in found:
        try:
            value = _value(option, written, texts)
        except ValueError:
            continue
        values[option.name] = (*values.get(option.name, ()), value) if option.repeated else value
    return list(words), values


def first_word(arguments: list[str], names: Iterable[str], options_of: Callable[[str], list[Option]]) -> str | None:
    """The first word that is no option's, where the options depend on that word; None where there is none.

    Args:
        arguments: of the command.
        names: that the word may be.
        options_of: `name -> options`, for one of them.
    """
    names = list(names)
    for word in dict.fromkeys(word for word in arguments if word in names):
        if lenient(arguments, options_of(word))[0][:1] == [word]:
            return word
    return next(iter(lenient(arguments, options_of(names[0]))[0]), None)


def unknown_flags(arguments: list[str], options: list[Option]) -> list[str]:
    """What looks like an option and is none of these; `--help` counts as one."""
    known = {name for option in options for name in flags(option)}
    return [word for word in arguments if word in _HELP or (_is_flag(word) and _normal(word) not in known)]


def _is_flag(word: str) -> bool:
    return word.startswith("--") and len(word) > 2


def _normal(word: str) -> str:
    return word.partition("=")[0].replace("_", "-")


def _split(
    arguments: list[str], options: list[Option], lenient: bool = False
) -> tuple[deque[str], list[tuple[Option, str, list[str]]]]:
    """Words of no option, and every option that was written, how, and its words."""
    by_flag = {name: option for option in options if not option.positional for name in flags(option)}
    left, words, found = deque(arguments), deque(), []
    while left:
        word = left.popleft()
        if word == "--":
            words += left
            break
        if not _is_flag(word):
            words += [word] if not lenient or word not in _HELP else []
            continue
        written, equals, text = word.partition("=")
        option = by_flag.get(_normal(word))
        if option is None and not lenient:
            raise ValueError(_unknown(written, by_flag))
        if equals:
            texts = [text]
        elif option is None:
            texts = [left.popleft()] if left and not left[0].startswith("--") else []
        else:
            texts = _take(option, left)
        found += [(option, written, texts)] if option else []
    return words, found


def _take(option: Option, left: deque[str]) -> list[str]:
    """The words after an option that are its value."""
    taken: list[str] = []
    several = option.many and not option.repeated
    while left and not left[0].startswith("--"):
        if option.kind is bool and left[0].lower() not in _TRUTH and left[0] != "None":
            break
        if taken and (not several or _converted(option, left[0]) is _WRONG):
            break
        taken.append(left.popleft())
    return taken


def _unknown(written: str, known: Iterable[str]) -> str:
    close = nearest(written, known)
    return f"unknown option {written}." + (f" Did you mean {close[0]}?" if close else " --help lists all of them.")


_WRONG = object()


def _converted(option: Option, text: str) -> Any:
    """A word as the option's kind, or `_WRONG`."""
    kind = option.element
    if option.optional and text == "None":
        return None
    if get_origin(kind) is Literal:
        return text if text in get_args(kind) else _WRONG
    if kind is bool:
        return _TRUTH.get(text.lower(), _WRONG)
    try:
        return kind(text)
    except ValueError:
        return _WRONG


def _value(option: Option, written: str, texts: list[str]) -> Any:
    """An option's value from its words."""
    if option.kind is bool and written.startswith("--no-"):
        if texts:
            raise ValueError(f"{written} takes no value, got {texts[0]!r}")
        return False
    if option.kind is bool and not texts:
        return True
    if not texts or "" in texts:
        raise ValueError(f"{written} needs {_kind(option)}, got nothing")
    values = []
    for text in texts:
        value = _converted(option, text)
        if value is _WRONG:
            raise ValueError(f"{written} takes {_kind(option)}, got {text!r}")
        if option.range and value is not None:
            option.range.check(written, value)
        values.append(value)
    return tuple(values) if option.many and not option.repeated else values[0]


def _kind(option: Option) -> str:
    kind = option.element
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if option.repeated:
        return option.shown
    names = {int: "an integer", float: "a number", bool: "True or False", Path: "a path"}
    return names.get(kind, "a name") + (" or None" if option.optional and kind is bool else "")
