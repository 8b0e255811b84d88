"""xminigrid adapter: contract, parity with xminigrid step by step, ends, and rules that are traced."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from foreign import num_episodes, walk

from jaxrl.environments import check, make
from jaxrl.environments import xminigrid as adapter
from jaxrl.errors import UnknownNameError

pytestmark = pytest.mark.quick_compilation


def test_names_and_errors_do_not_need_the_package(monkeypatch):
    assert len(adapter.names()) == len(set(adapter.names())) == 44
    with pytest.raises(UnknownNameError, match="xminigrid/MiniGrid-Empty-5x5"):
        make("xminigrid/MiniGrid-Empty-5x6")
    with pytest.raises(ValueError, match="has no rules"):
        make("xminigrid/MiniGrid-Empty-5x5", ruleset=object())
    monkeypatch.setitem(sys.modules, "xminigrid", None)
    with pytest.raises(ImportError, match=r"jaxrl\[xminigrid\]"):
        make("xminigrid/MiniGrid-Empty-5x5")


@pytest.fixture
def xminigrid():
    return pytest.importorskip("xminigrid")


@pytest.mark.slow
def test_names_are_those_that_xminigrid_registers(xminigrid):
    assert set(adapter.names()) == set(xminigrid.registered_environments())


@pytest.mark.slow
@pytest.mark.parametrize("name", adapter.names())
def test_every_environment_keeps_the_contract(xminigrid, name):
    check(make(f"xminigrid/{name}", max_steps=40), num_steps=50)


def both(xminigrid, name, num_steps=240, **options):
    environment = make(f"xminigrid/{name}", **options)
    task, static = xminigrid.make(name, **options)
    if environment.params:
        static = static.replace(ruleset=static.ruleset.replace(**environment.params._asdict()))

    def reset(key):
        start = task.reset(static, key)
        return start, start.observation

    def step(key, state, action):
        after = task.step(static, state, action)
        return after, (after.observation, after.reward, after.last(), after.discount)

    return environment, walk(environment, reset, step, num_steps)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["MiniGrid-EmptyRandom-5x5", "MiniGrid-DoorKey-5x5", "MiniGrid-MemoryS8", "XLand-MiniGrid-R1-9x9"]
)
def test_steps_are_those_of_xminigrid(xminigrid, name):
    environment, walked = both(xminigrid, name, max_steps=30)
    seen, reward, last, discount = walked.theirs
    assert num_episodes(walked) >= 4 and environment.spec.time_limit == 30
    np.testing.assert_array_equal(walked.timesteps.observation, seen)
    np.testing.assert_array_equal(walked.firsts, walked.their_firsts)
    np.testing.assert_allclose(walked.timesteps.reward[:, 0], reward)
    np.testing.assert_array_equal(walked.timesteps.terminated, last & (discount == 0.0))
    np.testing.assert_array_equal(walked.timesteps.truncated, last & (discount == 1.0))


@pytest.mark.slow
def test_the_limit_truncates_and_a_goal_terminates(xminigrid):
    _, walked = both(xminigrid, "MiniGrid-EmptyRandom-5x5", 240, max_steps=7)
    terminated, truncated = walked.timesteps.terminated, walked.timesteps.truncated
    assert terminated.any() and truncated.any() and not np.any(terminated & truncated)
    assert np.all(walked.timesteps.reward[terminated] > 0.0) and np.all(walked.timesteps.reward[truncated] == 0.0)


@pytest.mark.slow
def test_rules_and_goals_are_traced(xminigrid):
    from xminigrid.core.constants import TILES_REGISTRY, Colors, Tiles
    from xminigrid.core.goals import AgentNearGoal

    environment = make("xminigrid/XLand-MiniGrid-R1-9x9")
    near_pyramid = AgentNearGoal(tile=TILES_REGISTRY[Tiles.PYRAMID, Colors.GREEN]).encode()
    goals = jnp.stack([environment.params.goal, near_pyramid])

    def ends(goal):
        params = environment.params._replace(goal=goal)

        def episode(key):
            state, _ = environment.reset(key, params)
            # Turning and walking on: some agents come past the pyramid, none makes a star.
            actions = jnp.tile(jnp.asarray([0, 0, 0, 1]), 10)
            return jax.lax.scan(lambda state, action: environment.step(key, state, action, params), state, actions)[1]

        return jax.vmap(episode)(jax.random.split(jax.random.key(0), 64)).terminated.any()

    np.testing.assert_array_equal(jax.jit(jax.vmap(ends))(goals), [False, True])
