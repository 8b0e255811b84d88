"""Tabular multi-objective algorithms against slow oracles, exact fronts and their own guarantees."""

from functools import partial
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

import jaxrl
from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.multi_objective.fronts import convex_coverage_set, front
from jaxrl.environments.spaces import Discrete, MultiDiscrete
from jaxrl.environments.transforms import time_limit
from jaxrl.morl import pareto, tabular
from jaxrl.morl.tabular.corner_weights import corner_weights, upper_bound
from jaxrl.morl.tabular.ipro import achievement, divide_and_conquer
from jaxrl.morl.tabular.model import Model, num_states, state_index
from jaxrl.morl.tabular.planning import model_expectation, value_iteration
from jaxrl.morl.tabular.return_sets import bounded, plan

pytestmark = pytest.mark.quick_compilation

CONVEX, CONCAVE = "mo/deep-sea-treasure", "mo/deep-sea-treasure-concave"
NUM_STATES, NUM_ACTIONS, HORIZON = 7, 3, 5


def by_first(points):
    points = np.asarray(points, np.float64)
    return points[np.argsort(points[:, 0], kind="stable")]


def found_by(result):
    return by_first(result.points[result.mask])


def random_model(seed, num_objectives):
    generator = np.random.default_rng(seed)
    shape = NUM_STATES, NUM_ACTIONS
    reward = generator.integers(-3, 4, (*shape, num_objectives)).astype(np.float32)
    tables = generator.integers(NUM_STATES, size=shape, dtype=np.int32), reward, generator.random(shape) < 0.2
    return Model(*map(jnp.asarray, tables), jnp.int32(2), 0)


def all_returns(model, discount):
    """The returns of every sequence of actions, one by one."""
    successor, reward, terminated = map(np.asarray, model[:3])

    def after(state, steps):
        if steps == 0:
            return [np.zeros(reward.shape[-1])]
        returns = []
        for action in range(NUM_ACTIONS):
            ended = terminated[state, action]
            follows = after(successor[state, action], 0 if ended else steps - 1)
            returns += [reward[state, action] + discount * value for value in follows]
        return returns

    return np.array(after(int(model.start), HORIZON))


def brute_front(points):
    points = np.unique(np.round(points, 5), axis=0)
    return np.array([p for p in points if not any(np.all(q >= p) and np.any(q > p) for q in points)])


def rounded(points, mask):
    return {tuple(point) for point in np.round(np.asarray(points, np.float64)[mask], 2).tolist()}


def exact_set(name):
    return rounded(front(name, 1.0), ...)


def sweep(algorithm, **leaves):
    """One compiled program over equally long lists of hyperparameters, and a function that picks one run."""

    def run(values):
        return algorithm.run(jax.random.key(0), algorithm.hyperparameters._replace(**values))

    results = jax.jit(jax.vmap(run))({name: jnp.asarray(values) for name, values in leaves.items()})
    return lambda index: jax.tree.map(lambda leaf: leaf[index], results)


def execute_all(algorithm, result, indices, hyperparameters):
    execute = jax.jit(jax.vmap(algorithm.execute, (None, None, 0, None)))
    return execute(jax.random.key(1), result, indices, hyperparameters)


compiled_plan = jax.jit(plan, static_argnums=(2, 3))


@pytest.fixture(scope="module")
def concave():
    return jaxrl.make(CONCAVE)


def one_way(spec_changes=None, noise=0.0):
    """A walk of three states, to be taken or left; with noise, leaving may fail."""
    spec = EnvironmentSpec("test/walk", Discrete(4), Discrete(2), 2, reference_point=(-9.0, -9.0), **spec_changes or {})

    def step(key, state, action, params):
        moved = jnp.where(jax.random.uniform(key) < params, 0, 1)
        state = state + moved
        leave = action == 1
        reward = jnp.where(leave, jnp.stack([1.0 * state, 0.0]), jnp.array([0.0, -1.0]))
        return state, Timestep(state, reward, leave | (state == 3), jnp.array(False), {})

    reset = lambda key, params: (jnp.int32(0), jnp.int32(0))  # noqa: E731
    return time_limit(Environment(reset, step, jnp.float32(noise), spec), 9)


@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_dynamic_programme_over_sets_is_every_sequence_of_actions(discount):
    for seed in range(3):
        model = random_model(seed, 2)
        planned = compiled_plan(model, jnp.float32(discount), 40, HORIZON)
        expected = brute_front(all_returns(model, discount))
        assert planned.evicted == 0
        np.testing.assert_allclose(by_first(planned.points[planned.mask]), expected, atol=1e-4)


def test_full_sets_count_what_they_drop():
    points = jnp.asarray([[0.0, 4.0], [1.0, 3.0], [1.1, 2.9], [4.0, 0.0], [0.5, 0.5]])
    held, mask, evicted = jax.jit(bounded, static_argnums=2)(points, jnp.ones(5, bool), 3)
    assert mask.sum() == 3 and evicted == 1
    assert np.asarray(held).min(axis=0).tolist() == [0.0, 0.0], "the extremes went first"
    planned = compiled_plan(random_model(0, 3), jnp.float32(1.0), 2, HORIZON)
    assert planned.evicted > 0


def test_value_iteration_is_the_best_sequence_and_its_actions_give_it():
    def solve(model, weights):
        return value_iteration(model_expectation(model), model.reward, weights, jnp.float32(0.9), HORIZON)

    solve = jax.jit(solve)
    for seed, weights in enumerate([[0.3, 0.7], [1.0, 0.0], [0.0, 1.0]]):
        model = random_model(seed, 2)
        values, actions = solve(model, jnp.asarray(weights))
        returns = all_returns(model, 0.9)
        best = (returns @ weights).max()
        np.testing.assert_allclose(values[model.start] @ jnp.asarray(weights), best, atol=1e-4)
        tied = returns[returns @ weights > best - 1e-5]
        np.testing.assert_allclose(values[model.start].sum(), tied.sum(axis=1).max(), atol=1e-4)
        state, total = int(model.start), np.zeros(2)
        for step in range(HORIZON):
            action = int(actions[step, state])
            total += 0.9**step * np.asarray(model.reward[state, action])
            if model.terminated[state, action]:
                break
            state = int(model.successor[state, action])
        np.testing.assert_allclose(total, values[model.start], atol=1e-4)


def brute_corners(points):
    """Vertices of {(w, v): v ≥ w·p} over the simplex by solving every choice of tight constraints."""
    count, width = points.shape
    rows = [np.append(p, -1.0) for p in points] + [np.append(e, 0.0) for e in np.eye(width)]
    corners = []
    for chosen in combinations(range(len(rows)), width):
        matrix = np.stack([*(rows[i] for i in chosen), np.append(np.ones(width), 0.0)])
        if min(chosen) >= count or abs(np.linalg.det(matrix)) < 1e-9:
            continue
        solution = np.linalg.solve(matrix, np.append(np.zeros(width), 1.0))
        weights = solution[:width]
        if weights.min() > -1e-9 and (points @ weights).max() < solution[width] + 1e-9 and weights.max() < 1 - 1e-9:
            corners.append(weights)
    return np.unique(np.round(corners, 4), axis=0)


@pytest.mark.parametrize("width", [2, 3])
def test_corner_weights_are_the_vertices_of_the_upper_surface(width):
    compiled, total = jax.jit(corner_weights), 0
    for seed in range(6):
        points = np.random.default_rng(seed).normal(size=(6, width)).astype(np.float32)
        mask = np.array([True, True, True, True, True, False])
        weights, valid = compiled(points, mask)
        found = np.unique(np.round(np.asarray(weights)[np.asarray(valid)], 4) + 0.0, axis=0)
        expected = brute_corners(points[mask].astype(np.float64))
        total += len(expected)
        np.testing.assert_allclose(found, expected.reshape(-1, width), atol=2e-4)
    assert total > width


@pytest.mark.parametrize("width", [2, 3])
def test_upper_bound_is_the_linear_programme(width):
    generator = np.random.default_rng(width)
    points = np.abs(generator.normal(size=(9, width)))
    # On a sphere every point is the best for some weights.
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    known = np.concatenate([np.eye(width), generator.dirichlet(np.ones(width), 4)])
    values = (known @ points.T).max(axis=1)
    mask = np.arange(len(known)) < len(known) - 1
    wanted = generator.dirichlet(np.ones(width), 5)
    bounds = jax.jit(upper_bound)(
        *(jnp.asarray(array, jnp.float32) for array in (wanted, known, values)), jnp.asarray(mask)
    )
    for weights, bound in zip(wanted, bounds):
        solved = linprog(-weights, A_ub=known[mask], b_ub=values[mask], bounds=[(None, None)] * width)
        np.testing.assert_allclose(bound, -solved.fun, atol=1e-4)
        assert bound >= (points @ weights).max() - 1e-4


@pytest.fixture(scope="module", params=[pytest.param(CONVEX, marks=pytest.mark.slow), CONCAVE])
def supported(request):
    algorithm = tabular.optimistic_linear_support(jaxrl.make(request.param))
    swept = sweep(algorithm, discount=[1.0, 0.99, 1.0, 1.0], tolerance=[0.0, 0.0, 0.3, 2.0])
    return request.param, algorithm, swept


def test_linear_support_finds_the_convex_coverage_set(supported):
    name, algorithm, swept = supported
    for run, discount in enumerate([1.0, 0.99]):
        result = swept(run)
        np.testing.assert_allclose(found_by(result), convex_coverage_set(front(name, discount)), rtol=1e-5)
        gaps = np.asarray(result.diagnostics["gap"])[1:]
        assert gaps[-1] == 0.0 and np.asarray(result.steps)[-1] > 0
        assert np.all(np.diff(gaps) <= 1e-4) and gaps[0] > 1.0
    index, hyperparameters = int(np.argmax(result.points[:, 0])), algorithm.hyperparameters
    hyperparameters = hyperparameters._replace(discount=jnp.float32(0.99))
    episode = algorithm.execute(jax.random.key(1), result, index, hyperparameters)
    np.testing.assert_allclose(episode.discounted_returns, result.points[index], rtol=1e-5)


def test_linear_support_stops_within_its_tolerance(supported):
    name, _, swept = supported
    first = np.linspace(0, 1, 501)
    weights = np.stack([first, 1 - first], axis=1)
    exact = (weights @ front(name, 1.0).T).max(axis=1)
    queries = []
    for run, tolerance in ((0, 0.0), (2, 0.3), (3, 2.0)):
        result = swept(run)
        gap = result.diagnostics["gap"][-1]
        loss = (exact - (weights @ found_by(result).T).max(axis=1)).max()
        assert loss <= gap + 1e-4 and gap <= tolerance
        queries.append(int(result.diagnostics["queries"][-1]))
    # The coverage set of the concave map is known after its two extremes and one corner.
    assert queries[0] > queries[1] > queries[2] or queries == [3, 3, 3]


def test_linear_support_of_three_objectives():
    algorithm = tabular.optimistic_linear_support(tree(), tabular.OLSConfig(max_queries=24))
    result = jax.jit(algorithm.run)(jax.random.key(0), algorithm.hyperparameters)
    assert result.diagnostics["gap"][-1] == 0.0 and result.diagnostics["queries"][-1] < 24
    np.testing.assert_allclose(found_by(result), convex_coverage_set(tree_leaves()), rtol=1e-5)


def tree_leaves():
    return np.random.default_rng(4).integers(0, 9, (8, 3)).astype(np.float64)


def tree():
    """A binary tree of depth 3 whose leaves hold three objectives."""
    leaves = jnp.asarray(tree_leaves(), jnp.float32)
    spec = EnvironmentSpec("test/tree", Discrete(16), Discrete(2), 3, reference_point=(-1.0,) * 3)

    def step(key, state, action, params):
        state = 2 * state + action
        ended = state >= 8
        return state, Timestep(state, jnp.where(ended, leaves[state % 8], 0.0), ended, jnp.array(False), {})

    return time_limit(Environment(lambda key, params: (jnp.int32(1), jnp.int32(1)), step, (), spec), 5)


def test_linear_support_over_q_learning():
    config = tabular.OLSConfig(solver="q_learning", max_queries=6, total_steps=6 * 8100)
    algorithm = tabular.optimistic_linear_support(jaxrl.make(CONVEX), config)
    result = jax.jit(algorithm.run)(jax.random.key(0), algorithm.hyperparameters)
    assert len(exact_set(CONVEX) & rounded(result.points, result.mask)) >= 3
    steps = np.asarray(result.steps)
    assert np.all(np.diff(steps) > 8000) and steps[-1] <= 6 * 8100


@pytest.fixture(scope="module", params=[pytest.param(CONVEX, marks=pytest.mark.slow), CONCAVE])
def referents(request):
    algorithm = tabular.ipro_2d(jaxrl.make(request.param))
    swept = sweep(algorithm, discount=[1.0, 0.99, 1.0, 1.0], tolerance=[0.0, 0.0, 1.5, 5.0])
    return request.param, algorithm, swept


def test_referents_find_the_whole_front_and_close_the_gap(referents):
    name, algorithm, swept = referents
    for run, discount in enumerate([1.0, 0.99]):
        result = swept(run)
        np.testing.assert_allclose(found_by(result), front(name, discount), rtol=1e-5)
        assert result.diagnostics["gap"][-1] == 0.0 and not result.diagnostics["evicted"].any()
    hyperparameters = algorithm.hyperparameters._replace(discount=jnp.float32(0.99))
    found = jnp.flatnonzero(result.mask)
    episodes = execute_all(algorithm, result, found, hyperparameters)
    np.testing.assert_allclose(episodes.discounted_returns, result.points[found], rtol=1e-5)


def test_referents_stop_within_their_tolerance(referents):
    name, _, swept = referents
    exact, queries = front(name, 1.0).astype(np.float32), []
    for run, tolerance in ((0, 0.0), (2, 1.5), (3, 5.0)):
        result = swept(run)
        gap = result.diagnostics["gap"][-1]
        assert pareto.additive_epsilon(result.points, exact, result.mask) <= gap <= tolerance
        queries.append(int(result.diagnostics["queries"][-1]))
    assert queries[0] > queries[1] > queries[2]


def test_divide_and_conquer_on_random_fronts():
    search = jax.jit(
        lambda points, mask: divide_and_conquer(
            lambda referent: achievement(points, mask, referent, jnp.ones(2)),
            points[jnp.argmax(jnp.where(mask, points[:, 0], -jnp.inf))],
            points[jnp.argmax(jnp.where(mask, points[:, 1], -jnp.inf))],
            jnp.ones(2),
            jnp.float32(0.0),
            40,
        )
    )
    for seed in range(5):
        points = np.random.default_rng(seed).normal(size=(37, 2)).astype(np.float32)
        mask = np.asarray(pareto.non_dominated(points))
        result = search(points, mask)
        np.testing.assert_array_equal(by_first(result.points[result.found]), by_first(points[mask]))
        assert result.gap == 0.0


@pytest.fixture(scope="module")
def learned():
    """Pareto Q-learning on both maps at once: the map is a traced parameter."""
    environments = [jaxrl.make(name) for name in (CONVEX, CONCAVE)]
    config = tabular.ParetoQLearningConfig(total_steps=60_000, num_evaluations=4, capacity=11)
    algorithm = tabular.pareto_q_learning(environments[0], config)
    maps = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(environment.params for environment in environments))
    hyperparameters = algorithm.hyperparameters
    axes = jax.tree.map(lambda leaf: None, hyperparameters)._replace(environment=jax.tree.map(lambda leaf: 0, maps))
    keys = jax.random.split(jax.random.key(0), 2)
    return algorithm, jax.jit(jax.vmap(algorithm.run, (0, axes)))(keys, hyperparameters._replace(environment=maps))


@pytest.mark.slow  # 60,000 steps on two maps; smaller ones are learnt below.
@pytest.mark.parametrize(("row", "name", "volume"), [(0, CONVEX, 994.3), (1, CONCAVE, 4255.0)])
def test_pareto_q_learning_finds_the_whole_front(learned, row, name, volume):
    algorithm, results = learned
    result = jax.tree.map(lambda leaf: leaf[row], results)
    assert not result.diagnostics["evicted"].any()
    np.testing.assert_allclose(found_by(result), front(name, 1.0), rtol=1e-6)
    np.testing.assert_allclose(result.hypervolume[-1], volume, rtol=1e-5)
    assert result.hypervolume[0] < volume
    assert result.steps.tolist() == [15_000, 30_000, 45_000, 60_000]
    hyperparameters = algorithm.hyperparameters._replace(environment=jaxrl.make(name).params)
    found = jnp.flatnonzero(result.mask)
    episodes = execute_all(algorithm, result, found, hyperparameters)
    np.testing.assert_allclose(episodes.returns, result.points[result.mask], rtol=1e-6)
    np.testing.assert_array_equal(episodes.length, -episodes.returns[:, 1])


@pytest.mark.parametrize("selection", [pytest.param("cardinality", marks=pytest.mark.slow), "pareto"])
def test_other_selections_learn_a_front(selection):
    config = tabular.ParetoQLearningConfig(2000, 2, 9, selection)
    algorithm = tabular.pareto_q_learning(tree(), config)
    result = jax.jit(algorithm.run)(jax.random.key(0), algorithm.hyperparameters)
    np.testing.assert_allclose(found_by(result), by_first(brute_front(tree_leaves())), rtol=1e-6)
    assert result.diagnostics["visited"][-1] == 14 and np.isfinite(result.hypervolume[-1])


def test_small_sets_report_their_evictions(concave):
    algorithm = tabular.pareto_q_learning(concave, tabular.ParetoQLearningConfig(4000, 1, 2))
    result = jax.jit(algorithm.run)(jax.random.key(0), algorithm.hyperparameters)
    assert result.diagnostics["evicted"][-1] > 0


@pytest.mark.parametrize(
    ("scalarisation", "least"), [pytest.param("linear", 5, marks=pytest.mark.slow), ("chebyshev", 2)]
)
def test_q_learning_over_weights(scalarisation, least):
    config = tabular.QLearningConfig(16_000, 4, 5, scalarisation)
    algorithm = tabular.q_learning(jaxrl.make(CONVEX), config)
    first = jnp.linspace(0.0, 1.0, 17)
    run = jax.vmap(lambda key, weights: algorithm.run(key, algorithm.hyperparameters._replace(weights=weights)))
    result = jax.jit(run)(jax.random.split(jax.random.key(0), 17), jnp.stack([first, 1.0 - first], axis=-1))
    assert len(exact_set(CONVEX) & rounded(result.points, result.mask)) >= least
    one = jax.tree.map(lambda leaf: leaf[8], result)
    episode = algorithm.execute(jax.random.key(1), one, 0, algorithm.hyperparameters)
    np.testing.assert_allclose(episode.discounted_returns, one.points[0], rtol=1e-6)
    evaluation = np.asarray(result.diagnostics["evaluation_steps"])[:, -1]
    assert np.all(evaluation >= 4)
    np.testing.assert_array_equal(result.steps[:, -1], 16_000 + evaluation)


def test_exploration_without_preferences_then_chebyshev_mixtures(concave):
    config = tabular.ChebyshevExplorationConfig(240 * 25, num_rounds=100, num_preferences=5, num_evaluations=2)
    algorithm = tabular.chebyshev_exploration(time_limit(concave, 25), config)
    hyperparameters = algorithm.hyperparameters
    result = jax.jit(algorithm.run)(jax.random.key(0), hyperparameters)
    value, gap = result.state.mixtures.value, np.asarray(result.state.mixtures.gap)
    assert result.diagnostics["gap"][-1] == gap.max()
    assert np.all(gap > -1e-5) and np.all(gap < 0.05)
    # On a concave front the best mixture lies on the chord between the extremes, (1, -1) and (124, -19).
    share = np.asarray(hyperparameters.preferences[:, 0])
    first, second = (result.points - jnp.array([1.0, -19.0])).T / jnp.array([[123.0], [18.0]])
    np.testing.assert_allclose(first + second, 1.0, atol=1e-3)
    np.testing.assert_allclose(value, share * (1.0 - share), atol=0.05)
    np.testing.assert_allclose(first, share, atol=0.1)
    # Every episode ends at the horizon at the latest: steps are counted, not assumed.
    assert 0 < result.steps[0] < result.steps[1] <= 240 * 25
    keys = jax.random.split(jax.random.key(1), 300)
    episodes = jax.jit(jax.vmap(algorithm.execute, (0, None, None, None)))(keys, result, 2, hyperparameters)
    error = 4 * np.std(episodes.returns, axis=0) / np.sqrt(300)
    assert np.all(np.abs(np.mean(episodes.returns, axis=0) - result.points[2]) < error + 1e-3)


def test_observations_are_numbered_row_by_row():
    space = MultiDiscrete((3, 5, 2))
    observations = np.stack(np.unravel_index(np.arange(30), (3, 5, 2)), axis=1)
    assert state_index(space)(jnp.asarray(observations)).tolist() == list(range(30)) and num_states(space) == 30
    assert state_index(Discrete(4))(jnp.int32(3)) == 3 and num_states(Discrete(4)) == 4


def test_every_table_entry_of_a_treasure_map(concave):
    model = tabular.tabulate(concave)
    reached = ~np.asarray(model.terminated).all(axis=1)
    step = jax.jit(jax.vmap(jax.vmap(concave.step, (None, None, 0, None)), (None, 0, None, None)))
    rows, columns = np.divmod(np.flatnonzero(reached), 11)
    start = concave.reset(jax.random.key(0), concave.params)[0]
    positions = jnp.asarray(np.stack([rows, columns], axis=1), jnp.int32)
    states = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(rows), *leaf.shape)), start)
    states = states._replace(inner=states.inner._replace(position=positions))
    _, timestep = step(jax.random.key(0), states, jnp.arange(4), concave.params)
    assert model.start == 0 and model.num_steps == reached.sum() * 4 * 32
    np.testing.assert_array_equal(timestep.reward, model.reward[reached])
    np.testing.assert_array_equal(timestep.terminated, model.terminated[reached])
    np.testing.assert_array_equal(timestep.observation @ np.array([11, 1]), model.successor[reached])


BUILDERS = {
    "pareto_q_learning": (tabular.pareto_q_learning, tabular.ParetoQLearningConfig),
    "optimistic_linear_support": (tabular.optimistic_linear_support, tabular.OLSConfig),
    "ipro_2d": (tabular.ipro_2d, tabular.IPROConfig),
    "chebyshev_exploration": (tabular.chebyshev_exploration, tabular.ChebyshevExplorationConfig),
    "q_learning": (tabular.q_learning, tabular.QLearningConfig),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_environments_that_do_not_fit_are_named(name):
    build, config = BUILDERS[name]
    with pytest.raises(ValueError, match=rf"{name}.* needs .*objectives, gymnax/CartPole-v1 has 1"):
        build(jaxrl.make("gymnax/CartPole-v1"))
    with pytest.raises(ValueError, match=rf"{name}.* mo/minecart has"):
        build(jaxrl.make("mo/minecart")) if name != "ipro_2d" else build(two(jaxrl.make("mo/minecart")))
    with pytest.raises(ValueError, match="121 observations, more than max_states=7"):
        build(jaxrl.make(CONVEX), config(max_states=7))


def two(environment):
    from dataclasses import replace

    changes = {"num_objectives": 2, "objective_names": (), "reference_point": None}
    return environment._replace(spec=replace(environment.spec, **changes))


def test_what_an_algorithm_cannot_do_is_named():
    fruit = jaxrl.make("mo/fruit-tree")
    with pytest.raises(ValueError, match="ipro_2d needs 2 objectives, mo/fruit-tree has 6"):
        tabular.ipro_2d(fruit)
    with pytest.raises(ValueError, match="optimistic_linear_support needs 2 to 3 objectives, mo/fruit-tree has 6"):
        tabular.optimistic_linear_support(fruit)
    with pytest.raises(ValueError, match="hypervolume' needs 2 to 3 objectives, mo/fruit-tree has 6"):
        tabular.pareto_q_learning(fruit)
    tabular.pareto_q_learning(fruit, tabular.ParetoQLearningConfig(selection="pareto"))
    with pytest.raises(ValueError, match="cardinality"):
        tabular.pareto_q_learning(fruit, tabular.ParetoQLearningConfig(selection="cardinalty"))
    with pytest.raises(ValueError, match="test/walk is random"):
        tabular.ipro_2d(one_way(noise=0.5))
    with pytest.raises(ValueError, match="total_steps of at least 25 for one in each iteration, got 24"):
        tabular.q_learning(fruit, tabular.QLearningConfig(24))
    with pytest.raises(
        ValueError, match="total_steps of at least 45 for an episode of 9 steps in each of 5 iterations"
    ):
        tabular.chebyshev_exploration(one_way(), tabular.ChebyshevExplorationConfig(44))
    with pytest.raises(ValueError, match="total_steps of at least 192 to fill its tables, got 191"):
        tabular.ipro_2d(one_way(), tabular.IPROConfig(total_steps=191))
    with pytest.raises(ValueError, match="total_steps of at least 320 for 32 queries"):
        tabular.optimistic_linear_support(one_way(), tabular.OLSConfig("q_learning", total_steps=319))
    continuous = jaxrl.Environment(*one_way()[:3], one_way({"time_limit": None}).spec)
    bare = continuous._replace(spec=EnvironmentSpec("test/walk", Discrete(4), Discrete(2), 2))
    with pytest.raises(ValueError, match="q_learning needs a time limit, test/walk has none"):
        tabular.q_learning(bare)


def test_states_that_look_alike_are_refused():
    walk = one_way()
    blind = walk._replace(step=partial(blinded, walk.step))
    with pytest.raises(ValueError, match="two different states look alike"):
        tabular.tabulate(blind)


def blinded(step, key, state, action, params):
    state, timestep = step(key, state, action, params)
    return state, timestep._replace(observation=0 * timestep.observation)
