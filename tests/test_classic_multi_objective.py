"""Mountain car and the water reservoir against MO-Gymnasium, step by step."""

import gymnasium
import jax
import jax.numpy as jnp
import mo_gymnasium
import numpy as np
import pytest

from jaxrl.environments import make
from tests.peers import peer_rollout, rollout

pytestmark = pytest.mark.quick_compilation

NUM_STEPS = 5003
START = -0.53
LEVEL = 73.508622

CARS = {
    "mountaincar": "mo-mountaincar-v0",
    "mountaincar-3d": "mo-mountaincar-3d-v0",
    "mountaincar-timemove": "mo-mountaincar-timemove-v0",
    "mountaincar-timespeed": "mo-mountaincar-timespeed-v0",
    "mountaincar-continuous": "mo-mountaincarcontinuous-v0",
}
RESERVOIRS = {
    "water-reservoir": {"nO": 2},
    "water-reservoir-3": {"nO": 3, "penalize": True},
    "water-reservoir-4": {"nO": 4, "normalized_action": True},
}


class FixedStart(gymnasium.Wrapper):
    """Every episode starts at the same place, as `rollout` has it."""

    def reset(self, **options):
        return self.env.reset(**options, options={"low": START, "high": START})


class RecordedInflow(gymnasium.Wrapper):
    """Keeps the inflows that the peer drew."""

    def __init__(self, env):
        super().__init__(env)
        self.inflows = []

    def step(self, action):
        result = self.env.step(action)
        self.inflows.append(self.unwrapped.dam_inflow)
        return result


def driving(continuous):
    """Random stretches to and fro, about as long as the car swings: uniform actions never arrive.

    The engine rests at the end, for longer than any episode lasts.
    """
    generator, actions, direction = np.random.default_rng(11), [], 1
    while len(actions) < NUM_STEPS - 1009:
        actions += [direction] * generator.integers(15, 50) + list(generator.integers(-1, 2, generator.integers(4)))
        direction = -direction
    actions = np.pad(actions, (0, NUM_STEPS - len(actions)))
    if not continuous:
        return actions + 1
    # Some forces exceed the bounds: the car clips them, their cost does not.
    return (actions * generator.uniform(0.5, 1.5, NUM_STEPS)).astype(np.float32)[:, None]


@pytest.mark.parametrize("name", CARS)
def test_every_step_of_mountain_car_equals_the_peer(name):
    environment = make(f"mo/{name}")
    params = environment.params._replace(start_low=jnp.float32(START), start_high=jnp.float32(START))
    actions = driving(name.endswith("continuous"))
    peer = mo_gymnasium.make(CARS[name], disable_env_checker=True)
    assert environment.spec.time_limit == peer.spec.max_episode_steps
    first, (observations, rewards, terminated, truncated) = peer_rollout(FixedStart(peer), actions)
    ours = rollout(environment, params, actions)
    np.testing.assert_allclose(environment.reset(jax.random.key(0), params)[1], first, atol=1e-7)
    np.testing.assert_array_equal(ours.terminated, terminated)
    np.testing.assert_array_equal(ours.truncated, truncated)
    np.testing.assert_allclose(ours.observation, observations, atol=1e-4)
    np.testing.assert_allclose(ours.reward, rewards, atol=3e-4 if "speed" in environment.spec.objective_names else 1e-6)
    assert terminated.sum() > 3 and truncated.sum() > 0
    assert (observations[:, 0] == np.float32(-1.2)).any(), "the car never hit the left wall"


@pytest.mark.parametrize("name", RESERVOIRS)
def test_every_step_of_the_reservoir_equals_the_peer(name):
    options = RESERVOIRS[name]
    environment = make(f"mo/{name}", **{key: value for key, value in options.items() if key != "nO"})
    params = environment.params._replace(starts=jnp.array([LEVEL]), inflow_deviation=jnp.float32(0.0))
    peer = RecordedInflow(mo_gymnasium.make("water-reservoir-v0", initial_state=np.array([LEVEL]), **options))
    assert environment.spec.time_limit == peer.unwrapped.time_limit
    generator = np.random.default_rng(2)
    bounds = (0.0, 1.0) if environment.spec.action.bounded else (-20.0, 180.0)
    actions = generator.uniform(*bounds, size=(NUM_STEPS, 1)).astype(np.float32)
    _, (observations, rewards, terminated, truncated) = peer_rollout(peer, actions)
    ours = rollout(environment, params, actions, inflow_mean=np.array(peer.inflows, np.float32))
    np.testing.assert_array_equal(ours.terminated, terminated)
    np.testing.assert_array_equal(ours.truncated, truncated)
    np.testing.assert_allclose(ours.observation, observations, atol=1e-3)
    np.testing.assert_allclose(ours.reward, rewards, atol=1e-3)
    assert ((rewards < 0.0).sum(axis=0) > 100).all() and ((observations > 100.0).sum() > 100)


@pytest.mark.parametrize("penalize", [False, True])
def test_the_reservoir_starts_and_is_filled_as_the_peer(penalize):
    environment = make("mo/water-reservoir", penalize=penalize)
    peer = mo_gymnasium.make("water-reservoir-v0", penalize=penalize).unwrapped
    peer.reset(seed=0)
    theirs = np.array([peer.reset()[0][0] for _ in range(3001)])
    states, ours = jax.vmap(environment.reset, in_axes=(0, None))(
        jax.random.split(jax.random.key(3), 3001), environment.params
    )
    np.testing.assert_array_equal(np.unique(ours), np.unique(theirs))
    np.testing.assert_allclose(ours.mean(), theirs.mean(), atol=5 * theirs.std() / np.sqrt(1500))
    dry = states._replace(inner=states.inner._replace(level=jnp.full(3001, 70.0)))
    after = jax.vmap(environment.step, in_axes=(0, 0, None, None))(
        jax.random.split(jax.random.key(4), 3001), dry, jnp.zeros(1), environment.params
    )[1].observation
    np.testing.assert_allclose(after.mean(), 110.0, atol=5 * 10.0 / np.sqrt(3001))
    np.testing.assert_allclose(after.std(), 10.0, rtol=0.07)


def test_mountain_car_starts_where_the_peer_does():
    environment = make("mo/mountaincar")
    reset = jax.vmap(environment.reset, in_axes=(0, None))
    first = np.asarray(reset(jax.random.split(jax.random.key(1), 4001), environment.params)[1])
    assert (first[:, 1] == 0.0).all()
    np.testing.assert_allclose(np.quantile(first[:, 0], [0, 0.25, 0.5, 0.75, 1]), np.linspace(-0.6, -0.4, 5), atol=5e-3)


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="got 5"):
        make("mo/water-reservoir", num_objectives=5)
    with pytest.raises(ValueError, match="merge"):
        make("mo/mountaincar", moves="merge")
    with pytest.raises(ValueError, match="speed=True"):
        make("mo/mountaincar", moves="none")
