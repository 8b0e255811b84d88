"""The allocation problem: its front and hypervolume in closed form against everything that can be played."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments import make
from jaxrl.environments.multi_objective import fronts
from jaxrl.environments.multi_objective.allocation import front, front_hypervolume
from jaxrl.morl import pareto

pytestmark = pytest.mark.quick_compilation


def all_returns(environment, discount):
    """Discounted returns of every sequence of actions, and how each ended."""
    num_steps = environment.spec.time_limit
    actions = jnp.array(list(product(range(environment.spec.action.n), repeat=num_steps)), jnp.int32)

    @jax.jit
    @jax.vmap
    def play(actions):
        state, _ = environment.reset(jax.random.key(0), environment.params)

        def step(state, action):
            return environment.step(jax.random.key(1), state, action, environment.params)

        timesteps = jax.lax.scan(step, state, actions)[1]
        weights = discount ** jnp.arange(num_steps)[:, None]
        return jnp.sum(timesteps.reward * weights, axis=0), timesteps

    return jax.device_get(play(actions))


@pytest.mark.parametrize(
    ("num_objectives", "budget", "discount"), [(2, 7, 1.0), (2, 5, 0.8), (3, 6, 0.99), (4, 4, 0.9), (5, 3, 1.0)]
)
def test_front_is_what_brute_force_finds(num_objectives, budget, discount):
    returns, timesteps = all_returns(
        make("mo/allocation", num_objectives=num_objectives, budget=budget), np.float32(discount)
    )
    distinct = np.unique(np.round(returns, 5), axis=0)
    found = distinct[np.asarray(pareto.non_dominated(distinct))]
    expected = front(num_objectives, discount, budget)
    np.testing.assert_allclose(found, expected[np.lexsort(expected.T[::-1])], atol=2e-5)
    assert timesteps.terminated[:, -1].all() and not timesteps.terminated[:, :-1].any()
    assert not timesteps.truncated.any()


@pytest.mark.parametrize(("num_objectives", "budget"), [(2, 6), (3, 6), (6, 2)])
def test_front_is_its_own_convex_coverage_set(num_objectives, budget):
    points = front(num_objectives, 0.97, budget)
    assert len(fronts.convex_coverage_set(points)) == len(points)
    assert pareto.convex_coverage(points).all()


def test_front_equals_the_one_from_dynamic_programming():
    environment = make("mo/allocation-3")
    expected = front(3, environment.spec.discount)
    expected = expected[np.lexsort(expected.T[::-1])]
    np.testing.assert_allclose(fronts.front("mo/allocation-3", environment.spec.discount), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("num_objectives", "budget", "discount"), [(2, 6, 1.0), (3, 6, 0.99), (4, 5, 0.9), (6, 3, 0.99), (9, 2, 0.95)]
)
def test_hypervolume_of_the_front_needs_no_points(num_objectives, budget, discount):
    points = front(num_objectives, discount, budget)
    reference = tuple(np.linspace(-2.0, -0.5, num_objectives).tolist())
    for corner in (None, reference):
        volume = front_hypervolume(num_objectives, discount, budget, corner)
        corner = make("mo/allocation", num_objectives=num_objectives).spec.reference_point if corner is None else corner
        np.testing.assert_allclose(pareto.hypervolume(points, corner), volume, rtol=2e-6)


def test_greedy_units_are_best_for_linear_weights():
    """The best plan for weights w gives each unit to where w brings most; dynamic programming must agree."""
    points = front(9, 1.0)
    assert points.shape == (3003, 9)
    for weights in np.random.default_rng(0).dirichlet(np.ones(9), 5):
        units = np.zeros(9, int)
        value = np.asarray(make("mo/allocation-9").params.value, np.float64)
        for _ in range(6):
            gain = weights * (value[np.arange(9), np.minimum(units + 1, 6)] - value[np.arange(9), units])
            units[np.argmax(gain)] += 1
        best = points[np.argmax(points @ weights)]
        np.testing.assert_allclose(best, value[np.arange(9), units], rtol=1e-5)


def test_budget_caps_what_is_given_and_progress_is_observed():
    environment = make("mo/allocation", num_objectives=3, budget=4)
    state, observation = environment.reset(jax.random.key(0), environment.params)
    np.testing.assert_allclose(observation, [1, 0, 0, 1])
    seen, rewards = [], []
    # 3 of 4 units, then 4 of the 1 left, then 2 of none; the fourth step comes after the end.
    for action in (3, 4, 2, 4):
        state, timestep = environment.step(jax.random.key(1), state, jnp.int32(action), environment.params)
        seen.append(timestep.observation)
        rewards.append(timestep.reward)
    np.testing.assert_allclose(seen, [[0, 1, 0, 0.25], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    value = environment.params.value[0]
    np.testing.assert_allclose(rewards, [[value[3], 0, 0], [0, value[1], 0], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(np.diff(value)[1:] / np.diff(value)[:-1], 0.7, rtol=1e-5)


def test_sizes_out_of_range_are_named():
    for call, message in (
        (lambda: make("mo/allocation", num_objectives=1), "num_objectives must be at least 2, got 1"),
        (lambda: make("mo/allocation", budget=0), "budget must be at least 1, got 0"),
        (lambda: front(3, 1.5), "got 1.5"),
        (lambda: front_hypervolume(2, 1.0, 6, (0.0, 1.0)), "at most 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
