"""gymnax environments keep the contract, step as gymnax does, and tell a time limit from an end."""

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import environments
from jaxrl.environments.gymnax import from_gymnax

pytestmark = pytest.mark.quick_compilation


def roll(environment, actions, params):
    """Timesteps of one copy, never reset."""
    state, _ = environment.reset(jax.random.key(0), params)

    def body(state, inputs):
        return environment.step(inputs[0], state, inputs[1], params)

    return jax.lax.scan(body, state, (jax.random.split(jax.random.key(1), len(actions)), jnp.asarray(actions)))[1]


# Long to compile; of MinAtar, Breakout stays in the quick suite.
QUICK = (
    "CartPole-v1",
    "Pendulum-v1",
    "MountainCar-v0",
    "Breakout-MinAtar",
    "Catch-bsuite",
    "DeepSea-bsuite",
    "MetaMaze-misc",
)


@pytest.mark.parametrize(
    "name",
    [
        name if name.removeprefix("gymnax/") in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in environments.list_environments("gymnax")
    ],
)
def test_every_gymnax_environment_keeps_the_contract(name):
    environments.check(environments.make(name), num_steps=50)


@pytest.mark.parametrize("task", ["CartPole-v1", "Pendulum-v1", "Catch-bsuite", "MountainCarContinuous-v0"])
def test_steps_are_those_of_gymnax(task):
    environment = environments.make(f"gymnax/{task}")
    original, original_params = gymnax.make(task)
    key, num_steps = jax.random.key(5), 30
    actions = jax.vmap(environment.spec.action.sample)(jax.random.split(key, num_steps))
    step, original_step = jax.jit(environment.step), jax.jit(original.step_env)
    state, observation = environment.reset(key, environment.params)
    expected, other_state = original.reset_env(key, original_params)
    np.testing.assert_array_equal(observation, expected)
    for t in range(num_steps):
        step_key = jax.random.fold_in(key, t)
        state, timestep = step(step_key, state, actions[t], environment.params)
        expected, other_state, reward, terminated, _ = original_step(step_key, other_state, actions[t], original_params)
        np.testing.assert_allclose(timestep.observation, expected, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(timestep.reward, [jnp.squeeze(reward)], rtol=1e-6, atol=1e-6)
        assert timestep.terminated == terminated
        assert timestep.truncated == (original.is_truncated(other_state, original_params) & ~terminated)


def test_a_gymnax_time_limit_truncates_and_failure_terminates():
    environment = environments.make("gymnax/CartPole-v1")
    upright = roll(environment, [0, 1] * 6, environment.params.replace(max_steps_in_episode=9))
    np.testing.assert_array_equal(np.argmax(upright.truncated), 8)
    assert not upright.terminated[:9].any()
    falling = roll(environment, [1] * 12, environment.params)
    assert falling.terminated.any() and not falling.truncated.any()
    # A fall on the very step of the limit is a fall.
    last = int(np.argmax(falling.terminated))
    both = roll(environment, [1] * 12, environment.params.replace(max_steps_in_episode=last + 1))
    assert both.terminated[last] and not both.truncated[: last + 1].any()


def test_gymnax_parameters_are_arrays_that_change_the_dynamics_when_swept():
    environment = environments.make("gymnax/CartPole-v1")
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(environment.params))
    gravities = jnp.asarray([4.0, 9.8, 20.0])

    def last(gravity):
        return roll(environment, [1] * 8, environment.params.replace(gravity=gravity)).observation[-1]

    swept = jax.jit(jax.vmap(last))(gravities)
    np.testing.assert_allclose(swept[1], last(9.8), rtol=1e-5)
    assert len(np.unique(np.asarray(swept)[:, 3])) == 3


def test_an_adapted_environment_of_ones_own_takes_its_class_name():
    original, params = gymnax.make("Pendulum-v1")
    environment = from_gymnax(original)
    assert environment.spec.name == "gymnax/Pendulum"
    assert environment.spec.time_limit == params.max_steps_in_episode == 200
    assert from_gymnax(original, name="mine/pendulum").spec.name == "mine/pendulum"
