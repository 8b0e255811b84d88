"""The small networks and the clipped policy loss that several rows share."""

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.objectives.base import SurrogateInputs
from jaxrl.objectives.surrogate import make_surrogate
from jaxrl.types import Array, Float, PRNGKeyArray

__all__ = ["Layers", "apply", "clipped_loss", "layers"]

Layers = list[tuple[Array, Array]]
_CLIP = make_surrogate("clip")


def layers(key: PRNGKeyArray, sizes: Sequence[int], last: float = 0.1) -> Layers:
    """Kernels and biases between layers of these sizes; the last kernel is `last` as large as the others."""
    keys = jax.random.split(key, len(sizes) - 1)
    pairs = list(pairwise(sizes))
    made = [(jax.random.normal(k, (a, b)) / np.sqrt(a), jnp.zeros(b)) for k, (a, b) in zip(keys, pairs)]
    return [*made[:-1], (last * made[-1][0], made[-1][1])]


def apply(params: Layers, inputs: Float[Array, "*batch feature"]) -> Float[Array, "*batch output"]:
    """tanh between layers."""
    for kernel, bias in params[:-1]:
        inputs = jnp.tanh(inputs @ kernel + bias)
    return inputs @ params[-1][0] + params[-1][1]


def clipped_loss(log_ratio: Float[Array, "*batch"], advantage: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """PPO's, with ε = 0.2."""
    unused = jnp.zeros_like(log_ratio)
    inputs = SurrogateInputs(log_ratio, advantage, unused, unused, jnp.zeros(()))
    return _CLIP.apply(inputs, _CLIP.init(None), ())
