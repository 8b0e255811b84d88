"""What the tests of grid-worlds share."""

import jax
import numpy as np
import pytest


@pytest.fixture(autouse=True, scope="module")
def quick_compilation():
    """These programs run for milliseconds and compile for seconds."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def pick(tree, index):
    """One entry of a leading axis, as NumPy arrays."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[index], tree)
