"""The highway against numbers recorded from highway-env (experiments/highway_peer.py), and drivers in known places."""

import json
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments import make
from jaxrl.environments.check import check_structure
from jaxrl.environments.multi_objective.highway import Vehicles
from jaxrl.environments.multi_objective.highway.collisions import collide
from jaxrl.environments.multi_objective.highway.drivers import drive
from jaxrl.environments.multi_objective.highway.vehicles import lane_of

pytestmark = pytest.mark.quick_compilation

RECORD = json.loads(Path(__file__).with_name("highway_peer.json").read_text())
NAMES = ("highway", "highway-fast")
NUM_STEPS = max(len(episode["actions"]) for name in NAMES for episode in RECORD[name])


def vehicles(position, speed, target_speed=None, timer=0.0, exponent=4.0, crashed=False, **changes):
    """The state of some vehicles on four lanes, straight ahead and on their lanes' way."""
    position, count = jnp.asarray(position, jnp.float32), len(position)
    filled = lambda value: jnp.broadcast_to(jnp.asarray(value, jnp.float32), (count,))  # noqa: E731
    lane, zeros = lane_of(position, 4), jnp.zeros(count)
    state = Vehicles(
        position=position,
        heading=zeros,
        speed=filled(speed),
        lane=lane,
        target_lane=lane,
        target_speed=filled(speed if target_speed is None else target_speed),
        steering=zeros,
        acceleration=zeros,
        crashed=jnp.broadcast_to(jnp.asarray(crashed), (count,)),
        impact=jnp.zeros((count, 2)),
        struck=jnp.zeros(count, bool),
        timer=filled(timer),
        exponent=filled(exponent),
    )
    return state._replace(**changes)


@cache
def replayed(name):
    """Vehicles and timesteps [episode, time, ...] under the recorded actions; after an end, they go on."""
    environment, episodes = make(f"mo/{name}"), RECORD[name]
    starts = [vehicles(**episode["start"]) for episode in episodes]
    starts = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
    actions = jnp.array([np.resize(episode["actions"], NUM_STEPS) for episode in episodes])
    state, _ = environment.reset(jax.random.key(0), environment.params)

    def play(start, actions):
        def step(state, action):
            state, timestep = environment.step(jax.random.key(0), state, action, environment.params)
            return state, (state.inner, timestep)

        return jax.lax.scan(step, state._replace(inner=start), actions)[1]

    return jax.device_get(jax.jit(jax.vmap(play))(starts, actions))


@pytest.mark.parametrize("name", [pytest.param("highway", marks=pytest.mark.slow), "highway-fast"])
def test_vehicles_follow_the_originals(name):
    found, timesteps = replayed(name)
    for i, episode in enumerate(RECORD[name]):
        length, places = len(episode["actions"]), np.array(episode["places"])
        # Who drives straight into whom is pushed aside by rounding's choice, to the left or to the right.
        sure = length - episode["crashed"][-1][0]
        np.testing.assert_array_equal(found.crashed[i, :length], episode["crashed"])
        np.testing.assert_allclose(found.position[i, :length, :, 0], places[..., 0], atol=0.05)
        np.testing.assert_allclose(found.position[i, :sure], places[:sure], atol=0.05)
        np.testing.assert_allclose(
            timesteps.observation[i, :sure].reshape(sure, 5, 5), episode["observations"][:sure], atol=1e-3
        )
        np.testing.assert_allclose(timesteps.reward[i, :length], episode["rewards"], atol=1e-3)
        ends = np.flatnonzero(timesteps.terminated[i])
        assert not ends.size or ends[0] >= length - 1
    # What is recorded says something: agents and others crash, others change lanes.
    crashed = np.array([episode["crashed"][-1] for episode in RECORD[name]])
    assert crashed[:, 0].any() and (crashed.sum(axis=1) > 2).any()
    assert (found.lane[:, 0] != found.lane[:, -1])[:, 1:].any()


def lanes_after(*arguments, **changes):
    """Target lanes and timers after every driver has decided."""
    traffic = make("mo/highway").params.traffic
    decided = jax.jit(drive, static_argnums=2)(vehicles(*arguments, **changes), traffic, 4)
    return decided.target_lane.tolist(), decided


def test_a_driver_on_an_empty_road_reaches_its_speed_and_no_more():
    _, decided = lanes_after([(0.0, 0.0), (300.0, 4.0)], speed=[20.0, 15.0], target_speed=[20.0, 24.0])
    np.testing.assert_allclose(decided.acceleration[1], 3.0 * (1.0 - (15.0 / 24.0) ** 4), rtol=1e-5)
    _, decided = lanes_after([(0.0, 0.0), (300.0, 4.0)], speed=24.0)
    np.testing.assert_allclose(decided.acceleration[1], 0.0, atol=1e-5)


def test_a_driver_keeps_its_distance():
    # s* = 10 + 24 · 1.5 + 24 · (24 − 20) / (2 √15), 50 m behind.
    _, decided = lanes_after([(0.0, 12.0), (300.0, 4.0), (350.0, 4.0)], speed=[20.0, 24.0, 20.0])
    gap = 10.0 + 24.0 * 1.5 + 24.0 * 4.0 / (2.0 * 15.0**0.5)
    np.testing.assert_allclose(decided.acceleration[1], -3.0 * (gap / 50.0) ** 2, rtol=1e-5)


def test_drivers_overtake_where_it_is_safe_and_only_when_it_is_time():
    places = [(0.0, 12.0), (300.0, 4.0), (330.0, 4.0), (295.0, 0.0)]
    speeds = {"speed": [20.0, 24.0, 10.0, 24.0], "target_speed": [20.0, 24.0, 10.0, 30.0]}
    assert lanes_after(places, timer=0.9, **speeds)[0][1] == 1
    targets, decided = lanes_after(places, timer=1.1, **speeds)
    # Not to the left, where somebody would have to brake hard, but to the right.
    assert targets[1] == 2 and decided.timer[1] == 0.0 and decided.steering[1] > 0.0
    blocked = [*places, (297.0, 8.0)]
    speeds = {"speed": [20.0, 24.0, 10.0, 24.0, 24.0], "target_speed": [20.0, 24.0, 10.0, 30.0, 30.0]}
    assert lanes_after(blocked, timer=1.1, **speeds)[0][1] == 1


def test_of_two_who_change_to_one_lane_the_one_behind_gives_up():
    places, changing = [(0.0, 12.0), (300.0, 0.0), (310.0, 8.0)], jnp.array([3, 1, 1])
    targets, _ = lanes_after(places, speed=24.0, target_lane=changing)
    assert targets == [3, 0, 1]


@pytest.mark.parametrize("first_alone", [False, True])
def test_collisions_push_apart_and_stop(first_alone):
    # 1 overlaps 2 by half a metre along the road; the agent is far from both.
    state = vehicles([(0.0, 0.0), (100.0, 4.0), (104.5, 4.0)], speed=10.0)
    run = jax.jit(lambda state: collide(state, 0.1, first_alone))
    after = run(state)
    expected = [False, not first_alone, not first_alone]
    assert after.crashed.tolist() == after.struck.tolist() == expected
    if not first_alone:
        np.testing.assert_allclose(after.impact, [[0.0, 0.0], [-0.25, 0.0], [0.25, 0.0]], atol=1e-5)
    # Side by side, no contact; with the agent in it, always a collision.
    assert not run(vehicles([(0.0, 0.0), (0.0, 4.0)], speed=10.0)).crashed.any()
    assert run(vehicles([(0.0, 0.0), (4.0, 1.0)], speed=10.0)).crashed.all()


def test_traffic_is_as_dense_as_asked():
    environment = make("mo/highway")
    keys = jax.random.split(jax.random.key(0), 200)

    def length(density):
        params = environment.params._replace(density=jnp.float32(density))
        x = jax.vmap(lambda key: environment.reset(key, params)[0].inner.position[:, 0])(keys)
        return float((x[:, -1] - x[:, 0]).mean())

    # 50 gaps of 12 m and one second, at 22.5 m/s on average, over exp(−1/8) for each of four lanes.
    assert length(1.0) == pytest.approx(50 * 34.5 * np.exp(-0.5), rel=0.01)
    assert length(2.0) == pytest.approx(length(1.0) / 2.0, rel=0.01)


def test_contract_and_errors():
    check_structure(make("mo/highway-fast"))
    few = make("mo/highway-fast", num_vehicles=2, limit=7)
    _, observation = few.reset(jax.random.key(0), few.params)
    assert few.spec.time_limit == 7 and few.spec.observation.contains(observation)
    np.testing.assert_array_equal(observation[::5], [1.0, 1.0, 1.0, 0.0, 0.0])
    np.testing.assert_array_equal(observation[15:], 0.0)
    with pytest.raises(ValueError, match="num_lanes must be at least 1, got 0"):
        make("mo/highway", num_lanes=0)
