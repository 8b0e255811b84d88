"""Group-relative advantages, against a loop, and the collapse that normalising each reward apart cures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environments.batching import vectorise
from jaxrl.numerics import returns
from tests import environments as probes

pytestmark = pytest.mark.quick_compilation

TIME, ENV, OBJECTIVE, GROUP = 7, 6, 2, 3


def by_hand(rewards, done, group_size, epsilon=1e-4):
    time, num_envs, _ = rewards.shape
    totals, alive = np.zeros(rewards.shape[1:]), np.zeros((time, num_envs), bool)
    for env in range(num_envs):
        for step in range(time):
            alive[step, env] = True
            totals[env] += rewards[step, env]
            if done[step, env]:
                break
    advantages = np.zeros_like(rewards)
    for env in range(num_envs):
        group = slice(env // group_size * group_size, (env // group_size + 1) * group_size)
        relative = (totals[env] - totals[group].mean(0)) / (totals[group].std(0) + epsilon)
        advantages[alive[:, env], env] = relative
    return advantages


def test_advantages_equal_a_loop_over_episodes():
    generator = np.random.default_rng(0)
    rewards = generator.normal(size=(TIME, ENV, OBJECTIVE)).astype(np.float32)
    done = generator.random((TIME, ENV)) < 0.3
    found = returns.group_relative_advantage(jnp.asarray(rewards), jnp.asarray(done), GROUP)
    np.testing.assert_allclose(found, by_hand(rewards, done, GROUP), rtol=1e-4, atol=1e-5)


def test_grpo_gives_unlike_rewards_of_equal_sum_one_advantage_and_gdpo_does_not():
    # Returns (0, 1) and (0, 2) of the GDPO paper's example, and (1, 1) beside (0, 2).
    rewards = jnp.asarray([[[1.0, 1.0], [0.0, 2.0], [0.0, 0.0]]])
    done = jnp.ones((1, 3), bool)
    together = returns.group_relative_advantage(rewards.sum(-1, keepdims=True), done, 3)[0, :, 0]
    apart = returns.group_relative_advantage(rewards, done, 3)[0].sum(-1)
    assert together[0] == together[1]
    assert abs(float(apart[0] - apart[1])) > 0.1


def test_copies_of_a_group_start_alike_and_groups_do_not():
    batched = vectorise(jaxrl.make("gymnax/CartPole-v1"), 6)
    _, observation = batched.reset(jax.random.key(0), batched.params, 3)
    first, second = np.asarray(observation)[:3], np.asarray(observation)[3:]
    assert np.all(first == first[0]) and np.all(second == second[0])
    assert np.any(first[0] != second[0])


def test_every_iteration_begins_from_a_fresh_shared_start():
    trainer = jaxrl.trainer(
        "gdpo", "gymnax/CartPole-v1", num_envs=6, group_size=3, num_steps=500, num_minibatches=1, total_steps=30_000
    )
    from jaxrl.training.rollouts import collect

    batched = vectorise(trainer.environment, 6)
    state = trainer.init(jax.random.key(0), trainer.hyperparameters)
    run = jax.jit(lambda key, state: collect(key, state, trainer.agent, batched, trainer.hyperparameters))
    state, rollout, _ = run(jax.random.key(1), state)
    _, second, _ = run(jax.random.key(2), state)
    for one in (rollout, second):
        assert np.all(np.asarray(one.start[0]))
        assert np.all(np.asarray(one.observation[0, :3]) == np.asarray(one.observation[0, 0]))
    assert np.any(np.asarray(rollout.observation[0]) != np.asarray(second.observation[0]))


@pytest.mark.parametrize("agent", ["grpo", pytest.param("gdpo", marks=pytest.mark.slow)])
def test_group_relative_agents_learn_which_action_the_weights_prefer(agent):
    environment = probes.choice([[1.0, 0.0], [0.0, 1.0], [0.2, 0.2]])
    trainer = jaxrl.trainer(agent, environment, num_steps=1, num_minibatches=1, total_steps=12_800, learning_rate=0.02)
    run = jax.jit(lambda weights: trainer.run(jax.random.key(0), trainer.hyperparameters._replace(weights=weights)))
    for best, weights in enumerate(([0.8, 0.2], [0.2, 0.8])):
        found = run(jnp.asarray(weights)).evaluation.returns[-1]
        np.testing.assert_allclose(found, np.eye(2)[best])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"group_size": 1}, "at least 2"),
        ({"group_size": 5, "num_envs": 64}, "divide num_envs=64"),
        ({"num_steps": 500, "condition_on_weights": True}, "under one preference"),
        ({"num_steps": 32}, "must cover the time limit 500"),
    ],
)
def test_groups_that_cannot_be_compared_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.trainer("grpo", "gymnax/CartPole-v1", **settings)
