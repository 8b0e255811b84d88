"""Craftax adapter: contract, parity with craftax step by step, and death told from the end of time."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from foreign import num_episodes, walk

import jaxrl
from jaxrl.environments import check, make
from jaxrl.environments import craftax as adapter
from jaxrl.errors import UnknownNameError

pytestmark = pytest.mark.quick_compilation
CLASSIC = "Craftax-Classic-Symbolic-v1"


def test_names_and_errors_do_not_need_the_package(monkeypatch):
    assert len(adapter.names()) == len(set(adapter.names())) == 4
    with pytest.raises(UnknownNameError, match="craftax/Craftax-Symbolic-v1"):
        make("craftax/Craftax-Symbolic-v2")
    with pytest.raises(UnknownNameError, match="components"):
        make(f"craftax/{CLASSIC}", objectives="parts")
    with pytest.raises(ValueError, match="at least 1"):
        make(f"craftax/{CLASSIC}", limit=0)
    monkeypatch.setitem(sys.modules, "craftax", None)
    monkeypatch.setitem(sys.modules, "craftax.craftax_env", None)
    with pytest.raises(ImportError, match=r"jaxrl\[craftax\]"):
        make(f"craftax/{CLASSIC}")


@pytest.fixture
def craftax():
    return pytest.importorskip("craftax.craftax_env")


@pytest.mark.slow
@pytest.mark.parametrize("name", adapter.names())
def test_every_world_keeps_the_contract(craftax, name):
    check(make(f"craftax/{name}", limit=20), num_steps=25)


@pytest.mark.slow
@pytest.mark.parametrize("name", [CLASSIC, "Craftax-Symbolic-v1"])
def test_steps_are_those_of_craftax(craftax, name):
    limit = 120
    environment = make(f"craftax/{name}", limit=limit)
    original = craftax.make_craftax_env_from_name(name, auto_reset=False)
    params = original.default_params.replace(max_timesteps=limit)

    def step(key, state, action):
        observation, state, reward, done, info = original.step_env(key, state, action, params)
        return state, (observation, reward, done, state.player_health, state.timestep, info["discount"])

    def reset(key):
        observation, state = original.reset_env(key, params)
        return jax.tree.map(jnp.asarray, state), observation

    walked = walk(environment, reset, step, 700)
    seen, reward, done, health, time, discount = walked.theirs
    terminated, truncated = walked.timesteps.terminated, walked.timesteps.truncated
    assert num_episodes(walked) >= 4 and environment.spec.time_limit == limit
    # Of light, the last digit depends on whether the length of a day is traced.
    np.testing.assert_allclose(walked.timesteps.observation, seen, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(walked.firsts, walked.their_firsts, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(walked.timesteps.reward[:, 0], reward, rtol=1e-6)
    np.testing.assert_array_equal(terminated | truncated, done)
    # Some die, and others are cut at the limit, where craftax reports the same.
    assert terminated.any() and truncated.any() and not np.any(terminated & truncated)
    np.testing.assert_array_equal(truncated, (time >= limit) & (health > 0))
    assert np.all(discount[truncated] == 0.0)


@pytest.mark.slow
def test_terms_of_the_reward_add_up_and_the_limit_is_traced(craftax):
    together, apart = (make(f"craftax/{CLASSIC}", objectives=kind) for kind in ("sum", "components"))
    assert apart.spec.objective_names == ("achievements", "health") and apart.spec.time_limit == 10_000
    walked = walk(apart, lambda key: together.reset(key, together.params), lambda key, state, action: together.step(
        key, state, action, together.params
    ), 300)  # fmt: skip
    mine, theirs = walked.timesteps.reward, walked.theirs.reward
    np.testing.assert_allclose(mine.sum(axis=1), theirs[:, 0], atol=1e-6)
    assert mine[:, 0].max() >= 1.0 and mine[:, 1].min() < 0.0
    np.testing.assert_allclose(mine[:, 0], np.round(mine[:, 0]), atol=1e-6)
    state, _ = jax.jit(apart.reset)(jax.random.key(0), apart.params)
    step = jax.jit(apart.step)
    for limit, cut in ((1, True), (2, False)):
        params = apart.params.replace(max_timesteps=jnp.int32(limit))
        _, timestep = step(jax.random.key(0), state, jnp.int32(0), params)
        assert bool(timestep.truncated) == cut and not timestep.terminated


@pytest.mark.slow
def test_options_are_those_of_the_world(craftax):
    with pytest.raises(UnknownNameError, match="map_size"):
        make(f"craftax/{CLASSIC}", map_sizes=(32, 32))
    small = make(f"craftax/{CLASSIC}", map_size=(32, 32))
    assert jax.eval_shape(small.reset, jax.random.key(0), small.params)[0].map.shape == (32, 32)


@pytest.mark.slow
def test_ppo_trains(craftax):
    trainer = jaxrl.trainer(
        "ppo", f"craftax/{CLASSIC}", total_steps=4096, num_envs=16, num_steps=64, num_evaluations=1,
        evaluation_episodes=4,
    )  # fmt: skip
    result = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters)
    assert np.all(np.isfinite(result.evaluation.returns)) and result.metrics["faulty_steps"].sum() == 0
