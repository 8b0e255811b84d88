"""Convex coverage in compiled code against one linear program per point on the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from scipy.optimize import linprog

from jaxrl.environments.multi_objective.fronts import convex_coverage_set
from jaxrl.morl import coverage, pareto
from tests.point_sets import SHAPES, quick, sets_of, shaped

pytestmark = pytest.mark.quick_compilation

TOLERANCE = 1e-6
compiled = jax.jit(pareto.convex_coverage)


def margins(points, mask):
    """max_w min_q w·(p − q) / ‖p − q‖_∞ over the simplex, −∞ for dominated points and second copies."""
    kept = np.flatnonzero(np.asarray(pareto.non_dominated(points, mask)))
    values = points[kept].astype(float)
    spread = np.ptp(values, axis=0) if len(values) else 1.0
    values /= np.where(spread > 0.0, spread, 1.0)
    found = np.full(len(points), -np.inf)
    for row, index in enumerate(kept):
        gaps = values[row] - np.delete(values, row, axis=0)
        found[index] = np.inf if len(gaps) == 0 else best_margin(gaps / np.abs(gaps).max(axis=1, keepdims=True))
    return found


def best_margin(gaps):
    count, num_objectives = gaps.shape
    solution = linprog(
        c=np.append(np.zeros(num_objectives), -1.0),
        A_ub=np.column_stack([-gaps, np.ones(count)]),
        b_ub=np.zeros(count),
        A_eq=np.append(np.ones(num_objectives), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0.0, None)] * num_objectives + [(None, None)],
    )
    # A solver that gives up decides nothing.
    return TOLERANCE if solution.fun is None else -solution.fun


def assert_equal_where_certain(found, expected):
    certain = np.abs(expected - TOLERANCE) > 2e-6
    np.testing.assert_array_equal(np.asarray(found)[certain], (expected > TOLERANCE)[certain])


@quick
@given(sets_of(1, 2, 3, 5))
def test_coverage_equals_the_oracle(drawn):
    points, mask = drawn
    assert_equal_where_certain(compiled(points, mask), margins(points, mask))


@pytest.mark.parametrize(
    ("num_objectives", "count"),
    [pytest.param(2, 41, marks=pytest.mark.slow), (3, 59), (5, 37), pytest.param(9, 30, marks=pytest.mark.slow)],
)
def test_coverage_of_larger_sets(num_objectives, count):
    for shape in SHAPES:
        points, mask = shaped(shape, count, num_objectives), np.arange(count) % 7 > 0
        assert_equal_where_certain(compiled(points, mask), margins(points, mask))


def test_points_that_no_weights_prefer_are_dropped():
    # The first three lie on no common line: (1, 1) is a corner of the hull of all, but best for no weights.
    points = np.array([[0.0, 3.0], [3.0, 0.0], [1.0, 1.0], [3.0, -1.0], [0.0, 3.0]], np.float32)
    assert compiled(points).tolist() == [True, True, False, False, False]
    # A third objective that is always the same changes nothing, nor does one that breaks the tie by nothing.
    flat = np.concatenate([points, np.full((5, 1), 7.0, np.float32)], axis=1)
    assert compiled(flat).tolist() == [True, True, False, False, False]
    on_the_line = np.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]], np.float32)
    assert compiled(on_the_line).tolist() == [True, False, True]


def test_negative_weights_prove_nothing():
    # The second point only ties for the best, but is alone ahead for some weights of which one is negative.
    points = np.array([[2, 4, 0, 0], [2, 2, 3, 3], [1, 2, 2, 1], [1, 2, 3, 1], [1, 3, 4, 2], [5, 0, 1, 5]], np.float32)
    assert compiled(points).tolist() == [True, False, False, False, True, True]


@pytest.mark.parametrize("num_objectives", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_dense_fronts_keep_every_point(num_objectives):
    """Neighbours so close that each stands out by less than the tolerance times an objective's range."""
    angles = np.linspace(0.05, 1.5, 400)
    circle = np.stack([np.cos(angles), np.sin(angles)] + [np.zeros(400)] * (num_objectives - 2), axis=1)
    assert compiled(circle.astype(np.float32), tolerance=1e-5).all()
    # Times a power of two and shifted by as much: what is left of the digits decides, as in the oracle.
    shifted = (64.0 * circle + 64.0).astype(np.float32)[::8]
    assert_equal_where_certain(compiled(shifted), margins(shifted, np.ones(50, bool)))


def test_more_points_than_one_block(monkeypatch):
    points = shaped("random", 211, 3)
    expected = convex_coverage_set(points)
    monkeypatch.setattr(coverage, "_BLOCK", 16)
    found = jax.jit(lambda points: pareto.convex_coverage(points))(points)
    kept = points[np.asarray(found)]
    np.testing.assert_allclose(kept[np.lexsort(kept.T[::-1])], expected[np.lexsort(expected.T[::-1])])


def test_coverage_under_vmap_and_of_points_that_are_no_numbers():
    points = jax.random.normal(jax.random.key(0), (4, 13, 3))
    points = points.at[0, 3, 1].set(jnp.nan).at[1, 4, 2].set(jnp.inf)
    batched = jax.jit(jax.vmap(pareto.convex_coverage))(points)
    for member in range(4):
        np.testing.assert_array_equal(batched[member], compiled(points[member]))
    assert not batched[0, 3] and not batched[1, 4]
    assert compiled(points[0], np.zeros(13, bool)).tolist() == [False] * 13
