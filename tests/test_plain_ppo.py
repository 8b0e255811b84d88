"""The PPO on one page takes the steps that jaxrl's own takes."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl

pytestmark = pytest.mark.quick_compilation


@pytest.fixture
def plain(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "experiments"))
    import plain_ppo

    yield plain_ppo
    sys.modules.pop("plain_ppo")


def _as_lists(params):
    """jaxrl's parameters in the form of the page's."""
    layer = lambda module: (module["kernel"], module["bias"])  # noqa: E731
    torso = lambda name: [layer(params[f"{name}_torso"][f"Dense_{i}"]) for i in (0, 1)]  # noqa: E731
    return {name: [*torso(name), layer(params[f"{name}_head"])] for name in ("actor", "critic")}


def test_the_page_and_the_framework_take_the_same_steps_from_the_same_parameters(plain):
    env = jaxrl.make("gymnax/CartPole-v1")
    settings = plain.Settings(total_steps=4 * 256, num_envs=4, num_steps=64, learning_rate=1e-3)
    sizes = {"num_envs": 4, "num_steps": 64, "num_evaluations": 1, "evaluation_episodes": 1}
    trainer = jaxrl.trainer("ppo", env, total_steps=4 * 256, learning_rate=1e-3, **sizes)
    theirs = trainer.init(jax.random.key(3), trainer.hyperparameters)
    params = _as_lists(theirs.agent.params)
    ours = plain.init(jax.random.key(3), env, settings)
    ours = ours._replace(params=params, optimiser=plain.make_optimiser(settings, 0.0).init(params))
    assert jnp.array_equal(jax.random.key_data(ours.key), jax.random.key_data(theirs.key))
    learn = jax.jit(trainer.learn)
    iterate = jax.jit(lambda state, index: plain.iterate(state, index, env, settings))
    for index in range(3):
        theirs, _ = learn(theirs, trainer.hyperparameters, jnp.asarray(index), jnp.asarray(4))
        ours, _ = iterate(ours, jnp.asarray(index))
        np.testing.assert_allclose(ours.observation, theirs.observation, atol=1e-5)
    moved = jax.tree.map(lambda new, old: jnp.abs(new - old).max(), ours.params, params)
    assert min(jax.tree.leaves(moved)) > 1e-4
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), ours.params, _as_lists(theirs.agent.params))
