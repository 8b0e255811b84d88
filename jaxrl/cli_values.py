"""Values on the command line: NAME=VALUE words as Python's literals."""

import ast
from collections.abc import Sequence
from typing import Any

__all__ = ["pairs", "swept"]


def pairs(words: Sequence[Any]) -> dict[str, Any]:
    """NAME=VALUE words, values read as Python literals."""
    values = {}
    for word in _flat(words):
        name, equals, text = word.partition("=")
        if not equals or not text:
            raise ValueError(f"expected NAME=VALUE, got {word!r}")
        values[name] = _literal(text)
    return values


def swept(words: Sequence[Any]) -> dict[str, Any]:
    """NAME=v1,v2 words as lists; NAME=log:low:high as it is."""
    values = {}
    for word in _flat(words):
        name, equals, text = word.partition("=")
        if not equals or not text:
            raise ValueError(f"expected NAME=VALUE,VALUE,... got {word!r}")
        values[name] = text if ":" in text else [_literal(part) for part in _split_values(text)]
    return values


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
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


def _flat(words: Sequence[Any]) -> list[str]:
    return [part for word in words for part in (word if isinstance(word, tuple | list) else [word])]
