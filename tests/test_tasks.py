"""Families of tasks merged into one environment: who is paid, what is estimated, how gradients are combined."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest
from scipy.optimize import minimize

import jaxrl
from jaxrl import combination
from jaxrl.agents import Progress
from jaxrl.agents.on_policy_loss import loss
from jaxrl.agents.on_policy_update import prepare, scalarise
from jaxrl.agents.task_gradients import task_losses
from jaxrl.aggregation import ReturnSummary, make_aggregator, standardise
from jaxrl.environments import Box, Discrete, Environment, EnvironmentSpec, Timestep, check
from jaxrl.environments.tasks import paying
from jaxrl.errors import UnknownNameError
from jaxrl.multitask import make_family, merge, objectives_as_tasks
from jaxrl.multitask.families import family
from jaxrl.numerics.normalisation import init_statistics, normalise, standard_deviation, update_statistics
from jaxrl.runs.tables import as_text, evaluation_columns

pytestmark = pytest.mark.quick_compilation

SMALL = {"num_envs": 6, "num_steps": 40, "num_minibatches": 2, "hidden_sizes": (8,), "num_evaluations": 1}
POINTS = family("point-mass", num_groups=3, group_size=1, time_limit=7)


def trainer(**settings):
    return jaxrl.trainer("ppo", merge(POINTS), **{**SMALL, "total_steps": 960, **settings})


def sample(built, hp):
    parts = built.agent.update.args[0]
    state = built.init(jax.random.key(0), hp)
    run, rollout, summary = jax.jit(built.collect)(jax.random.key(1), state, hp)
    return parts, run, rollout, summary


def test_every_episode_pays_its_own_task_alone():
    merged = merge(POINTS)
    check(merged)
    params = merged.params._replace(probabilities=jnp.asarray([0.5, 0.0, 0.5]))
    state, observation = jax.vmap(merged.reset, in_axes=(0, None))(jax.random.split(jax.random.key(0), 64), params)
    assert set(np.asarray(state.task)) == {0, 2}
    np.testing.assert_array_equal(paying(merged.spec, observation), np.eye(3)[state.task])
    _, timestep = jax.vmap(merged.step, in_axes=(0, 0, None, None))(
        jax.random.split(jax.random.key(1), 64), state, jnp.ones(2), params
    )
    goals = np.asarray(POINTS.params.goal)[state.task]
    distance = np.linalg.norm(np.asarray(timestep.observation)[:, :2] - goals, axis=1)
    np.testing.assert_allclose(timestep.reward, -distance[:, None] * np.eye(3)[state.task], atol=1e-6)


def test_discrete_observations_name_their_task():
    grid = jaxrl.make("grid/tiny")
    levels = [jax.jit(grid.sample_params)(jax.random.key(i)) for i in range(2)]
    merged = merge(make_family(grid, levels))
    check(merged)
    _, observation = merged.reset(jax.random.key(0), merged.params._replace(probabilities=jnp.asarray([0.0, 1.0])))
    np.testing.assert_array_equal(paying(merged.spec, observation), [0.0, 1.0])
    built = jaxrl.trainer("ppo", merged, network="table", total_steps=480, **{**SMALL, "num_minibatches": 1})
    jax.jit(built.run)(jax.random.key(0), built.hyperparameters)


def test_values_and_advantages_of_other_tasks_are_zero():
    built = trainer()
    parts, run, rollout, _ = sample(built, built.hyperparameters)
    batch, _ = prepare(parts, run.agent, rollout, built.hyperparameters)
    own = np.asarray(batch.paying, bool)
    assert np.all(np.asarray(batch.advantage)[~own] == 0.0) and np.all(np.asarray(batch.value)[~own] == 0.0)
    assert np.all(np.asarray(batch.advantage)[own] != 0.0)


@pytest.mark.parametrize(
    "scalarise_at", ["after_estimation", "after_clipping", pytest.param("before_estimation", marks=pytest.mark.slow)]
)
def test_shares_of_tasks_add_up_to_the_loss(scalarise_at):
    built = trainer(scalarise=scalarise_at)
    hp, start = built.hyperparameters, Progress(jnp.zeros(()), jnp.ones(()))
    parts, run, rollout, _ = sample(built, hp)
    batch, _ = prepare(parts, run.agent, rollout, hp)
    batch = batch._replace(advantage=scalarise(parts, run.agent, batch, hp, start))
    arguments = (batch, rollout.memory, run.agent, hp, start)
    shares = jax.jacrev(lambda params: task_losses(parts, params, *arguments)[0])(run.agent.params)
    whole = jax.grad(lambda params: loss(parts, params, *arguments)[0])(run.agent.params)
    for share, one in zip(jax.tree.leaves(shares), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(share.sum(axis=0), one, atol=2e-6)
    assert float(jnp.abs(jax.tree.leaves(shares)[0]).max()) > 1e-4


def test_shares_of_objectives_add_up_to_the_loss():
    built = jaxrl.trainer("ppo", "mo/deep-sea-treasure", scalarise="after_clipping", total_steps=960, **SMALL)
    hp, start = built.hyperparameters, Progress(jnp.zeros(()), jnp.ones(()))
    parts, run, rollout, _ = sample(built, hp)
    batch, _ = prepare(parts, run.agent, rollout, hp)
    arguments = (batch, rollout.memory, run.agent, hp, start)
    total = loss(parts, run.agent.params, *arguments)[0]
    np.testing.assert_allclose(task_losses(parts, run.agent.params, *arguments)[0].sum(), total, rtol=1e-5)


def test_returns_are_counted_by_task():
    built = trainer()
    hp = built.hyperparameters
    hp = hp._replace(environment=hp.environment._replace(probabilities=jnp.asarray([0.3, 0.7, 0.0])))
    _, _, rollout, summary = sample(built, hp)
    reward, done, task = (
        np.asarray(rollout.reward).sum(axis=-1),
        np.asarray(rollout.truncated),
        np.asarray(rollout.observation)[..., -3:].argmax(axis=-1),
    )
    returns, counts = np.zeros(3), np.zeros(3)
    for env in range(reward.shape[1]):
        total = 0.0
        for time in range(reward.shape[0]):
            total += reward[time, env]
            if done[time, env]:
                returns[task[time, env]] += total
                counts[task[time, env]] += 1
                total = 0.0
    np.testing.assert_array_equal(summary.count, counts)
    np.testing.assert_allclose(summary.returns, returns / np.maximum(counts, 1), rtol=1e-5)
    metrics = jax.jit(built.learn)(built.init(jax.random.key(0), hp), hp, 0, 1)[1]
    assert np.isnan(metrics["episode_return"][2]) and not np.isnan(metrics["episode_return"][:2]).any()


def test_every_task_is_evaluated_by_itself():
    built = trainer(evaluation_episodes=5)
    hp = built.hyperparameters
    state = built.init(jax.random.key(0), hp).agent
    got = jax.jit(built.evaluate)(jax.random.key(1), state, hp)
    assert got.returns.shape == (3,) and bool(np.all(got.returns < 0.0))
    never = hp.environment._replace(probabilities=jnp.asarray([0.0, 1.0, 0.0]))
    again = jax.jit(built.evaluate)(jax.random.key(1), state, hp._replace(environment=never))
    np.testing.assert_array_equal(again.returns, got.returns)
    goals = hp.environment.tasks._replace(goal=hp.environment.tasks.goal.at[1].set(100.0))
    moved = jax.jit(built.evaluate)(
        jax.random.key(1), state, hp._replace(environment=hp.environment._replace(tasks=goals))
    )
    np.testing.assert_array_equal(np.asarray(moved.returns == got.returns), [True, False, True])


def test_success_is_any_step_of_an_episode_by_task():
    def reset(key, params):
        return jnp.zeros((), jnp.int32), jnp.zeros(1)

    def step(key, state, action, params):
        state = state + 1
        info = {"success": state == params}
        return state, Timestep(jnp.zeros(1), jnp.zeros(1), jnp.array(False), state >= 4, info)

    spec = EnvironmentSpec("brief-success", Box(-1.0, 1.0, (1,)), Discrete(2), time_limit=4)
    tasks = make_family(Environment(reset, step, jnp.asarray(2), spec), jnp.asarray([2, 9]), ("second", "never"))
    built = jaxrl.trainer("ppo", merge(tasks), **{**SMALL, "total_steps": 240})
    state = built.init(jax.random.key(0), built.hyperparameters).agent
    found = jax.jit(built.evaluate)(jax.random.key(1), state, built.hyperparameters)
    np.testing.assert_array_equal(found.success, [1.0, 0.0])
    columns = evaluation_columns(found, built.environment.spec)
    assert columns["success_second"] == [1.0] and columns["success_never"] == [0.0]
    silent = found._replace(success=jnp.full(2, jnp.nan))
    assert not any(name.startswith("success") for name in evaluation_columns(silent, built.environment.spec))


def test_wide_tables_are_printed_on_their_side():
    wide = pandas.DataFrame({f"column_{i}": [i + 0.123456, "name"] for i in range(13)})
    lines = as_text(wide).splitlines()
    assert len(lines) == 13 and lines[2].split() == ["column_2", "2.123", "name"]
    assert len(as_text(wide[["column_0", "column_1"]]).splitlines()) == 3


def test_multipliers_move_for_tasks_that_were_seen():
    aggregator = make_aggregator("lagrangian")
    parameters = {**aggregator.parameters(2), "thresholds": jnp.asarray([1.0, 1.0])}
    state = aggregator.init(2, parameters)
    zeros = jnp.zeros(2)
    summary = ReturnSummary(zeros, zeros, jnp.asarray(1.0), jnp.asarray([4.0, 0.0]))
    state = aggregator.update(state, summary, jnp.ones(2), parameters)
    assert float(state.values[0]) > 0.0 and float(state.values[1]) == 0.0


def test_standardised_over_those_that_pay():
    rng = np.random.default_rng(0)
    mask = rng.random((20, 3)) < 0.4
    values = np.where(mask, rng.normal(2.0, 5.0, (20, 3)), 0.0)
    got = standardise(jnp.asarray(values, jnp.float32), (0,), where=jnp.asarray(mask, jnp.float32))
    for column in range(3):
        own = values[mask[:, column], column]
        np.testing.assert_allclose(got[mask[:, column], column], (own - own.mean()) / own.std(), rtol=1e-4)
        assert np.all(np.asarray(got)[~mask[:, column], column] == 0.0)


def test_statistics_of_those_that_pay():
    rng = np.random.default_rng(0)
    statistics, seen = init_statistics((3,), count_each=True), [[], [], []]
    for _ in range(4):
        mask, values = rng.random((7, 3)) < 0.3, rng.normal(1.0, 2.0, (7, 3))
        statistics = update_statistics(statistics, jnp.asarray(values), jnp.asarray(mask, jnp.float32))
        for column in range(3):
            seen[column] += list(values[mask[:, column], column])
    np.testing.assert_allclose(statistics.mean, [np.mean(each) for each in seen], rtol=1e-5)
    np.testing.assert_allclose(standard_deviation(statistics), [np.std(each) for each in seen], rtol=1e-5)


def test_the_name_of_the_task_is_not_normalised():
    built = trainer(normalise_observations=True)
    result = jax.jit(built.run)(jax.random.key(0), built.hyperparameters)
    statistics = result.state.agent.observations
    assert statistics.mean.shape == (4,)
    observation = jnp.asarray([[5.0, 1.0, -3.0, 2.0, 0.0, 1.0, 0.0]])
    np.testing.assert_array_equal(normalise(statistics, observation)[:, 4:], observation[:, 4:])


def test_every_task_has_its_head():
    built = trainer(multi_head=True)
    parts, run, rollout, _ = sample(built, built.hyperparameters)
    network = parts.network

    def policy_of(task):
        own = rollout.observation[0, 0].at[-3:].set(jax.nn.one_hot(task, 3))
        act = lambda params: network.act(params, own, jnp.ones(3), (), jnp.zeros((), bool))[0]  # noqa: E731
        return act(run.agent.params), jax.jacrev(act)(run.agent.params)["actor_head"]["bias"]

    kept = [np.flatnonzero(np.abs(policy_of(task)[1]).sum(axis=0)) for task in range(3)]
    assert [list(each) for each in kept] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(ValueError, match="multi_head"):
        jaxrl.trainer("ppo", "gymnax/CartPole-v1", multi_head=True)


def gradients(count, size, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, size)) * np.exp(rng.normal(size=(count, 1))) + 0.3 * rng.normal(size=size)


def combine(name, rows, **changes):
    built = combination.COMBINATIONS[name]()
    parameters = {**built.parameters(), **{key: jnp.asarray(value) for key, value in changes.items()}}
    return np.asarray(built.combine(jax.random.key(3), jnp.asarray(rows, jnp.float32), parameters))


def test_projection_by_a_slow_loop():
    rows = gradients(4, 6)
    orders = [jax.random.permutation(key, 4) for key in jax.random.split(jax.random.key(3), 4)]
    expected = np.zeros(6)
    for own, order in enumerate(orders):
        changed = rows[own].copy()
        for other in np.asarray(order):
            if other != own and changed @ rows[other] < 0.0:
                changed -= changed @ rows[other] / (rows[other] @ rows[other]) * rows[other]
        expected += changed
    np.testing.assert_allclose(combine("pcgrad", rows), expected, rtol=1e-4, atol=1e-4)
    assert not np.allclose(expected, rows.sum(axis=0), atol=1e-2)
    agreeing = np.abs(rows)
    np.testing.assert_allclose(combine("pcgrad", agreeing), agreeing.sum(axis=0), rtol=1e-5)


def on_simplex(objective, count):
    starts = np.random.default_rng(0).dirichlet(np.ones(count), 3)
    found = [
        minimize(objective, start, bounds=[(0, 1)] * count, constraints={"type": "eq", "fun": lambda w: w.sum() - 1})
        for start in starts
    ]
    return min(found, key=lambda one: one.fun).x


@pytest.mark.parametrize(("count", "size"), [(2, 5), (3, 20), (8, 40)])
def test_conflict_averse_directions_by_a_general_solver(count, size):
    rows = gradients(count, size)
    mean = rows.mean(axis=0)
    root = 0.5 * np.linalg.norm(mean)
    weights = on_simplex(lambda w: (w @ rows) @ mean + root * np.linalg.norm(w @ rows), count)
    direction = mean + root / np.linalg.norm(weights @ rows) * (weights @ rows)
    got = combine("cagrad", rows, radius=0.5)
    np.testing.assert_allclose(got, count * direction, atol=2e-2 * np.abs(direction).max() * count)
    assert (rows @ got).min() >= (rows @ (count * direction)).min() - 1e-3 * np.abs(rows @ got).max()
    np.testing.assert_allclose(combine("cagrad", rows, radius=0.0), rows.sum(axis=0), rtol=1e-3, atol=1e-3)
    shortest = on_simplex(lambda w: 0.5 * np.sum((w @ rows) ** 2), count) @ rows
    got = combine("min_norm", rows) / count
    assert np.linalg.norm(got) <= np.linalg.norm(shortest) * 1.01
    assert (rows @ got).min() >= -0.02 * np.linalg.norm(rows, axis=1).max() * np.linalg.norm(got)


def test_normalised_average_gives_every_task_the_same_say():
    rows = np.array([[3.0, 0.0], [0.0, 0.001], [0.0, 0.0]])
    got = combine("normalised_average", rows)
    np.testing.assert_allclose(got / np.linalg.norm(got), np.sqrt([0.5, 0.5]), rtol=1e-5)


@pytest.mark.slow  # A learning run; directions are compared with slow loops.
@pytest.mark.parametrize("name", ["pcgrad", "cagrad"])
def test_contradicting_tasks_are_both_learnt(name):
    settings = {**SMALL, "num_steps": 35, "learning_rate": 1e-2, "total_steps": 40_000}
    built = jaxrl.trainer("ppo", merge(POINTS), combination=name, **settings)
    result = jax.jit(built.run)(jax.random.key(0), built.hyperparameters)
    before = jaxrl.trainer("ppo", merge(POINTS), **{**settings, "total_steps": 210})
    start = jax.jit(before.run)(jax.random.key(0), before.hyperparameters)
    assert bool(np.all(result.evaluation.returns[-1] > start.evaluation.returns[-1] + 0.5))


def test_objectives_become_tasks():
    treasure = objectives_as_tasks(jaxrl.make("mo/deep-sea-treasure"))
    assert treasure.num_tasks == 2
    merged = merge(treasure)
    check(merged)
    start, act = jax.random.key(0), jnp.asarray(1)
    state, _ = treasure.environment.reset(start, treasure.environment.params)
    plain = jaxrl.make("mo/deep-sea-treasure")
    rewards = plain.step(start, state, act, plain.params)[1].reward
    paid = jax.vmap(treasure.environment.step, (None, None, None, 0))(start, state, act, treasure.params)[1].reward
    np.testing.assert_array_equal(paid[:, 0], rewards)


def test_wrong_families_are_refused():
    with pytest.raises(ValueError, match="one objective"):
        make_family(jaxrl.make("mo/deep-sea-treasure"), [])
    with pytest.raises(ValueError, match="num_held_out"):
        make_family(POINTS.environment, POINTS.params, num_held_out=3)
    with pytest.raises(ValueError, match="held out"):
        _ = POINTS.held_out
    with pytest.raises(UnknownNameError, match="point-mass"):
        family("point-mas")
    with pytest.raises(ValueError, match="loss per task"):
        jaxrl.trainer("ppo", "gymnax/CartPole-v1", combination="pcgrad")
    assert family("point-mass", num_held_out=4).held_out.num_tasks == 4


def test_a_network_that_does_not_see_the_task_acts_alike_in_all():
    for seen in (True, False):
        built = trainer(observe_task=seen)
        state = built.init(jax.random.key(0), built.hyperparameters).agent
        own = jnp.concatenate([jnp.tile(jnp.asarray([0.3, -0.2, 0.1, 0.0]), (3, 1)), jnp.eye(3)], axis=1)
        action, _ = built.agent.act(jax.random.key(0), state, own, (), built.hyperparameters)
        assert bool(jnp.all(action == action[0])) is not seen
