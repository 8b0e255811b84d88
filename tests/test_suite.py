"""Several environments as one: each copy runs its own, is paid for it alone, and is evaluated by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environments import check
from jaxrl.environments.batching import vectorise
from jaxrl.environments.tasks import paying
from jaxrl.multitask import merge, mixture, suite
from jaxrl.multitask.experience import gather
from jaxrl.multitask.families import family
from jaxrl.multitask.fine_tuning import on_subset
from jaxrl.multitask.study import group_study
from tests import environments as probes
from tests.grids import pick

pytestmark = pytest.mark.quick_compilation

POINTS = family("point-mass", num_groups=3, group_size=1, time_limit=7)
SMALL = {"num_envs": 6, "num_steps": 40, "num_minibatches": 2, "hidden_sizes": (8,), "num_evaluations": 1}


def point(task):
    """One of the family's tasks, with a program of its own."""
    return POINTS.environment._replace(params=pick(POINTS.params, task))


def points():
    return suite([point(task) for task in range(3)], POINTS.names)


def test_a_suite_keeps_the_contract_with_and_without_batching():
    check(points())
    state, observation = points().reset(jax.random.key(0), points().params)
    np.testing.assert_array_equal(paying(points().spec, observation), np.eye(3)[state.task])


def test_every_copy_steps_its_own_environment():
    built = points()
    copies = vectorise(built, 6, "none")
    state, observation = copies.reset(jax.random.key(0), built.params)
    np.testing.assert_array_equal(paying(built.spec, observation), np.repeat(np.eye(3), 2, axis=0))
    draws = copies.draw(jax.random.key(1), 1, built.params)
    first = jax.tree.map(lambda leaf: leaf[0], draws)
    action = jax.random.uniform(jax.random.key(2), (6, 2), minval=-1.0)
    following, timestep = copies.step(first, state, action, built.params)
    for copy in range(6):
        task, place = divmod(copy, 2)
        alone, own = point(task), pick(state[task], place)
        expected, step = alone.step(first[task].keys[place], own, action[copy], alone.params)
        jax.tree.map(np.testing.assert_allclose, pick(following[task], place), pick(expected, ...))
        np.testing.assert_allclose(timestep.reward[copy], step.reward * np.eye(3)[task])
        np.testing.assert_allclose(timestep.observation[copy, :-3], step.observation)


@pytest.mark.slow  # A learning run; environments that differ are learnt together in the quick test.
def test_a_suite_learns_as_the_merged_family_is_evaluated():
    parameters = {**SMALL, "total_steps": 12_000, "learning_rate": 1e-2, "evaluation_episodes": 8}
    built = jaxrl.trainer("ppo", points(), **parameters)
    result = jax.jit(built.run)(jax.random.key(0), built.hyperparameters)
    before = jax.jit(built.evaluate)(
        jax.random.key(1), built.init(jax.random.key(0), built.hyperparameters).agent, built.hyperparameters
    )
    assert bool(np.all(result.evaluation.returns[-1] > before.returns + 0.5))
    assert float(result.metrics["episodes"][-1]) > 0 and not np.isnan(result.metrics["episode_return"]).any()
    merged = jaxrl.trainer("ppo", merge(POINTS), **parameters)
    again = jax.jit(merged.evaluate)(jax.random.key(1), result.state.agent, merged.hyperparameters)
    # Starts are drawn by other keys.
    np.testing.assert_allclose(again.returns, result.evaluation.returns[-1], rtol=0.15)


def test_probes_with_programs_of_their_own_are_both_learnt():
    # The same actions mean different things: of the first environment's observation, and of none.
    first = probes.observation_matters()
    second = probes.observation_matters()
    opposed = second._replace(step=lambda key, state, action, params: second.step(key, state, 1 - action, params))
    built = jaxrl.trainer(
        "ppo", suite([first, opposed], ("same", "opposed")), multi_head=True, num_envs=8, num_steps=8,
        total_steps=16_000, learning_rate=1e-2, num_evaluations=1,
    )  # fmt: skip
    result = jax.jit(built.run)(jax.random.key(0), built.hyperparameters)
    np.testing.assert_array_equal(result.evaluation.returns[-1], [1.0, 1.0])


@pytest.mark.slow  # Groups of a merged family are the quick test.
def test_a_suite_is_grouped_and_its_groups_are_not_trained():
    built = jaxrl.trainer("ppo", points(), **SMALL, total_steps=960)
    agent = built.init(jax.random.key(0), built.hyperparameters).agent
    seen = gather(built, jax.random.key(1), agent, built.hyperparameters)
    assert seen.advantage.shape == (3, 80)
    named = paying(built.environment.spec, seen.observation)
    np.testing.assert_array_equal(named, np.repeat(np.eye(3)[:, None], 80, axis=1))
    study = group_study(built, subset_size=2, projection_dimension=16)
    found = jax.jit(study.estimate)(jax.random.key(2), agent, built.hyperparameters)
    assert found.affinity.shape == (3, 3) and bool(jnp.isfinite(found.affinity).all())
    with pytest.raises(ValueError, match="a suite's are fixed"):
        on_subset(built.hyperparameters, jnp.asarray([True, False, True]))


def test_a_mixture_draws_a_task_for_every_episode():
    mixed = mixture(POINTS)
    check(mixed)
    one = mixed.params._replace(probabilities=jnp.asarray([0.0, 0.0, 1.0]))
    starts = jax.vmap(mixed.reset, in_axes=(0, None))
    state, _ = starts(jax.random.split(jax.random.key(0), 64), mixed.params)
    assert set(np.asarray(state.task)) == {0, 1, 2}
    state, observation = starts(jax.random.split(jax.random.key(0), 4), one)
    np.testing.assert_array_equal(state.task, [2, 2, 2, 2])
    assert observation.shape == (4, *POINTS.environment.spec.observation.shape)
    # A running episode keeps its task, whatever the odds have become.
    key, action = jax.random.key(1), jnp.zeros(2)
    running = jax.tree.map(lambda leaf: leaf[0], state)
    following, timestep = mixed.step(key, running, action, mixed.params)
    expected = POINTS.environment.step(key, running.inner, action, point(2).params)[1]
    np.testing.assert_array_equal(timestep.reward, expected.reward)
    assert int(following.task) == 2


def test_suites_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="nearest is 6"):
        jaxrl.trainer("ppo", points(), **{**SMALL, "num_envs": 7}, total_steps=960)
    with pytest.raises(ValueError, match="unlike"):
        suite([point(0), jaxrl.make("gymnax/CartPole-v1")])
    with pytest.raises(ValueError, match="one name for each"):
        suite([point(0), point(1)], ("same", "same"))
    with pytest.raises(ValueError, match="one objective"):
        suite([jaxrl.make("mo/deep-sea-treasure")])
