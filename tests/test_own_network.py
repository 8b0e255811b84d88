"""A user's own network: a flax module or a builder, as it is or by name, wherever networks go."""

import subprocess
import sys

import environments as probes
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.agents.check import check_agent
from jaxrl.environments import Box
from jaxrl.errors import UnknownNameError
from jaxrl.networks import ActorCritic, custom_network
from jaxrl.runs import experiment
from jaxrl.runs.configuration import Configuration, read_configuration
from jaxrl.sweeps.running import RunOptions

pytestmark = pytest.mark.quick_compilation

SMALL = {"num_envs": 8, "num_steps": 8, "num_minibatches": 2, "num_epochs": 2, "evaluation_episodes": 4}


@jaxrl.register_network("own/wide")
class Wide(nn.Module):
    """A torso with a layer norm, whose scale must start at one."""

    size: int = 12

    @nn.compact
    def __call__(self, observation):
        return nn.LayerNorm()(nn.tanh(nn.Dense(self.size)(observation)))


@jaxrl.register_network("own/counting")
def counting(observation, num_parameters, num_values):
    """A whole actor-critic with a memory: the number of steps so far decides alone."""

    def init(key):
        return {"actor": jnp.zeros((4, num_parameters)), "critic": jnp.zeros((4, num_values))}

    def act(params, observation, weights, memory, start):
        memory = jnp.where(start, 0, memory + 1)
        return params["actor"][jnp.minimum(memory, 3)], memory

    def value(params, observation, weights, memory):
        return params["critic"][jnp.minimum(memory + 1, 3)]

    def sequence(params, observations, weights, memory, starts):
        def body(memory, start):
            memory = jnp.where(start, 0, memory + 1)
            return memory, memory

        _, memories = jax.lax.scan(body, memory, starts)
        rows = jnp.minimum(memories, 3)
        return params["actor"][rows], params["critic"][rows], memories

    return ActorCritic(
        init, lambda shape: jnp.full(shape, -1, jnp.int32), act, sequence, value, recurrent=True
    )  # fmt: skip


def test_a_module_learns_and_each_head_has_a_torso_of_its_own():
    trainer = jaxrl.trainer(
        "ppo", probes.observation_matters(), network=Wide(), **SMALL, total_steps=4096, learning_rate=3e-2
    )  # fmt: skip
    result = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters)
    assert float(result.evaluation.returns[-1, 0]) == 1.0
    fresh = trainer.init(jax.random.key(0), trainer.hyperparameters).agent.params
    assert set(fresh) == {"actor_torso", "critic_torso", "actor_head", "critic_head"}
    np.testing.assert_array_equal(fresh["actor_torso"]["LayerNorm_0"]["scale"], 1.0)
    assert not np.array_equal(fresh["actor_torso"]["Dense_0"]["kernel"], fresh["critic_torso"]["Dense_0"]["kernel"])
    # The policy starts almost uniform, as with jaxrl's own networks.
    assert np.abs(fresh["actor_head"]["kernel"]).max() < 0.05


@pytest.mark.parametrize(
    ("agent", "settings"),
    [
        ("ppo", {"shared_torso": True}),
        ("ppo", {"condition_on_weights": True}),
        ("stacx", {"shared_torso": True}),
        ("lpg", {"objective_size": 4}),
    ],
)
def test_it_goes_wherever_a_network_goes(agent, settings):
    environment = probes.choice([[1.0, 0.0], [0.0, 1.0]])
    built = jaxrl.trainer(agent, environment, network=Wide, num_envs=8, num_steps=8, **settings)
    check_agent(built.agent, environment)


def test_continuous_actions_have_their_deviations():
    built = jaxrl.trainer("ppo", "gymnax/Pendulum-v1", network=Wide(4), **SMALL, initial_log_std=-1.0)
    check_agent(built.agent, built.environment)
    params = built.init(jax.random.key(0), built.hyperparameters).agent.params
    np.testing.assert_array_equal(params["log_std"], [-1.0])


def test_a_builder_may_have_a_memory():
    trainer = jaxrl.trainer("ppo", probes.delayed_reward(), network=counting, **SMALL, total_steps=1024)
    result = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters)
    # γ³, γ², γ and 1: what its critic knows of the steps.
    assert np.all(np.diff(result.state.agent.params["critic"][:, 0]) > 0.0)
    with pytest.raises(ValueError, match="sequences of a recurrent network stay whole"):
        jaxrl.trainer("ppo", probes.delayed_reward(), network=counting, **{**SMALL, "num_minibatches": 16})


def test_by_name_it_is_saved_loaded_and_built_again(tmp_path):
    settings = {**SMALL, "network": "own/wide", "total_steps": 128, "num_evaluations": 1}
    configuration = Configuration("train", "ppo", "gymnax/CartPole-v1", settings=settings)
    experiment.run(configuration, tmp_path / "run", RunOptions(progress=False))
    policy = jaxrl.load(tmp_path / "run")
    assert int(policy(jax.random.key(0), np.zeros(4, np.float32))) in (0, 1)
    again = experiment.build(read_configuration(tmp_path / "run"))
    shapes = jax.eval_shape(again.init, jax.random.key(0), again.hyperparameters).agent.params
    assert jax.tree.map(np.shape, policy.state.params) == jax.tree.map(lambda leaf: leaf.shape, shapes)


def test_without_a_name_it_trains_and_is_not_saved(tmp_path):
    settings = {**SMALL, "network": Wide(), "total_steps": 128}
    configuration = Configuration("train", "ppo", "gymnax/CartPole-v1", settings=settings)
    with pytest.raises(ValueError, match=r"records names, network is a Wide: register it \(jaxrl.register_network"):
        experiment.run(configuration, tmp_path / "run")
    assert not (tmp_path / "run").exists()


class NoBatch(nn.Module):
    @nn.compact
    def __call__(self, observation):
        return nn.Dense(3)(observation.reshape(-1))


class Running(nn.Module):
    @nn.compact
    def __call__(self, observation):
        return nn.BatchNorm(use_running_average=False)(nn.Dense(3)(observation))


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        ("wide", "unknown network 'wide'. Did you mean 'own/wide'"),
        (3, "network takes a name or a function, got 3 of type int"),
        (NoBatch(), "network NoBatch must keep batch axes"),
        (Running(), "network Running must hold parameters and nothing else, it has batch_stats"),
        (nn.Embed(3, 3), "network Embed fails on observations: ValueError: Input type must be an integer"),
        (lambda observation, parameters, values: None, "must build an ActorCritic, it returns NoneType"),
        (lambda observation: None, "fails: TypeError"),
    ],
)
def test_what_is_no_network_is_one_sentence(network, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        jaxrl.trainer("ppo", probes.one_step(), network=network, **SMALL)
    assert "\n" not in str(error.value)


def test_what_modules_cannot_do_is_said():
    with pytest.raises(ValueError, match="cannot be conditioned on weights by 'hypernetwork'"):
        custom_network(Wide, Box(0.0, 1.0, (3,)), 2, 2, conditioning="hypernetwork", num_preferences=2)
    with pytest.raises(ValueError, match="optimiser='natural' tells actor from critic"):
        jaxrl.trainer("npg", probes.one_step(), network=Wide())
    with pytest.raises(UnknownNameError, match="unknown network 'own/wide'"):
        jaxrl.trainer("disco", probes.one_step(), network="own/wide")
    with pytest.raises(ValueError, match="network 'mlp' cannot be registered: it is a built-in network's name"):
        jaxrl.register_network("mlp", Wide)


@pytest.mark.slow  # Two processes; an agent of one's own goes the same way in test_own_agent.
def test_the_shell_knows_it(tmp_path, own_devices):
    (tmp_path / "own_net.py").write_text(
        "import flax.linen as nn\nimport jaxrl\njaxrl.register_network('small', nn.Dense(5))\n"
    )
    command = (
        "train a2c bandit/bernoulli --import own_net --network small --total-steps 256 --num-evaluations 1 --out run"
    )
    run = [sys.executable, "-m", "jaxrl", *command.split()]
    done = subprocess.run(run, env=own_devices, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    evaluate = [sys.executable, "-m", "jaxrl", "evaluate", "run", "--episodes", "2"]
    assert subprocess.run(evaluate, env=own_devices, cwd=tmp_path, stdout=subprocess.DEVNULL).returncode == 0
