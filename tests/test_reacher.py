"""The analytic reacher against MO-Gymnasium's MuJoCo model, and the contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments import check, make
from tests.peers import mujoco_peer

pytestmark = pytest.mark.quick_compilation


@pytest.fixture(scope="module")
def reacher():
    return make("mo/reacher")


@pytest.fixture(scope="module")
def peer():
    return mujoco_peer("mo-reacher-v5")


def episodes(reacher, actions):
    """States before every step, and timesteps, of one episode per row of `actions`."""

    def run(key, actions):
        start, _ = reacher.reset(key, reacher.params)

        def body(state, action):
            following, timestep = reacher.step(key, state, action, reacher.params)
            return following, (state.inner, timestep)

        return jax.lax.scan(body, start, actions)[1]

    keys = jax.random.split(jax.random.key(4), len(actions))
    return jax.device_get(jax.jit(jax.vmap(run))(keys, actions))


def test_contract_and_protocol(reacher):
    check(reacher)
    assert reacher.spec.time_limit == 50 and reacher.spec.num_objectives == 4
    assert reacher.spec.action.n == 9


def test_whole_episodes_equal_the_peer(reacher, peer):
    """50 steps that strike the elbow's limit: float32 against float64."""
    generator = np.random.default_rng(0)
    mujoco = pytest.importorskip("mujoco")
    held = np.repeat(generator.integers(0, 9, (6, 10)), 5, axis=1)
    states, timesteps = episodes(reacher, jnp.asarray(held, jnp.int32))
    raw, strikes = peer.unwrapped, 0
    for i, actions in enumerate(held):
        peer.reset(seed=i)
        qpos, qvel = raw.data.qpos.copy(), raw.data.qvel.copy()
        qpos[:2], qvel[:2] = states.angle[i, 0], states.rate[i, 0]
        raw.set_state(qpos, qvel)
        for t, action in enumerate(actions):
            # The peer reads the fingertip off its last Runge-Kutta stage: here, off the state.
            mujoco.mj_kinematics(raw.model, raw.data)
            observation, reward, *_ = peer.step(int(action))
            strikes += abs(raw.data.qpos[1]) > 3.0
            np.testing.assert_allclose(timesteps.observation[i, t], observation, atol=2e-4)
            np.testing.assert_allclose(timesteps.reward[i, t], reward, atol=2e-4)
    assert strikes > 10


def test_reward_is_of_the_state_before_the_action(reacher, peer):
    actions = jnp.arange(9, dtype=jnp.int32)[:, None]
    states, timesteps = episodes(reacher, actions)
    shoulder, elbow = states.angle[:, 0].astype(float).T
    arm, forearm = ([np.cos(heading), np.sin(heading)] for heading in (shoulder, shoulder + elbow))
    tip = 0.1 * np.array(arm) + 0.11 * np.array(forearm)
    targets = np.array([[0.14, 0.0], [-0.14, 0.0], [0.0, 0.14], [0.0, -0.14]])
    expected = 1 - 4 * np.linalg.norm(tip.T[:, None] - targets, axis=-1)
    np.testing.assert_allclose(timesteps.reward[:, 0], expected, rtol=1e-5)


def test_nine_torques(reacher):
    _, timesteps = episodes(reacher, jnp.arange(9, dtype=jnp.int32)[:, None])
    turned = np.sign(np.round(timesteps.observation[:, 0, 4:], 1))
    np.testing.assert_array_equal(turned, [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])


def test_params_are_traced(reacher):
    def first_reward(targets):
        params = reacher.params._replace(targets=targets)
        state, _ = reacher.reset(jax.random.key(0), params)
        return reacher.step(jax.random.key(0), state, jnp.int32(4), params)[1].reward

    rewards = jax.vmap(first_reward)(jnp.stack([reacher.params.targets, jnp.zeros((4, 2))]))
    assert np.ptp(rewards[1]) == 0.0 and np.ptp(rewards[0]) > 0.1
