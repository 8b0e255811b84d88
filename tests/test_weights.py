"""Weight sets lie on the simplex, are as even as the best known, and bad ones are named."""

from math import comb

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.numerics import weights

pytestmark = pytest.mark.quick_compilation


def nearest_neighbours(points):
    points = np.asarray(points, np.float64)
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    return distance.min(axis=1)


def assert_on_simplex(points, num_objectives, count):
    points = np.asarray(points)
    assert points.shape == (count, num_objectives) and points.dtype == np.float32
    assert np.all(points >= 0.0)
    np.testing.assert_allclose(points.sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize(("num_objectives", "divisions"), [(1, 4), (2, 7), (3, 5), (6, 3)])
def test_lattice_is_every_multiple(num_objectives, divisions):
    points = weights.simplex_lattice(num_objectives, divisions)
    assert_on_simplex(points, num_objectives, comb(divisions + num_objectives - 1, num_objectives - 1))
    multiples = np.asarray(points) * divisions
    np.testing.assert_allclose(multiples, np.round(multiples), atol=1e-5)
    assert len(np.unique(np.round(multiples), axis=0)) == len(points)


@pytest.mark.parametrize(
    ("num_objectives", "count"),
    [(2, 11), (3, 28), (5, 5), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((4, 37), (6, 41)))],
)
def test_riesz_weights_are_even_and_hold_the_corners(num_objectives, count):
    points = weights.riesz_energy(num_objectives, count)
    assert_on_simplex(points, num_objectives, count)
    np.testing.assert_array_equal(points[:num_objectives], np.eye(num_objectives))
    nearest = nearest_neighbours(points)
    drawn = nearest_neighbours(weights.dirichlet(jax.random.key(0), num_objectives, count))
    assert nearest.min() > 0.75 * nearest.mean()
    assert nearest.min() > 2.0 * drawn.min()


@pytest.mark.parametrize("divisions", [4, 6, 9])
def test_riesz_weights_reach_the_lattice_where_it_is_optimal(divisions):
    count = comb(divisions + 2, 2)
    nearest = nearest_neighbours(weights.riesz_energy(3, count)).min()
    np.testing.assert_allclose(nearest, np.sqrt(2.0) / divisions, rtol=0.02)


def test_riesz_weights_depend_on_the_seed_only():
    first, again, other = (np.asarray(weights.riesz_energy(4, 23, seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_dirichlet_moments():
    concentration, num_objectives = 3.0, 4
    points = np.asarray(weights.dirichlet(jax.random.key(1), num_objectives, 20011, concentration))
    assert_on_simplex(points, num_objectives, 20011)
    variance = (1 / num_objectives) * (1 - 1 / num_objectives) / (num_objectives * concentration + 1)
    np.testing.assert_allclose(points.mean(axis=0), 1 / num_objectives, atol=0.004)
    np.testing.assert_allclose(points.var(axis=0), variance, rtol=0.05)


def test_dirichlet_concentration_may_be_traced():
    draw = jax.jit(lambda key, concentration: weights.dirichlet(key, 3, 7, concentration))
    np.testing.assert_allclose(draw(jax.random.key(2), jnp.float32(0.5)).sum(axis=1), 1.0, atol=1e-6)


def test_equally_spaced():
    np.testing.assert_allclose(weights.equally_spaced(2, 5)[:, 0], [0.0, 0.25, 0.5, 0.75, 1.0])
    assert_on_simplex(weights.equally_spaced(2, 32), 2, 32)
    np.testing.assert_array_equal(weights.equally_spaced(1, 6), np.ones((6, 1)))
    np.testing.assert_allclose(weights.equally_spaced(4, 1), [[0.25] * 4])
    np.testing.assert_array_equal(weights.equally_spaced(3, 10), weights.riesz_energy(3, 10))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: weights.equally_spaced(3, 2), "count=2"),
        (lambda: weights.equally_spaced(2, 0), "count must be at least 1, got 0"),
        (lambda: weights.riesz_energy(1, 5), "num_objectives=1"),
        (lambda: weights.simplex_lattice(3, 0), "divisions must be at least 1, got 0"),
        (lambda: weights.dirichlet(jax.random.key(0), 0, 5), "num_objectives must be at least 1, got 0"),
    ],
)
def test_sizes_out_of_range_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([0.5, 0.5], r"need 3 entries.*\(2,\)"),
        ([0.7, 0.6, -0.3], "negative entry.*-0.3"),
        ([np.nan, 0.5, 0.5], "non-finite"),
        ([np.inf, 0.5, 0.5], "non-finite"),
        ([0.0, 0.0, 0.0], "all zero"),
        ([0.5, 0.5, 0.5], "sum is 1.5"),
        ([[0.2, 0.3, 0.5], [0.2, 0.3, 0.4]], "number 1 does not sum to 1: its sum is 0.9"),
    ],
)
def test_bad_weights_are_named(bad, message):
    with pytest.raises(ValueError, match=message):
        weights.validate(np.array(bad, np.float32), 3)


def test_good_weights_pass_traced_ones_too():
    good = np.array([[0.2, 0.8], [1.0, 0.0], [0.3334, 0.6667]], np.float32)
    np.testing.assert_array_equal(weights.validate(good, 2), good)
    np.testing.assert_array_equal(jax.jit(lambda w: weights.validate(w, 2))(good), good)
    assert weights.validate([1, 0], 2).dtype == jnp.float32
