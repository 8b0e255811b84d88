"""Observations as features: one-hot integers, flat vectors, image patches."""

import jax
import jax.numpy as jnp

from jaxrl.environments.spaces import Box, Discrete, MultiDiscrete, Space
from jaxrl.types import Array, Float

__all__ = ["encode", "is_image", "patches"]


def encode(space: Space, observation: Array, keep_image: bool = False) -> Float[Array, "..."]:
    """An observation as float32 features: integers one-hot, the rest flat unless an image is kept."""
    if isinstance(space, Discrete):
        return jax.nn.one_hot(observation, space.n)
    if isinstance(space, MultiDiscrete):
        parts = [jax.nn.one_hot(observation[..., i], n) for i, n in enumerate(space.sizes)]
        return jnp.concatenate(parts, axis=-1)
    features = observation.astype(jnp.float32)
    if keep_image:
        return features
    return features.reshape(*features.shape[: features.ndim - len(space.shape)], -1)


def is_image(space: Space) -> bool:
    """Whether observations are height x width x channels."""
    return isinstance(space, Box) and len(space.shape) == 3


def patches(
    image: Float[Array, "*batch height width channel"],
) -> Float[Array, "*batch inner_height inner_width patch"]:
    """Every 3x3 neighbourhood as one vector of 9 x channels entries.

    A dense layer on it is the 3x3 convolution without padding. As one matrix product it is much faster on a CPU than
    XLA's convolution, above all batched over members, where that becomes a grouped convolution.
    """
    height, width = image.shape[-3] - 2, image.shape[-2] - 2
    shifted = [image[..., i : i + height, j : j + width, :] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifted, axis=-1)
