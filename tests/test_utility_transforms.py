"""Accrued returns in the observation, and rewards that sum to the utility of the episode's return."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import environments
from jaxrl.aggregation import welfare
from jaxrl.environments import Box, Discrete, Environment, EnvironmentSpec, MultiDiscrete, Timestep, transforms
from tests import environments as probes

pytestmark = pytest.mark.quick_compilation

LIMIT = 5
SPACES = {
    "discrete": (Discrete(4), lambda t: t % 4, lambda t: np.eye(4)[t % 4]),
    "multi-discrete": (
        MultiDiscrete((3, 2)),
        lambda t: jnp.stack([t % 3, t % 2]),
        lambda t: np.concatenate([np.eye(3)[t % 3], np.eye(2)[t % 2]]),
    ),
    "box": (
        Box((-1.0, 0.0), (9.0, 20.0), (2,)),
        lambda t: jnp.stack([t, 2 * t]).astype(jnp.float32),
        lambda t: np.array([t, 2.0 * t]),
    ),
    "image": (
        Box(0.0, 9.0, (2, 1, 3)),
        lambda t: jnp.full((2, 1, 3), t).astype(jnp.float32),
        lambda t: np.full(6, float(t)),
    ),
}


def two_rewards(space="discrete", limit=LIMIT, terminates=False):
    """Action a earns (a, t) on step t; cut, or ended, after LIMIT steps."""
    space, observe, _ = SPACES[space]
    spec = EnvironmentSpec("probe/two-rewards", space, Discrete(3), num_objectives=2, time_limit=limit)

    def see(t):
        return observe(t).astype(space.dtype)

    def reset(key, params):
        return jnp.int32(0), see(jnp.int32(0))

    def step(key, state, action, params):
        reward = params * jnp.stack([action, state]).astype(jnp.float32)
        last = state + 1 >= LIMIT
        ends = (last, jnp.array(False)) if terminates else (jnp.array(False), last)
        return state + 1, Timestep(see(state + 1), reward, *ends, {})

    return Environment(reset, step, jnp.ones(2), spec)


def play(environment, actions, params=None):
    params = environment.params if params is None else params

    @jax.jit
    def run(actions, params):
        state, first = environment.reset(jax.random.key(0), params)

        def body(state, action):
            return environment.step(jax.random.key(1), state, action, params)

        return first, jax.lax.scan(body, state, actions)[1]

    return jax.device_get(run(jnp.asarray(actions, jnp.int32), params))


ACTIONS = [2, 0, 1, 1, 2]
REWARDS = np.array([[a, t] for t, a in enumerate(ACTIONS)], float)


@pytest.mark.parametrize("space", SPACES)
def test_observations_end_with_the_accrued_return_and_the_clock(space):
    environment = transforms.accrued_reward(two_rewards(space), discount=0.9, scale=[2.0, 10.0])
    first, timesteps = play(environment, ACTIONS)
    features = SPACES[space][2]
    accrued = np.cumsum(0.9 ** np.arange(LIMIT)[:, None] * REWARDS, axis=0) / [2.0, 10.0]
    np.testing.assert_allclose(first, [*features(0), 0.0, 0.0, 0.0])
    for t in range(LIMIT):
        np.testing.assert_allclose(
            timesteps.observation[t], [*features(t + 1), *accrued[t], (t + 1) / LIMIT], rtol=1e-6
        )
    np.testing.assert_array_equal(timesteps.reward, REWARDS)
    np.testing.assert_array_equal(timesteps.truncated, [False] * 4 + [True])
    environments.check(environment, num_steps=7)


def test_bounds_of_the_observation_are_kept():
    space = transforms.accrued_reward(two_rewards("box")).spec.observation
    np.testing.assert_array_equal(space.low, [-1.0, 0.0, -np.inf, -np.inf, 0.0])
    np.testing.assert_array_equal(space.high, [9.0, 20.0, np.inf, np.inf, 1.0])


def test_without_a_time_limit_the_clock_is_what_a_reward_would_count():
    first, timesteps = play(transforms.accrued_reward(two_rewards(limit=None), discount=0.5), ACTIONS)
    assert first[-1] == 1.0
    np.testing.assert_allclose(timesteps.observation[:, -1], 0.5 ** np.arange(1, LIMIT + 1))


def test_scale_discount_and_inner_params_are_traced():
    environment = transforms.accrued_reward(two_rewards())
    params = environment.params._replace(
        inner=jnp.asarray([3.0, 1.0]), accrued_scale=jnp.asarray([1.0, 4.0]), accrued_discount=jnp.asarray(0.0)
    )
    _, timesteps = play(environment, ACTIONS, params)
    # Only the first reward counts: 3 · 2 of objective 0.
    np.testing.assert_allclose(timesteps.observation[:, -3:-1], [[6.0, 0.0]] * LIMIT)


def test_accrual_restarts_with_the_episode():
    batched = environments.vectorise(transforms.accrued_reward(two_rewards()), 3)
    draws = batched.draw(jax.random.key(0), LIMIT, batched.params)
    state, _ = batched.reset(jax.random.key(1), batched.params)
    actions = jnp.full(3, 2)
    for t in range(LIMIT):
        state, timestep = batched.step(jax.tree.map(lambda leaf, t=t: leaf[t], draws), state, actions, batched.params)
    np.testing.assert_allclose(timestep.info["final_observation"][:, -3:], [[10.0, 10.0, 1.0]] * 3)
    np.testing.assert_array_equal(timestep.observation[:, -3:], 0.0)
    np.testing.assert_array_equal(state.episode.returns, 0.0)


# --- utility -------------------------------------------------------------------------------------


def product(returns):
    return (1.0 + returns[0]) * (2.0 + returns[1])


@pytest.mark.parametrize("discount", [1.0, 0.8])
def test_objective_0_sums_to_the_utility_of_the_return(discount):
    environment = transforms.utility_reward(two_rewards(), product, discount)
    _, timesteps = play(environment, ACTIONS)
    accrued = np.cumsum(discount ** np.arange(LIMIT)[:, None] * REWARDS, axis=0)
    utilities = np.array([2.0, *((1.0 + accrued[:, 0]) * (2.0 + accrued[:, 1]))])
    np.testing.assert_allclose(timesteps.reward[:, 0], np.diff(utilities), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(timesteps.reward[:, 1:], REWARDS)
    assert environment.spec.num_objectives == 3
    assert environment.spec.objective_names == ("utility", "objective_0", "objective_1")
    environments.check(environment, num_steps=7)


@pytest.mark.parametrize("terminates", [False, True])
def test_the_return_is_final_at_the_time_limit(terminates):
    _, timesteps = play(transforms.utility_reward(two_rewards(terminates=terminates), product), ACTIONS)
    np.testing.assert_array_equal(timesteps.terminated, [False] * 4 + [True])
    np.testing.assert_array_equal(timesteps.truncated, [False] * 5)


def test_parameters_of_the_utility_are_traced():
    parameters = {"weights": [0.5, 0.5], "fairness": 0.0, "floor": 0.1}
    environment = transforms.utility_reward(two_rewards(), welfare.alpha_fair, parameters=parameters)
    alphas = jnp.asarray([0.0, 1.0, 2.0])

    def total(alpha):
        params = environment.params._replace(utility={**environment.params.utility, "fairness": alpha})
        state, _ = environment.reset(jax.random.key(0), params)
        rewards = []
        for action in ACTIONS:
            state, timestep = environment.step(jax.random.key(1), state, jnp.int32(action), params)
            rewards.append(timestep.reward[0])
        return jnp.stack(rewards).sum()

    def gain(alpha):
        after, before = (
            welfare.alpha_fair(r, jnp.full(2, 0.5), alpha, 0.1) for r in (jnp.array([6.0, 10.0]), jnp.zeros(2))
        )
        return after - before

    np.testing.assert_allclose(jax.jit(jax.vmap(total))(alphas), [gain(alpha) for alpha in alphas], rtol=1e-4)


def test_both_compose_in_either_order():
    first, _ = play(transforms.utility_reward(transforms.accrued_reward(two_rewards()), product), ACTIONS)
    assert first.shape == (4 + 2 + 1,)
    # Inside out, the utility is one more objective that accrues.
    _, timesteps = play(transforms.accrued_reward(transforms.utility_reward(two_rewards(), product)), ACTIONS)
    np.testing.assert_allclose(timesteps.observation[-1, 4:], [7.0 * 12.0 - 2.0, 6.0, 10.0, 1.0])


def test_arguments_out_of_range_are_named():
    environment = probes.choice([[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match=r"\[0, 1\], got 1.5"):
        transforms.accrued_reward(environment, discount=1.5)
    with pytest.raises(ValueError, match="positive, got"):
        transforms.accrued_reward(environment, scale=[1.0, 0.0])
    with pytest.raises(ValueError, match=r"\[0, 1\], got -0.1"):
        transforms.utility_reward(environment, product, discount=-0.1)
    with pytest.raises(ValueError, match=r"scalar, this one returns shape \(2,\)"):
        transforms.utility_reward(environment, lambda returns: returns)
