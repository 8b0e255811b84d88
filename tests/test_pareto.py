"""Dominance and quality measures against moocore and brute force."""

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrl.morl import pareto
from jaxrl.numerics import archive, dominance
from tests.point_sets import SHAPES, brute_non_dominated, quick, sets_of, shaped

pytestmark = pytest.mark.quick_compilation

compiled = {name: jax.jit(getattr(pareto, name)) for name in pareto.__all__ if not name.startswith("hypervolume")}


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


@pytest.mark.parametrize("num_objectives", [1, 2, 3, 5])
def test_non_dominated_of_sets_larger_than_a_block(num_objectives, monkeypatch):
    monkeypatch.setattr(dominance, "_BLOCK", 32)
    # A function of its own, because the compiled one above remembers its programs by shape.
    filtered = jax.jit(lambda points, mask: pareto.non_dominated(points, mask))
    for shape in SHAPES:
        points, mask = shaped(shape, 149, num_objectives), np.arange(149) % 5 > 0
        np.testing.assert_array_equal(filtered(points, mask), brute_non_dominated(points, mask), err_msg=shape)


def test_infinite_and_signed_zero_entries_are_ordered_like_others():
    points = np.array([[np.inf, -1.0], [1.0, -np.inf], [0.0, 2.0], [-0.0, 2.0], [np.inf, -2.0]], np.float32)
    for block in (points, np.concatenate([points, np.ones((5, 1), np.float32)], axis=1)):
        assert compiled["non_dominated"](block).tolist() == [True, False, True, False, False]
    assert compiled["non_dominated"](points[1:2]).tolist() == [True]


def test_points_with_nan_count_nowhere_and_empty_sets_have_a_value():
    points = jnp.asarray(shaped("concave", 6, 3))
    broken = points.at[2, 1].set(jnp.nan)
    mask, weights = jnp.arange(6) != 2, jnp.full((1, 3), 1 / 3)
    empty = jnp.zeros((0, 3))
    extra = {"expected_utility": (weights,), "maximum_utility_loss": (points, weights), "cardinality": ()}
    extra |= {"sparsity": (), "crowding_distance": ()} | dict.fromkeys(
        ("igd", "igd_plus", "additive_epsilon"), (points,)
    )
    values = {}
    for name, arguments in extra.items():
        function = getattr(pareto, name)
        np.testing.assert_array_equal(function(broken, *arguments), function(points, *arguments, mask=mask), name)
        values[name] = np.asarray(function(empty, *arguments)).tolist()
    worst = dict.fromkeys(("maximum_utility_loss", "igd", "igd_plus", "additive_epsilon"), np.inf)
    assert values == worst | {"expected_utility": -np.inf, "cardinality": 0, "sparsity": 0.0, "crowding_distance": []}


def test_measures_of_infinite_points():
    inf = np.inf
    points = np.array([[inf, 1, 0], [inf, 0, 2], [1, 2, 1], [0, 1, 3], [-inf, 4, 0]], np.float32)
    weights = np.array([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]], np.float32)
    # Objectives without weight count for nothing, and −∞ outweighs ∞.
    assert compiled["expected_utility"](points[2:], weights) == (4.0 + 1.5) / 2
    assert compiled["expected_utility"](points, weights) == inf
    assert compiled["expected_utility"](np.array([[inf, -inf, 0.0]], np.float32), weights[1:]) == -inf
    assert compiled["maximum_utility_loss"](points, points, weights) == 0.0
    for name in ("igd", "igd_plus", "additive_epsilon"):
        assert compiled[name](points, points) == 0.0, name
        assert compiled[name](points[2:], points) == inf, name
    assert compiled["igd_plus"](points[:1], points[3:4]) == compiled["additive_epsilon"](points[:1], points[3:4]) == 3.0
    assert compiled["sparsity"](points[:2]) == 5.0 and compiled["sparsity"](points) == inf
    crowding = np.asarray(compiled["crowding_distance"](points))
    assert not np.isnan(crowding).any() and crowding[2] == inf
    assert archive.extent(archive.insert(archive.init(5, 3), jnp.asarray(points))).tolist() == [inf, 4.0, 3.0]


def test_what_is_compared_with_must_be_numbers():
    points, broken = np.ones((3, 2), np.float32), np.array([[1.0, np.nan]], np.float32)
    for name, arguments, message in (
        ("expected_utility", (broken,), "weights has an entry"),
        ("maximum_utility_loss", (points, broken), "weights has an entry"),
        ("maximum_utility_loss", (broken, points), "front has an entry"),
        ("igd", (broken,), "front has an entry"),
        ("igd_plus", (broken,), "front has an entry"),
        ("additive_epsilon", (broken,), "front has an entry"),
    ):
        with pytest.raises(ValueError, match=message):
            getattr(pareto, name)(points, *arguments)
        assert np.isnan(compiled[name](points, *arguments)), name


def test_shapes_that_do_not_fit_are_named():
    points = np.zeros((5, 3), np.float32)
    for call, message in (
        (lambda: pareto.hypervolume(points, (0.0, 0.0)), "reference needs 3"),
        (lambda: pareto.hypervolume(points[0], (0.0,) * 3), "batch, objective"),
        (lambda: pareto.non_dominated(points, np.ones(4, bool)), "mask needs 5"),
        (lambda: pareto.igd(points, points[:, :2]), r"\(5, 3\) and \(5, 2\)"),
        (lambda: pareto.expected_utility(points, points[:, :2]), "points and weights"),
        (lambda: pareto.dominates(points, points[:, :2]), "first and second"),
        (lambda: pareto.hypervolume_improvement(points, points[:, :2], (0.0,) * 3), "points and candidates"),
        (lambda: pareto.convex_coverage(points[0]), "batch, objective"),
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


@pytest.mark.parametrize(
    "measure",
    [
        lambda points: pareto.hypervolume(points, [-1.0, -1.0, -1.0]),
        pareto.non_dominated,
        pareto.crowding_distance,
        lambda points: pareto.expected_utility(points, np.eye(3, dtype=np.float32)),
        lambda points: pareto.igd_plus(points, points[:2]),
    ],
    ids=["hypervolume", "non_dominated", "crowding_distance", "expected_utility", "igd_plus"],
)
def test_a_measure_of_arrays_at_hand_is_one_program(measure, caplog):
    # Of a size that nothing else here has.
    points = np.random.default_rng(0).normal(size=(23, 3)).astype(np.float32)
    jax.clear_caches()
    with jax.log_compiles(), caplog.at_level("WARNING"):
        outside = measure(points)
    finished = [record.message for record in caplog.records if record.message.startswith("Finished XLA compilation")]
    assert len(finished) == 1, finished
    np.testing.assert_allclose(outside, jax.jit(measure)(points), rtol=1e-6)
