"""Registries: names without imports, entries when asked for, one sentence for what is wrong."""

import sys

import pytest

from jaxrl.errors import UnknownNameError
from jaxrl.registry import Registry


def test_names_are_read_without_importing_and_entries_are_imported_when_asked_for():
    sys.modules.pop("colorsys", None)
    registry = Registry("colour", {"hls": "colorsys:rgb_to_hls", "plain": 3})
    assert list(registry) == ["hls", "plain"] and "hls" in registry and len(registry) == 2
    assert "colorsys" not in sys.modules
    assert registry.path("hls") == "colorsys:rgb_to_hls" and registry.path("plain") is None
    import colorsys

    assert registry["hls"] is colorsys.rgb_to_hls
    assert registry.path("hls") is None


def test_unknown_taken_and_unusable_names_are_errors():
    registry = Registry("colour", {"red": 1})
    with pytest.raises(UnknownNameError, match="unknown colour"):
        registry["rad"]
    registry.register("red", 1)
    with pytest.raises(ValueError, match="colour 'red' is already registered"):
        registry.register("red", 2)
    for name in ("", "with space", "-x"):
        with pytest.raises(ValueError, match="a colour needs a name"):
            registry.register(name, 1)
    registry.register("my/blue", 4)
    assert registry["my/blue"] == 4 and "blue" not in registry
