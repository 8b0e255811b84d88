"""navix adapter: contract, parity with navix step by step, and what ends an episode."""

import sys

import numpy as np
import pytest
from foreign import num_episodes, walk

from jaxrl.environments import check, make
from jaxrl.environments import navix as adapter
from jaxrl.errors import UnknownNameError

pytestmark = pytest.mark.quick_compilation


def test_names_and_errors_do_not_need_the_package(monkeypatch):
    assert len(adapter.names()) == len(set(adapter.names())) == 41
    with pytest.raises(UnknownNameError, match="navix/Navix-Empty-5x5-v0"):
        make("navix/Navix-Empty-5x6-v0")
    with pytest.raises(UnknownNameError, match="symbolic"):
        make("navix/Navix-Empty-5x5-v0", observation="symbols")
    with pytest.raises(ValueError, match="at least 1"):
        make("navix/Navix-Empty-5x5-v0", limit=0)
    monkeypatch.setitem(sys.modules, "navix", None)
    with pytest.raises(ImportError, match=r"jaxrl\[navix\]"):
        make("navix/Navix-Empty-5x5-v0")


@pytest.fixture
def navix():
    return pytest.importorskip("navix")


@pytest.mark.slow
def test_names_are_those_that_navix_registers(navix):
    assert set(adapter.names()) == set(navix.registry())


@pytest.mark.slow
@pytest.mark.parametrize("name", adapter.names())
def test_every_environment_keeps_the_contract(navix, name):
    check(make(f"navix/{name}", limit=40), num_steps=50)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "observation"),
    [
        *(("Navix-Empty-Random-5x5-v0", observation) for observation in adapter.OBSERVATIONS),
        *((f"Navix-{name}-v0", "symbolic_first_person") for name in ("DoorKey-6x6", "LavaGapS5", "KeyCorridorS3R1")),
        *((f"Navix-{name}-v0", "symbolic") for name in ("Dynamic-Obstacles-5x5-Random", "DistShift1", "FourRooms")),
        *((f"Navix-{name}-v0", "symbolic") for name in ("SimpleCrossingS9N1", "GoToDoor-5x5")),
    ],
)
def test_steps_are_those_of_navix(navix, name, observation):
    environment = make(f"navix/{name}", observation=observation, limit=30)
    original = navix.make(name, max_steps=30, observation_fn=getattr(navix.observations, observation))

    def reset(key):
        start = original.reset(key)
        return start, start.observation

    def step(key, state, action):
        # Never after an end, so that navix's own `step` does not reset either.
        after = original.step(state, action)
        return after, (after.observation, after.reward, after.step_type)

    walked = walk(environment, reset, step, 240)
    seen, reward, kind = walked.theirs
    assert num_episodes(walked) >= 3
    np.testing.assert_array_equal(walked.timesteps.observation, seen)
    np.testing.assert_array_equal(walked.firsts, walked.their_firsts)
    np.testing.assert_allclose(walked.timesteps.reward[:, 0], reward)
    np.testing.assert_array_equal(walked.timesteps.truncated, kind == 1)
    np.testing.assert_array_equal(walked.timesteps.terminated, kind == 2)


@pytest.mark.slow
def test_the_limit_truncates_and_lava_terminates(navix):
    environment = make("navix/Navix-LavaGapS5-v0", limit=5)
    original = navix.make("Navix-LavaGapS5-v0", max_steps=5)
    walked = walk(environment, lambda key: (original.reset(key), 0), lambda key, state, action: (state, 0), 200)
    assert walked.timesteps.terminated.any() and walked.timesteps.truncated.any()
    assert not np.any(walked.timesteps.terminated & walked.timesteps.truncated)
    assert environment.spec.time_limit == 5 and make("navix/Navix-LavaGapS5-v0").spec.time_limit == 100
