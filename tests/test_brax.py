"""brax adapter: contract, parity with brax itself, reward components, auto-reset, swept physics."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments import brax as adapter
from jaxrl.environments import check, make, vectorise
from jaxrl.errors import UnknownNameError

pytestmark = pytest.mark.quick_compilation

pytest.importorskip("brax")
pytestmark = [pytest.mark.filterwarnings("ignore:Brax System"), pytest.mark.quick_compilation]

PAIRS = [(name, backend) for name, backends in adapter.BACKENDS.items() for backend in backends]


def rollout(environment, params, num_steps, seed=0):
    """Timesteps of one episode of random actions, never reset."""
    reset_key, steps_key = jax.random.split(jax.random.key(seed))
    state, _ = environment.reset(reset_key, params)

    def body(state, key):
        action_key, step_key = jax.random.split(key)
        return environment.step(step_key, state, environment.spec.action.sample(action_key), params)

    return jax.lax.scan(body, state, jax.random.split(steps_key, num_steps))[1]


@pytest.fixture(scope="module")
def reacher():
    return make("brax/reacher", limit=25, objectives="components")


@pytest.fixture(scope="module")
def episode(reacher):
    return jax.jit(lambda params: rollout(reacher, params, 25))(reacher.params)


@pytest.fixture(scope="module")
def pendulum():
    return make("brax/inverted_pendulum", limit=200)


@pytest.mark.slow
def test_both_pass_the_contract_check(reacher, pendulum):
    check(reacher, num_steps=30)
    check(pendulum)


def test_equals_brax_step_by_step(pendulum):
    from brax import envs

    raw = envs.get_environment("inverted_pendulum", backend="spring")
    state, _ = jax.jit(pendulum.reset)(jax.random.key(3), pendulum.params)
    expected = jax.jit(raw.reset)(jax.random.key(3))
    step, raw_step = jax.jit(pendulum.step), jax.jit(raw.step)
    for t in range(12):
        action = jnp.array([np.sin(t)], jnp.float32)
        state, timestep = step(jax.random.key(t), state, action, pendulum.params)
        expected = raw_step(expected, action)
        np.testing.assert_allclose(timestep.observation, expected.obs, rtol=1e-5, atol=1e-6)
        assert timestep.reward.shape == (1,) and float(timestep.reward[0]) == float(expected.reward)
        assert bool(timestep.terminated) == bool(expected.done)


def test_components_add_up_to_the_scalar_reward(reacher, episode):
    scalar = make("brax/reacher", limit=25)
    assert reacher.spec.objective_names == ("reward_dist", "reward_ctrl")
    assert scalar.spec.num_objectives == 1
    total = jax.jit(lambda params: rollout(scalar, params, 25).reward)(reacher.params)
    components = episode.reward
    assert components.shape == (25, 2) and np.all(np.asarray(components) < 0.0)
    np.testing.assert_allclose(components.sum(-1), total[:, 0], rtol=1e-5, atol=1e-6)


def test_time_limit_truncates_and_does_not_terminate(episode):
    assert not np.any(episode.terminated)
    np.testing.assert_array_equal(episode.truncated, np.arange(25) == 24)


@pytest.mark.slow
def test_pool_auto_reset_restarts_fallen_pendulums(pendulum):
    batched = vectorise(pendulum, 6, auto_reset="pool", pool_size=2)

    @jax.jit
    def run(key, params):
        reset_key, draw_key = jax.random.split(key)
        state, _ = batched.reset(reset_key, params)

        def body(state, draws):
            return batched.step(draws, state, jnp.ones((6, 1)), params)

        return jax.lax.scan(body, state, batched.draw(draw_key, 40, params))[1]

    timesteps = run(jax.random.key(0), batched.params)
    done = np.asarray(timesteps.terminated)
    assert done.any(axis=0).all(), "a constant push must topple every pendulum within 40 steps"
    angle, final_angle = np.asarray(timesteps.observation)[..., 1], np.asarray(timesteps.info["final_observation"])
    assert np.all(np.abs(angle[done]) < 0.02), "the observation after an end is that of a fresh start"
    assert np.all(np.abs(final_angle[..., 1][done]) > 0.2), "the true last observation is kept"
    assert len(np.unique(angle[done])) > 1, "restarts differ"


@pytest.mark.parametrize("alone", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_swept_physics_change_the_dynamics_and_zero_change_does_not(pendulum, alone):
    factors = jnp.array([1.0, 0.5, 2.0])
    swept = pendulum.params._replace(gravity=factors[:, None] * pendulum.params.gravity)
    axes = pendulum.params._replace(**dict.fromkeys(pendulum.params._fields))._replace(gravity=0)
    run = jax.jit(jax.vmap(lambda params: rollout(pendulum, params, 20).observation, in_axes=(axes,)))
    observations = np.asarray(run(swept))
    if alone:
        default = jax.jit(lambda params: rollout(pendulum, params, 20).observation)(pendulum.params)
        np.testing.assert_allclose(observations[0], default, rtol=1e-4, atol=1e-5)
    assert np.abs(observations[1] - observations[0]).max() > 1e-2
    assert np.abs(observations[2] - observations[0]).max() > 1e-2


def test_constants_that_an_engine_ignores_are_none(pendulum):
    assert pendulum.params.damping is None and pendulum.params.armature is None
    assert make("brax/inverted_pendulum", backend="generalized").params.damping.shape == (2,)


def test_errors_name_what_is_allowed(monkeypatch):
    with pytest.raises(UnknownNameError, match="spring"):
        make("brax/ant", backend="sprung")
    with pytest.raises(UnknownNameError, match="components"):
        make("brax/ant", objectives="component")
    with pytest.raises(ValueError, match="no reward components"):
        make("brax/inverted_pendulum", objectives="components")
    with pytest.raises(UnknownNameError, match="brax/hopper"):
        make("brax/hoper")
    monkeypatch.setitem(sys.modules, "brax", None)
    with pytest.raises(ImportError, match=r"jaxrl\[brax\]"):
        make("brax/ant")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backend"), PAIRS)
def test_every_pair_passes_the_contract_check(name, backend):
    check(make(f"brax/{name}", backend=backend, limit=100), num_steps=100)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(adapter.COMPONENTS))
def test_every_decomposition_adds_up(name):
    vector, scalar = make(f"brax/{name}", objectives="components"), make(f"brax/{name}")
    both = jax.jit(lambda params: (rollout(vector, params, 9).reward, rollout(scalar, params, 9).reward))
    components, total = both(vector.params)
    assert components.shape == (9, len(adapter.COMPONENTS[name]))
    np.testing.assert_allclose(components.sum(-1), total[:, 0], rtol=1e-4, atol=1e-4)
