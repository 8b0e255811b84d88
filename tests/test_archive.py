"""The Pareto archive against brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.morl import pareto
from jaxrl.numerics import archive
from tests.point_sets import SHAPES, brute_non_dominated, shaped

pytestmark = pytest.mark.quick_compilation

crowding = jax.jit(pareto.crowding_distance)
insert = jax.jit(archive.insert)


def test_archive_holds_the_front_of_all_it_was_given():
    held = archive.init(101, 3, {"index": jnp.int32(0), "weights": jnp.zeros(2)})
    generator = np.random.default_rng(0)
    points = np.round(generator.normal(size=(8, 17, 3)), 1).astype(np.float32)
    points[2, 4] = np.nan
    masks = generator.random((8, 17)) < 0.8
    for batch in range(8):
        index = jnp.arange(17, dtype=jnp.int32) + 17 * batch
        held = insert(
            held, points[batch], {"index": index, "weights": jnp.stack([index, -index], 1) * 1.0}, masks[batch]
        )
    flat, usable = points.reshape(-1, 3), masks.reshape(-1) & ~np.isnan(points).any(axis=-1).reshape(-1)
    expected = np.flatnonzero(brute_non_dominated(flat, usable))
    count = int(held.mask.sum())
    assert sorted(held.payload["index"][:count].tolist()) == expected.tolist()
    assert held.mask.tolist() == [True] * count + [False] * (101 - count)
    np.testing.assert_array_equal(held.points[:count], flat[np.asarray(held.payload["index"][:count])])
    np.testing.assert_array_equal(held.payload["weights"][:, 1], -held.payload["index"])
    assert not held.points[count:].any()


def test_full_archive_evicts_the_most_crowded_and_keeps_the_extremes():
    first = np.array([0.0, 0.1, 0.45, 0.5, 0.8, 1.0], np.float32)
    points = jnp.asarray(np.column_stack([first, 1.0 - first]))
    held = insert(archive.init(4, 2), points)
    # 0.5 is the most crowded, then 0.45; but with 0.5 gone 0.1 is more crowded than 0.45.
    np.testing.assert_allclose(np.sort(held.points[:, 0]), [0.0, 0.45, 0.8, 1.0])


def test_extent_counts_what_is_held_only():
    held = insert(archive.init(6, 2), jnp.asarray([[1.0, -5.0], [4.0, -9.0], [0.0, -10.0]]))
    np.testing.assert_allclose(archive.extent(held), [3.0, 4.0])
    np.testing.assert_array_equal(archive.extent(archive.init(6, 2)), 0.0)


def test_archives_fill_under_vmap():
    points = jax.random.normal(jax.random.key(4), (5, 19, 2))
    batched = jax.jit(jax.vmap(archive.insert, in_axes=(None, 0)))(archive.init(3, 2), points)
    for member in range(5):
        single = insert(archive.init(3, 2), points[member])
        np.testing.assert_array_equal(batched.points[member], single.points)
        np.testing.assert_array_equal(batched.mask[member], single.mask)


@pytest.mark.parametrize("num_objectives", [2, 3, 6])
def test_evictions_follow_distances_that_are_recomputed_each_time(num_objectives):
    for shape in SHAPES:
        points = shaped(shape, 23, num_objectives)
        kept = brute_non_dominated(points, np.ones(23, bool))
        while kept.sum() > 7:
            distance = np.asarray(crowding(points, kept))
            most_crowded = kept & (distance == distance[kept].min())
            kept[np.flatnonzero(most_crowded)[-1]] = False
        held = insert(archive.init(7, num_objectives, jnp.int32(0)), points, jnp.arange(23, dtype=jnp.int32))
        found = np.asarray(held.payload)[np.asarray(held.mask)]
        assert sorted(found.tolist()) == np.flatnonzero(kept).tolist(), shape


def test_infinite_points_are_thinned_like_others():
    # Equal infinities, whose difference is no number, between neighbours that are not equal.
    heights = jnp.arange(8.0)
    first, last = jnp.where(heights < 3, jnp.inf, -heights), jnp.where(heights > 5, jnp.inf, heights)
    kept = jax.jit(archive.insert)(archive.init(4, 3), jnp.column_stack([first, heights, last]))
    assert kept.mask.all() and not jnp.isnan(kept.points).any()


def test_former_paths_of_what_aggregation_shares():
    import jaxrl.morl.weights
    from jaxrl.morl.archive import Archive

    import jaxrl.numerics.weights

    assert Archive is archive.Archive and jaxrl.morl.weights is jaxrl.numerics.weights
