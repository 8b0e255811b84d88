"""Batch normalisation and renormalisation, with running statistics that no optimiser moves."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.types import Array, Float

__all__ = ["MOMENTUM", "STATISTICS", "BatchNorm"]

STATISTICS = "statistics"
"""The collection of variables that running statistics are in."""
MOMENTUM = 0.99
_EPSILON = 1e-3
_LARGEST_SCALE, _LARGEST_SHIFT, _WARM_UP = 3.0, 5.0, 100_000.0


class BatchNorm(nn.Module):
    """y = g (x - μ)/σ + b, by the statistics of a batch (all axes but the last) or by running ones.

    Where the collection `STATISTICS` may change, a batch is normalised by its own μ and σ, and the running μ̄ and σ̄²
    move towards them by 1/100 (Ioffe and Szegedy, 2015; as in CrossQ, Bhatt et al., 2024); elsewhere it is normalised
    by these, and no sample matters to another.

    Attributes:
        renormalise: whether, once the running statistics have moved 100,000 times, y = g ((x - μ)/σ · r + d) + b with
            r = σ/σ̄ within [1/3, 3] and d = (μ - μ̄)/σ̄ within [-5, 5], without derivatives (Ioffe, 2017, algorithm 1).
    """

    renormalise: bool = False

    @nn.compact
    def __call__(self, features: Array) -> Array:
        shape = features.shape[-1:]
        mean = self.variable(STATISTICS, "mean", jnp.zeros, shape)
        variance = self.variable(STATISTICS, "variance", jnp.ones, shape)
        count = self.variable(STATISTICS, "count", jnp.zeros, ())
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        if self.is_initializing() or not self.is_mutable_collection(STATISTICS):
            return scale * ((features - mean.value) * jax.lax.rsqrt(variance.value + _EPSILON)) + bias
        axes = tuple(range(features.ndim - 1))
        own_mean, own_variance = features.mean(axis=axes), features.var(axis=axes)
        normal = (features - own_mean) * jax.lax.rsqrt(own_variance + _EPSILON)
        if self.renormalise:
            stretch, shift = _correction(own_mean, own_variance, mean.value, variance.value)
            late = count.value >= _WARM_UP
            normal = normal * jnp.where(late, stretch, 1.0) + jnp.where(late, shift, 0.0)
        for running, own in ((mean, own_mean), (variance, own_variance)):
            running.value = MOMENTUM * running.value + (1.0 - MOMENTUM) * jax.lax.stop_gradient(own)
        count.value = count.value + 1.0
        return scale * normal + bias


def _correction(
    own_mean: Array, own_variance: Array, mean: Array, variance: Array
) -> tuple[Float[Array, " feature"], Float[Array, " feature"]]:
    """r and d: from a batch's own statistics to the running ones."""
    deviation = jnp.sqrt(variance + _EPSILON)
    stretch = jnp.clip(jnp.sqrt(own_variance + _EPSILON) / deviation, 1.0 / _LARGEST_SCALE, _LARGEST_SCALE)
    shift = jnp.clip((own_mean - mean) / deviation, -_LARGEST_SHIFT, _LARGEST_SHIFT)
    return jax.lax.stop_gradient(stretch), jax.lax.stop_gradient(shift)
