"""Combinations that do not look at conflicts."""

from collections.abc import Mapping

import jax.numpy as jnp

from jaxrl.combination.base import Combination, no_parameters
from jaxrl.types import Array, Float, PRNGKeyArray

__all__ = ["average", "normalised_average"]


def average() -> Combination:
    """g = Σᵢ gᵢ, the gradient of the mean loss over all samples, whatever their task."""
    return Combination(None, no_parameters)


def normalised_average() -> Combination:
    """g = s/n Σᵢ gᵢ/‖gᵢ‖ with s the mean norm: every task has the same say, however steep its loss."""
    return Combination(_normalised_average, no_parameters)


def _normalised_average(
    key: PRNGKeyArray, gradients: Float[Array, "task parameter"], parameters: Mapping[str, Array]
) -> Float[Array, " parameter"]:
    norms = jnp.linalg.norm(gradients, axis=1)
    directions = gradients / jnp.maximum(norms, 1e-12)[:, None]
    # The mean norm over n, times n: the size of a sum of gradients, as of `average`.
    return norms.mean() * directions.sum(axis=0)
