"""Exact fronts against enumeration, closed forms, each other and what is published."""

from dataclasses import replace
from itertools import product

import jax
import jax.numpy as jnp
import mo_gymnasium
import numpy as np
import pytest

from jaxrl.environments import Box, make
from jaxrl.environments.multi_objective import fronts
from jaxrl.environments.multi_objective.fronts.collecting import collecting_front, tabulate_maze
from jaxrl.environments.multi_objective.fronts.hull import non_dominated_points
from jaxrl.environments.multi_objective.fronts.minecart_plans import replay

pytestmark = pytest.mark.quick_compilation

SMALL_MAZE = ("_ 2 1", "X3X  ", "2   X", "  G1 ")


def random_model(seed, num_objectives):
    """Four states, two actions, up to two successors; some actions terminate, surely or by chance."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(3), (4, 2))[..., :2]
    probabilities[0, 0] = 1.0, 0.0
    probabilities[3, 1] = 0.0
    order = np.argsort(-probabilities, axis=-1)
    successors = np.stack([generator.permutation(4)[:2] for _ in range(8)]).reshape(4, 2, 2).astype(np.int32)
    rewards = generator.normal(size=(4, 2, num_objectives))
    return fronts.FiniteModel(rewards, np.take_along_axis(probabilities, order, -1), successors)


def every_return(model, discount, horizon, state=0):
    """Of all policies that may depend on the states seen, without any pruning."""
    if horizon == 0:
        return [np.zeros(model.rewards.shape[-1])]
    found = []
    for reward, chances, following in zip(model.rewards[state], model.probabilities[state], model.successors[state]):
        parts = [every_return(model, discount, horizon - 1, then) for then in following]
        parts = [part if chance > 0 else part[:1] for part, chance in zip(parts, chances)]
        found += [reward + discount * (chances[0] * u + chances[1] * v) for u, v in product(*parts)]
    return found


@pytest.mark.parametrize("num_objectives", [2, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_value_sets_are_those_of_every_policy(seed, num_objectives):
    model = random_model(seed, num_objectives)
    for discount in (1.0, 0.8):
        expected = non_dominated_points(np.array(every_return(model, discount, 3)))
        found = fronts.pareto_set(model, discount, 3, capacity=96)
        np.testing.assert_allclose(found, expected, atol=1e-12)
        assert len(found) > 1
        solver = fronts.weighted_solver(model, discount, 3)
        by_weights = fronts.optimistic_linear_support(solver, num_objectives)
        np.testing.assert_allclose(by_weights, fronts.convex_coverage_set(expected), atol=1e-9)


@pytest.mark.parametrize("num_objectives", [2, 3, 4])
def test_linear_support_finds_the_coverage_set(num_objectives):
    points = np.random.default_rng(num_objectives).normal(size=(61, num_objectives))
    found = fronts.optimistic_linear_support(
        lambda weights: points[(weights @ points.T).argmax(axis=1)], num_objectives
    )
    np.testing.assert_array_equal(found, fronts.convex_coverage_set(points))


@pytest.mark.parametrize(
    ("discount", "expected"),
    [
        (1.0, [[0, 1, 1]]),
        (0.99, [[0, 0, 0.99**9], [0, 0.99**17, 0.99**17], [0, 0.99**11, 0]]),
        (
            0.9,
            [
                [-(0.1 * 0.9**2 + 0.09 * 0.9**4), 0.81 * 0.9**7, 0],
                [-(0.1 * 0.9**6 + 0.09 * 0.9**8), 0.81 * 0.9**11, 0.81 * 0.9**11],
                [-0.1 * 0.9**6, 0.9 * 0.9**13, 0.9 * 0.9**13],
                [-0.1 * 0.9**6, 0.9 * 0.9**9, 0],
                [0, 0, 0.9**9],
                [0, 0.9**11, 0],
            ],
        ),
    ],
)
def test_coverage_sets_of_resource_gathering(discount, expected):
    expected = np.array(expected, np.float64)
    found = fronts.coverage_set("resource-gathering", discount)
    np.testing.assert_allclose(found, expected[np.lexsort(expected.T[::-1])], atol=2e-7)
    np.testing.assert_allclose(found, fronts.convex_coverage_set(fronts.front("resource-gathering", discount)))


@pytest.mark.parametrize("discount", [1.0, 0.99, 0.9])
def test_published_front_of_resource_gathering_is_below_the_true_one(discount):
    front = fronts.front("resource-gathering", discount)
    published = np.array(mo_gymnasium.make("resource-gathering-v0").unwrapped.pareto_front(discount))
    better = np.all(front[:, None] >= published[None] - 1e-6, axis=-1)
    strictly = np.any(front[:, None] > published[None] + 1e-3, axis=-1)
    assert better.any(axis=0).all()
    # One step of delay may pay where death is what is delayed: one published point is on the front at 0.9.
    assert (better & strictly).any(axis=0).sum() == len(published) - (discount == 0.9)
    if discount == 0.9:
        # Every published point is one of the front's, discounted once too often.
        gap = np.abs(front[:, None] - published[None] / discount).max(axis=-1)
        assert gap.min(axis=0).max() < 1e-6
    # What is missing altogether: 18 steps that fetch both and meet no enemy.
    risk_free = [0.0, discount**17, discount**17]
    assert np.abs(front - risk_free).max(axis=1).min() < 1e-6
    assert np.abs(published / discount - risk_free).max(axis=1).min() > 0.01


def test_fishwood_trades_one_step_for_another():
    steps = np.arange(200)
    expected = np.stack([0.1 * steps, 0.9 * (200 - steps)], axis=1)
    np.testing.assert_allclose(fronts.front("fishwood", 1.0), expected, rtol=1e-6)
    total = (1 - 0.99**200) / 0.01
    np.testing.assert_allclose(
        fronts.coverage_set("fishwood", 0.99), [[0.0, 0.9 * total], [0.1 * (total - 1), 0.9]], rtol=1e-6
    )
    with pytest.raises(fronts.FrontTooLargeError, match="more than the capacity of 512"):
        fronts.front("fishwood", 0.99)


def test_breakable_bottles_trade_time_for_the_risk_of_a_drop():
    # With two at once, 6 + u steps: 4 to the store, 2 to pick up, u to come home from there, where
    # after a drop on the first tile one turns back, and after a later one delivers the other first:
    # u = 1 + 1 + 0.1 (3 + u) + 0.9 (1 + 0.1 · 10 + 0.9 (1 + 0.1 · 9)).
    u = (2 + 0.3 + 0.9 * (2 + 0.9 * 1.9)) / 0.9
    one_by_one, two_at_once = [-18.0, 50.0, 0.0], [-(6 + u), 50.0, -(1 - 0.9**3)]
    found = fronts.coverage_set("breakable-bottles", 1.0)
    np.testing.assert_allclose(found, [one_by_one, two_at_once], atol=1e-5)


@pytest.mark.parametrize(
    "discount", [0.6, *(pytest.param(discount, marks=pytest.mark.slow) for discount in (1.0, 0.9))]
)
def test_planning_over_subsets_equals_planning_over_states(discount):
    environment = make("mo/four-room", maze=SMALL_MAZE)
    expected = fronts.finite_front(environment, discount, capacity=64)
    found = collecting_front(tabulate_maze(environment.params), discount, environment.spec.time_limit)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert (len(found) > 3) == (discount < 1.0)


def test_planning_over_subsets_names_what_it_cannot_do():
    environment = make("mo/four-room", maze=SMALL_MAZE)
    model = tabulate_maze(environment.params)
    with pytest.raises(fronts.FrontTooLargeError, match="capacity of 16"):
        collecting_front(model, 0.9, 200, capacity=16)
    with pytest.raises(ValueError, match="the time limit is 11"):
        collecting_front(model, 1.0, 11)
    with pytest.raises(ValueError, match=r"got -0\.5"):
        tabulate_maze(environment.params._replace(goal_reward=jnp.array([1.0, -0.5, 0.0])))


def test_a_set_that_outgrows_its_capacity_is_an_error():
    environment = make("mo/fruit-tree", depth=5)
    assert len(fronts.finite_front(environment, 0.9, capacity=32)) == 32
    with pytest.raises(fronts.FrontTooLargeError, match="capacity of 31"):
        fronts.finite_front(environment, 0.9, capacity=31)


def test_environments_that_are_no_finite_model_say_why():
    gathering, treasure = make("mo/resource-gathering"), make("mo/deep-sea-treasure")
    with pytest.raises(ValueError, match="draws random numbers in step"):
        fronts.tabulate(gathering._replace(outcomes=None))
    with pytest.raises(ValueError, match="max_states=50"):
        fronts.tabulate(treasure, max_states=50)
    with pytest.raises(ValueError, match="needs a Discrete"):
        fronts.tabulate(treasure._replace(spec=replace(treasure.spec, action=Box(0.0, 1.0, (1,)))))
    with pytest.raises(ValueError, match="no time limit"):
        fronts.finite_front(treasure._replace(spec=replace(treasure.spec, time_limit=None)), 0.9)
    with pytest.raises(ValueError, match=r"\[0, 1\], got 1.5"):
        fronts.coverage_set("deep-sea-treasure", 1.5)

    def random_reset(key, params):
        state, observation = treasure.reset(key, params)
        row = jax.random.randint(key, (), 0, 2)
        return state._replace(inner=state.inner._replace(position=jnp.stack([row, row]))), observation

    with pytest.raises(ValueError, match="starts at random"):
        fronts.tabulate(treasure._replace(reset=random_reset))
    certain = gathering._replace(
        outcomes=lambda *inputs: gathering.outcomes(*inputs)._replace(probabilities=jnp.ones(2))
    )
    with pytest.raises(ValueError, match="do not sum to one"):
        fronts.tabulate(certain)


def test_parameters_change_the_front():
    environment = make("mo/resource-gathering")
    harmless = environment._replace(params=environment.params._replace(death_probability=jnp.zeros(2)))
    expected = [[0, 0, 0.9**9], [0, 0.9**11, 0.9**11], [0, 0.9**7, 0]]
    np.testing.assert_allclose(fronts.finite_front(harmless, 0.9), expected, atol=1e-6)


def test_minecart_plans_are_attained_in_the_peer_too():
    found = fronts.minecart_plans(0.98, depth=11, stops=4, capacity=2**13)
    peer = mo_gymnasium.make("minecart-deterministic-v0")
    for point, actions in zip(found.points, found.actions):
        peer.reset()
        steps = [peer.step(action) for action in actions]
        assert [step[2] for step in steps] == [False] * (len(actions) - 1) + [True]
        returns = sum(0.98**time * step[1] for time, step in enumerate(steps))
        np.testing.assert_allclose(returns, point, atol=1e-5)
    np.testing.assert_array_equal(non_dominated_points(found.points), found.points)
    published = np.array(peer.unwrapped.pareto_front(0.98))
    beaten = [bool(np.any(np.all(found.points >= point, axis=1))) for point in published]
    assert sum(beaten) >= 10
    # Driving out and home costs at least this much in every plan found, and less is published.
    assert found.points[:, 2].max() < -0.28 < published[:, 2].max()


def test_a_minecart_plan_must_end_at_home():
    with pytest.raises(ValueError, match="come home with its last action"):
        replay([[3, 5, 5]], 0.98)


@pytest.mark.slow
def test_front_of_the_four_rooms():
    assert fronts.front("four-room", 1.0).tolist() == [[5.0, 5.0, 5.0]]
    assert len(fronts.front("four-room", 0.99)) == 240
    assert len(fronts.coverage_set("four-room", 0.99)) == 48
