"""Running statistics against NumPy over everything seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.numerics import normalisation
from jaxrl.numerics.normalisation import init_statistics, normalise, standard_deviation, update_statistics

pytestmark = pytest.mark.quick_compilation


def merged(batches, shape):
    statistics = init_statistics(shape)
    for batch in batches:
        statistics = update_statistics(statistics, jnp.asarray(batch))
    return statistics


@pytest.mark.parametrize("shape", [(3,), (), (2, 4)])
@pytest.mark.parametrize("leading", [(7,), (5, 7), ()])
def test_merged_statistics_equal_those_of_the_concatenation(shape, leading):
    rng = np.random.default_rng(0)
    batches = [(rng.normal(2.0 * i, 1.0 + i, size=(*leading, *shape))).astype(np.float32) for i in range(4)]
    everything = np.concatenate([batch.reshape(-1, *shape) for batch in batches]).astype(np.float64)
    statistics = merged(batches, shape)
    np.testing.assert_allclose(statistics.mean, everything.mean(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(standard_deviation(statistics), everything.std(0), rtol=1e-5)
    assert statistics.count == len(everything)


def test_batches_of_different_sizes_weigh_by_their_size():
    rng = np.random.default_rng(1)
    batches = [rng.normal(i, 1.0, size=(size, 3)).astype(np.float32) for i, size in enumerate((1, 50, 3, 700))]
    everything = np.concatenate(batches)
    statistics = merged(batches, (3,))
    np.testing.assert_allclose(statistics.mean, everything.mean(0), rtol=1e-5)
    np.testing.assert_allclose(statistics.squares / statistics.count, everything.var(0), rtol=1e-5)


def test_nothing_seen_is_the_identity():
    value = jnp.asarray(np.random.default_rng(2).normal(size=(5, 3)), jnp.float32)
    np.testing.assert_array_equal(normalise(init_statistics((3,)), value), value)


def test_what_was_seen_becomes_standard():
    values = (np.random.default_rng(3).normal(size=(5, 70, 3)) * [0.1, 10.0, 300.0] + [5.0, -80.0, 1.0]).astype(
        np.float32
    )
    scaled = np.asarray(normalise(merged([values], (3,)), jnp.asarray(values)))
    np.testing.assert_allclose(scaled.mean((0, 1)), 0.0, atol=1e-4)
    np.testing.assert_allclose(scaled.std((0, 1)), 1.0, rtol=1e-4)


def test_a_constant_column_is_only_shifted():
    values = np.full((40, 3), 3.0, np.float32)
    values[:, 1] = np.arange(40)
    statistics = merged([values[:15], values[15:]], (3,))
    np.testing.assert_array_equal(standard_deviation(statistics)[np.array([0, 2])], 1.0)
    scaled = np.asarray(normalise(statistics, jnp.asarray([3.5, 19.5, 2.0])))
    np.testing.assert_allclose(scaled, [0.5, 0.0, -1.0], atol=1e-6)


def test_one_sample_gives_no_infinite_values():
    statistics = merged([np.asarray([[4.0, -2.0]], np.float32)], (2,))
    np.testing.assert_array_equal(normalise(statistics, jnp.asarray([5.0, -2.0])), [1.0, 0.0])


@pytest.mark.parametrize("num_batches", [1, 60])
def test_a_large_offset_does_not_drown_the_variance(num_batches):
    # float32 resolves 1/16 at a million; the naive E[x²] - E[x]² would be off by thousands.
    values = (1e6 + np.random.default_rng(4).normal(size=(num_batches, 128, 3)) * [1.0, 5.0, 50.0]).astype(np.float32)
    everything = values.reshape(-1, 3).astype(np.float64)
    statistics = merged(values, (3,))
    np.testing.assert_allclose(statistics.mean, everything.mean(0), atol=0.13)
    np.testing.assert_allclose(standard_deviation(statistics), everything.std(0), rtol=1e-2)


def test_a_drifting_mean_counts_as_variance():
    statistics = merged([np.full((10, 1), -1.0, np.float32), np.full((30, 1), 3.0, np.float32)], (1,))
    np.testing.assert_allclose(statistics.mean, 2.0)
    np.testing.assert_allclose(standard_deviation(statistics) ** 2, 3.0, rtol=1e-6)


def test_values_are_clipped_at_the_limit():
    statistics = merged([np.random.default_rng(5).normal(size=(500, 1)).astype(np.float32)], (1,))
    far = jnp.asarray([[1e9], [-1e9]])
    np.testing.assert_array_equal(normalise(statistics, far), [[10.0], [-10.0]])
    np.testing.assert_array_equal(normalise(statistics, far, limit=3.0), [[3.0], [-3.0]])


def test_integer_batches_are_averaged_as_real_numbers():
    statistics = merged([np.asarray([[0, 1], [1, 1], [1, 2]], np.int32)], (2,))
    np.testing.assert_allclose(statistics.mean, [2 / 3, 4 / 3], rtol=1e-6)


def test_no_gradient_flows_into_the_statistics():
    def total(batch):
        statistics = update_statistics(init_statistics((3,)), batch)
        return statistics.mean.sum() + statistics.squares.sum()

    np.testing.assert_array_equal(jax.grad(total)(jnp.ones((7, 3))), 0.0)


def test_updates_compile_and_batch_over_a_sweep():
    batches = jnp.asarray(np.random.default_rng(6).normal(size=(4, 7, 3)), jnp.float32)
    update = jax.jit(jax.vmap(lambda batch: normalisation.update_statistics(init_statistics((3,)), batch)))
    np.testing.assert_allclose(update(batches).mean, batches.mean(1), atol=1e-6)
