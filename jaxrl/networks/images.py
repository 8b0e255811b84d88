"""Images: which observations are, and their patches."""

import jax.numpy as jnp

from jaxrl.environments.spaces import Box, Space
from jaxrl.types import Array, Float

__all__ = ["is_image", "patches"]


def is_image(space: Space) -> bool:
    """Whether observations are height x width x channels, with room for a 3x3 neighbourhood."""
    return isinstance(space, Box) and len(space.shape) == 3 and min(space.shape[:2]) >= 3


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
