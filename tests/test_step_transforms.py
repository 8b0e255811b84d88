"""Repeated actions, clipped observations and rewards: what steps then do, beside loops in Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environments import Box, Discrete, Environment, EnvironmentSpec, Timestep, check
from jaxrl.environments.batching import vectorise
from jaxrl.environments.transforms import action_repeat, clip_observation, clip_reward
from jaxrl.multitask import suite
from jaxrl.multitask.families import family
from tests import environments as probes
from tests import short
from tests.grids import pick

pytestmark = pytest.mark.quick_compilation


def counting(end=5, limit=12, success_at=4):
    """Pays the number of its steps, as two objectives; ends after `end` of them, or is cut off at the limit."""
    spec = EnvironmentSpec("probe/counting", Box(0.0, 20.0, (1,)), Discrete(2), num_objectives=2, time_limit=limit)

    def reset(key, params):
        return jnp.zeros((), jnp.int32), jnp.zeros(1)

    def step(key, state, action, params):
        state = state + 1
        over, reward = state >= params, state.astype(jnp.float32) * jnp.asarray([1.0, -2.0])
        info = {"success": (state == success_at).astype(jnp.float32), "steps": state}
        return state, Timestep(state.astype(jnp.float32)[None], reward, over, (state >= limit) & ~over, info)

    return Environment(reset, step, jnp.asarray(end), spec)


def play(environment, params, steps):
    state, _ = environment.reset(jax.random.key(0), params)
    found = []
    for index in range(steps):
        state, timestep = environment.step(jax.random.key(index), state, jnp.asarray(0), params)
        found.append(timestep)
    return found


def test_rewards_add_up_and_an_end_stops_the_repetition():
    environment = action_repeat(counting(), 3)
    check(environment)
    first, second = play(environment, environment.params, 2)
    np.testing.assert_array_equal(first.reward, [1 + 2 + 3, -2 * (1 + 2 + 3)])
    assert first.observation == 3.0 and not first.terminated and first.info["steps"] == 3
    np.testing.assert_array_equal(second.reward, [4 + 5, -2 * (4 + 5)])
    assert second.observation == 5.0 and second.terminated and not second.truncated and second.info["steps"] == 5
    # It succeeded on the way, and not on its last step.
    assert second.info["success"] == 1.0 and first.info["success"] == 0.0


def test_a_time_limit_counts_decisions():
    environment = action_repeat(counting(end=100, limit=8), 3)
    assert environment.spec.time_limit == 3
    *_, last = play(environment, environment.params, 3)
    assert last.truncated and not last.terminated and last.observation == 8.0
    np.testing.assert_array_equal(last.reward, [7 + 8, -2 * (7 + 8)])
    assert action_repeat(probes.not_a_number(), 3).spec.time_limit is None


def test_rewards_within_a_decision_may_be_discounted():
    (first,) = play(action_repeat(counting(), 4, discount=0.5), jnp.asarray(100), 1)
    np.testing.assert_allclose(first.reward[0], 1 + 0.5 * 2 + 0.25 * 3 + 0.125 * 4)


def test_every_repetition_has_randomness_of_its_own():
    inner = probes.breaking(value=0.0, continuous=True, limit=100)
    outer, key, action = action_repeat(inner, 3), jax.random.key(7), jnp.asarray([0.3])
    state, _ = inner.reset(jax.random.key(0), inner.params)
    repeated, timestep = jax.jit(outer.step)(key, state, action, inner.params)
    total = 0.0
    for own in jax.random.split(key, 3):
        state, after = inner.step(own, state, action, inner.params)
        total += after.reward
    np.testing.assert_allclose(timestep.reward, total, rtol=1e-6)
    jax.tree.map(np.testing.assert_allclose, repeated, state)


def test_once_is_the_environment_itself():
    environment = counting()
    assert action_repeat(environment, 1) is environment


def test_a_broken_step_within_a_decision_is_seen():
    environment = action_repeat(probes.breaking(step_of_fault=2), 3)
    copies = vectorise(environment, 16, "none")
    state, _ = copies.reset(jax.random.key(0), jnp.asarray(0.5))
    draws = jax.tree.map(lambda leaf: leaf[0], copies.draw(jax.random.key(1), 1, jnp.asarray(0.5)))
    starts = state[2]
    _, timestep = copies.step(draws, state, jnp.zeros(16, jnp.int32), jnp.asarray(0.5))
    np.testing.assert_array_equal(timestep.info["faulty"], starts > 0.5)


@pytest.mark.slow  # A variant of the quick tests above.
def test_blocks_of_copies_repeat_likewise():
    points = family("point-mass", num_groups=2, group_size=1, time_limit=6)
    built = suite([points.environment._replace(params=pick(points.params, task)) for task in range(2)], points.names)
    repeated = action_repeat(built, 2)
    assert repeated.spec.time_limit == 3 and all(block.spec.time_limit == 3 for block in repeated.blocks)
    once, twice = (vectorise(environment, 2, "none") for environment in (built, repeated))
    state, _ = twice.reset(jax.random.key(0), built.params)
    draws = jax.tree.map(lambda leaf: leaf[0], twice.draw(jax.random.key(1), 1, built.params))
    _, timestep = twice.step(draws, state, jnp.ones((2, 2)), built.params)
    _, shorter = once.step(draws, state, jnp.ones((2, 2)), built.params)
    assert not np.allclose(timestep.observation, shorter.observation, atol=1e-4)


def test_a_run_repeats_actions_in_training_and_evaluation_and_counts_decisions():
    settings = {**short.SETTINGS, "action_repeat": 4}
    trainer = jaxrl.trainer("ppo", "gymnax/CartPole-v1", **settings)
    assert trainer.environment.spec.time_limit == 125 and trainer.steps_per_iteration == 64
    # Built again, it repeats no more than before.
    assert trainer.rebuild(learning_rate=0.1).environment.spec.time_limit == 125
    assert trainer.rebuild(action_repeat=2).environment.spec.time_limit == 250
    evaluation = jax.jit(trainer.evaluate)(
        jax.random.key(0), trainer.init(jax.random.key(0), trainer.hyperparameters).agent, trainer.hyperparameters
    )
    # A reward of 1 for each step of the cart, one action for four of them.
    assert 3.0 * evaluation.length < evaluation.returns[0] <= 4.0 * evaluation.length


@pytest.mark.parametrize("count", [0, -1])
def test_a_count_must_be_one(count):
    with pytest.raises(ValueError, match="the number of times that an action is taken must be at least 1"):
        action_repeat(counting(), count)
    with pytest.raises(ValueError, match="action_repeat must be at least 1"):
        jaxrl.trainer("ppo", "gymnax/CartPole-v1", action_repeat=count)


def test_observations_and_rewards_are_clipped():
    environment = clip_reward(clip_observation(counting(end=100), 1.5, 3.0), -4.0, 2.0)
    check(environment)
    assert environment.reset(jax.random.key(0), environment.params)[1] == 1.5
    assert (environment.spec.observation.low, environment.spec.observation.high) == (1.5, 3.0)
    found = play(environment, environment.params, 4)
    np.testing.assert_array_equal([step.observation[0] for step in found], [1.5, 2.0, 3.0, 3.0])
    np.testing.assert_array_equal([step.reward for step in found], [[1, -2], [2, -4], [2, -4], [2, -4]])


def test_what_cannot_be_clipped_is_one_sentence():
    with pytest.raises(ValueError, match="clip_observation needs a Box observation of floats, grid/"):
        clip_observation(jaxrl.make("grid/tiny"), 0.0, 1.0)
    with pytest.raises(ValueError, match=r"rewards are clipped to \[low, high\] with low < high, got \[1.0, 1.0\]"):
        clip_reward(counting(), 1.0, 1.0)
