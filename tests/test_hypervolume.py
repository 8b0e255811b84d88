"""The hypervolume, exact and estimated, contributions and improvements against moocore and the definition."""

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl.morl import pareto
from jaxrl.numerics import boxes
from tests.point_sets import SHAPES, quick, sets_of, shaped

pytestmark = pytest.mark.quick_compilation

compiled = {name: jax.jit(getattr(pareto, name)) for name in pareto.__all__ if name.startswith("hypervolume_")}
compiled_hypervolume = jax.jit(pareto.hypervolume)


def reference_for(points):
    return np.linspace(-1.0, -0.5, points.shape[1]).astype(np.float32)


def peer_hypervolume(points, reference):
    return moocore.hypervolume(points.astype(float), ref=reference, maximise=True) if len(points) else 0.0


@quick
@given(sets_of(2, 3, 4, 5, 6))
def test_compiled_hypervolume_equals_the_oracle(drawn):
    points, mask = drawn
    reference = reference_for(points)
    expected = peer_hypervolume(points[mask], reference)
    np.testing.assert_allclose(compiled_hypervolume(points, reference, mask), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:no point exceeds")
@quick
@given(sets_of(4, 6))
def test_host_hypervolume_equals_the_oracle(drawn):
    points, mask = drawn
    reference = reference_for(points)
    expected = peer_hypervolume(points[mask], reference)
    np.testing.assert_allclose(pareto.hypervolume(points, reference, mask), expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("num_objectives", "count"),
    [(3, 267), (5, 61), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((2, 501), (4, 97), (7, 17)))],
)
def test_hypervolume_of_larger_sets(num_objectives, count):
    reference = np.full(num_objectives, -0.1, np.float32)
    for shape in SHAPES:
        points = shaped(shape, count, num_objectives)
        expected = peer_hypervolume(points, reference)
        np.testing.assert_allclose(compiled_hypervolume(points, reference), expected, rtol=1e-5, err_msg=shape)
        if num_objectives > 3:
            # Outside compiled code, on the host.
            np.testing.assert_allclose(pareto.hypervolume(points, reference), expected, rtol=1e-6, err_msg=shape)


def test_number_of_local_upper_bounds_is_the_published_maximum():
    # 2n + 1 in three objectives; in any number, one point splits the first bound into one per objective.
    assert [boxes.most_bounds(n, 3) for n in (1, 2, 9)] == [3, 5, 19]
    assert [boxes.most_bounds(1, width) for width in (2, 4, 5, 6, 7)] == [2, 4, 5, 6, 7]
    assert boxes.most_bounds(100, 4) == 104 * 101 // 2 - 1


def test_sets_that_outgrow_the_first_buffer_are_still_exact(monkeypatch):
    points, reference = shaped("concave", 23, 5), (0.0,) * 5
    monkeypatch.setattr(boxes, "_SMALL_BUFFER", 7)
    # A first buffer of nine slots, so that only the last one holds what is needed.
    monkeypatch.setattr(boxes, "_SHARES", (boxes.most_bounds(23, 4) // 9, 1))
    found = jax.jit(lambda points: pareto.hypervolume(points, reference))(points)
    np.testing.assert_allclose(found, peer_hypervolume(points, reference), rtol=1e-5)


def test_too_many_boxes_for_compiled_code_say_what_to_do():
    points, reference = np.ones((200, 8), np.float32), (0.0,) * 8
    with pytest.raises(ValueError, match=r"200 points in 8 objectives.*hypervolume_estimate"):
        jax.jit(lambda points: pareto.hypervolume(points, reference))(points)


def test_hypervolume_of_one_objective_and_of_ignored_points():
    assert pareto.hypervolume(np.array([[1.0], [2.5], [-3.0]]), (0.5,)) == 2.0
    # On or below the reference in one objective is not inside the box; NaN is not either.
    points = np.array([[2.0, 3.0], [0.0, 9.0], [9.0, -1.0], [np.nan, 9.0]], np.float32)
    assert pareto.hypervolume(points, (0.0, 0.0)) == 6.0


def test_hypervolume_warns_when_nothing_exceeds_the_reference():
    with pytest.warns(UserWarning, match="no point exceeds the reference"):
        assert pareto.hypervolume(np.zeros((5, 2), np.float32), (0.0, -1.0)) == 0.0


@pytest.mark.parametrize("num_objectives", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_hypervolume_under_vmap(num_objectives):
    points = jax.random.normal(jax.random.key(0), (7, 11, num_objectives)) + 1.0
    reference = jnp.zeros(num_objectives)
    batched = jax.jit(jax.vmap(pareto.hypervolume, in_axes=(0, None)))(points, reference)
    assert batched.shape == (7,)
    np.testing.assert_allclose(batched, [compiled_hypervolume(p, reference) for p in points], rtol=1e-5)


def test_large_sets_need_no_array_of_all_pairs():
    points = jax.ShapeDtypeStruct((10_007, 3), jnp.float32)
    lowered = jax.jit(pareto.hypervolume).lower(points, jax.ShapeDtypeStruct((3,), jnp.float32))
    memory = lowered.compile().memory_analysis().temp_size_in_bytes
    assert memory < 4e6, f"{memory / 1e6:.1f} MB for 0.1 MB of points"


@quick
@given(sets_of(2, 3, 4))
def test_contributions_equal_the_oracle(drawn):
    points, mask = drawn
    reference = reference_for(points)
    found = np.asarray(compiled["hypervolume_contributions"](points, reference, mask))
    assert not found[~mask].any()
    if mask.any():
        expected = moocore.hv_contributions(
            points[mask].astype(float), ref=reference, maximise=True, ignore_dominated=False
        )
        np.testing.assert_allclose(found[mask], expected, rtol=1e-4, atol=2e-5)


def test_contributions_on_the_host_equal_the_compiled_ones():
    points, reference = shaped("concave", 29, 5), (0.0,) * 5
    expected = moocore.hv_contributions(points.astype(float), ref=reference, maximise=True)
    np.testing.assert_allclose(pareto.hypervolume_contributions(points, reference), expected, rtol=1e-5, atol=1e-9)
    found = jax.jit(lambda points: pareto.hypervolume_contributions(points, reference))(points)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-7)


@quick
@given(sets_of(2, 3, 4), st.integers(0, 2**16))
def test_improvement_is_the_difference_of_hypervolumes(drawn, seed):
    points, mask = drawn
    reference = reference_for(points)
    candidates = np.random.default_rng(seed).normal(0.5, 1.0, (7, points.shape[1])).astype(np.float32)
    # One that is in the set already, one worse than any, and one that is no number.
    candidates[0], candidates[1], candidates[2, 0] = points[0], -9.0, np.nan
    found = compiled["hypervolume_improvement"](points, candidates, reference, mask)
    before = peer_hypervolume(points[mask], reference)
    with_each = [np.concatenate([points[mask], c[None]]) for c in np.nan_to_num(candidates, nan=-9.0)]
    after = [peer_hypervolume(union, reference) for union in with_each]
    np.testing.assert_allclose(found, np.array(after) - before, rtol=1e-4, atol=3e-5)


def test_improvement_over_nothing_is_the_whole_box():
    candidates = np.array([[2.0, 3.0, 1.0], [1.0, -1.0, 5.0]], np.float32)
    found = pareto.hypervolume_improvement(np.zeros((0, 3), np.float32), candidates, (0.0, 0.0, 0.0))
    np.testing.assert_allclose(found, [6.0, 0.0])


@pytest.mark.parametrize(("num_objectives", "shape"), [(3, "duplicated"), (8, "convex")])
def test_estimate_is_unbiased_and_knows_its_error(num_objectives, shape):
    points, reference = shaped(shape, 37, num_objectives), np.full(num_objectives, -0.1, np.float32)
    mask = np.arange(37) % 5 > 0
    expected = peer_hypervolume(points[mask], reference)
    keys = jax.random.split(jax.random.key(0), 101)
    estimate = jax.jit(jax.vmap(lambda key: pareto.hypervolume_estimate(key, points, reference, 1500, mask)))(keys)
    error = np.asarray(estimate.value) - expected
    spread = error.std()
    assert abs(error.mean()) < 4 * spread / np.sqrt(len(keys))
    np.testing.assert_allclose(np.mean(estimate.standard_error), spread, rtol=0.35)
    # The relative error is bounded whatever the share of the bounding box.
    assert spread < expected * np.sqrt(mask.sum() / 1500)


def test_estimate_without_points_and_with_too_few_samples():
    points = np.ones((4, 6), np.float32)
    estimate = pareto.hypervolume_estimate(jax.random.key(0), points, (2.0,) * 6, 64)
    assert estimate.value == 0.0 and estimate.standard_error == 0.0
    with pytest.raises(ValueError, match="num_samples must be at least 2, got 1"):
        pareto.hypervolume_estimate(jax.random.key(0), points, (0.0,) * 6, 1)


estimate_from = jax.jit(pareto.hypervolume_estimate, static_argnames="num_samples")


@settings(max_examples=20, deadline=None)
@given(sets_of(3, 5))
def test_estimate_of_any_set_is_near(drawn):
    points, mask = drawn
    reference = reference_for(points)
    num_samples = 50_000
    estimate = estimate_from(jax.random.key(7), points, reference, num_samples, mask)
    expected = peer_hypervolume(points[mask], reference)
    # A place that one draw in num_samples / 10 meets may be met by none, and then no deviation tells of it. All boxes
    # together are at most as many times the volume as there are points.
    unseen = 10 / num_samples * len(points) * expected
    assert abs(estimate.value - expected) <= 6 * estimate.standard_error + unseen


def scaled_sets(num_objectives, count=6):
    """[set, point, objective]: entries that span many decades, with volumes in and beyond the range of float32."""
    generator = np.random.default_rng(num_objectives)
    # The last sets are large in all objectives or small in all of them.
    offsets = np.array([0.0, 0.0, 0.0, 35.0, -35.0])[:, None, None] / num_objectives
    decades = generator.uniform(-3.0, 3.0, (5, count, num_objectives))
    decades[1:3] *= np.array([2.0, 3.0])[:, None, None]
    return (10.0 ** (offsets + decades)).astype(np.float32)


@pytest.mark.filterwarnings("ignore:the hypervolume is beyond")
@pytest.mark.parametrize(
    "num_objectives", [2, 3, 4, 7, *(pytest.param(number, marks=pytest.mark.slow) for number in (5, 6, 8, 9))]
)
def test_volumes_of_any_scale_equal_the_oracle(num_objectives):
    reference, limits = np.zeros(num_objectives, np.float32), np.finfo(np.float32)
    both = jax.jit(lambda points: (pareto.hypervolume(points, reference), pareto.log_hypervolume(points, reference)))
    for points in scaled_sets(num_objectives):
        expected = peer_hypervolume(points, reference)
        representable = np.clip(expected, limits.tiny, limits.max)
        found, logarithm = both(points)
        np.testing.assert_allclose(found, representable, rtol=1e-5)
        np.testing.assert_allclose(logarithm, np.log(expected), rtol=1e-5, atol=1e-4)
        if num_objectives > 3:
            np.testing.assert_allclose(pareto.hypervolume(points, reference), representable, rtol=1e-6)


@pytest.mark.parametrize("num_objectives", [3, 8])
def test_contributions_and_estimates_of_any_scale(num_objectives):
    points, reference = scaled_sets(num_objectives)[1], np.zeros(num_objectives, np.float32)
    sizes = np.prod(points.astype(float), axis=1)
    clipped = [np.minimum(np.delete(points, i, axis=0), point) for i, point in enumerate(points)]
    expected = sizes - [peer_hypervolume(rivals, reference) for rivals in clipped]
    for function in (pareto.hypervolume_contributions, compiled["hypervolume_contributions"]):
        found = np.asarray(function(points, reference), float)
        np.testing.assert_array_less(np.abs(found - expected), 1e-5 * sizes + 1e-37)
    estimate = estimate_from(jax.random.key(0), points, reference, 2000)
    np.testing.assert_allclose(estimate.value, peer_hypervolume(points, reference), rtol=4 * (6 / 2000) ** 0.5)


def test_volumes_beyond_the_range_of_floats_are_neither_infinite_nor_nothing():
    limits, reference = np.finfo(np.float32), np.zeros(7, np.float32)
    for size, extreme in ((1e10, limits.max), (1e-10, limits.tiny)):
        points = np.full((1, 7), size, np.float32)
        with pytest.warns(UserWarning, match="beyond the range of float32; use log_hypervolume"):
            assert pareto.hypervolume(points, reference) == extreme
        assert compiled_hypervolume(points, reference) == extreme
        np.testing.assert_allclose(pareto.log_hypervolume(points, reference), 7 * np.log(size), rtol=1e-5)
        assert estimate_from(jax.random.key(0), points, reference, 64).value == extreme
    assert pareto.log_hypervolume(points, reference + 1.0) == -np.inf


def limit_of(measure, points):
    """What `measure` tends to as infinite entries grow: the same for ever larger ones, or ∞."""
    near, far = (np.asarray(measure(np.nan_to_num(points.astype(float), posinf=size))) for size in (10.0, 20.0))
    return np.where(near == far, near, np.inf)


@pytest.mark.parametrize("num_objectives", [1, 2, 3, 4])
def test_infinite_points_have_the_volumes_of_ever_farther_ones(num_objectives):
    generator = np.random.default_rng(num_objectives)
    reference = np.zeros(num_objectives, np.float32)

    def contributions(points):
        every = peer_hypervolume(points, reference)
        return [every - peer_hypervolume(np.delete(points, i, axis=0), reference) for i in range(len(points))]

    for _ in range(16):
        entries = generator.choice([1.0, 2.0, 3.0, np.inf, -np.inf], (5, num_objectives), p=[0.25, 0.25, 0.2, 0.2, 0.1])
        points = entries.astype(np.float32)
        expected = limit_of(lambda points: peer_hypervolume(points, reference), points)
        assert compiled_hypervolume(points, reference) == expected
        estimate = estimate_from(jax.random.key(0), points, reference, 64)
        assert np.isinf(estimate.value) == np.isinf(expected) and np.isfinite(estimate.standard_error)
        if num_objectives > 1:
            expected = limit_of(contributions, points)
            found = compiled["hypervolume_contributions"](points, reference)
            np.testing.assert_allclose(found, expected, atol=1e-5)
            # What the last point would add to the others.
            gain = compiled["hypervolume_improvement"](points[:-1], points[-1:], reference)
            np.testing.assert_allclose(gain, expected[-1:], atol=1e-5)


def test_infinite_points_on_the_host():
    points = np.array([[np.inf, 1, 1, 1], [2, 2, 2, 2], [np.inf, 1, 1, 0.5]], np.float32)
    assert pareto.hypervolume(points, (0.0,) * 4) == np.inf
    np.testing.assert_allclose(pareto.hypervolume_contributions(points, (0.0,) * 4), [np.inf, 14.0, 0.0])


@pytest.mark.parametrize("num_objectives", [1, 3, 4])
def test_infinite_references(num_objectives):
    points = np.array([[1.0] * num_objectives, [np.inf] * num_objectives], np.float32)
    below = np.full(num_objectives, -np.inf, np.float32)
    assert compiled_hypervolume(points[:1], below) == pareto.hypervolume(points[:1], below) == np.inf
    # Not even an infinite point exceeds an infinite reference.
    with pytest.warns(UserWarning, match="no point exceeds"):
        assert compiled_hypervolume(points, -below) == pareto.hypervolume(points, -below) == 0.0


def test_a_reference_that_is_no_number_is_an_error():
    points = jnp.ones((3, 2))
    reference = jnp.array([0.0, jnp.nan])
    functions = {
        "hypervolume": lambda r: pareto.hypervolume(points, r),
        "log_hypervolume": lambda r: pareto.log_hypervolume(points, r),
        "hypervolume_contributions": lambda r: pareto.hypervolume_contributions(points, r),
        "hypervolume_improvement": lambda r: pareto.hypervolume_improvement(points, points, r),
        "hypervolume_estimate": lambda r: pareto.hypervolume_estimate(jax.random.key(0), points, r, 64),
    }
    for function in functions.values():
        with pytest.raises(ValueError, match=r"reference has an entry that is not a number: \[0.0, nan\]"):
            function(reference)
    traced = jax.jit(lambda r: {name: function(r) for name, function in functions.items()})(reference)
    assert all(np.isnan(leaf).all() for leaf in jax.tree.leaves(traced)), traced
