"""The lunar lander against numbers recorded from MO-Gymnasium's (experiments/lunar_lander_peer.py)."""

import json
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.lunar_lander_peer import CHANCES, controller
from jaxrl.environments import make

pytestmark = pytest.mark.quick_compilation

RECORD = json.loads(Path(__file__).with_name("lunar_lander_peer.json").read_text())
NAMES = ("lunar-lander", "lunar-lander-continuous")
each_name = pytest.mark.parametrize("name", [NAMES[0], pytest.param(NAMES[1], marks=pytest.mark.slow)])
# One batch for every test, so that each variant is compiled once; its first half follows the controller.
BATCH, NUM_STEPS = 2 * 203, 500


@cache
def starts():
    """First states and observations, which both variants share."""
    environment = make("mo/lunar-lander")
    keys = jax.random.split(jax.random.key(0), BATCH)
    return jax.jit(jax.vmap(environment.reset, in_axes=(0, None)))(keys, environment.params)


@cache
def variant(name):
    """Environment and its compiled step of a whole batch."""
    environment = make(f"mo/{name}")
    return environment, jax.jit(jax.vmap(environment.step, in_axes=(0, 0, 0, None)))


def run(name, params, state, actions):
    """Timesteps of shape [flight, time, ...] from rows of states and of actions."""
    _, step = variant(name)
    count = len(actions)

    def fill(leaf):
        return jnp.asarray(np.resize(leaf, (BATCH, *np.shape(leaf)[1:])))

    state, actions, keys = jax.tree.map(fill, state), fill(actions), jax.random.split(jax.random.key(1), BATCH)
    rows = []
    for time in range(actions.shape[1]):
        state, timestep = step(keys, state, actions[:, time], params)
        rows.append(jax.tree.map(lambda leaf: np.asarray(leaf)[:count], timestep))
    return jax.tree.map(lambda *leaves: np.stack(leaves, axis=1), *rows)


def placed(**bodies):
    """One state, as a batch of one, whose bodies are where `bodies` says; without ground contact."""
    state = jax.tree.map(lambda leaf: leaf[:1], starts()[0])
    replaced = {name: jnp.asarray(value, jnp.float32)[None] for name, value in bodies.items()}
    inner = state.inner._replace(bodies=state.inner.bodies._replace(**replaced), contact=jnp.zeros((1, 2), bool))
    return state._replace(inner=inner)


def start_of(flight):
    start = dict(flight["start"])
    state = placed(**{name: start.pop(name) for name in ("pin", "angle", "velocity", "spin")})
    return state._replace(inner=state.inner._replace(**{name: jnp.asarray([value]) for name, value in start.items()}))


@cache
def flown(name):
    """Our timesteps under the recorded actions, one row a flight, as long as the longest."""
    environment, _ = variant(name)
    params = environment.params._replace(dispersion=jnp.float32(0.0))
    if name.endswith("continuous"):
        params = params._replace(wind_power=jnp.float32(15.0), turbulence_power=jnp.float32(1.5))
    flights = RECORD[name]["flights"]
    longest = max(len(flight["actions"]) for flight in flights)
    actions = [np.resize(flight["actions"], (longest, *np.shape(flight["actions"])[1:])) for flight in flights]
    state = jax.tree.map(lambda *leaves: np.concatenate(leaves), *map(start_of, flights))
    return run(name, params, state, np.array(actions, environment.spec.action.dtype))


@each_name
def test_free_flight_follows_box2d(name):
    compared, every, ours = 0, RECORD["every"], flown(name)
    for flight, observation, reward in zip(RECORD[name]["flights"], ours.observation, ours.reward, strict=True):
        theirs = np.array(flight["observations"])
        observation = observation[every - 1 :: every][: len(theirs)]
        np.testing.assert_allclose(observation[:, :5], theirs[:, :5], atol=5e-3)
        np.testing.assert_allclose(observation[:, 5:], theirs[:, 5:], atol=1e-2)
        np.testing.assert_allclose(reward[every - 1 :: every][: len(theirs)], flight["rewards"], atol=0.1)
        compared += len(theirs)
    assert compared > 40


@each_name
def test_legs_touch_down_when_box2d_says(name):
    ours = flown(name)
    ended = ours.observation[..., 6:].any(axis=-1) | ours.terminated
    theirs = [len(flight["actions"]) - 1 for flight in RECORD[name]["flights"]]
    np.testing.assert_allclose(np.argmax(ended, axis=1), theirs, atol=1)


@cache
def episodes(name):
    """Rows of landed, crashed, steps and three returns, one an episode: of the controller, of random actions."""
    (environment, step), continuous = variant(name), name.endswith("continuous")
    follow = jnp.arange(BATCH) < BATCH // 2

    def act(key, observation, follow):
        wander = jax.random.choice(key, 4, p=jnp.array(CHANCES))
        if continuous:
            wander = jax.random.uniform(key, (2,), minval=-1.0)
        return jnp.where(follow, controller(observation, continuous, jnp), wander)

    act = jax.jit(jax.vmap(act))
    state, observation = starts()
    done, returns, steps = np.zeros(BATCH, bool), np.zeros((BATCH, 4)), np.zeros(BATCH)
    for time in range(NUM_STEPS):
        action_keys, step_keys = jax.random.split(jax.random.key(time), (2, BATCH))
        action = act(action_keys, observation, follow)
        state, timestep = step(step_keys, state, action, environment.params)
        returns += np.where(done[:, None], 0.0, timestep.reward)
        steps, observation = steps + ~done, timestep.observation
        done |= np.asarray(timestep.terminated)
    rows = np.column_stack([returns[:, 0] > 0.0, returns[:, 0] < 0.0, steps, returns[:, 1:]])
    return dict(zip(("controller", "random"), np.split(rows, 2), strict=True))


@pytest.mark.parametrize("policy", ["controller", "random"])
@each_name
def test_episodes_end_as_in_box2d(name, policy):
    rows, theirs = episodes(name)[policy], RECORD[name]["episodes"][policy]
    error = rows.std(axis=0) / np.sqrt(len(rows))
    # What the simpler contacts may change, beyond three standard errors of the two means.
    slack = {"landed": 0.02, "crashed": 0.02, "steps": 0.05, "shaping": 0.05, "main_fuel": 0.05, "side_fuel": 0.2}
    for column, (measure, share) in enumerate(slack.items()):
        mean, their_error = theirs[measure]
        allowed = 3.0 * np.hypot(error[column], their_error) + share * max(abs(mean), 1.0 if column < 2 else 0.0)
        assert abs(rows[:, column].mean() - mean) < allowed, f"{measure}: {rows[:, column].mean()} for {mean}"


def test_a_lander_at_rest_has_landed():
    state = placed(pin=[10.0, 4.0], angle=[0.0, 0.35, -0.35], velocity=np.zeros((3, 2)), spin=np.zeros(3))
    params = variant(NAMES[0])[0].params
    ours = run(NAMES[0], params, state, np.zeros((1, 100), np.int32))
    end = int(np.argmax(ours.terminated[0]))
    # It settles on its legs first, and then has to keep still for half a second.
    assert 25 < end < 99 and ours.reward[0, end, 0] == 100.0 and not ours.reward[0, :end, 0].any()
    assert ours.observation[0, end, 6:].all()
    np.testing.assert_allclose(ours.observation[0, end, 2:6], 0.0, atol=1e-3)


@pytest.mark.parametrize("pin", [(19.99, 9.0), (10.0, 3.6)])
def test_leaving_and_striking_the_ground_are_crashes(pin):
    state = placed(pin=pin, velocity=np.tile([5.0, 0.0], (3, 1)))
    ours = run(NAMES[0], variant(NAMES[0])[0].params, state, np.zeros((1, 1), np.int32))
    assert ours.terminated.all() and ours.reward[0, 0, 0] == -100.0


def test_a_struck_hull_keeps_no_speed_into_the_ground():
    still = {"angle": [0.0, 0.35, -0.35], "spin": np.zeros(3)}
    state = placed(pin=(10.0, 3.6), velocity=np.tile([0.0, -5.0], (3, 1)), **still)
    ours = run(NAMES[0], variant(NAMES[0])[0].params, state, np.zeros((1, 1), np.int32))
    y_velocity, spin = ours.observation[0, 0, 3] / (20.0 / 3.0 / 50.0), ours.observation[0, 0, 5] * 2.5
    # The lower corners lie 17/30 m to either side; the left one, found first, has stopped.
    np.testing.assert_allclose(y_velocity - spin * 17.0 / 30.0, 0.0, atol=0.05)
    assert y_velocity < -1.0


def test_gravity_is_traced():
    params, velocities = variant(NAMES[0])[0].params, []
    for gravity in (1.0, 8.0):
        changed = params._replace(physics=params.physics._replace(gravity=jnp.float32(gravity)))
        state = placed(pin=(10.0, 9.0))
        velocities.append(run(NAMES[0], changed, state, np.zeros((1, 1), np.int32)).observation[0, 0, 3])
    np.testing.assert_allclose(velocities[1] - velocities[0], -7.0 / 50.0 * (20.0 / 3.0) / 50.0, rtol=1e-3)
