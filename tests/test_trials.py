"""Trials: the task stays, episodes follow each other, and a recurrent agent reaches the best trial return there is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environments import Box, Discrete, Environment, EnvironmentSpec, Timestep, check
from jaxrl.multitask import MergedParams, adaptation_curve, make_family, trials
from tests import environments as probes

pytestmark = pytest.mark.quick_compilation


def arms():
    """One-step episodes: task i pays arm i, and nothing tells which it is but the reward."""
    return make_family(probes.choice([[0.0], [0.0]]), jnp.eye(2)[..., None])


def counting(limit=3):
    """Pays a task's own constant; the observation is the clock, which starts at a random place."""

    def reset(key, params):
        start = jax.random.uniform(key)
        return (start, jnp.zeros((), jnp.int32)), start[None]

    def step(key, state, action, params):
        start, clock = state[0], state[1] + 1
        done = (clock >= limit, clock < 0)
        return (start, clock), Timestep((start + clock)[None], params[None] + action[0], done[1], done[0], {})

    spec = EnvironmentSpec("counting", Box(0.0, 10.0, (1,)), Box(-2.0, 4.0, (1,)), time_limit=limit)
    return make_family(Environment(reset, step, jnp.zeros(()), spec), jnp.asarray([1.0, 5.0]))


def test_a_trial_keeps_the_contract():
    check(trials(arms(), 3), num_steps=8)
    check(jaxrl.make("multitask/point-mass", episodes=2, time_limit=4), num_steps=8)


def test_a_trial_runs_through_episodes_of_one_task_by_hand():
    environment = trials(counting(), 2)
    assert environment.spec.time_limit == 6
    state, observation = environment.reset(jax.random.key(3), environment.params)
    own, (first, second) = float(environment.params.tasks[state.task]), state.starts[1][:, 0]
    np.testing.assert_allclose(observation, [first, 0.0, 0.0, 0.0])
    assert first != second
    actions = [-2.0, 1.0, 4.0, 0.0, 0.0, 0.0]
    expected = []
    for i, action in enumerate(actions):
        clock = (first + i + 1) if i < 2 else second + i - 2
        ends = float(i in (2, 5))
        expected.append([clock, (action - 1.0) / 3.0, own + action, ends])
    seen, ended = [], []
    for action in actions:
        state, timestep = environment.step(jax.random.key(0), state, jnp.asarray([action]), environment.params)
        seen.append(timestep.observation)
        ended.append((bool(timestep.terminated), bool(timestep.truncated)))
    np.testing.assert_allclose(jnp.stack(seen), np.asarray(expected), rtol=1e-5)
    assert ended == [(False, False)] * 5 + [(False, True)]
    np.testing.assert_allclose(timestep.info["episode_returns"], [3.0 * own + 3.0, 3.0 * own])


def test_integers_become_one_hot():
    environment = trials(arms(), 2)
    assert isinstance(environment.spec.action, Discrete)
    state, _ = environment.reset(jax.random.key(0), environment.params)
    _, timestep = environment.step(jax.random.key(0), state, jnp.asarray(1), environment.params)
    np.testing.assert_allclose(timestep.observation, [0.0, 0.0, 1.0, float(state.task == 1), 1.0])


def test_tasks_follow_their_probabilities():
    environment = trials(arms(), 2)
    params = MergedParams(environment.params.tasks, jnp.asarray([0.0, 1.0]))
    keys = jax.random.split(jax.random.key(0), 16)
    np.testing.assert_array_equal(jax.vmap(lambda key: environment.reset(key, params)[0].task)(keys), 1)


def delayed_arms():
    """As `arms`, followed by a step that pays nothing: the last reward no longer tells which arm pays."""

    def reset(key, params):
        return jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)

    def step(key, state, action, params):
        reward = jnp.where(state == 0, params[action], 0.0)[None]
        return state + 1, Timestep(jnp.minimum(state + 1, 1), reward, state >= 1, jnp.array(False), {})

    spec = EnvironmentSpec("delayed-arms", Discrete(2), Discrete(2), time_limit=2)
    return make_family(Environment(reset, step, jnp.zeros(2), spec), jnp.eye(2))


@pytest.mark.slow  # A learning run; the trials themselves are tested by hand above.
def test_a_recurrent_agent_reaches_the_best_trial_return():
    environment = trials(delayed_arms(), 4)
    trainer = jaxrl.trainer(
        "ppo",
        environment,
        network="gru",
        num_envs=64,
        num_steps=16,
        total_steps=60_000,
        hidden_sizes=(16,),
        recurrent_size=16,
        learning_rate=5e-3,
        entropy_coefficient=0.001,
        discount=1.0,
        num_evaluations=1,
    )
    hp = trainer.hyperparameters
    state = jax.jit(trainer.run)(jax.random.key(0), hp).state
    curve = adaptation_curve(environment, trainer.agent, 128)
    found = jax.jit(curve)(jax.random.key(1), state.agent, hp)
    assert found.shape == (2, 4)
    # One guess, then the arm is known.
    np.testing.assert_allclose(found.mean(axis=0), [0.5, 1.0, 1.0, 1.0], atol=0.1)


def test_a_trial_needs_an_episode():
    with pytest.raises(ValueError, match="at least 1 episode"):
        trials(arms(), 0)
