"""Turns, goals and multipliers of the lexicographic order, and the optima that it finds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl import aggregation
from tests import environments as probes
from tests.aggregators import NOTHING_ENDED, WEIGHTS, learn, summary

pytestmark = pytest.mark.quick_compilation

LEXICOGRAPHIC = aggregation.lexicographic()


def start(**changes):
    parameters = {**LEXICOGRAPHIC.parameters(3), "estimate_rate": jnp.asarray(1.0)}
    parameters |= {name: jnp.asarray(value, jnp.float32) for name, value in changes.items()}
    return LEXICOGRAPHIC.init(3, parameters), parameters


def feed(state, parameters, *returns):
    for row in returns:
        state = LEXICOGRAPHIC.update(state, summary(row), WEIGHTS, parameters)
    return state


def pushed(state, parameters):
    return np.flatnonzero(LEXICOGRAPHIC.coefficients(state, WEIGHTS, parameters)).tolist()


def test_only_the_first_priority_is_pushed_before_anything_is_known():
    assert pushed(*start()) == [0]
    assert pushed(*start(priorities=[3.0, 7.0, -1.0])) == [2]


def test_the_first_objective_below_its_threshold_is_pushed():
    state, parameters = start(thresholds=[2.0, 5.0, 1.0], priorities=[1.0, 0.0, 2.0])
    for returns, expected in (
        ([0.0, 0.0, 0.0], [1]),
        ([9.0, 4.9, 9.0], [1]),
        ([1.0, 5.0, 9.0], [0]),
        ([2.0, 5.0, 0.0], [2]),
        ([2.0, 5.0, 1.0], [2]),
    ):
        assert pushed(feed(state, parameters, returns), parameters) == expected


def test_equal_priorities_share_a_turn_and_its_weights():
    state, parameters = start(thresholds=[2.0, 5.0, 1.0], priorities=[0.0, 0.0, 1.0])
    low = feed(state, parameters, [0.0, 0.0, 9.0])
    np.testing.assert_allclose(LEXICOGRAPHIC.coefficients(low, WEIGHTS, parameters), [0.2, 0.5, 0.0])
    assert pushed(feed(state, parameters, [2.0, 0.0, 0.0]), parameters) == [1]


def test_multipliers_hold_what_has_been_met():
    state, parameters = start(thresholds=[2.0, np.inf, np.inf], multiplier_rate=0.5, scale=[1.0, 2.0, 1.0])
    state = feed(state, parameters, [0.0, 0.0, 0.0], [1.0, 0.0, 0.0])
    np.testing.assert_array_equal(state.multipliers, 0.0)
    # Met once, then missed by 1: the price of objective 0 is 0.5, but it is pushed alone.
    state = feed(state, parameters, [2.0, 0.0, 0.0], [1.0, 0.0, 0.0])
    np.testing.assert_allclose(state.multipliers, [0.5, 0.0, 0.0])
    np.testing.assert_allclose(LEXICOGRAPHIC.coefficients(state, WEIGHTS, parameters), [0.2, 0.0, 0.0])
    # Met again by 0.5: the price falls to 0.25 and holds while objective 1 is pushed.
    state = feed(state, parameters, [2.5, 0.0, 0.0])
    np.testing.assert_allclose(
        LEXICOGRAPHIC.coefficients(state, WEIGHTS, parameters), [0.25 / 1.25, 0.5 / 1.25 / 2.0, 0.0], rtol=1e-6
    )


def test_an_objective_that_cannot_be_improved_on_gives_up_its_turn():
    state, parameters = start(patience=3.0, tolerance=0.1)
    state = feed(state, parameters, [1.0, 0.0, 0.0], [1.05, 0.0, 0.0], [1.2, 0.0, 0.0], [1.2, 0.0, 0.0])
    state = feed(state, parameters, [1.25, 0.0, 0.0])
    assert pushed(state, parameters) == [0]
    # Three updates within 0.1 of 1.2; the goal is now 0.1 below what was reached.
    state = feed(state, parameters, [1.2, 0.0, 0.0])
    assert pushed(state, parameters) == [0, 1]
    assert pushed(feed(state, parameters, [1.09, 0.0, 0.0]), parameters) == [0]
    # The goal rises with the best return.
    better = feed(state, parameters, [2.0, 0.0, 0.0])
    assert pushed(feed(better, parameters, [1.85, 0.0, 0.0]), parameters) == [0]


def test_patience_begins_with_an_objectives_turn():
    state, parameters = start(patience=3.0, tolerance=0.1, thresholds=[5.0, np.inf, np.inf], multiplier_rate=0.0)
    # Objective 1 has its turn at 3, loses it for as long as objective 0 recovers from 0, and falls meanwhile.
    state = feed(state, parameters, [5.0, 3.0, 0.0], *([float(t), 0.0, 0.0] for t in range(6)))
    for _ in range(3):
        assert pushed(state, parameters) == [1]
        state = feed(state, parameters, [5.0, 0.0, 0.0])
    assert pushed(state, parameters) == [1, 2]


def test_nothing_moves_while_no_episode_ends():
    state, parameters = start()
    state = feed(state, parameters, [1.0, 2.0, 3.0])
    rested = LEXICOGRAPHIC.update(state, NOTHING_ENDED, WEIGHTS, parameters)
    for before, after in zip(jax.tree.leaves(state), jax.tree.leaves(rested)):
        np.testing.assert_array_equal(before, after)


def test_ppo_finds_the_lexicographic_optimum_of_every_order():
    # Rows 0 to 2 are best for objective 0, of these 1 and 2 for objective 1, of these 2 for objective 2;
    # row 3 is best for objectives 1 and 2 alike.
    rewards = [[1.0, 0.0, 5.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 4.0, 6.0]]
    inf = np.inf
    cases = {
        "priorities": [[0.0, 1.0, 2.0], [0.0, 2.0, 1.0], [1.0, 0.0, 2.0], [0.0, 1.0, 1.0]],
        "thresholds": [[inf, inf, inf], [inf, inf, inf], [inf, inf, inf], [0.3, inf, -inf]],
    }
    trainer = jaxrl.trainer(
        "ppo", probes.choice(rewards), aggregator="lexicographic", **probes.BANDIT, tolerance=0.01, multiplier_rate=0.3
    )
    returns = learn(trainer, cases)
    np.testing.assert_allclose(returns[0], [1.0, 1.0, 1.0], atol=0.06)
    np.testing.assert_allclose(returns[1], [1.0, 0.0, 5.0], atol=0.1)
    np.testing.assert_allclose(returns[2], [0.0, 4.0, 6.0], atol=0.05)
    # No more of objective 0 than 0.3: the rest goes to row 3, and row 1 or 2 serve the 0.3 best.
    np.testing.assert_allclose(returns[3][:2], [0.3, 0.3 * 1.0 + 0.7 * 4.0], atol=0.06)
