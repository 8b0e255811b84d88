"""The mathematics of the rows of experiments/rows, against oracles that share nothing with them."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytestmark = pytest.mark.quick_compilation


def test_sqirl_with_many_episodes_finds_what_exact_lookahead_finds():
    from experiments.rows import s030_sqirl as row

    made, _ = row.layouts(1, 2)
    layout = jax.tree.map(lambda leaf: leaf[1], made)
    values, after, reward = np.zeros(row.STATES), np.asarray(layout.after), np.asarray(layout.reward)
    expected = np.zeros((row.STATES, row.ACTIONS))
    for _ in range(row.HORIZON):
        for state, action in itertools.product(range(row.STATES), range(row.ACTIONS)):
            cell, before = divmod(state, row.ACTIONS + 1)
            expected[state, action] = 0.0
            for taken, share in ((action, 0.75), (before - 1 if before else action, 0.25)):
                arrived = after[cell, taken]
                gain = reward[arrived] + values[arrived * (row.ACTIONS + 1) + taken + 1]
                expected[state, action] += share * gain * (reward[cell] == 0)
        values = expected.mean(1)
    uniform = jnp.full((row.HORIZON, row.STATES, row.ACTIONS), 1.0 / row.ACTIONS)
    np.testing.assert_allclose(jax.jit(row.plan)(layout, uniform)[0], expected, atol=1e-5)
    found = jax.jit(partial(row.sqirl, episodes=512))(jax.random.key(0), layout, jnp.asarray(2))
    exact = row.greedy(jax.jit(partial(row.deepened, steps=1))(layout))
    at = int(layout.start) * (row.ACTIONS + 1)
    assert abs(float(row.value(layout, found) - row.value(layout, exact))) < 0.1
    assert row.value(layout, exact) <= row.plan(layout)[0, at].max() + 1e-5


def test_marginal_gains_sum_to_the_set_function_and_no_walk_beats_the_best():
    from experiments.rows import s028_submodular as row

    weight = np.asarray(row.fields(jax.random.key(0), 1)[0])
    actions = np.random.default_rng(0).integers(0, row.ACTIONS, row.HORIZON)
    cell, visited = np.asarray(row.START), []
    for action in actions:
        cell = np.clip(cell + np.asarray(row.MOVES)[action], 0, row.SIZE - 1)
        visited.append(cell)

    def covered(cells):
        near = [(i, j) for i, j in np.ndindex(row.SIZE, row.SIZE) for c in cells if max(abs(i - c[0]), abs(j - c[1])) <= 1]
        return sum(weight[i, j] for i, j in set(near))

    start = np.asarray(row.START)
    expected = covered([start, *visited]) - covered([start])
    gain = jax.jit(row.gains)(weight, actions)
    assert float(gain) == pytest.approx(expected, abs=1e-5)
    assert float(jax.jit(row.best_walk)(weight)) >= max(float(gain), float(jax.jit(row.greedy_walk)(weight))) - 1e-6


def test_estimators_of_gradient_and_hessian_are_unbiased():
    from experiments.rows import s022_momentum as row

    transition = np.array([[[0.7, 0.3], [0.2, 0.8]], [[0.5, 0.5], [0.9, 0.1]]])  # of state and action
    cost, horizon = jnp.array([[1.0, -2.0], [0.5, 3.0]]), 3
    params = jnp.array([[0.3, -0.2], [0.1, 0.4]])

    def log_probability(params, trajectory):
        return jax.nn.log_softmax(params)[trajectory.states, trajectory.actions]

    walks = np.array(list(itertools.product(range(2), repeat=2 * horizon)))
    states, actions = walks[:, :horizon], walks[:, horizon:]
    chance = (states[:, 0] == 0).astype(float)
    for t in range(horizon - 1):
        chance = chance * transition[states[:, t], actions[:, t], states[:, t + 1]]
    walks = row.Trajectory(jnp.asarray(states), jnp.asarray(actions), cost[states, actions])

    def probabilities(params):
        return jnp.asarray(chance) * jnp.exp(jax.vmap(log_probability, (None, 0))(params, walks).sum(-1))

    def expected(params):
        return jnp.sum(probabilities(params) * (walks.costs @ row.DISCOUNT ** jnp.arange(horizon)))

    v = jnp.array([[1.0, 0.5], [-0.3, 0.2]])
    weigh = lambda found: jnp.tensordot(probabilities(params), found, 1)  # noqa: E731
    slope = jax.vmap(partial(row.gradient, log_probability, params))(walks)
    product = jax.vmap(lambda one: row.hessian_product(log_probability, params, one, v))(walks)
    np.testing.assert_allclose(weigh(slope), jax.grad(expected)(params), atol=1e-5)
    np.testing.assert_allclose(weigh(product), jax.jvp(jax.grad(expected), (params,), (v,))[1], atol=1e-5)


def test_transported_momentum_of_a_quadratic_is_its_gradient():
    from experiments.rows import s022_momentum as row

    curvature = jnp.diag(jnp.array([1.0, 3.0]))
    params, optimiser = jnp.array([2.0, -1.0]), row.normalised_momentum(0.5, 0.8)
    state = optimiser.init(params)
    for t in range(4):
        at = row.transported(state, params, 0.8)
        updates, state = optimiser.update(curvature @ at, state, params)
        np.testing.assert_allclose(state.direction, curvature @ params, rtol=1e-4)
        np.testing.assert_allclose(jnp.linalg.norm(updates), 0.5 / (t + 2), rtol=1e-5)
        params = params + updates


def test_expected_cost_of_the_regulator_is_the_mean_of_sampled_costs():
    from experiments.rows import s022_momentum as row

    gain = jnp.array([[0.4, 0.1]])
    costs = jax.vmap(row.sample, (0, None))(jax.random.split(jax.random.key(0), 20_000), gain).costs
    sampled = (costs @ row.DISCOUNT ** jnp.arange(row.HORIZON)).mean()
    assert float(row.expected_cost(gain)) == pytest.approx(float(sampled), abs=0.15)
    assert row.optimal_cost() < row.expected_cost(gain)
