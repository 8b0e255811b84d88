"""Partitions, the semidefinite relaxation, and the groups found with and without structure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.errors import UnknownNameError
from jaxrl.multitask.grouping.clustering import ClusteringConfig, description_length, make_clustering
from jaxrl.multitask.grouping.partitions import (
    adjusted_rand_index,
    all_partitions,
    canonical,
    normalised_mutual_information,
    partition_value,
)
from jaxrl.multitask.grouping.semidefinite import relaxed_partition

pytestmark = pytest.mark.quick_compilation

METHODS = ("exhaustive", "sdp", "spectral")
PLANTED = jnp.asarray([0, 1, 2, 0, 1, 2, 0, 1])


@jax.jit
def noisy(key, labels, noise, strength=1.0):
    """Affinities of groups under effects of single tasks and symmetric noise."""
    keys = jax.random.split(key)
    size = labels.shape[0]
    effect = jax.random.normal(keys[0], (size,))
    error = jax.random.normal(keys[1], (size, size)) * noise
    return strength * (labels[:, None] == labels[None]) + effect[:, None] + effect[None] + (error + error.T) / 2**0.5


def loop_value(affinity, labels):
    return sum(
        affinity[np.ix_(rows, rows)].sum() / len(rows) for rows in (np.flatnonzero(labels == g) for g in set(labels))
    )


def test_partitions_and_their_value():
    assert [len(all_partitions(n)) for n in range(1, 9)] == [1, 2, 5, 15, 52, 203, 877, 4140]
    every = all_partitions(6)
    assert len({tuple(row) for row in every.tolist()}) == 203
    np.testing.assert_array_equal(jax.jit(jax.vmap(canonical))(jnp.asarray(every)), every)
    np.testing.assert_array_equal(canonical(jnp.asarray([4, 4, 0, 2, 0])), [0, 0, 1, 2, 1])
    affinity = np.asarray(noisy(jax.random.key(0), jnp.asarray([0, 0, 1, 1, 2, 2]), 1.0))
    values = jax.jit(jax.vmap(lambda labels: partition_value(jnp.asarray(affinity), labels)))(jnp.asarray(every))
    np.testing.assert_allclose(values, [loop_value(affinity, labels) for labels in every], rtol=1e-4)
    with pytest.raises(ValueError, match="1 to 10 tasks, got 11"):
        all_partitions(11)


def test_indices_of_agreement():
    a, b = jnp.asarray([0, 0, 1, 1, 2, 2]), jnp.asarray([0, 0, 1, 2, 2, 2])
    both = jax.jit(lambda a, b: (normalised_mutual_information(a, b), adjusted_rand_index(a, b)))
    compare = lambda a, b: tuple(map(float, both(a, b)))  # noqa: E731
    assert compare(a, jnp.asarray([5, 5, 3, 3, 0, 0])) == pytest.approx((1.0, 1.0))
    # scikit-learn 1.9: normalized_mutual_info_score and adjusted_rand_score.
    assert compare(a, b) == pytest.approx((0.7396674, 0.4444444), abs=1e-5)
    assert compare(a, jnp.zeros(6, jnp.int32)) == pytest.approx((0.0, 0.0), abs=1e-6)
    keys = jax.random.split(jax.random.key(0), 400)
    chance = jax.jit(jax.vmap(lambda key: adjusted_rand_index(a, jax.random.permutation(key, b))))(keys)
    assert abs(float(chance.mean())) < 4 * float(chance.std()) / 20


@pytest.mark.parametrize("trace", [3, None])
def test_relaxation_is_feasible_and_optimal(trace):
    size, penalty = 8, 0.0 if trace else 0.6
    affinity = noisy(jax.random.key(1), PLANTED, 0.9)
    found = jax.jit(lambda u: relaxed_partition(u, trace, penalty, iterations=8000, tolerance=1e-6))(affinity)
    x, s, n = (np.asarray(part, np.float64) for part in (found.x, found.semidefinite_dual, found.sign_dual))
    assert x.min() > -1e-4 and np.linalg.eigvalsh(x).min() > -1e-4
    np.testing.assert_allclose(x.sum(axis=1), 1.0, atol=1e-4)
    if trace:
        np.testing.assert_allclose(np.trace(x), trace, atol=1e-4)
    # Duals in their cones; what is left of the gradient is a combination of the equality constraints.
    assert np.linalg.eigvalsh(s).min() > -1e-3 and n.min() > -1e-3
    centre = np.eye(size) - 1 / size
    gradient = centre @ (np.asarray(affinity) - penalty * np.eye(size) + s + n) @ centre
    if trace:
        gradient -= np.trace(gradient) / (size - 1) * centre
    assert np.abs(gradient).max() < 5e-3 * np.abs(affinity).max()
    assert abs((s * x).sum()) + abs((n * x).sum()) < 5e-3 * np.abs(affinity).max()
    # No partition has a larger value.
    every = all_partitions(size)
    every = every[every.max(axis=1) == 2] if trace else every
    best = max(loop_value(np.asarray(affinity), labels) - penalty * (labels.max() + 1) for labels in every)
    assert (np.asarray(affinity) * x).sum() - penalty * np.trace(x) > best - 1e-3


def test_planted_groups_are_recovered_exactly():
    keys = jax.random.split(jax.random.key(2), 12)
    labels = [jax.random.permutation(key, PLANTED) for key in keys]
    values = []
    for method in METHODS:
        cluster = jax.jit(make_clustering(ClusteringConfig(clustering=method, max_groups=5)))
        found = [cluster(noisy(key, truth, 0.2)) for key, truth in zip(keys, labels)]
        for one, truth in zip(found, labels):
            assert int(one.num_groups) == 3
            np.testing.assert_array_equal(one.labels, canonical(truth))
        hard = [cluster(noisy(key, truth, 0.6)) for key, truth in zip(keys, labels)]
        chosen = [partition_value(noisy(key, t, 0.6), h.candidates[2]) for key, t, h in zip(keys, labels, hard)]
        values.append(np.asarray(chosen))
    # Where noise blurs the groups, rounding comes close to the best of all partitions into three.
    best, *others = values
    for other in others:
        assert np.all(other <= best + 1e-3) and np.mean(best - other < 1e-3) > 0.8


@pytest.mark.parametrize(
    "method", [*METHODS][:1] + [pytest.param(name, marks=pytest.mark.slow) for name in [*METHODS][1:]]
)
def test_nothing_is_found_without_structure(method):
    cluster = jax.jit(make_clustering(ClusteringConfig(clustering=method, max_groups=5)))
    found = [cluster(noisy(jax.random.key(seed), PLANTED, 1.0, strength=0.0)) for seed in range(30)]
    assert np.mean([int(one.num_groups) > 1 for one in found]) <= 0.1
    agreement = [float(adjusted_rand_index(one.labels, PLANTED)) for one in found]
    assert abs(np.mean(agreement)) < 0.1


def test_number_of_groups_by_hand_and_by_trace_penalty():
    affinity = noisy(jax.random.key(4), PLANTED, 0.1)
    for penalty, expected in ((0.0, PLANTED), (20.0, jnp.zeros(8, jnp.int32))):
        config = ClusteringConfig(trace_penalty=penalty)
        # The diagonal decides between groups and single tasks: at its usual value a task gains by its group.
        diagonal = jnp.where(jnp.eye(8, dtype=bool), affinity - 0.5, affinity)
        np.testing.assert_array_equal(jax.jit(make_clustering(config))(diagonal).labels, canonical(expected))
    for method in METHODS:
        found = jax.jit(make_clustering(ClusteringConfig(clustering=method, num_groups=2)))(affinity)
        assert int(found.num_groups) == 2 and found.candidates.shape == (1, 8)
    with pytest.raises(UnknownNameError, match="spectral"):
        ClusteringConfig(clustering="spectrum")
    with pytest.raises(ValueError, match="trace_penalty chooses k"):
        ClusteringConfig(clustering="spectral", trace_penalty=0.1)
    with pytest.raises(ValueError, match="8 tasks make at most 8 groups"):
        make_clustering(ClusteringConfig(num_groups=9))(affinity)
    with pytest.raises(ValueError, match="at most 10 tasks, got 12: use 'sdp'"):
        make_clustering(ClusteringConfig(clustering="exhaustive"))(jnp.eye(12))


def test_description_length_beside_least_squares():
    affinity = np.asarray(noisy(jax.random.key(5), PLANTED, 0.4), np.float64)
    i, j = np.triu_indices(8, 1)
    design = np.zeros((28, 9))
    design[np.arange(28), i] = design[np.arange(28), j] = 1
    effects_only = np.linalg.lstsq(design[:, :8], affinity[i, j])[1][0]
    design[:, 8] = np.asarray(PLANTED)[i] == np.asarray(PLANTED)[j]
    rest = np.linalg.lstsq(design, affinity[i, j])[1][0]
    naming = 8 * np.log(3) - np.log(6) + np.log(8) + np.log(20) / 2
    found = description_length(jnp.asarray(affinity, jnp.float32), PLANTED)
    assert float(found) == pytest.approx(10 * np.log(rest / effects_only) + naming, rel=1e-3)
