"""gymnasium on the host: contract, parity step by step, seeds, policies from elsewhere, and no training."""

import sys

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.cli.main import main
from jaxrl.environments import Discrete, check, hosted, make, vectorise
from jaxrl.environments import gymnasium as adapter
from jaxrl.errors import UnknownNameError
from jaxrl.runs.configuration import configure
from jaxrl.runs.experiment import run

pytestmark = [pytest.mark.quick_compilation, pytest.mark.usefixtures("built_once")]
CART_POLE = "gymnasium/CartPole-v1"


def test_names_and_errors(monkeypatch):
    assert len(adapter.names()) == len(set(adapter.names())) == 78
    with pytest.raises(UnknownNameError, match="gymnasium/CartPole-v1"):
        make("gymnasium/CartPole-v2")
    with pytest.raises(ValueError, match="unknown option of gymnasium/CartPole-v1 'angle'"):
        make(CART_POLE, angle=1)
    with pytest.raises(ImportError, match="no_such_module"):
        make("gymnasium/no_such_module:Cart-v0")
    monkeypatch.setitem(sys.modules, "mo_gymnasium", None)
    with pytest.raises(ImportError, match=r"jaxrl\[gymnasium\]"):
        make("gymnasium/minecart-v0")
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ImportError, match=r"jaxrl\[gymnasium\]"):
        make(CART_POLE)


def test_names_are_those_that_gymnasium_registers():
    import mo_gymnasium  # noqa: F401

    own = {
        name
        for name, spec in gymnasium.registry.items()
        if str(spec.entry_point).startswith(("gymnasium.envs", "mo_gymnasium.envs"))
        and not str(spec.entry_point).startswith(("gymnasium.envs.phys2d", "gymnasium.envs.tabular"))
    }
    # Super Mario needs a package that is not installed beside others.
    assert set(adapter.names()) == own - {"mo-supermario-v0"}


@pytest.mark.parametrize("name", [pytest.param("CartPole-v1", marks=pytest.mark.slow), "minecart-v0", "Blackjack-v1"])
def test_keeps_the_contract(name):
    check(make(f"gymnasium/{name}"), num_steps=20)


@pytest.mark.slow
@pytest.mark.parametrize("name", adapter.names())
def test_every_environment_that_is_installed_keeps_the_contract(name):
    try:
        environment = make(f"gymnasium/{name}")
    except (ImportError, NameError) as missing:
        pytest.skip(str(missing))
    check(environment, num_steps=20)


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("Pendulum-v1", "Taxi-v4")),
        "CartPole-v1",
        "deep-sea-treasure-v0",
    ],
)
def test_copies_step_as_gymnasium_does(name):
    environment = make(f"gymnasium/{name}")
    original = gymnasium.make(name, disable_env_checker=True)
    copies = vectorise(environment, 3, "none")
    state, first = jax.jit(copies.reset)(jax.random.key(0), ())
    draws = jax.tree.map(lambda leaf: leaf[0], copies.draw(jax.random.key(0), 1, ()))
    actions = np.stack(
        [jax.vmap(environment.spec.action.sample)(jax.random.split(jax.random.key(i), 3)) for i in range(210)]
    )
    _, timesteps = jax.jit(
        lambda state, actions: jax.lax.scan(lambda state, action: copies.step(draws, state, action, ()), state, actions)
    )(state, actions)
    for copy, seed in enumerate(np.asarray(state.seed).tolist()):
        observation, _ = original.reset(seed=seed)
        np.testing.assert_allclose(first[copy], observation, rtol=1e-6)
        for t in range(210):
            action = actions[t, copy]
            action = int(action) if isinstance(environment.spec.action, Discrete) else action
            observation, reward, terminated, truncated, _ = original.step(action)
            row = jax.tree.map(lambda leaf, t=t, copy=copy: leaf[t, copy], timesteps)
            np.testing.assert_allclose(row.observation, observation, rtol=1e-6)
            np.testing.assert_allclose(row.reward, np.atleast_1d(reward), rtol=1e-6)
            assert (bool(row.terminated), bool(row.truncated)) == (terminated, truncated and not terminated)
            if terminated or truncated:
                break
        # What is stepped after an end stays there.
        rest = jax.tree.map(lambda leaf, t=t, copy=copy: leaf[t + 1 :, copy], timesteps)
        assert not rest.reward.any() and not rest.terminated.any() and not rest.truncated.any()
        np.testing.assert_allclose(rest.observation, np.broadcast_to(observation, rest.observation.shape), rtol=1e-6)


def test_a_state_is_stepped_twice_as_of_any_environment():
    environment = make(CART_POLE)
    step = jax.jit(environment.step)
    key = jax.random.key(0)
    states = [environment.reset(key, ())[0]]
    for action in (0, 1, 1, 0, 1):
        states.append(step(key, states[-1], action, ())[0])
    left, right = (step(key, states[2], action, ())[1].observation for action in (0, 1))
    assert np.abs(left - right).max() > 0.1
    np.testing.assert_array_equal(right, states[3].observation)
    # The one that was stepped first goes on from where it was.
    np.testing.assert_array_equal(step(key, states[4], 1, ())[1].observation, states[5].observation)
    # Members that share a start have each its own episode.
    both = jax.jit(jax.vmap(environment.step, in_axes=(None, None, 0, None)))
    shared, timestep = both(key, states[0], jnp.asarray([0, 1]), ())
    np.testing.assert_array_equal(timestep.observation[0], states[1].observation)
    assert np.abs(timestep.observation[0] - timestep.observation[1]).max() > 0.1
    assert len(set(np.asarray(shared.number).tolist())) == 2


def test_episodes_long_ago_are_forgotten(monkeypatch):
    monkeypatch.setattr(hosted, "_REMEMBERED", 32)
    environment = make("gymnasium/FrozenLake-v1")
    reset = jax.jit(jax.vmap(environment.reset, in_axes=(0, None)))
    old, _ = environment.reset(jax.random.key(0), ())
    for _ in range(3):
        jax.block_until_ready(reset(jax.random.split(jax.random.key(1), 8), ()))
    jax.block_until_ready(environment.step(jax.random.key(0), old, jnp.asarray(0), ()))
    for _ in range(5):
        jax.block_until_ready(reset(jax.random.split(jax.random.key(1), 8), ()))
    with pytest.raises(Exception, match="has forgotten"):
        jax.block_until_ready(environment.step(jax.random.key(0), old, jnp.asarray(0), ()))


def test_training_is_refused():
    for agent in ("ppo", "dqn"):
        with pytest.raises(ValueError, match=r"gymnasium/CartPole-v1 steps in Python.*jaxrl evaluate"):
            jaxrl.trainer(agent, CART_POLE)
    with pytest.raises(ValueError, match="steps in Python"):
        vectorise(make(CART_POLE), 2, "fresh")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "cartpole"
    settings = {"total_steps": 30_000, "num_evaluations": 1}
    run(configure(kind="train", agent="ppo", environment="gymnax/CartPole-v1", settings=settings), directory)
    return directory


def test_a_policy_is_evaluated_on_gymnasiums_own(trained, capsys):
    here = jaxrl.evaluate(trained, 128)["return"][0]
    there = jaxrl.evaluate(trained, 16, environment=CART_POLE)
    assert list(there["length"]) == list(there["return"])
    # One task, written twice.
    assert here > 50.0 and there["return"][0] == pytest.approx(here, rel=0.3)
    same = jaxrl.load(trained).evaluate(CART_POLE, num_episodes=16)
    assert float(same.returns[0]) == there["return"][0]
    assert float(same.returns[0]) != jaxrl.evaluate(trained, 16, seed=2, environment=CART_POLE)["return"][0]
    words = ["evaluate", str(trained), "--episodes", "16", "--environment", CART_POLE]
    main(words)
    assert f"{there['return'][0]:.4g}" in capsys.readouterr().out
    main([*words, "--environment-option", "max_episode_steps=20"])
    assert "20" in capsys.readouterr().out


def test_what_does_not_fit_a_policy_is_one_sentence(trained, capsys):
    with pytest.raises(ValueError, match=r"trained on gymnax/CartPole-v1, whose observation is .*Pendulum-v1's is"):
        jaxrl.evaluate(trained, 4, environment="gymnasium/Pendulum-v1")
    assert main(["evaluate", str(trained), "--environment-option", "max_episode_steps=20"]) != 0
    assert "give --environment, too" in capsys.readouterr().err


@pytest.mark.slow  # Copies of one with two objectives are stepped in the quick test.
def test_rewards_are_vectors():
    trainer = jaxrl.trainer("ppo", "mo/deep-sea-treasure", total_steps=2048)
    result = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters)
    policy = jaxrl.Policy(*trainer.actor(result.state, trainer.hyperparameters))
    evaluation = policy.evaluate("gymnasium/deep-sea-treasure-v0", num_episodes=4)
    assert evaluation.returns.shape == (2,)
    assert evaluation.returns[1] == -evaluation.length


def test_members_of_a_sweep_are_evaluated_each(tmp_path):
    settings = {"total_steps": 8192, "num_evaluations": 1}
    run(
        configure(kind="sweep", agent="ppo", environment="gymnax/CartPole-v1", settings=settings, seeds=(0, 1)),
        tmp_path,
    )
    table = jaxrl.evaluate(tmp_path, 12, explore=True, environment=CART_POLE)
    assert table["member"].tolist() == [0, 1] and table["return"].nunique() == 2
    for member in (0, 1):
        alone = jaxrl.load(tmp_path, member=member, explore=True).evaluate(CART_POLE, num_episodes=12)
        assert float(alone.returns[0]) == table["return"][member]
