"""A user's own agent, a DQN written to the documented contract, wherever agents go; what is said of a broken one."""

import inspect
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import environments as probes
import jax
import jax.numpy as jnp
import my_dqn
import numpy as np
import pytest

import jaxrl
from jaxrl.agents import Agent, Collection
from jaxrl.agents.check import AgentContractError, check
from jaxrl.cli import main
from jaxrl.runs import experiment
from jaxrl.runs.configuration import configure, read_configuration
from jaxrl.sweeps.running import RunOptions
from jaxrl.training.trainer import _entry

pytestmark = [pytest.mark.quick_compilation, pytest.mark.usefixtures("built_once")]

SMALL = {"num_steps": 4, "buffer_size": 512, "batch_size": 32, "evaluation_episodes": 4}
QUIET = {"options": RunOptions(progress=False), "say": lambda _: None}
jaxrl.register("own/fork", lambda: probes.choice([[3.0, 0.0], [0.0, 2.0], [0.5, 0.5]]))


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def test_it_is_short():
    assert sum(bool(line.strip()) for line in Path(my_dqn.__file__).read_text().splitlines()) <= 80


@pytest.fixture(scope="module")
def pareto(tmp_path_factory):
    """Three weights of two objectives, each action best under one, from the command line's own code."""
    directory = tmp_path_factory.mktemp("pareto") / "run"
    configuration = configure(
        kind="pareto",
        agent="my_dqn",
        environment="own/fork",
        settings={**SMALL, "total_steps": 640, "learning_rate": 1e-2, "num_evaluations": 2},
        seeds=(0,),
        weights=3,
        evaluation_episodes=4,
    )
    return directory, experiment.run(configuration, directory, RunOptions(progress=False))


def test_it_learns_the_action_of_each_preference(pareto):
    directory, outcome = pareto
    found = outcome.found
    assert {tuple(point) for point in found.points} == {(3.0, 0.0), (0.0, 2.0)}
    assert np.asarray(outcome.sweep.groups[0].result.metrics["non_finite"]).sum() == 0.0
    policy = jaxrl.load(directory, member=0)
    assert int(policy(jax.random.key(0), np.zeros(1, np.float32))) == int(np.argmax(found.points[0]))


def test_a_policy_holds_what_acts(pareto):
    directory, outcome = pareto
    jaxrl.save_policy(outcome.found, 0, directory.parent / "one")
    for policy in (outcome.found.policy(0), outcome.sweep.policy(0), jaxrl.load(directory.parent / "one")):
        sizes = {leaf.shape for leaf in leaves(policy.state)}
        assert sizes == {(1, 64), (64,), (64, 6), (6,)}
    saved = read_configuration(directory.parent / "one")
    # And what else this process was told to import, by other tests.
    assert {"my_dqn", "test_own_agent"} <= set(saved.imports) and saved.kind == "policy"


def test_built_in_policies_hold_networks_and_statistics():
    trainer = jaxrl.trainer("ppo", probes.one_step(), total_steps=64, normalise_observations=True, hidden_sizes=(4,))
    state = jax.eval_shape(trainer.init, jax.random.key(0), trainer.hyperparameters).agent
    acting = jax.eval_shape(trainer.agent.actor, state)
    kept = jax.tree.leaves((state.params, state.observations))
    assert [leaf.shape for leaf in jax.tree.leaves(acting)] == [leaf.shape for leaf in kept]
    assert len(jax.tree.leaves(state)) > len(kept)


def test_a_sweep_runs_over_a_leaf_and_a_setting_of_its_own():
    trainer = jaxrl.trainer(my_dqn.dqn, probes.observation_matters(), **SMALL, total_steps=960, learning_rate=1e-2)
    assert trainer.agent.config.buffer_size == 512 and trainer.num_iterations == 60
    swept = jaxrl.sweep(trainer, seeds=2, hyperparameters={"epsilon_end": [0.1, 0.5], "num_updates": [8]}, **QUIET)
    assert swept.final_returns().shape == (4, 1) and swept.final_returns().max() == 1.0
    # Half of the actions are drawn from two at the end: exploration follows the progress to the leaf's value.
    late = np.asarray(swept.groups[0].result.metrics["episode_return"])[:, -20:, 0].mean(axis=1)
    assert late[:2].mean() > 0.75 > 0.65 > late[2:].mean()
    with pytest.raises(ValueError, match=r"'epsilon_end' must lie in \[0, 1\], got 1.5"):
        jaxrl.trainer("my_dqn", probes.one_step(), epsilon_end=1.5)


def test_killed_and_resumed_is_the_same_bit_for_bit(tmp_path, monkeypatch):
    from jaxrl.sweeps import checkpoint

    settings = {**SMALL, "total_steps": 256, "num_evaluations": 2}
    configuration = experiment.Configuration("train", "my_dqn", "own/fork", settings=settings, seeds=(3,))
    options = RunOptions(progress=False, num_chunks=4, checkpoint_seconds=0.0)
    whole = experiment.run(configuration, tmp_path / "whole", options).result
    save, saved = checkpoint.Checkpoints.save, []

    def killed(*arguments):
        save(*arguments)
        saved.append(arguments[1])
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.Checkpoints, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        experiment.run(configuration, tmp_path / "killed", options)
    monkeypatch.setattr(checkpoint.Checkpoints, "save", save)
    assert saved == [4, 8]
    resumed = experiment.run(read_configuration(tmp_path / "killed"), tmp_path / "killed", options).result
    state = resumed.state._replace(key=()), whole.state._replace(key=())
    for one, other in zip(leaves((state[0], resumed[1:])), leaves((state[1], whole[1:])), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_shell_imports_the_module_and_remembers_it(own_devices, tmp_path, capsys):
    here = Path(my_dqn.__file__).parent
    run = ["train", "my_dqn", "bandit/bernoulli", "--import", "my_dqn", "--total-steps", "64", "--num-updates", "1"]
    run += ["--buffer-size", "64", "--epsilon-end", "0.2", "--num-evaluations", "1", "--out", str(tmp_path / "run")]

    def shell(*arguments, cwd):
        done = subprocess.run(
            [sys.executable, "-m", "jaxrl", *arguments], env=own_devices, cwd=cwd, capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr

    assert main(run) == 0, capsys.readouterr()
    assert read_configuration(tmp_path / "run").imports == ("my_dqn",)
    code, text = shell("evaluate", str(tmp_path / "run"), "--episodes", "2", cwd=here)
    assert code == 0 and "return" in text
    code, text = shell("evaluate", str(tmp_path / "run"), cwd=tmp_path)
    assert code == 2 and "needs a module of your own: module 'my_dqn' cannot be imported" in text


def test_help_of_an_agent_without_docstrings(capsys):
    with pytest.raises(SystemExit):
        main(["train", "my_dqn", "--help"])
    text = capsys.readouterr().out
    assert "--buffer-size INTEGER" in text and "--epsilon-end NUMBER" in text and "in [0, 1]" in text


# --- less than a DQN ---


class Least(NamedTuple):
    weights: Any = None
    environment: Any = ()


def least(spec, **changes):
    """The least that is an agent: it acts at random and learns nothing."""
    parts = {
        "init": lambda key, hp: {"count": jnp.zeros(())},
        "act": lambda key, state, observation, memory, hp, explore=False: (
            jax.random.randint(key, observation.shape[: observation.ndim - 1], 0, spec.action.n),
            memory,
        ),
        "update": lambda key, state, rollout, summary, hp, progress: ({"count": state["count"] + 1.0}, {}),
        "hyperparameters": Least(),
        "spec": spec,
        "collects": Collection(num_envs=2, num_steps=3),
    }
    return Agent(**{**parts, **changes})


def test_five_things_make_an_agent():
    trainer = jaxrl.trainer(least, probes.choice([[1.0, 2.0]]), total_steps=24, num_evaluations=1)
    result = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters)
    np.testing.assert_array_equal(result.evaluation.returns, [[1.0, 2.0]])
    np.testing.assert_array_equal(result.metrics["non_finite"], np.zeros(4))
    np.testing.assert_array_equal(trainer.hyperparameters.weights, [0.5, 0.5])


def test_what_acts_and_is_not_finite_is_counted():
    def diverge(key, state, rollout, summary, hp, progress):
        return {"count": jnp.where(progress.fraction >= 0.5, jnp.nan, state["count"])}, {}

    trainer = jaxrl.trainer(lambda spec: least(spec, update=diverge), probes.one_step(), total_steps=24)
    result = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters)
    np.testing.assert_array_equal(result.metrics["non_finite"], [0.0, 0.0, 1.0, 1.0])


def test_an_iteration_may_collect_nothing():
    seen = []

    def learn(key, state, rollout, summary, hp, progress):
        seen.append(rollout)
        return {"count": state["count"] + 1.0}, {}

    def build(spec):
        return least(spec, update=learn, collects=Collection(num_steps=0))

    trainer = jaxrl.trainer(build, probes.one_step(), total_steps=6)
    assert (trainer.num_iterations, trainer.steps_per_iteration) == (6, 1)
    swept = jaxrl.sweep(trainer, seeds=2, **QUIET)
    np.testing.assert_array_equal(swept.groups[0].result.state.agent["count"], [6.0, 6.0])
    assert set(seen) == {None} and np.isnan(swept.groups[0].result.metrics["episode_return"]).all()


def test_an_agent_says_what_it_records():
    def explore(state, observation, memory, start, weights, noise, hp, progress):
        action, memory = least_act(noise, state, observation, memory, hp)
        return action, memory, {"half": action / 2}

    def learn(key, state, rollout, summary, hp, progress):
        assert rollout.reward is None and rollout.observation is None
        return state, {"half": rollout.extras["half"].mean(), "action": rollout.raw_action.mean()}

    spec = probes.one_step().spec
    least_act = least(spec).act
    parts = {"explore": explore, "update": learn, "records": ("raw_action", "info")}
    trainer = jaxrl.trainer(lambda spec: least(spec, **parts), probes.one_step(), total_steps=6)
    state = trainer.init(jax.random.key(0), trainer.hyperparameters)
    rollout = trainer.collect(jax.random.key(1), state, trainer.hyperparameters)[1]
    assert "final_observation" in rollout.info and rollout.terminated is None
    np.testing.assert_array_equal(rollout.extras["half"], rollout.raw_action / 2)


# --- what `check` says ---


@dataclass
class Mutable:
    size: int = 3


class NoEnvironment(NamedTuple):
    weights: Any = None


class Text(NamedTuple):
    weights: Any = None
    environment: Any = ()
    kind: str = "huber"


def _grow(key, state, rollout, summary, hp, progress):
    return {"count": jnp.zeros(2), "more": 1.0}, {}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"hyperparameters": {"weights": 1.0}}, "hyperparameters must be a NamedTuple, it is a dict"),
        ({"hyperparameters": NoEnvironment()}, "hyperparameters lacks environment, which the trainer fills in"),
        ({"hyperparameters": Text()}, "hyperparameters.kind is 'huber', which cannot be traced"),
        ({"hyperparameters": Least(jnp.ones(3))}, r"hyperparameters.weights has shape \[3\], one entry per"),
        ({"config": Mutable()}, r"config must be a frozen dataclass or None, it is Mutable\(size=3\)"),
        ({"records": ("rewards",)}, "records has 'rewards'; transitions have observation, raw_action, reward"),
        ({"init": lambda key: ()}, r"init\(key, hyperparameters\) fails when traced: TypeError"),
        ({"act": lambda *_: jnp.zeros(3)}, r"act\(.*\) must return \(action, memory\), it returns float32\[3\]"),
        ({"act": lambda *_: (jnp.zeros(()), ())}, r"gives the action float32\[\], probe/one-step takes int32\[\]"),
        ({"act": lambda *_: (jnp.zeros((), int), ())}, r"the action int32\[\], probe/one-step takes int32\[2\]"),
        ({"memory": lambda shape: jnp.zeros(3)}, r"memory\(\(2,\)\) has shape \[3\], which should begin"),
        ({"explore": lambda *_: 1}, r"explore\(state, .*\) must return \(raw action, memory\)"),
        ({"explore": lambda state, observation: 1}, r"explore\(.*progress\) fails when traced: TypeError"),
        ({"noise": lambda key, shape: jnp.zeros(shape[1:])}, "has shape .*no time axis"),
        ({"update": lambda *_: {}}, r"update\(.*\) must return \(state, metrics\)"),
        ({"update": _grow}, r"update returns at count is float32\[2\], it was float32\[\]\n.*more is new"),
        ({"update": lambda key, state, *_: (state, [])}, "metrics must be a dict, update returns a list"),
        ({"update": lambda key, state, *_: (state, {"loss": jnp.zeros(3)})}, r"metrics\['loss'\] is float32\[3\]"),
        ({"update": lambda key, state, *_: (state, {"episodes": 1.0})}, "metrics may not have 'episodes'"),
        ({"actor": lambda state: {"inner": state}}, r"actor\(actor\(state\)\) at inner.inner.count is new"),
        ({"inherit": lambda fresh, parent: ()}, "the state that inherit returns at count is gone"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_compiles(changes, sentence):
    with pytest.raises(AgentContractError, match=sentence):
        jaxrl.trainer(lambda spec: least(spec, **changes), probes.one_step())


def test_a_builder_must_return_an_agent():
    with pytest.raises(AgentContractError, match=r"must return a jaxrl.agents.Agent, it returned dict"):
        jaxrl.trainer(lambda spec: {}, probes.one_step())
    with pytest.raises(ValueError, match="agent takes a name or a builder, got 3 of type int"):
        _entry(3)


@pytest.mark.parametrize("name", ["my_dqn", "a2c", "stac", "lpg", pytest.param("disco", marks=pytest.mark.slow)])
def test_agents_that_come_with_jaxrl_keep_the_contract(name):
    check(name, probes.choice([[1.0, 0.0], [0.0, 1.0]]))


def test_the_check_sees_the_shapes_of_the_loop():
    from jaxrl.agents.check import _rollout

    trainer = jaxrl.trainer(my_dqn.dqn, probes.observation_matters(), **SMALL, total_steps=64)
    hp = trainer.hyperparameters
    state = jax.eval_shape(trainer.init, jax.random.key(0), hp)
    collected = jax.eval_shape(trainer.collect, jax.random.key(0), state, hp)[1]
    assumed = _rollout(trainer.agent, trainer.environment, state.agent, hp)[0]
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), assumed) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), collected
    )


def test_protocols_name_their_arguments():
    from jaxrl.agents import Explore, Update

    names = list(inspect.signature(Explore.__call__).parameters)[1:]
    assert names == ["state", "observation", "memory", "start", "weights", "noise", "hyperparameters", "progress"]
    assert list(inspect.signature(Update.__call__).parameters)[1:] == [
        "key", "state", "rollout", "summary", "hyperparameters", "progress",
    ]  # fmt: skip
