"""The factor that follows the front's hypervolume, against hypervolumes by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl import aggregation
from tests import environments as probes
from tests.aggregators import summary

pytestmark = pytest.mark.quick_compilation

WEIGHTS = jnp.asarray([0.25, 0.75])


def follow(points, scale=1.0, rest=(), capacity=4):
    """The factors after each point; the state at the end."""
    aggregator = aggregation.hypervolume_guided(capacity)
    parameters = {**aggregator.parameters(2), "estimate_rate": jnp.asarray(1.0), "scale": jnp.full(2, scale)}
    state, factors = aggregator.init(2, parameters), []
    for index, point in enumerate(points):
        state = aggregator.update(state, summary(point, 0.0 if index in rest else 2.0), WEIGHTS, parameters)
        factors.append(np.asarray(aggregator.coefficients(state, WEIGHTS, parameters) * scale / WEIGHTS))
    return np.array(factors)[:, 0], state


def test_the_factor_rewards_what_the_front_gains():
    # Above the first point (1, 1): a 2 x 1 box, 1 x 1 more, nothing, nothing (although nothing dominates
    # it), and a 3 x 2 box in place of all.
    points = [[1.0, 1.0], [3.0, 2.0], [2.0, 3.0], [2.0, 2.0], [0.5, 9.0], [4.0, 3.0]]
    factors, state = follow(points)
    np.testing.assert_allclose(factors, [1.0, *(0.5 + 1.5 * np.tanh([2.0, 1.0, 0.0, 0.0, 3.0]))], rtol=1e-5)
    np.testing.assert_array_equal(state.front.points[state.front.mask], [[4.0, 3.0]])


def test_scale_is_the_unit_of_returns():
    factors, _ = follow([[1.0, 1.0], [3.0, 2.0]], scale=4.0)
    np.testing.assert_allclose(factors, [1.0, 0.5 + 1.5 * np.tanh(2.0 / 16.0)], rtol=1e-5)


def test_nothing_moves_while_no_episode_ends():
    factors, _ = follow([[1.0, 1.0], [3.0, 2.0], [9.0, 9.0]], rest=(2,))
    assert factors[2] == factors[1]


def test_a_return_that_is_no_number_gains_nothing():
    factors, _ = follow([[np.nan, 1.0], [3.0, 2.0], [4.0, 3.0]])
    np.testing.assert_array_equal(factors, [1.0, 0.5, 0.5])


def test_more_than_three_objectives_are_refused():
    with pytest.raises(ValueError, match="up to 3 objectives, got 4"):
        jaxrl.trainer("ppo", probes.choice(np.eye(4)), aggregator="hypervolume_guided")


def test_the_front_of_a_run_holds_what_the_policy_passed_through():
    trainer = jaxrl.trainer(
        "ppo",
        probes.choice([[1.0, 0.0], [0.8, 0.8], [0.0, 1.0], [0.0, 0.0]]),
        aggregator=aggregation.hypervolume_guided(7),
        **{**probes.BANDIT, "total_steps": 12_800, "standardise_advantages": "none", "learning_rate": 1e-2},
    )
    state = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters).state.agent.aggregator
    front = np.asarray(state.front.points)[np.asarray(state.front.mask)]
    assert np.all(front > np.asarray(state.reference)) and np.all(front <= 1.0)
    assert front.max(axis=0).min() > 0.7 and 0.5 <= state.factor <= 2.0
