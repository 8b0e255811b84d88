"""Traced limits of an iteration; a static setting brings each, as a leaf and as a part of the program."""

from typing import Any

import jax.numpy as jnp

from jaxrl.ranges import LIMIT, Range
from jaxrl.types import Array

__all__ = ["LIMITS", "LIMIT_RANGES", "clipped_rewards", "default_limits", "observation_limit"]

LIMITS: dict[str, tuple[str, float]] = {
    "stop_at_kl": ("target_kl", 0.02),
    "clip_observations": ("observation_clip", 10.0),
    "clip_rewards": ("reward_clip", 10.0),
}
"""By static setting: the leaf that it brings, and its default."""
LIMIT_RANGES: dict[str, Range] = {name: LIMIT for name, _ in LIMITS.values()}


def default_limits(config: Any) -> dict[str, float]:
    """The leaf `hyperparameters.limits` under static settings."""
    return dict(leaf for setting, leaf in LIMITS.items() if getattr(config, setting))


def observation_limit(hp: Any) -> Array | None:
    """To plus and minus what observations are clipped, after they are normalised; None where no setting says so."""
    return getattr(hp, "limits", {}).get("observation_clip")


def clipped_rewards(reward: Array, hp: Any) -> Array:
    """Rewards, scaled or not, within the limit that a setting brings."""
    limit = hp.limits.get("reward_clip")
    return reward if limit is None else jnp.clip(reward, -limit, limit)
