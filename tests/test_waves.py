"""Cosines of half turns against NumPy's, in float64."""

import jax.numpy as jnp
import numpy as np

from jaxrl.numerics.waves import cosine_of_half_turns


def test_cosines_are_those_of_numpy():
    turns = np.concatenate([np.linspace(-64.0, 64.0, 20_001), np.arange(-5.0, 5.5, 0.5)]).astype(np.float32)
    expected = np.cos(np.pi * turns.astype(np.float64))
    np.testing.assert_allclose(cosine_of_half_turns(jnp.asarray(turns)), expected, atol=2e-7)
