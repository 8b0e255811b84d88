"""Bandits and the delayed chain: their distributions and their one decision."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environments import check
from jaxrl.errors import UnknownNameError

pytestmark = pytest.mark.quick_compilation


def pull(environment, params, count=10007):
    """Rewards of every arm, `[draw, arm]`."""
    arms = jnp.arange(environment.spec.action.n)

    def one(key, arm):
        state, observation = environment.reset(key, params)
        timestep = environment.step(key, state, arm, params)[1]
        return timestep.reward[0], observation, timestep.observation, timestep.terminated & ~timestep.truncated

    keys = jax.random.split(jax.random.key(0), (count, len(arms)))
    rewards, *seen, ended = jax.jit(jax.vmap(jax.vmap(one), (0, None)))(keys, arms)
    assert ended.all() and not np.any(seen)
    return np.asarray(rewards)


def walk(environment, actions, params=None, seed=0):
    params = environment.params if params is None else params

    @jax.jit
    def run(key, params, actions):
        state, first = environment.reset(key, params)

        def body(state, inputs):
            return environment.step(inputs[0], state, inputs[1], params)

        return first, jax.lax.scan(body, state, (jax.random.split(key, len(actions)), actions))[1]

    return run(jax.random.key(seed), params, jnp.asarray(actions, jnp.int32))


@pytest.mark.parametrize("name", jaxrl.list_environments("bandit"))
def test_every_id_keeps_the_contract(name):
    environment = jaxrl.make(name)
    check(environment)
    drawn = environment.sample_params(jax.random.key(0))
    assert jax.tree.map(jnp.shape, drawn) == jax.tree.map(jnp.shape, environment.params)


def test_bernoulli_arms_pay_with_their_probabilities():
    environment = jaxrl.make("bandit/bernoulli", num_arms=4)
    chances = np.array([0.0, 0.25, 0.7, 1.0], np.float32)
    rewards = pull(environment, environment.params._replace(means=jnp.asarray(chances)))
    assert set(np.unique(rewards)) == {0.0, 1.0}
    np.testing.assert_allclose(rewards.mean(axis=0), chances, atol=0.02)
    assert rewards[:, 0].max() == 0.0 and rewards[:, 3].min() == 1.0
    np.testing.assert_allclose(environment.params.means, np.linspace(0.1, 0.9, 4), rtol=1e-6)


def test_gaussian_arms_have_their_means_and_deviation():
    environment = jaxrl.make("bandit/gaussian", num_arms=3)
    params = environment.params._replace(means=jnp.array([-2.0, 0.5, 3.0]), deviation=jnp.array(0.4))
    rewards = pull(environment, params)
    np.testing.assert_allclose(rewards.mean(axis=0), params.means, atol=0.02)
    np.testing.assert_allclose(rewards.std(axis=0), 0.4, atol=0.02)
    still = pull(environment, params._replace(deviation=jnp.array(0.0)), 3)
    np.testing.assert_array_equal(still, np.broadcast_to(params.means, (3, 3)))


def test_drawn_bandits_follow_their_priors():
    for arms, mean, deviation in (("bernoulli", 0.5, np.sqrt(1 / 12)), ("gaussian", 0.0, 1.0)):
        sample = jax.jit(jax.vmap(jaxrl.make(f"bandit/{arms}", num_arms=5).sample_params))
        means = np.asarray(sample(jax.random.split(jax.random.key(1), 2003)).means)
        assert means.shape == (2003, 5)
        np.testing.assert_allclose([means.mean(), means.std()], [mean, deviation], atol=0.03)


def test_only_the_first_action_decides_the_last_reward():
    environment = jaxrl.make("bandit/delayed-chain", max_length=5)
    cases = np.array(list(product((1, 2, 5), (0, 1), (0, 1), (0, 1))))
    length, good, action, later = cases.T
    params = environment.params._replace(length=jnp.asarray(length), good_action=jnp.asarray(good))
    params = params._replace(noise=jnp.zeros(len(cases)))
    actions = np.column_stack([action, *[later] * 4])
    first, timesteps = jax.vmap(lambda *inputs: walk(environment, *inputs))(actions, params)
    assert not first.any() and not timesteps.truncated.any()
    for index, steps in enumerate(length):
        paid = 1.0 if action[index] == good[index] else -1.0
        assert timesteps.observation[index, :steps].tolist() == list(range(1, steps + 1))
        assert timesteps.reward[index, :steps, 0].tolist() == [0.0] * (steps - 1) + [paid]
        assert timesteps.terminated[index, :steps].tolist() == [False] * (steps - 1) + [True]


def test_noise_is_a_fair_sign_on_the_way():
    environment = jaxrl.make("bandit/delayed-chain", max_length=7, noise=0.3)
    run = jax.jit(jax.vmap(lambda seed: walk(environment, [0] * 7, seed=seed)[1].reward[:, 0]))
    rewards = np.asarray(run(jnp.arange(3001)))
    np.testing.assert_allclose(np.abs(rewards[:, :-1]), 0.3, rtol=1e-6)
    np.testing.assert_array_equal(rewards[:, -1], 1.0)
    np.testing.assert_allclose(rewards[:, :-1].mean(axis=0), 0.0, atol=0.025)
    assert np.abs(np.corrcoef(rewards[:, :-1].T) - np.eye(6)).max() < 0.08


def test_chains_of_many_lengths_run_side_by_side():
    environment = jaxrl.make("bandit/delayed-chain", max_length=6)
    params = jax.jit(jax.vmap(environment.sample_params))(jax.random.split(jax.random.key(0), 301))
    assert set(np.asarray(params.length).tolist()) == set(range(1, 7))
    assert set(np.asarray(params.good_action).tolist()) == {0, 1}
    timesteps = jax.jit(jax.vmap(lambda params: walk(environment, [1] * 6, params)[1]))(params)
    np.testing.assert_array_equal(np.argmax(timesteps.terminated, axis=1) + 1, params.length)
    at_end = np.asarray(timesteps.reward)[np.arange(301), np.asarray(params.length) - 1, 0]
    np.testing.assert_array_equal(at_end, np.where(params.good_action == 1, 1.0, -1.0))


def test_bad_options_are_named():
    with pytest.raises(UnknownNameError, match="bandit arms 'gauss'"):
        jaxrl.environments.bandit.bandit("gauss")
    with pytest.raises(ValueError, match="got 0"):
        jaxrl.make("bandit/gaussian", num_arms=0)
    with pytest.raises(ValueError, match=r"got 3 and -1\.0"):
        jaxrl.make("bandit/delayed-chain", max_length=3, noise=-1.0)
