"""The temperature: how much a soft policy's entropy is worth beside its rewards, fixed or tuned."""

from typing import Any

import jax.numpy as jnp

from jaxrl.ranges import NOT_NEGATIVE, NUMBER, POSITIVE
from jaxrl.types import Array, Float, PyTree

__all__ = ["FIXED", "TEMPERATURE_RANGES", "TUNED", "init_temperature", "temperature", "temperature_gradient"]

FIXED = {"temperature": 0.2}
"""The leaf of one that stays as it is."""
TUNED = {"target_entropy": -1.0, "initial_temperature": 1.0}
"""Leaves of one that is tuned; the target is -dim(A) unless said otherwise."""
TEMPERATURE_RANGES = {"temperature": NOT_NEGATIVE, "target_entropy": NUMBER, "initial_temperature": POSITIVE}


def init_temperature(leaves: dict[str, Array]) -> Float[Array, ""]:
    """log α at first."""
    return jnp.log(jnp.asarray(leaves["initial_temperature"], jnp.float32))


def temperature(params: PyTree, leaves: dict[str, Array]) -> Float[Array, ""]:
    """α."""
    return jnp.exp(params["temperature"]) if "temperature" in params else jnp.asarray(leaves["temperature"])


def temperature_gradient(log_probability: Float[Array, ""], leaves: dict[str, Any]) -> Float[Array, ""]:
    """Of J(log α) = -log α (E[log π] + H̄), whose entropies are constants (Haarnoja et al., 2018b, section 5).

    On log α, as the authors' code has it, so that steps are alike for all α.

    Args:
        log_probability: E[log π(a|o)], whose negative is the entropy.
        leaves: with `target_entropy`, H̄.
    """
    return -(log_probability + leaves["target_entropy"])
