"""Coefficients against finite differences of the utilities they ascend."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import aggregation
from jaxrl.aggregation import welfare
from tests.aggregators import NOTHING_ENDED, RETURNS, WEIGHTS, ascend, finite_differences, prepared, summary

pytestmark = pytest.mark.quick_compilation


@pytest.mark.parametrize("utopia", [-np.inf, 7.0])
def test_chebyshev_ascends_the_distance_to_the_utopia_point(utopia):
    aggregator = aggregation.chebyshev()
    state, parameters = prepared(aggregator, utopia=jnp.full(3, utopia), margin=0.25)
    best = np.maximum(utopia, np.asarray(RETURNS)) + 0.25
    expected = finite_differences(lambda j: -np.max(np.asarray(WEIGHTS) * (best - j)), RETURNS)
    actual = aggregator.coefficients(state, WEIGHTS, parameters)
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    assert np.count_nonzero(actual) == 1


@pytest.mark.parametrize("smoothing", [0.05, 0.5, 3.0])
def test_smooth_chebyshev_ascends_the_smooth_distance(smoothing):
    aggregator = aggregation.smooth_chebyshev()
    state, parameters = prepared(aggregator, utopia=jnp.asarray([3.0, 5.0, 4.0]), smoothing=smoothing)
    best, w = np.array([3.0, 5.0, 4.0]) + 0.1, np.asarray(WEIGHTS)

    def utility(j):
        regret = w * (best - j) / smoothing
        return -smoothing * (np.log(np.exp(regret - regret.max()).sum()) + regret.max())

    expected = finite_differences(utility, RETURNS)
    np.testing.assert_allclose(aggregator.coefficients(state, WEIGHTS, parameters), expected, atol=1e-4)


def test_smooth_chebyshev_tends_to_chebyshev():
    hard = aggregation.chebyshev()
    utopia = jnp.asarray([3.0, 5.0, 4.5])
    expected = hard.coefficients(*prepared(hard, utopia=utopia)[:1], WEIGHTS, prepared(hard, utopia=utopia)[1])
    distance = []
    for smoothing in (1.0, 0.1, 0.01, 1e-4):
        smooth = aggregation.smooth_chebyshev()
        state, parameters = prepared(smooth, utopia=utopia, smoothing=smoothing)
        distance.append(float(jnp.abs(smooth.coefficients(state, WEIGHTS, parameters) - expected).max()))
    assert distance == sorted(distance, reverse=True)
    assert distance[-1] < 1e-6


def test_the_utopia_point_follows_the_best_estimate_so_far():
    aggregator = aggregation.chebyshev()
    state, parameters = prepared(aggregator, estimate_rate=0.5)
    state = aggregator.update(state, summary([3.0, 0.0, 2.5]), WEIGHTS, parameters)
    np.testing.assert_allclose(state.mean, [2.0, 2.0, 2.5])
    np.testing.assert_allclose(state.best, [2.0, 4.0, 2.5])
    # Objective 1 is now 2 + margin behind its best, the others only the margin.
    np.testing.assert_allclose(aggregator.coefficients(state, WEIGHTS, parameters), [0.0, 0.5, 0.0], atol=1e-6)


def test_welfare_without_fairness_is_the_weighted_sum():
    aggregator = aggregation.utility_gradient()
    state, parameters = prepared(aggregator, fairness=0.0)
    np.testing.assert_allclose(aggregator.coefficients(state, WEIGHTS, parameters), WEIGHTS, atol=1e-7)


@pytest.mark.parametrize("fairness", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("offset", [0.0, -3.0])
def test_welfare_ascends_alpha_fairness(fairness, offset):
    aggregator = aggregation.utility_gradient()
    state, parameters = prepared(aggregator, fairness=fairness, offset=jnp.full(3, offset))

    def welfare(j):
        x = j - offset
        return np.sum(np.asarray(WEIGHTS) * (np.log(x) if fairness == 1.0 else x ** (1 - fairness) / (1 - fairness)))

    expected = finite_differences(welfare, RETURNS)
    np.testing.assert_allclose(aggregator.coefficients(state, WEIGHTS, parameters), expected, atol=1e-5)


def test_nash_welfare_divides_weights_by_returns():
    aggregator = aggregation.utility_gradient()
    state, parameters = prepared(aggregator)
    np.testing.assert_allclose(aggregator.coefficients(state, WEIGHTS, parameters), WEIGHTS / RETURNS, rtol=1e-6)


def test_welfare_of_returns_at_or_below_the_offset_stays_finite():
    aggregator = aggregation.utility_gradient()
    state, parameters = prepared(aggregator, returns=[-5.0, 0.0, 1.0])
    assert np.all(np.isfinite(aggregator.coefficients(state, WEIGHTS, parameters)))


def test_a_custom_utility_is_differentiated():
    aggregator = aggregation.utility_gradient(lambda j, w: jnp.sum(w * jnp.log(j)) - 0.1 * (j[0] - j[1]) ** 2)
    state, parameters = prepared(aggregator)
    gap = 0.2 * (float(RETURNS[0]) - float(RETURNS[1]))
    expected = np.asarray(WEIGHTS / RETURNS) - np.array([gap, -gap, 0.0])
    np.testing.assert_allclose(aggregator.coefficients(state, WEIGHTS, parameters), expected, rtol=1e-5)


@pytest.mark.parametrize("fairness", [0.5, 1.0, 3.0])
def test_welfare_is_smooth_and_concave_through_its_floor(fairness):
    x = np.linspace(-1.0, 1.0, 401)
    values = np.array([float(welfare.alpha_fair(jnp.asarray([v]), jnp.ones(1), fairness, 0.2)) for v in x[::20]])
    assert np.all(np.diff(values) > 0) and np.all(np.diff(values, 2) < 0)
    aggregator = aggregation.utility_gradient()
    slope = [float(aggregator.coefficients(*split(aggregator, v, fairness))[0]) for v in (0.2 - 1e-4, 0.2, 0.2 + 1e-4)]
    np.testing.assert_allclose(slope, 0.2**-fairness, rtol=3e-3)


def split(aggregator, value, fairness):
    """State, weights and parameters with one return at `value`."""
    state, parameters = prepared(aggregator, [value, 1.0, 1.0], fairness=fairness, floor=0.2)
    return state, jnp.ones(3), parameters


def test_welfare_pushes_the_worse_of_two_returns_below_the_floor_harder():
    aggregator = aggregation.utility_gradient()
    state, parameters = prepared(aggregator, returns=[-5.0, -2.0, 1.0])
    slopes = aggregator.coefficients(state, jnp.ones(3), parameters)
    # φ'(x) = ε^-1 (1 + (ε - x)/ε) at α = 1, ε = 0.01.
    np.testing.assert_allclose(slopes, [100 * (1 + 501), 100 * (1 + 201), 1.0], rtol=1e-4)


def soft_minimum(j):
    return -0.4 * np.log(np.sum(np.asarray(WEIGHTS) * np.exp(-j / 0.4)))


def geometric_gini(j):
    return np.sort(j) @ (0.3 ** np.arange(3) / np.sum(0.3 ** np.arange(3)))


NAMED = {
    "max_min": ({"temperature": 0.4}, WEIGHTS, soft_minimum),
    "gini": ({"rank_ratio": 0.3}, jnp.full(3, 0.2), geometric_gini),
    "owa": ({}, WEIGHTS, lambda j: np.sort(j) @ np.asarray(WEIGHTS)),
    "lorenz": ({}, WEIGHTS, lambda j: np.cumsum(np.sort(j)) @ np.asarray(WEIGHTS)),
}


@pytest.mark.parametrize("name", NAMED)
def test_named_utilities_are_ascended_in_common_units(name):
    changes, weights, utility = NAMED[name]
    aggregator = aggregation.AGGREGATORS[name]()
    offset, scale = np.array([-1.0, 2.0, 0.0]), np.array([4.0, 0.5, 2.0])
    state, parameters = prepared(aggregator, **changes, offset=offset, scale=scale)
    expected = finite_differences(lambda j: utility((j - offset) / scale), RETURNS)
    np.testing.assert_allclose(aggregator.coefficients(state, weights, parameters), expected, atol=1e-4)


def test_max_min_tends_to_the_worst_objective_and_to_the_weights():
    aggregator = aggregation.max_min()
    for temperature, expected in ((1e-3, [1.0, 0.0, 0.0]), (1e6, WEIGHTS)):
        state, parameters = prepared(aggregator, temperature=temperature)
        np.testing.assert_allclose(aggregator.coefficients(state, WEIGHTS, parameters), expected, atol=1e-5)


def test_max_min_leaves_out_objectives_without_weight():
    aggregator = aggregation.max_min()
    state, parameters = prepared(aggregator, returns=[-1e4, 2.0, 1.0], temperature=0.01)
    actual = aggregator.coefficients(state, jnp.asarray([0.0, 0.5, 0.5]), parameters)
    np.testing.assert_allclose(actual, [0.0, 0.0, 1.0], atol=1e-6)


def test_gini_with_equal_ranks_is_the_weighted_mean():
    aggregator = aggregation.gini()
    state, parameters = prepared(aggregator, rank_ratio=1.0)
    np.testing.assert_allclose(aggregator.coefficients(state, 2.0 * WEIGHTS, parameters), WEIGHTS, rtol=1e-5)


def test_gini_weights_count_like_repeated_objectives():
    # Twice the weight equals the same objective twice, if ρ^n stays what it was.
    weights = jnp.asarray([0.5, 0.25, 0.25])
    once = welfare.generalised_gini(RETURNS, weights, 0.3)
    repeated = jnp.concatenate([RETURNS[:1], RETURNS])
    np.testing.assert_allclose(once, welfare.generalised_gini(repeated, jnp.ones(4), 0.3**0.75), rtol=1e-5)


def test_lorenz_weights_on_the_ends_are_the_minimum_and_the_sum():
    np.testing.assert_allclose(welfare.lorenz_sum(RETURNS, jnp.asarray([1.0, 0.0, 0.0])), 1.0)
    np.testing.assert_allclose(welfare.lorenz_sum(RETURNS, jnp.asarray([0.0, 0.0, 1.0])), 7.5)


FRONT = [[4.0, 0.0], [0.0, 1.0]]  # J = (4p, 1 - p); both are 0.8 at p = 0.2.
OPTIMA = {
    "max_min": ({"temperature": [0.01, 100.0]}, [[0.8, 0.8], [4.0, 0.0]]),
    # Worst first, ρ = 0.5 asks 2/3 (1 - p) + 1/3 4p, best at p = 1; ρ = 0.1 asks 10/11 and 1/11, best level.
    "gini": ({"rank_ratio": [0.1, 0.5]}, [[0.8, 0.8], [4.0, 0.0]]),
    "owa": ({"weights": [[0.9, 0.1], [0.6, 0.4]]}, [[0.8, 0.8], [4.0, 0.0]]),
    "lorenz": ({"weights": [[0.8, 0.2], [0.2, 0.8]]}, [[0.8, 0.8], [4.0, 0.0]]),
    # Nash welfare log 4p + log(1 - p) is best at p = 1/2.
    "utility_gradient": ({"fairness": [1.0, 0.0]}, [[2.0, 0.5], [4.0, 0.0]]),
}


@pytest.mark.parametrize("name", OPTIMA)
def test_ascent_finds_the_known_optimum(name):
    cases, expected = OPTIMA[name]
    aggregator = aggregation.AGGREGATORS[name]()
    np.testing.assert_allclose(ascend(aggregator, FRONT, cases), expected, atol=0.06)


def test_a_custom_utility_has_traced_parameters_of_its_own():
    aggregator = aggregation.utility_gradient(
        lambda j, w, power, target: -jnp.sum(w * jnp.abs(j - target) ** power), {"power": 2.0}, {"target": 5.0}
    )
    assert aggregator.parameters(3)["target"].shape == (3,)
    state, parameters = prepared(aggregator, power=3.0)
    expected = 3.0 * np.asarray(WEIGHTS) * (5.0 - np.asarray(RETURNS)) ** 2
    np.testing.assert_allclose(aggregator.coefficients(state, WEIGHTS, parameters), expected, rtol=1e-5)


def test_the_estimate_follows_plain_returns_where_asked():
    aggregator = aggregation.max_min()
    parameters = {**aggregator.parameters(3), "discounted": jnp.asarray(0.0)}
    state = aggregator.init(3, parameters)
    state = aggregator.update(state, summary([9.0, 8.0, 7.0], discounted=[1.0, 2.0, 3.0]), WEIGHTS, parameters)
    np.testing.assert_array_equal(state.mean, [9.0, 8.0, 7.0])


ESTIMATING = {
    "chebyshev": aggregation.chebyshev,
    "smooth_chebyshev": aggregation.smooth_chebyshev,
    "utility_gradient": aggregation.utility_gradient,
    "custom": lambda: aggregation.utility_gradient(lambda j, w: jnp.dot(w, jnp.sqrt(j))),
}


@pytest.mark.parametrize("build", ESTIMATING.values(), ids=ESTIMATING.keys())
def test_coefficients_of_a_batch_of_weights_are_those_of_each(build):
    aggregator = build()
    state, parameters = prepared(aggregator)
    weights = jnp.asarray(np.random.default_rng(4).dirichlet(np.ones(3), size=(5, 7)), jnp.float32)
    together = aggregator.coefficients(state, weights, parameters)
    assert together.shape == (5, 7, 3)
    for index in np.ndindex(5, 7):
        np.testing.assert_allclose(
            together[index], aggregator.coefficients(state, weights[index], parameters), rtol=1e-6, atol=1e-7
        )


@pytest.mark.parametrize("build", ESTIMATING.values(), ids=ESTIMATING.keys())
def test_weights_are_used_until_an_episode_has_ended(build):
    aggregator = build()
    parameters = aggregator.parameters(3)
    state = aggregator.update(aggregator.init(3, parameters), NOTHING_ENDED, WEIGHTS, parameters)
    np.testing.assert_array_equal(aggregator.coefficients(state, WEIGHTS, parameters), WEIGHTS)


def test_the_estimate_starts_at_the_first_returns_and_then_averages_discounted_ones():
    aggregator = aggregation.utility_gradient()
    parameters = aggregator.parameters(3)
    state = aggregator.init(3, parameters)
    state = aggregator.update(state, summary([9.0, 9.0, 9.0], discounted=[1.0, 2.0, 3.0]), WEIGHTS, parameters)
    np.testing.assert_array_equal(state.mean, [1.0, 2.0, 3.0])
    state = aggregator.update(state, summary([0.0, 0.0, 0.0], discounted=[2.0, 2.0, 13.0]), WEIGHTS, parameters)
    np.testing.assert_allclose(state.mean, [1.1, 2.0, 4.0], rtol=1e-6)
    np.testing.assert_array_equal(aggregator.update(state, NOTHING_ENDED, WEIGHTS, parameters).mean, state.mean)
