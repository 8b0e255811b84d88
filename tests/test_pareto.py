"""Dominance, quality measures and the archive against moocore and brute force."""

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxrl.morl import archive, pareto

CAPACITY = 13
# Few distinct values, so that duplicates, ties and dominated points are common.
GRID = st.integers(-3, 6).map(lambda n: n / 2)
# Subnormals are flushed to zero by compiled code, and are not what this is about.
REAL = st.floats(-2, 3, width=32, allow_subnormal=False)


@st.composite
def masked_sets(draw, num_objectives, capacity=CAPACITY):
    values = draw(st.sampled_from([GRID, REAL]))
    points = draw(hnp.arrays(np.float32, (capacity, num_objectives), elements=values))
    mask = draw(hnp.arrays(bool, capacity))
    return points, mask


def sets_of(*sizes):
    return st.sampled_from(sizes).flatmap(masked_sets)


quick = settings(max_examples=120, deadline=None)
compiled = {name: jax.jit(getattr(pareto, name)) for name in pareto.__all__ if name != "hypervolume"}
compiled_hypervolume = jax.jit(pareto.hypervolume)


def brute_non_dominated(points, mask):
    keep = mask.copy()
    for j in np.flatnonzero(mask):
        for i in np.flatnonzero(mask):
            better = np.all(points[i] >= points[j]) and np.any(points[i] > points[j])
            if better or (i < j and np.array_equal(points[i], points[j])):
                keep[j] = False
    return keep


@quick
@given(sets_of(1, 2, 3, 5))
def test_non_dominated_is_the_definition(drawn):
    points, mask = drawn
    found = np.asarray(compiled["non_dominated"](points, mask))
    np.testing.assert_array_equal(found, brute_non_dominated(points, mask))
    assert compiled["cardinality"](points, mask) == found.sum()
    if mask.any() and points.shape[1] > 1:
        peer = moocore.is_nondominated(points[mask].astype(float), maximise=True, keep_weakly=False)
        assert {tuple(p) for p in points[found]} == {tuple(p) for p in points[mask][peer]}


@quick
@given(sets_of(2, 3))
def test_compiled_hypervolume_equals_the_oracle(drawn):
    points, mask = drawn
    reference = np.linspace(-1.0, -0.5, points.shape[1]).astype(np.float32)
    expected = moocore.hypervolume(points[mask].astype(float), ref=reference, maximise=True) if mask.any() else 0.0
    np.testing.assert_allclose(compiled_hypervolume(points, reference, mask), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:no point exceeds")
@quick
@given(sets_of(4, 6))
def test_host_hypervolume_equals_the_oracle(drawn):
    points, mask = drawn
    reference = np.linspace(-1.5, -1.0, points.shape[1]).astype(np.float32)
    expected = moocore.hypervolume(points[mask].astype(float), ref=reference, maximise=True) if mask.any() else 0.0
    np.testing.assert_allclose(pareto.hypervolume(points, reference, mask), expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(("num_objectives", "count"), [(2, 501), (3, 257), (4, 97), (5, 61), (6, 43)])
@pytest.mark.parametrize("shape", ["concave", "convex", "random", "duplicated"])
def test_hypervolume_of_larger_sets(num_objectives, count, shape):
    generator = np.random.default_rng(num_objectives)
    points = np.abs(generator.normal(size=(count, num_objectives)))
    if shape in ("concave", "convex"):
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        points = 1.0 - points if shape == "convex" else points
    if shape == "duplicated":
        points = np.concatenate([points[: count // 3]] * 3)
    points = points.astype(np.float32)
    reference = np.full(num_objectives, -0.1, np.float32)
    expected = moocore.hypervolume(points.astype(float), ref=reference, maximise=True)
    np.testing.assert_allclose(pareto.hypervolume(points, reference), expected, rtol=1e-5)


def test_hypervolume_of_one_objective_and_of_ignored_points():
    assert pareto.hypervolume(np.array([[1.0], [2.5], [-3.0]]), (0.5,)) == 2.0
    # On or below the reference in one objective is not inside the box; NaN is not either.
    points = np.array([[2.0, 3.0], [0.0, 9.0], [9.0, -1.0], [np.nan, 9.0]], np.float32)
    assert pareto.hypervolume(points, (0.0, 0.0)) == 6.0


def test_hypervolume_warns_when_nothing_exceeds_the_reference():
    with pytest.warns(UserWarning, match="no point exceeds the reference"):
        assert pareto.hypervolume(np.zeros((5, 2), np.float32), (0.0, -1.0)) == 0.0


def test_hypervolume_under_vmap():
    points = jax.random.normal(jax.random.key(0), (7, 11, 3)) + 1.0
    reference = jnp.zeros(3)
    batched = jax.vmap(pareto.hypervolume, in_axes=(0, None))(points, reference)
    assert batched.shape == (7,)
    np.testing.assert_allclose(batched, [pareto.hypervolume(p, reference) for p in points], rtol=1e-5)


def test_shapes_that_do_not_fit_are_named():
    points = np.zeros((5, 3), np.float32)
    for call, message in (
        (lambda: pareto.hypervolume(points, (0.0, 0.0)), "reference needs 3"),
        (lambda: pareto.hypervolume(points[0], (0.0,) * 3), "batch, objective"),
        (lambda: pareto.non_dominated(points, np.ones(4, bool)), "mask needs 5"),
        (lambda: pareto.igd(points, points[:, :2]), r"\(5, 3\) and \(5, 2\)"),
        (lambda: pareto.expected_utility(points, points[:, :2]), "points and weights"),
        (lambda: pareto.dominates(points, points[:, :2]), "first and second"),
        (lambda: jax.jit(pareto.hypervolume)(np.zeros((5, 4), np.float32), (0.0,) * 4), "cannot be traced"),
        (lambda: archive.insert(archive.init(4, 2), jnp.zeros((6, 3))), "2 objectives"),
        (lambda: archive.insert(archive.init(4, 2), jnp.zeros((6, 2)), payload=jnp.zeros(6)), "payload"),
        (lambda: archive.init(0, 2), "capacity must be at least 1, got 0"),
    ):
        # TypeCheckError where a runtime checker is on, which sees these shapes first.
        with pytest.raises((ValueError, TypeError), match=None if _checked() else message):
            call()


def _checked():
    return hasattr(pareto.dominates, "__wrapped__")


@quick
@given(sets_of(2, 3, 4), st.integers(0, 2**16))
def test_distances_to_a_front_equal_the_oracle(drawn, seed):
    points, mask = drawn
    if not mask.any():
        assert np.isinf(compiled["igd"](points, points[:7], mask))
        return
    front = np.random.default_rng(seed).normal(size=(7, points.shape[1])).astype(np.float32)
    chosen = points[mask].astype(float)
    for name, peer in (
        ("igd", moocore.igd),
        ("igd_plus", moocore.igd_plus),
        ("additive_epsilon", moocore.epsilon_additive),
    ):
        expected = peer(chosen, ref=front.astype(float), maximise=True)
        np.testing.assert_allclose(compiled[name](points, front, mask), expected, rtol=1e-5, atol=1e-5)


@quick
@given(sets_of(2, 3), st.integers(0, 2**16))
def test_utilities_are_the_definition(drawn, seed):
    points, mask = drawn
    generator = np.random.default_rng(seed)
    weights = generator.dirichlet(np.ones(points.shape[1]), 5).astype(np.float32)
    front = generator.normal(size=(8, points.shape[1])).astype(np.float32)
    if not mask.any():
        assert np.isneginf(compiled["expected_utility"](points, weights, mask))
        return
    best = (weights @ points[mask].T).max(axis=1)
    loss = (weights @ front.T).max(axis=1) - best
    np.testing.assert_allclose(compiled["expected_utility"](points, weights, mask), best.mean(), atol=1e-5)
    np.testing.assert_allclose(compiled["maximum_utility_loss"](points, front, weights, mask), loss.max(), atol=1e-5)


@quick
@given(sets_of(2, 4))
def test_sparsity_and_crowding_are_the_definition(drawn):
    points, mask = drawn
    chosen = points[mask].astype(float)
    gaps = np.diff(np.sort(chosen, axis=0), axis=0)
    np.testing.assert_allclose(
        compiled["sparsity"](points, mask), np.sum(gaps**2) / max(len(chosen) - 1, 1), rtol=1e-5, atol=1e-6
    )
    expected = np.zeros(len(chosen))
    for column in chosen.T if len(chosen) else ():
        order = np.argsort(column, kind="stable")
        spread = np.ptp(column) or 1.0
        for rank, index in enumerate(order):
            inner = 0 < rank < len(chosen) - 1
            expected[index] += (column[order[rank + 1]] - column[order[rank - 1]]) / spread if inner else np.inf
    found = np.asarray(compiled["crowding_distance"](points, mask))
    np.testing.assert_allclose(found[mask], expected, rtol=1e-4, atol=1e-5)
    assert np.all(np.isneginf(found[~mask]))


def test_measures_under_vmap():
    points = jax.random.normal(jax.random.key(1), (3, 9, 4))
    mask = jax.random.bernoulli(jax.random.key(2), 0.7, (3, 9))
    weights, front = jnp.full((5, 4), 0.25), jax.random.normal(jax.random.key(3), (6, 4))
    extra = {"expected_utility": (weights,), "maximum_utility_loss": (front, weights)}
    extra |= dict.fromkeys(("igd", "igd_plus", "additive_epsilon"), (front,))
    for name in ("non_dominated", "cardinality", "sparsity", "crowding_distance", *extra):
        function, arguments = getattr(pareto, name), extra.get(name, ())
        batched = jax.vmap(lambda p, m, f=function, a=arguments: f(p, *a, mask=m))(points, mask)
        single = jnp.stack([function(p, *arguments, mask=m) for p, m in zip(points, mask)])
        np.testing.assert_allclose(batched, single, rtol=1e-5)


def test_archive_holds_the_front_of_all_it_was_given():
    insert = jax.jit(archive.insert)
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
    held = archive.insert(archive.init(4, 2), points)
    # 0.5 is the most crowded, then 0.45; but with 0.5 gone 0.1 is more crowded than 0.45.
    np.testing.assert_allclose(np.sort(held.points[:, 0]), [0.0, 0.45, 0.8, 1.0])


def test_archives_fill_under_vmap():
    points = jax.random.normal(jax.random.key(4), (5, 19, 2))
    batched = jax.vmap(archive.insert, in_axes=(None, 0))(archive.init(3, 2), points)
    for member in range(5):
        single = archive.insert(archive.init(3, 2), points[member])
        np.testing.assert_array_equal(batched.points[member], single.points)
        np.testing.assert_array_equal(batched.mask[member], single.mask)
