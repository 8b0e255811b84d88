"""Coefficients against finite differences of the utilities they ascend, and multipliers by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import aggregation
from jaxrl.aggregation import ReturnSummary
from jaxrl.errors import UnknownNameError

WEIGHTS = jnp.asarray([0.2, 0.5, 0.3])
RETURNS = jnp.asarray([1.0, 4.0, 2.5])


def summary(returns, count=3.0, discounted=None):
    returns = jnp.asarray(returns, jnp.float32)
    discounted = returns if discounted is None else jnp.asarray(discounted, jnp.float32)
    return ReturnSummary(returns, discounted, jnp.asarray(11.0), jnp.asarray(count))


NOTHING_ENDED = summary(jnp.zeros(3), count=0.0)


def prepared(aggregator, returns=RETURNS, **changes):
    """Parameters and the state after one iteration with `returns`."""
    parameters = {**aggregator.parameters(3), **{name: jnp.asarray(value) for name, value in changes.items()}}
    state = aggregator.init(3, parameters)
    return aggregator.update(state, summary(returns), WEIGHTS, parameters), parameters


def finite_differences(utility, point, step=1e-4):
    point = np.asarray(point, np.float64)
    return np.array([(utility(point + d) - utility(point - d)) / (2 * step) for d in np.eye(len(point)) * step])


def test_linear_is_the_weighted_sum():
    advantages = jnp.asarray(np.random.default_rng(0).normal(size=(5, 7, 3)), jnp.float32)
    weights = jnp.asarray(np.random.default_rng(1).dirichlet(np.ones(3), size=(5, 7)), jnp.float32)
    actual = aggregation.aggregate(aggregation.linear(), (), advantages, weights, {})
    np.testing.assert_allclose(actual, np.einsum("teo,teo->te", advantages, weights), atol=1e-6)


def test_linear_with_one_objective_returns_the_advantage_itself():
    advantages = jnp.asarray(np.random.default_rng(0).normal(size=(5, 7, 1)), jnp.float32)
    actual = aggregation.aggregate(aggregation.linear(), (), advantages, jnp.ones((5, 7, 1)), {})
    np.testing.assert_array_equal(actual, advantages[..., 0])


def test_decoupled_normalisation_standardises_each_objective_before_the_sum():
    advantages = np.random.default_rng(2).normal(size=(5, 7, 3)) * [1.0, 100.0, 1e-2] + [3.0, -50.0, 0.2]
    weights = np.broadcast_to(np.asarray(WEIGHTS), (5, 7, 3))
    expected = ((advantages - advantages.mean((0, 1))) / advantages.std((0, 1)) * weights).sum(-1)
    actual = aggregation.aggregate(
        aggregation.decoupled_normalisation(), (), jnp.asarray(advantages, jnp.float32), jnp.asarray(weights), {}
    )
    np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_decoupled_normalisation_of_a_constant_objective_is_zero():
    advantages = jnp.stack([jnp.ones((5, 7)), jnp.arange(35.0).reshape(5, 7)], axis=-1)
    actual = aggregation.aggregate(
        aggregation.decoupled_normalisation(), (), advantages, jnp.broadcast_to(jnp.array([1.0, 0.0]), (5, 7, 2)), {}
    )
    np.testing.assert_array_equal(actual, 0.0)


@pytest.mark.parametrize("axes", [None, (0,), (0, 1)])
def test_standardise_matches_numpy(axes):
    values = np.random.default_rng(3).normal(2.0, 5.0, size=(5, 7, 3))
    expected = (values - values.mean(axes, keepdims=True)) / (values.std(axes, keepdims=True) + 1e-8)
    np.testing.assert_allclose(aggregation.standardise(jnp.asarray(values, jnp.float32), axes), expected, atol=2e-5)


# --- utilities of the return vector --------------------------------------------------------------


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


# --- constraints ---------------------------------------------------------------------------------


def constrained(**changes):
    aggregator = aggregation.lagrangian()
    parameters = {**aggregator.parameters(3), "thresholds": jnp.asarray([-jnp.inf, 5.0, -2.0])}
    parameters |= {"multiplier_rate": jnp.asarray(0.5), **{k: jnp.asarray(v) for k, v in changes.items()}}
    return aggregator, aggregator.init(3, parameters), parameters


def test_multipliers_follow_dual_ascent():
    aggregator, state, parameters = constrained()
    np.testing.assert_array_equal(state.values, 0.0)
    # J = (7, 3, 0): the second threshold is missed by 2, the third is met.
    state = aggregator.update(state, summary([7.0, 3.0, 0.0]), WEIGHTS, parameters)
    np.testing.assert_allclose(state.values, [0.0, 1.0, 0.0])
    state = aggregator.update(state, summary([7.0, 4.0, -3.0]), WEIGHTS, parameters)
    np.testing.assert_allclose(state.values, [0.0, 1.5, 0.5])
    np.testing.assert_allclose(
        aggregator.coefficients(state, WEIGHTS, parameters), (WEIGHTS + jnp.asarray([0.0, 1.5, 0.5])) / 3.0, rtol=1e-6
    )
    # Met with room to spare, both fall and stop at zero.
    for _ in range(3):
        state = aggregator.update(state, summary([-100.0, 6.0, 3.0]), WEIGHTS, parameters)
    np.testing.assert_array_equal(state.values, 0.0)
    np.testing.assert_array_equal(aggregator.coefficients(state, WEIGHTS, parameters), WEIGHTS)


def test_constraints_read_undiscounted_returns():
    aggregator, state, parameters = constrained()
    state = aggregator.update(state, summary([0.0, 5.0, -2.0], discounted=[0.0, 0.0, -9.0]), WEIGHTS, parameters)
    np.testing.assert_array_equal(state.values, 0.0)


def test_initial_multipliers_belong_to_bound_objectives_only():
    _, state, _ = constrained(initial_multiplier=2.0)
    np.testing.assert_array_equal(state.values, [0.0, 2.0, 2.0])


def test_free_objectives_never_move():
    aggregator, state, parameters = constrained(thresholds=jnp.full(3, -jnp.inf))
    for returns in ([1e6, -1e6, 0.0], [-3.0, 4.0, 5.0]):
        state = aggregator.update(state, summary(returns), WEIGHTS, parameters)
    np.testing.assert_array_equal(state.values, 0.0)


def test_multipliers_rest_while_no_episode_ends():
    aggregator, state, parameters = constrained(initial_multiplier=0.7)
    rested = aggregator.update(state, NOTHING_ENDED, WEIGHTS, parameters)
    np.testing.assert_array_equal(rested.values, state.values)


def test_dual_ascent_settles_on_the_constraint():
    # J(λ) = 2c for coefficients c: at the fixed point the constrained objective meets its bound.
    aggregator, state, parameters = constrained(thresholds=jnp.asarray([-jnp.inf, 1.4, -jnp.inf]), multiplier_rate=0.1)

    def body(state, _):
        returns = 2.0 * aggregator.coefficients(state, WEIGHTS, parameters)
        return aggregator.update(state, summary(returns), WEIGHTS, parameters), returns

    state, path = jax.lax.scan(body, state, None, length=600)
    np.testing.assert_allclose(path[-1][1], 1.4, atol=1e-3)
    # (0.5 + λ)/(1 + λ) = 0.7 at λ = 2/3.
    np.testing.assert_allclose(state.values, [0.0, 2.0 / 3.0, 0.0], atol=1e-3)


# --- every aggregator ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", aggregation.AGGREGATORS)
@pytest.mark.parametrize("ended", [False, True])
def test_nothing_is_ever_nan(name, ended):
    aggregator = aggregation.make_aggregator(name)
    parameters = aggregator.parameters(3)
    state = aggregator.init(3, parameters)
    advantages = jnp.asarray(np.random.default_rng(5).normal(size=(5, 7, 3)), jnp.float32)
    for weights in (WEIGHTS, jnp.asarray([1.0, 0.0, 0.0])):
        state = aggregator.update(state, summary([0.0, -2.0, 1.0], float(ended)), weights, parameters)
        many = jnp.broadcast_to(weights, advantages.shape)
        value, gradient = jax.value_and_grad(
            lambda a, s=state, w=many: aggregation.aggregate(aggregator, s, a, w, parameters).sum()
        )(advantages)
        assert np.isfinite(value) and np.all(np.isfinite(gradient))
        assert not any(np.any(np.isnan(leaf)) for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("name", aggregation.AGGREGATORS)
def test_vmapped_states_equal_separate_ones(name):
    aggregator = aggregation.make_aggregator(name)
    parameters = aggregator.parameters(3)
    if "thresholds" in parameters:
        parameters["thresholds"] = jnp.asarray([2.0, -jnp.inf, 1.0])
    returns = jnp.asarray(np.random.default_rng(6).uniform(0.1, 4.0, size=(4, 3)), jnp.float32)
    weights = jnp.asarray(np.random.default_rng(7).dirichlet(np.ones(3), size=4), jnp.float32)
    counts = jnp.asarray([0.0, 1.0, 2.0, 5.0])

    def run(returns, weights, count):
        state = aggregator.init(3, parameters)
        for scale in (1.0, 0.5):
            done = ReturnSummary(returns * scale, returns * scale, jnp.asarray(9.0), count)
            state = aggregator.update(state, done, weights, parameters)
        return aggregator.coefficients(state, weights, parameters)

    together = jax.vmap(run)(returns, weights, counts)
    for i in range(4):
        np.testing.assert_allclose(together[i], run(returns[i], weights[i], counts[i]), rtol=1e-5, atol=1e-6)


def test_no_gradient_flows_through_the_coefficients():
    aggregator = aggregation.linear()
    gradient = jax.grad(lambda w: aggregation.aggregate(aggregator, (), jnp.ones((5, 3)), w, {}).sum())
    np.testing.assert_array_equal(gradient(jnp.ones((5, 3))), 0.0)


def test_aggregators_are_found_by_name_and_pass_through():
    custom = aggregation.linear()
    assert aggregation.make_aggregator(custom) is custom
    with pytest.raises(UnknownNameError, match="Did you mean 'chebyshev'"):
        aggregation.make_aggregator("tchebyshev")
