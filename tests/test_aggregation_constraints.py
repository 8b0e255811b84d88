"""Multipliers and barriers by hand, and the constrained optima that they find."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl import aggregation
from tests import environments as probes
from tests.aggregators import NOTHING_ENDED, WEIGHTS, learn, prepared, summary

pytestmark = pytest.mark.quick_compilation


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


def test_upper_bounds_push_down():
    aggregator, state, parameters = constrained(
        thresholds=jnp.full(3, -jnp.inf), upper=jnp.asarray([4.0, jnp.inf, 1.0])
    )
    state = aggregator.update(state, summary([6.0, 99.0, 0.0]), WEIGHTS, parameters)
    np.testing.assert_allclose(state.upper, [1.0, 0.0, 0.0])
    np.testing.assert_array_equal(state.values, 0.0)
    expected = (WEIGHTS - jnp.asarray([1.0, 0.0, 0.0])) / 2.0
    np.testing.assert_allclose(aggregator.coefficients(state, WEIGHTS, parameters), expected, rtol=1e-6)
    state = aggregator.update(state, summary([3.0, 99.0, 2.0]), WEIGHTS, parameters)
    np.testing.assert_allclose(state.upper, [0.5, 0.0, 0.5])


def test_both_bounds_hold_at_the_fixed_point():
    # As below, but J must not exceed 0.6, where the weight alone would make it 1.
    bounds = {"thresholds": jnp.asarray([-jnp.inf, 0.2, -jnp.inf]), "upper": jnp.asarray([jnp.inf, 0.6, jnp.inf])}
    aggregator, state, parameters = constrained(**bounds, multiplier_rate=0.1)

    def body(state, _):
        returns = 2.0 * aggregator.coefficients(state, WEIGHTS, parameters)
        return aggregator.update(state, summary(returns), WEIGHTS, parameters), returns

    state, path = jax.lax.scan(body, state, None, length=600)
    np.testing.assert_allclose(path[-1][1], 0.6, atol=1e-3)
    # (0.5 - ν)/(1 + ν) = 0.3 at ν = 2/13.
    np.testing.assert_allclose(state.upper, [0.0, 2.0 / 13.0, 0.0], atol=1e-3)


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


def test_constraints_read_discounted_returns_where_asked():
    aggregator, state, parameters = constrained(discounted=1.0)
    state = aggregator.update(state, summary([0.0, 9.0, 9.0], discounted=[0.0, 4.0, -2.0]), WEIGHTS, parameters)
    np.testing.assert_allclose(state.values, [0.0, 0.5, 0.0])


@pytest.mark.parametrize("name", ["lagrangian", "log_barrier"])
def test_scale_makes_constraints_independent_of_units(name):
    aggregator = aggregation.AGGREGATORS[name]()
    units = np.array([1.0, 100.0, 0.01])
    returns, thresholds = np.array([1.0, 4.0, 2.5]), np.array([-np.inf, 3.5, 2.4])

    def advantage(units, scale):
        state, parameters = prepared(aggregator, returns * units, thresholds=thresholds * units, scale=scale)
        state = aggregator.update(state, summary(0.99 * returns * units), WEIGHTS, parameters)
        return aggregator.coefficients(state, WEIGHTS, parameters) * units

    np.testing.assert_allclose(advantage(units, units), advantage(np.ones(3), np.ones(3)), rtol=1e-4)
    assert not np.allclose(advantage(units, np.ones(3)), advantage(np.ones(3), np.ones(3)), rtol=0.1)


def test_proportional_gain_adds_the_last_shortfall():
    aggregator, state, parameters = constrained(proportional_gain=2.0)
    # J = (7, 3, 0): short by 2, and 2 to spare: λ = (0, 1, 0), μ = (0, 1 + 4, [0 - 4]₊).
    state = aggregator.update(state, summary([7.0, 3.0, 0.0]), WEIGHTS, parameters)
    expected = (WEIGHTS + jnp.asarray([0.0, 5.0, 0.0])) / 6.0
    np.testing.assert_allclose(aggregator.coefficients(state, WEIGHTS, parameters), expected, rtol=1e-6)
    rested = aggregator.update(state, NOTHING_ENDED, WEIGHTS, parameters)
    np.testing.assert_array_equal(rested.shortfall, state.shortfall)


# --- barriers ------------------------------------------------------------------------------------


def barrier(returns, **changes):
    aggregator = aggregation.log_barrier()
    state, parameters = prepared(aggregator, returns, **changes)
    return aggregator.coefficients(state, WEIGHTS, parameters)


def test_barrier_coefficients_are_the_gradient_of_the_augmented_objective():
    thresholds = jnp.asarray([-jnp.inf, 3.5, 2.4])
    actual = barrier([1.0, 4.0, 2.5], thresholds=thresholds, sharpness=8.0)
    # 1/(8 · 0.5) and 1/(8 · 0.1).
    np.testing.assert_allclose(actual, WEIGHTS + jnp.asarray([0.0, 0.25, 1.25]), rtol=1e-5)


def test_barrier_without_thresholds_is_linear():
    np.testing.assert_array_equal(barrier([1.0, 4.0, -2.5]), WEIGHTS)


def test_barrier_coefficients_are_bounded_just_inside():
    thresholds = jnp.asarray([-jnp.inf, 4.0 - 1e-4, -jnp.inf])
    actual = barrier([1.0, 4.0, 2.5], thresholds=thresholds, max_coefficient=7.0)
    np.testing.assert_allclose(actual, WEIGHTS + jnp.asarray([0.0, 7.0, 0.0]))


def test_the_barrier_stands_where_this_iteration_is():
    aggregator = aggregation.log_barrier()
    state, parameters = prepared(aggregator, [1.0, 4.0, 2.5], thresholds=jnp.asarray([-jnp.inf, 3.5, -jnp.inf]))
    state = aggregator.update(state, summary([1.0, 5.5, 2.5]), WEIGHTS, parameters)
    np.testing.assert_allclose(aggregator.coefficients(state, WEIGHTS, parameters)[1], WEIGHTS[1] + 1 / 40, rtol=1e-5)


@pytest.mark.parametrize("second", [4.0, 9.0])
def test_violated_objectives_alone_are_pushed(second):
    # The second lies on its threshold, or beyond it; the third keeps its bound by far.
    thresholds = jnp.asarray([2.0, second, -50.0])
    actual = barrier([1.0, 4.0, 2.5], thresholds=thresholds, max_coefficient=7.0, scale=jnp.asarray([1.0, 2.0, 1.0]))
    np.testing.assert_allclose(actual, [7.0, 3.5, 0.0])


# --- learning ------------------------------------------------------------------------------------

# J = (p, 1 - p): of all policies with 1 - p ≥ b the best for objective 0 is (1 - b, b). The barrier's
# optimum keeps 1/t from the bound: max p + log(1 - p - b)/t is at 1 - p = b + 1/t.
KNOWN = {
    "lagrangian": (
        {"multiplier_rate": 0.1, "proportional_gain": 5.0},
        {"thresholds": [[-np.inf, 0.6], [-np.inf, 0.3], [-np.inf, -np.inf]]},
        [[0.4, 0.6], [0.7, 0.3], [1.0, 0.0]],
    ),
    "log_barrier": (
        {},
        {"thresholds": [[-np.inf, 0.6], [-np.inf, 0.6], [-np.inf, -np.inf]], "sharpness": [20.0, 5.0, 20.0]},
        [[0.35, 0.65], [0.2, 0.8], [1.0, 0.0]],
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_ppo_finds_the_constrained_optimum(name):
    settings, cases, expected = KNOWN[name]
    trainer = jaxrl.trainer(
        "ppo",
        probes.choice([[1.0, 0.0], [0.0, 1.0]]),
        aggregator=name,
        weights=[1.0, 0.0],
        **probes.BANDIT,
        **settings,
    )
    returns = learn(trainer, cases)
    np.testing.assert_allclose(returns, expected, atol=0.02)
    if name == "log_barrier":
        assert np.all(returns[:, 1] >= np.array(cases["thresholds"])[:, 1])
