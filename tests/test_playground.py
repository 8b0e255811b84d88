"""Playground adapter: contract, parity with the task itself, time limit, swept physics."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments import check, make
from jaxrl.environments import playground as adapter
from jaxrl.errors import UnknownNameError


def test_names_and_errors_do_not_need_the_package(monkeypatch):
    assert len(adapter.names()) == len(set(adapter.names())) == 25
    with pytest.raises(UnknownNameError, match="playground/CheetahRun"):
        make("playground/CheetaRun")
    monkeypatch.setitem(sys.modules, "mujoco_playground", None)
    with pytest.raises(ImportError, match=r"jaxrl\[playground\]"):
        make("playground/CheetahRun")


@pytest.fixture(scope="module")
def pendulum():
    pytest.importorskip("mujoco_playground")
    return make("playground/PendulumSwingup", limit=20)


def test_passes_the_contract_check(pendulum):
    check(pendulum, num_steps=25)


def test_equals_the_task_step_by_step(pendulum):
    from mujoco_playground import dm_control_suite

    raw = dm_control_suite.load("PendulumSwingup", config_overrides={"impl": "jax"})
    state, _ = jax.jit(pendulum.reset)(jax.random.key(3), pendulum.params)
    expected = jax.jit(raw.reset)(jax.random.key(3))
    step, raw_step = jax.jit(pendulum.step), jax.jit(raw.step)
    for t in range(20):
        action = jnp.array([np.sin(t)], jnp.float32)
        state, timestep = step(jax.random.key(t), state, action, pendulum.params)
        expected = raw_step(expected, action)
        np.testing.assert_allclose(timestep.observation, expected.obs, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(timestep.reward, expected.reward[None], rtol=1e-4, atol=1e-5)
        assert not bool(timestep.terminated) and bool(timestep.truncated) == (t == 19)


def test_swept_gravity_changes_the_dynamics(pendulum):
    def last_observation(gravity):
        params = pendulum.params._replace(gravity=gravity)
        state, _ = pendulum.reset(jax.random.key(0), params)

        def body(state, key):
            return pendulum.step(key, state, jnp.ones(1), params)

        return jax.lax.scan(body, state, jax.random.split(jax.random.key(1), 15))[1].observation[-1]

    gravity = pendulum.params.gravity * jnp.array([1.0, 0.5])[:, None]
    first, second = jax.jit(jax.vmap(last_observation))(gravity)
    assert np.abs(first - second).max() > 1e-2


def test_default_time_limit_and_options():
    pytest.importorskip("mujoco_playground")
    assert make("playground/CartpoleBalance").spec.time_limit == 1000
    with pytest.raises(UnknownNameError, match="sim_dt"):
        make("playground/CartpoleBalance", sim_td=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", adapter.names())
def test_every_task_passes_the_contract_check(name):
    pytest.importorskip("mujoco_playground")
    check(make(f"playground/{name}", limit=50), num_steps=50)
