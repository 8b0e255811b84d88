"""Sums of advantages, and what every aggregator keeps to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl import aggregation
from jaxrl.aggregation import ReturnSummary
from jaxrl.errors import UnknownNameError
from tests import environments as probes
from tests.aggregators import WEIGHTS, summary

pytestmark = pytest.mark.quick_compilation


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

    @jax.jit
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


@pytest.mark.parametrize(
    ("name", "leaf", "value", "message"),
    [
        ("gini", "rank_ratio", 1.5, r"must lie in \(0, 1\], got 1.5"),
        ("log_barrier", "scale", [1.0, 0.0], "must be above 0, got 0"),
    ],
)
def test_leaves_out_of_range_are_named(name, leaf, value, message):
    with pytest.raises(ValueError, match=f"aggregator.{leaf}' {message}"):
        jaxrl.trainer("ppo", probes.choice([[1.0, 0.0], [0.0, 1.0]]), aggregator=name, **{leaf: value})
