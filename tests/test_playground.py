"""Playground adapter: contract, parity with the task itself, time limit, swept physics."""

import sys

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments import Box, check, make, transforms
from jaxrl.environments import playground as adapter
from jaxrl.errors import UnknownNameError

mujoco = pytest.importorskip("mujoco")
mjx = pytest.importorskip("mujoco.mjx")


@flax.struct.dataclass
class State:
    """As playground's."""

    data: jax.Array
    obs: dict
    reward: jax.Array
    done: jax.Array
    metrics: dict
    info: dict


def test_names_and_errors_do_not_need_the_package(monkeypatch):
    assert len(adapter.names()) == len(set(adapter.names())) == 54
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
def test_names_are_those_of_playground():
    registry = pytest.importorskip("mujoco_playground").registry
    assert set(adapter.names()) == set(registry.ALL_ENVS)


@pytest.fixture
def models():
    """Where playground keeps its robots."""
    pytest.importorskip("mujoco_playground")
    from mujoco_playground._src import mjx_env

    return mjx_env.MENAGERIE_PATH


@pytest.mark.slow
@pytest.mark.parametrize("name", adapter.names())
def test_every_task_passes_the_contract_check(models, name):
    if name not in adapter._CONTROL and not models.exists():
        pytest.skip("the robots of mujoco_menagerie are not here")
    check(make(f"playground/{name}", limit=50), num_steps=50)


def test_robots_that_are_missing_are_named_and_nothing_is_downloaded(models, monkeypatch, tmp_path):
    from mujoco_playground._src import mjx_env

    def refuse():
        raise AssertionError("nothing is downloaded")

    monkeypatch.setattr(mjx_env, "MENAGERIE_PATH", tmp_path / "none")
    monkeypatch.setattr(mjx_env, "ensure_menagerie_exists", refuse)
    for name in adapter.names():
        if name not in adapter._CONTROL:
            with pytest.raises(ImportError, match=f"{name} needs the robot models of mujoco_menagerie"):
                make(f"playground/{name}")


class Robot:
    """A task with the interface of playground's robots: two parts to see, metrics and info written in place, a fall."""

    action_size = 2

    def __init__(self):
        self.mj_model = mujoco.MjModel.from_xml_string(
            "<mujoco><worldbody><body><joint name='hinge'/><geom size='1'/></body></worldbody>"
            "<actuator><motor joint='hinge' ctrlrange='-9 9'/><motor joint='hinge' ctrlrange='-9 9'/></actuator>"
            "</mujoco>"
        )
        self.mjx_model = self._mjx_model = mjx.put_model(self.mj_model, impl="jax")

    def reset(self, key):
        height = jax.random.uniform(key)
        return State(height, self.seen(height), jnp.zeros(()), jnp.zeros(()), {"cost": jnp.zeros(())}, {"steps": 0.0})

    def seen(self, height):
        return {"state": height[None], "privileged_state": jnp.stack([height, -height])}

    def step(self, state, action):
        height = state.data - action[0]
        state.metrics["cost"] = jnp.abs(action).sum()
        state.info["steps"] += 1.0
        done = (height < 0.0).astype(float)
        return state.replace(data=height, obs=self.seen(height), reward=height, done=done)


def test_robots_show_what_is_asked_for_and_terminate_where_they_fall():
    for part, size in (("state", 1), ("privileged_state", 2), ("all", None)):
        robot = adapter._adapt(Robot(), "playground/robot", State, part, normalised=True)
        assert robot.spec.action == Box(-1.0, 1.0, (2,))
        if size is None:
            assert dict(robot.spec.observation.parts).keys() == {"privileged_state", "state"}
        else:
            assert robot.spec.observation.shape == (size,)
        robot = transforms.time_limit(robot, 3)
        check(robot)
        start = jax.jit(robot.reset)(jax.random.key(0), robot.params)[0]
        for action, ends in ((1.0, [(True, False)]), (-1.0, [(False, False), (False, False), (False, True)])):
            state = start
            for terminated, truncated in ends:
                state, timestep = jax.jit(robot.step)(jax.random.key(0), state, jnp.full(2, action), robot.params)
                assert (bool(timestep.terminated), bool(timestep.truncated)) == (terminated, truncated)
    with pytest.raises(UnknownNameError, match="privileged_state"):
        adapter._adapt(Robot(), "playground/robot", State, "privileged", normalised=True)
