"""Subsets, their adapted solutions, what these do to every task, and the affinity made of it."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from jaxrl.errors import UnknownNameError
from jaxrl.multitask.grouping.adaptation import (
    adapted,
    evaluated_performance,
    first_order_performance,
    linearised_performance,
    rescaled,
    surrogate_performance,
)
from jaxrl.multitask.grouping.affinity import estimated_affinity, standardise_tasks
from jaxrl.multitask.grouping.estimation import EstimatorConfig, make_estimator
from jaxrl.multitask.grouping.projection import ProjectionConfig, random_projection
from jaxrl.multitask.grouping.samples import squared_quadratic, task_samples
from jaxrl.multitask.grouping.similarity import AFFINITIES, Evidence, lookahead_losses, make_affinity
from jaxrl.multitask.grouping.subsets import (
    all_subsets,
    pair_counts,
    random_subsets,
    require_coverage,
    subsets_for_coverage,
)

pytestmark = pytest.mark.quick_compilation

KEY = jax.random.key(0)
TASKS, SAMPLES, DIMENSION = 5, 23, 7


def ragged(offset=True):
    keys = jax.random.split(KEY, 3)
    features = jax.random.normal(keys[0], (TASKS, SAMPLES, DIMENSION))
    advantage = jax.random.normal(keys[1], (TASKS, SAMPLES)) + features[..., 0]
    mask = jnp.arange(SAMPLES)[None] < jnp.asarray([23, 9, 23, 17, 20])[:, None]
    offset = jax.random.normal(keys[2], (TASKS, SAMPLES)) if offset else None
    return task_samples(features, advantage, offset, mask), np.asarray(mask)


def objective(samples, mask, members, l2_weight, x):
    """The mean weighted logistic loss of the tasks' samples, one by one."""
    total, count = 0.0, 0
    for i in members:
        for s in range(SAMPLES):
            if mask[i, s]:
                weight, label = abs(samples.advantage[i, s]), np.sign(samples.advantage[i, s])
                score = samples.offset[i, s] + samples.features[i, s] @ x
                total, count = total + weight * np.logaddexp(0.0, -label * score), count + 1
    return total / count + l2_weight * x @ x / 2


SUBSETS = jnp.asarray([[1, 1, 0, 0, 0], [0, 0, 1, 0, 1], [1, 1, 1, 1, 1], [0, 1, 0, 0, 0]], bool)


@pytest.mark.parametrize(("l2_weight", "at_once"), [pytest.param(0.1, 1, marks=pytest.mark.slow), (1e-3, 3)])
def test_logistic_solutions_minimise_the_loss(l2_weight, at_once):
    samples, mask = ragged()
    estimate = jax.jit(make_estimator(EstimatorConfig(solver_tolerance=3e-5, subsets_at_once=at_once)))
    found = estimate(samples, SUBSETS, l2_weight)
    wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), samples)
    for members, x in zip(np.asarray(SUBSETS), np.asarray(found.x)):
        loss = partial(objective, wide, mask, np.flatnonzero(members), l2_weight)
        best = minimize(loss, np.zeros(DIMENSION), method="BFGS", options={"gtol": 1e-7})
        np.testing.assert_allclose(x, best.x, rtol=5e-3, atol=5e-3)
    assert np.all(np.asarray(found.gradient_norm) <= 3e-5) and np.all(np.asarray(found.iterations) > 1)


def test_ridge_is_one_newton_step_and_meets_the_logistic_one():
    samples, mask = ragged()
    ridge = jax.jit(make_estimator(EstimatorConfig(estimator="ridge")))
    found = np.asarray(ridge(samples, SUBSETS, 0.3).x)
    wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), samples)
    for members, x in zip(np.asarray(SUBSETS), found):
        hessian, gradient, count = 0.3 * np.eye(DIMENSION), np.zeros(DIMENSION), mask[members].sum()
        for i in np.flatnonzero(members):
            for s in np.flatnonzero(mask[i]):
                a, g = wide.advantage[i, s], wide.features[i, s]
                chance = 1 / (1 + np.exp(np.sign(a) * wide.offset[i, s]))
                hessian += abs(a) * chance * (1 - chance) * np.outer(g, g) / count
                gradient += a * chance * g / count
        np.testing.assert_allclose(x, np.linalg.solve(hessian, gradient), rtol=1e-3, atol=1e-5)
    heavy = jax.jit(make_estimator())(samples, SUBSETS, 300.0).x
    np.testing.assert_allclose(ridge(samples, SUBSETS, 300.0).x, heavy, rtol=0.02, atol=1e-6)


def test_squared_errors_are_least_squares():
    samples, _ = ragged(offset=False)
    residual = jax.random.normal(jax.random.key(8), (TASKS, SAMPLES))
    solve = jax.jit(make_estimator(EstimatorConfig(estimator="ridge")))
    found = solve(squared_quadratic(samples.features, residual), SUBSETS, 1e-6).x
    for members, x in zip(np.asarray(SUBSETS), np.asarray(found)):
        rows = np.asarray(samples.features)[members].reshape(-1, DIMENSION)
        np.testing.assert_allclose(x, np.linalg.lstsq(rows, np.asarray(residual)[members].ravel())[0], atol=1e-3)


def test_estimators_vmap_and_refuse():
    samples, _ = ragged()
    estimate = make_estimator(EstimatorConfig(largest_subset=2))
    many = jax.jit(jax.vmap(lambda l2: estimate(samples, SUBSETS, l2).x))(jnp.asarray([0.05, 0.5]))
    whole = jax.jit(make_estimator())(samples, SUBSETS, 0.5).x
    small = np.asarray(SUBSETS.sum(axis=1)) <= 2
    np.testing.assert_allclose(many[1][small], whole[small], rtol=1e-2, atol=1e-3)
    assert np.all(np.isnan(many[1][~small])) and np.all(np.isfinite(whole))
    with pytest.raises(UnknownNameError, match="logistic"):
        EstimatorConfig(estimator="logistics")
    with pytest.raises(ValueError, match="subsets of 4 tasks, samples of 5"):
        estimate(samples, SUBSETS[:, :4], 0.1)
    with pytest.raises(ValueError, match="use 'ridge'"):
        estimate(squared_quadratic(samples.features, samples.advantage), SUBSETS, 0.1)


def test_performance_from_the_surrogate_and_by_evaluation():
    params = {"a": jnp.linspace(-1, 1, 12), "b": jnp.ones((2, 3))}
    projection = random_projection(params, ProjectionConfig(projection_dimension=DIMENSION, projection_rows=5))
    x = jax.random.normal(KEY, (4, DIMENSION))
    scaled = jax.jit(lambda x: rescaled(x, params, projection, KEY, 0.02))(x)
    move = jax.jit(lambda x: adapted(params, projection, KEY, x))
    norm = lambda tree: np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(tree)))  # noqa: E731
    for row in scaled:
        moved = jax.tree.map(lambda new, old: new - old, move(row), params)
        np.testing.assert_allclose(norm(moved) / norm(params), 0.02, rtol=1e-3)
    nothing = jax.jit(lambda: rescaled(jnp.zeros((1, DIMENSION)), params, projection, KEY, 0.02))()
    assert np.all(np.asarray(nothing) == 0)
    # Losses that are linear in the parameters: estimate and evaluation agree exactly.
    slopes = jax.tree.map(lambda leaf: jax.random.normal(KEY, (3, *leaf.shape)), params)
    losses = lambda p: sum(jnp.sum(s * leaf, range(1, s.ndim)) for s, leaf in zip(slopes.values(), p.values()))  # noqa: E731
    gradients = jax.jit(jax.vmap(lambda slope: projection.project(KEY, slope)))(slopes)
    estimated = first_order_performance(losses(params), gradients, x)
    evaluate = lambda x: evaluated_performance(lambda p: -losses(p), params, projection, KEY, x, 3)  # noqa: E731
    evaluated = jax.jit(evaluate)(x)
    np.testing.assert_allclose(estimated, evaluated, rtol=1e-4, atol=1e-4)
    samples, mask = ragged()
    found = surrogate_performance(samples, x)
    for i in range(TASKS):
        rows = mask[i]
        ratio = 1 + samples.offset[i][rows] + samples.features[i][rows] @ x[2]
        np.testing.assert_allclose(found[2, i], np.mean(samples.advantage[i][rows] * ratio), rtol=1e-4)
    wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), samples)
    loss = linearised_performance(samples, x)
    np.testing.assert_allclose(loss[3, 1], -objective(wide, mask, [1], 0.0, np.asarray(x[3])), rtol=1e-4)


def test_subsets_and_their_coverage():
    subsets = random_subsets(KEY, 9, 400, 4)
    assert np.all(np.asarray(subsets).sum(axis=1) == 4)
    counts = np.asarray(pair_counts(subsets))
    assert np.all(np.diag(counts) == np.asarray(subsets).sum(axis=0))
    expected = 400 * 4 * 3 / (9 * 8)
    assert np.abs(counts[~np.eye(9, dtype=bool)] - expected).max() < 5 * expected**0.5
    every = all_subsets(6, 3)
    assert len({tuple(row) for row in every.tolist()}) == math.comb(6, 3) and jnp.all(every.sum(axis=1) == 3)
    assert require_coverage(every) is every
    with pytest.raises(ValueError, match=r"\(0, 2\).*draw about"):
        require_coverage(jnp.asarray([[1, 1, 0], [0, 1, 1]], bool))
    needed = subsets_for_coverage(9, 4, failure=0.05)
    draw = jax.jit(jax.vmap(lambda key: jnp.all(pair_counts(random_subsets(key, 9, needed, 4)) > 0)))
    covered = draw(jax.random.split(KEY, 100))
    assert np.mean(covered) > 0.9
    with pytest.raises(ValueError, match="between 1 and 3 tasks"):
        random_subsets(KEY, 3, 5, 4)


@pytest.mark.parametrize("per_task", [True, False])
def test_affinity_beside_a_loop(per_task):
    subsets = np.array(random_subsets(KEY, 6, 9, 3))
    subsets[:, 5] = False  # never drawn
    subsets[subsets[:, 0], 1] = False  # 0 and 1 never together
    performance = np.asarray(jax.random.normal(KEY, (9, 6)))
    affinity = partial(estimated_affinity, jnp.asarray(performance), jnp.asarray(subsets), per_task, False)
    found = affinity(symmetrise=False)
    for i in range(6):
        for j in range(6):
            values = [
                performance[s, i] if per_task else performance[s, subsets[s]].mean()
                for s in range(9)
                if subsets[s, i] and subsets[s, j]
            ]
            if values:
                np.testing.assert_allclose(found[i, j], np.mean(values), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[0, 1], found[0, 0])
    assert np.all(np.isfinite(found)) and np.allclose(found[5], found[5, 5])
    np.testing.assert_allclose(affinity(), (found + found.T) / 2, rtol=1e-5)


def test_standardised_affinity_ignores_scales_of_return():
    subsets, performance = all_subsets(5, 3), jax.random.normal(KEY, (10, 5))
    scales, shifts = jnp.asarray([1.0, 100.0, 0.01, 3.0, 7.0]), jnp.asarray([0.0, 5.0, 1.0, -40.0, 2.0])
    plain = estimated_affinity(performance, subsets)
    np.testing.assert_allclose(estimated_affinity(performance * scales + shifts, subsets), plain, atol=1e-3)
    scored = np.asarray(standardise_tasks(performance, subsets))
    np.testing.assert_allclose([scored[subsets[:, i], i].std() for i in range(5)], 1.0, rtol=1e-4)
    assert np.all(np.asarray(standardise_tasks(jnp.full((10, 5), 0.3), subsets)) == 0)


def test_other_affinities_behind_the_same_seam():
    targets = jnp.asarray([[1.0, 0.0], [1.0, 0.2], [-1.0, 0.0]])
    loss = lambda params, task: 1.0 + jnp.sum((params - task) ** 2)  # noqa: E731
    params = jnp.asarray([0.1, 0.3])
    losses, after = jax.jit(lambda p: lookahead_losses(loss, p, targets, 0.05))(params)
    for i in range(3):
        for j in range(3):
            moved = params - 0.05 * 2 * (params - targets[i])
            np.testing.assert_allclose(after[i, j], 1.0 + np.sum((moved - targets[j]) ** 2), rtol=1e-5)
    gradients = jax.vmap(jax.grad(loss), (None, 0))(params, targets)
    evidence = Evidence(gradients=gradients, losses=losses, lookahead=after, num_tasks=3)
    cosine = np.asarray(make_affinity("cosine")(KEY, evidence))
    g = np.asarray(gradients)
    np.testing.assert_allclose(cosine, g @ g.T / np.outer(*[np.linalg.norm(g, axis=1)] * 2), rtol=1e-5)
    lookahead = np.asarray(make_affinity("lookahead")(KEY, evidence))
    gain = 1 - np.asarray(after) / np.asarray(losses)
    np.testing.assert_allclose(lookahead, (gain + gain.T) / 2, rtol=1e-5, atol=1e-7)
    assert lookahead[0, 1] > 0 > lookahead[0, 2]
    chance = np.asarray(make_affinity("random")(KEY, evidence))
    assert np.allclose(chance, chance.T) and len(np.unique(chance)) == 6
    assert set(AFFINITIES) == {"estimated", "cosine", "lookahead", "random", "variance"}
    with pytest.raises(ValueError, match="performance and subsets"):
        make_affinity("estimated")(KEY, evidence)
    with pytest.raises(UnknownNameError, match="cosine"):
        make_affinity("cosin")
    with pytest.raises(UnknownNameError, match="standardise"):
        make_affinity("estimated", standardize=True)


def test_variance_affinity_beside_three_regressions():
    features, noise = (np.asarray(jax.random.normal(jax.random.key(s), (40, 4)), np.float64) for s in (0, 1))
    slopes = np.asarray([[1.0, 1.1, -1.0, 0.0], [0.5, 0.4, 0.7, 0.0], [0.0, 0.1, 2.0, 0.0], [1.0, 1.0, 1.0, 0.1]])
    targets = features @ slopes + noise
    evidence = Evidence(features=jnp.asarray(features, jnp.float32), targets=jnp.asarray(targets, jnp.float32))
    found = np.asarray(make_affinity("variance")(KEY, evidence))

    def parts(y):
        """Noise's share of the error, and the fit's."""
        design = np.column_stack([np.ones(40), features])
        residual = y - design @ np.linalg.lstsq(design, y)[0]
        spread = residual @ residual / (40 - 4 - 1)
        explained = 1 - residual @ residual / ((y - y.mean()) ** 2).sum()
        return spread * 4 / 39, explained * (y.var(ddof=1) - spread)

    for i in range(4):
        for j in range(4):
            own, other, joint = parts(targets[:, i]), parts(targets[:, j]), parts((targets[:, i] + targets[:, j]) / 2)
            bias = joint[1] - (own[1] + other[1]) / 2
            expected = min(own[0], other[0]) - joint[0] + bias
            np.testing.assert_allclose(found[i, j], expected, rtol=1e-3, atol=1e-5)
    assert found[0, 1] > 0 > found[0, 2]
    with pytest.raises(ValueError, match="more than 5 samples, got 5"):
        make_affinity("variance")(KEY, Evidence(features=jnp.zeros((5, 4)), targets=jnp.zeros((5, 2))))
