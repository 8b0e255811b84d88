"""Static settings: frozen dataclasses whose values are checked against their annotations when one is built.

Such as::

    @dataclass(frozen=True, kw_only=True)
    class MyConfig:
        batch_size: Annotated[int, COUNT] = 32
        __post_init__ = check_config
"""

import functools
import types
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from jaxrl.ranges import NUMBER, Range

__all__ = ["NoSettings", "annotated_ranges", "check_config", "field_names"]

# What `Callable[..., X]` says that it is.
_CALLABLE = get_origin(Callable[..., Any])
_PLAIN = {int: "an integer", float: "a number", bool: "True or False", str: "a name", type(None): "None"}


@dataclass(frozen=True)
class NoSettings:
    """Of what has none."""


def check_config(config: Any) -> None:
    """Checks every field of a frozen dataclass against its annotation; a `__post_init__`.

    Integers, numbers, truth values, names, tuples of these, choices (`Literal`), classes and functions are told apart;
    `Annotated[int, Range(...)]` says what numbers may be. A list becomes a tuple, since that is what JSON makes of one,
    and a NumPy scalar Python's own. Fields with other annotations are left alone.

    Raises:
        ValueError: one sentence with the field's name, value and type, and what it takes.
    """
    hints = _hints(type(config))
    for field in fields(config):
        value = getattr(config, field.name)
        try:
            converted = _converted(field.name, value, hints.get(field.name, Any))
        except _MismatchError:
            takes = _described(hints[field.name])
            kind = type(value).__name__
            raise ValueError(f"{field.name} takes {takes}, got {value!r} of type {kind}") from None
        if converted is not value:
            object.__setattr__(config, field.name, converted)


def annotated_ranges(cls: type) -> dict[str, Range]:
    """Ranges that the annotations of a dataclass or NamedTuple say, by field."""
    found = {name: _range_of(hint) for name, hint in _hints(cls).items()}
    return {name: within for name, within in found.items() if within is not None}


def field_names(config: Any) -> set[str]:
    """Names of the settings of a config, which may be None for none at all."""
    return {field.name for field in fields(config) if field.init} if is_dataclass(config) else set()


class _MismatchError(Exception):
    """A value of another type than its annotation."""


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    try:
        return get_type_hints(cls, include_extras=True)
    except (NameError, TypeError):
        # Names that exist for type checkers alone: nothing is known of these fields.
        return {}


def _converted(name: str, value: Any, hint: Any, within: Range | None = None) -> Any:
    """The value as the annotation has it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _converted(name, value, arguments[0], _range_of(hint) or within)
    if origin in (Union, types.UnionType):
        return _first(name, value, arguments, within)
    if origin is tuple:
        return _converted_tuple(name, value, arguments, within)
    if isinstance(value, np.generic):
        value = value.item()
    if hint in (int, float):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole and not (hint is float and isinstance(value, float)):
            raise _MismatchError
        (within or (NUMBER if hint is float else Range(integer=True))).check(name, value)
    elif origin is Literal:
        if value not in arguments:
            raise _MismatchError
    elif hint is Callable or origin is _CALLABLE:
        if not callable(value):
            raise _MismatchError
    elif not _is_instance(value, origin or hint):
        raise _MismatchError
    return value


def _is_instance(value: Any, kind: Any) -> bool:
    """Whether a value is of a class; true of annotations that are no such thing."""
    if kind is Any or not isinstance(kind, type):
        return True
    try:
        return isinstance(value, kind)
    except TypeError:
        # Of protocols nothing can be told.
        return True


def _first(name: str, value: Any, options: tuple, within: Range | None) -> Any:
    for option in options:
        try:
            return _converted(name, value, option, within)
        except _MismatchError:
            continue
    raise _MismatchError


def _converted_tuple(name: str, value: Any, arguments: tuple, within: Range | None) -> tuple:
    if not isinstance(value, tuple | list):
        raise _MismatchError
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(arguments) != len(value):
        raise _MismatchError
    entries = tuple(_converted(name, entry, hint, within) for entry, hint in zip(value, arguments, strict=True))
    same = isinstance(value, tuple) and all(a is b for a, b in zip(entries, value, strict=True))
    return value if same else entries


def _range_of(hint: Any) -> Range | None:
    if get_origin(hint) is Annotated:
        return next((extra for extra in get_args(hint)[1:] if isinstance(extra, Range)), None)
    if isinstance(hint, TypeVar) or get_origin(hint) is Literal:
        return None
    return next((found for found in map(_range_of, get_args(hint)) if found is not None), None)


def _described(hint: Any) -> str:
    """What a field takes, for errors."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _described(arguments[0])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_described, arguments)))
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return f"a tuple of {_described(arguments[0]).removeprefix('an ').removeprefix('a ')}s"
        return f"a tuple of {len(arguments)} entries"
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if hint is Callable or origin is _CALLABLE:
        return "a function"
    return _PLAIN.get(hint) or f"a {getattr(origin or hint, '__name__', hint)}"
