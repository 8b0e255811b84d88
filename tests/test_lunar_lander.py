"""The lunar lander against numbers recorded from MO-Gymnasium's (experiments/lunar_lander_peer.py)."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.lunar_lander_peer import CHANCES, controller
from jaxrl.environments import make

RECORD = json.loads(Path(__file__).with_name("lunar_lander_peer.json").read_text())
NAMES = ("lunar-lander", "lunar-lander-continuous")
NUM_EPISODES, NUM_STEPS = 311, 500


def start_of(flight, state):
    """Our state at the start of a recorded flight; `state` is any of ours."""
    start = {name: jnp.asarray(value) for name, value in flight["start"].items()}
    bodies = state.inner.bodies._replace(**{name: start.pop(name) for name in ("pin", "angle", "velocity", "spin")})
    inner = state.inner._replace(bodies=bodies, contact=jnp.zeros(2, bool), **start)
    return state._replace(inner=inner)


@pytest.fixture(scope="module")
def flown():
    """Name -> our timesteps under the recorded actions, one row a flight, as long as the longest."""

    def fly(name):
        environment, flights = make(f"mo/{name}"), RECORD[name]["flights"]
        params = environment.params._replace(dispersion=jnp.float32(0.0))
        if name.endswith("continuous"):
            params = params._replace(wind_power=jnp.float32(15.0), turbulence_power=jnp.float32(1.5))
        any_state = environment.reset(jax.random.key(0), params)[0]
        starts = [start_of(flight, any_state) for flight in flights]
        longest = max(len(flight["actions"]) for flight in flights)
        dtype = environment.spec.action.dtype
        actions = [np.resize(np.asarray(f["actions"], dtype), (longest, *np.shape(f["actions"])[1:])) for f in flights]

        def run(state, actions):
            return jax.lax.scan(lambda s, a: environment.step(jax.random.key(1), s, a, params), state, actions)[1]

        return jax.jit(jax.vmap(run))(jax.tree.map(lambda *x: jnp.stack(x), *starts), jnp.asarray(np.array(actions)))

    return {name: jax.device_get(fly(name)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_free_flight_follows_box2d(flown, name):
    compared = 0
    for flight, observation, reward in zip(
        RECORD[name]["flights"], flown[name].observation, flown[name].reward, strict=True
    ):
        theirs, every = np.array(flight["observations"]), RECORD["every"]
        ours = observation[every - 1 :: every][: len(theirs)]
        np.testing.assert_allclose(ours[:, :5], theirs[:, :5], atol=5e-3)
        np.testing.assert_allclose(ours[:, 5:], theirs[:, 5:], atol=1e-2)
        np.testing.assert_allclose(reward[every - 1 :: every][: len(theirs)], flight["rewards"], atol=0.1)
        compared += len(theirs)
    assert compared > 40


@pytest.mark.parametrize("name", NAMES)
def test_legs_touch_down_when_box2d_says(flown, name):
    ours = flown[name]
    ended = ours.observation[..., 6:].any(axis=-1) | ours.terminated
    theirs = [len(flight["actions"]) - 1 for flight in RECORD[name]["flights"]]
    np.testing.assert_allclose(np.argmax(ended, axis=1), theirs, atol=1)


@pytest.fixture(scope="module")
def episodes():
    """(Name, policy) -> rows of landed, crashed, steps and three returns, one an episode."""

    def play(name):
        environment, continuous = make(f"mo/{name}"), name.endswith("continuous")

        def act(key, observation, follow):
            wander = jax.random.choice(key, 4, p=jnp.array(CHANCES))
            if continuous:
                wander = jax.random.uniform(key, (2,), minval=-1.0)
            return jnp.where(follow, controller(observation, continuous, jnp), wander)

        def episode(key, follow):
            first, *keys = jax.random.split(key, NUM_STEPS + 1)
            state, observation = environment.reset(first, environment.params)

            def body(carry, key):
                state, observation, done, returns, steps = carry
                action_key, step_key = jax.random.split(key)
                action = act(action_key, observation, follow)
                state, timestep = environment.step(step_key, state, action, environment.params)
                returns = returns + jnp.where(done, 0.0, timestep.reward)
                ended = done | timestep.terminated
                return (state, timestep.observation, ended, returns, steps + ~done), None

            carry = (state, observation, jnp.array(False), jnp.zeros(4), jnp.int32(0))
            _, _, _, returns, steps = jax.lax.scan(body, carry, jnp.stack(keys))[0]
            return jnp.stack([returns[0] > 0.0, returns[0] < 0.0, steps, *returns[1:]])

        follow = jnp.arange(2 * NUM_EPISODES) < NUM_EPISODES
        rows = jax.jit(jax.vmap(episode))(jax.random.split(jax.random.key(2), 2 * NUM_EPISODES), follow)
        return np.asarray(rows, np.float64).reshape(2, NUM_EPISODES, -1)

    return {(name, policy): rows for name in NAMES for policy, rows in zip(("controller", "random"), play(name))}


@pytest.mark.parametrize("policy", ["controller", "random"])
@pytest.mark.parametrize("name", NAMES)
def test_episodes_end_as_in_box2d(episodes, name, policy):
    rows, theirs = episodes[name, policy], RECORD[name]["episodes"][policy]
    error = rows.std(axis=0) / np.sqrt(len(rows))
    # What the simpler contacts may change, beyond three standard errors of the two means.
    slack = {"landed": 0.02, "crashed": 0.02, "steps": 0.05, "shaping": 0.05, "main_fuel": 0.05, "side_fuel": 0.2}
    for column, (measure, share) in enumerate(slack.items()):
        mean, their_error = theirs[measure]
        allowed = 3.0 * np.hypot(error[column], their_error) + share * max(abs(mean), 1.0 if column < 2 else 0.0)
        assert abs(rows[:, column].mean() - mean) < allowed, f"{measure}: {rows[:, column].mean()} for {mean}"


def test_a_lander_at_rest_has_landed():
    """Set down on the pad with still engines it sleeps, after its legs have settled, and keeps still."""
    environment = make("mo/lunar-lander")
    state = environment.reset(jax.random.key(0), environment.params)[0]
    bodies = state.inner.bodies
    bodies = bodies._replace(
        pin=jnp.array([10.0, 4.0]),
        angle=jnp.array([0.0, 0.35, -0.35]),
        velocity=jnp.zeros((3, 2)),
        spin=jnp.zeros(3),
    )
    state = state._replace(inner=state.inner._replace(bodies=bodies))

    def body(state, _):
        return environment.step(jax.random.key(0), state, jnp.int32(0), environment.params)

    steps = jax.device_get(jax.jit(lambda state: jax.lax.scan(body, state, None, 100)[1])(state))
    end = int(np.argmax(steps.terminated))
    assert 25 < end < 99 and steps.reward[end, 0] == 100.0 and not steps.reward[:end, 0].any()
    assert steps.observation[end, 6:].all()
    np.testing.assert_allclose(steps.observation[end, 2:6], 0.0, atol=1e-3)


@pytest.mark.parametrize("place", [(19.99, 9.0), (10.0, 3.6)])
def test_leaving_and_striking_the_ground_are_crashes(place):
    environment = make("mo/lunar-lander")
    state = environment.reset(jax.random.key(0), environment.params)[0]
    bodies = state.inner.bodies._replace(pin=jnp.array(place), velocity=jnp.tile(jnp.array([5.0, 0.0]), (3, 1)))
    state = state._replace(inner=state.inner._replace(bodies=bodies))
    timestep = environment.step(jax.random.key(0), state, jnp.int32(0), environment.params)[1]
    assert bool(timestep.terminated) and float(timestep.reward[0]) == -100.0


def test_gravity_is_traced():
    environment = make("mo/lunar-lander")
    state = environment.reset(jax.random.key(0), environment.params)[0]
    falls = []
    for gravity in (0.0, 7.0):
        physics = environment.params.physics._replace(gravity=jnp.float32(gravity))
        after = environment.step(jax.random.key(0), state, jnp.int32(0), environment.params._replace(physics=physics))
        falls.append(after[0].inner.bodies.velocity[:, 1])
    np.testing.assert_allclose(falls[1] - falls[0], -7.0 / 50.0, rtol=1e-4)
