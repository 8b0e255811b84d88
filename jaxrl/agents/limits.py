"""Traced limits of an iteration; a static setting brings each, as a leaf and as a part of the program."""

from typing import Any

from jaxrl.ranges import LIMIT, Range

__all__ = ["LIMIT_RANGES", "default_limits"]

# By static setting: the leaf that it brings, and its default.
_LIMITS: dict[str, tuple[str, float]] = {"stop_at_kl": ("target_kl", 0.02)}
LIMIT_RANGES: dict[str, Range] = {name: LIMIT for name, _ in _LIMITS.values()}


def default_limits(config: Any) -> dict[str, float]:
    """The leaf `hyperparameters.limits` under static settings."""
    return dict(leaf for setting, leaf in _LIMITS.items() if getattr(config, setting))
