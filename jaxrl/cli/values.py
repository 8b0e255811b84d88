"""Values on the command line: NAME=VALUE words as Python's literals."""

import ast
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["pairs", "swept"]


def pairs(words: Sequence[Any]) -> dict[str, Any]:
    """NAME=VALUE words, values read as Python literals."""
    return {name: _literal(text) for name, text in _named(words, "NAME=VALUE")}


def swept(words: Sequence[Any]) -> dict[str, Any]:
    """NAME=v1,v2 words as lists; NAME=log:low:high as it is."""
    return {
        name: text if ":" in text else [_literal(part) for part in _split_values(text)]
        for name, text in _named(words, "NAME=VALUE,VALUE,...")
    }


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
