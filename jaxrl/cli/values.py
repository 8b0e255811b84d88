"""Values on the command line: NAME=VALUE words as Python's literals."""

import ast
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

__all__ = ["pairs", "settings_of", "swept"]

# What builders call that which a command line says by words of its own.
_NO_SETTINGS = ("agent", "algorithm", "environment", "method", "outer", "outer_settings")


def pairs(words: Sequence[Any]) -> dict[str, Any]:
    """NAME=VALUE words, values read as Python literals."""
    return {name: _literal(text) for name, text in _named(words, "NAME=VALUE")}


def settings_of(words: Sequence[str], others: Iterable[str] = ()) -> dict[str, Any]:
    """As `pairs`, of settings of a program; `others` are names of what is said in another way.

    Raises:
        ValueError: for a word that is no NAME=VALUE, a name that is given twice, or one of `others`.
    """
    found = pairs(words)
    for name in found:
        if name in {*others, *_NO_SETTINGS}:
            raise ValueError(f"{name} is no setting of what is run: it has a word or an option of its own")
    return found


def swept(words: Sequence[Any]) -> dict[str, Any]:
    """NAME=v1,v2 words as lists; NAME=log:low:high as it is."""
    form = "NAME=VALUE,VALUE,..."
    found = {name: text if ":" in text else _split_values(text) for name, text in _named(words, form)}
    for name, parts in found.items():
        if isinstance(parts, list) and "" in parts:
            raise ValueError(f"expected {form}, got an empty value in {name}={','.join(parts)}")
    return {name: parts if isinstance(parts, str) else [*map(_literal, parts)] for name, parts in found.items()}


def _named(words: Sequence[Any], form: str) -> Iterator[tuple[str, str]]:
    """Names and texts of words."""
    seen = set()
    for word in words:
        name, equals, text = word.partition("=")
        if not name or not equals or not text:
            raise ValueError(f"expected {form}, got {word!r}")
        if name in seen:
            raise ValueError(f"{name} is given twice, the second time as {word!r}")
        seen.add(name)
        yield name, text


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    # The last three: nested too deeply, and numbers as keys of a literal that Python cannot hash.
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _split_values(text: str) -> list[str]:
    """Splits at commas outside brackets: `(64,64),(128,128)` has two values."""
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
