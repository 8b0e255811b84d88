"""Typed keys among the leaves of a state: files and NumPy hold their data."""

from typing import Any

import jax
import numpy as np

__all__ = ["data_of", "is_key", "on_host"]


def is_key(leaf: Any) -> bool:
    """Whether an array, or the shape of one, is of typed keys."""
    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def data_of(leaf: Any) -> Any:
    """The data of keys; anything else as it is."""
    return jax.random.key_data(leaf) if is_key(leaf) else leaf


def on_host(leaf: Any) -> np.ndarray:
    """A leaf as NumPy's array, keys as their data."""
    return np.asarray(data_of(leaf))
