"""OPEN: its features and network against other implementations, and agents that learn with it."""

from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import jaxrl
from jaxrl.agents.optimisation import optimiser_of
from jaxrl.agents.ppo import CONFIG
from jaxrl.environments import make
from jaxrl.environments.grid import grid, random_levels
from jaxrl.environments.spaces import Box, Discrete
from jaxrl.errors import UnknownNameError
from jaxrl.meta import evolve, make_tasks
from jaxrl.meta.methods import meta_learner
from jaxrl.networks import ACTIVATIONS, actor_critic
from jaxrl.networks.activity import Place, layer_places
from jaxrl.optimisers import Signals, load_open, open_features, open_optimiser, open_optimiser_large, save_open

pytestmark = pytest.mark.quick_compilation

RICH = grid(random_levels("rich", (3, 3), (3, 3), (8, 8)))
DECAYS = (0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
PARAMS = {
    "actor_head": {"bias": jnp.ones(2), "kernel": jnp.arange(6.0).reshape(3, 2)},
    "critic_head": -jnp.ones((3, 1)),
}
PLACES = [Place(True, 0.5), Place(True, 0.5), Place(False, 1.0)]


def learner(environment=RICH, **settings):
    small = {
        "num_envs": 4, "num_steps": 6, "num_evaluations": 1, "evaluation_episodes": 2, "num_epochs": 2,
        "num_minibatches": 2, "hidden_sizes": (4,), "anneal_learning_rate": False, "optimiser": "open",
    }  # fmt: skip
    settings = {**small, "total_steps": 5 * 24, **settings}
    return jaxrl.trainer("ppo", environment, **settings)


def random_parameters(optimiser, seed, scale=0.5):
    flat, unravel = ravel_pytree(optimiser.init(None))
    return unravel(scale * jax.random.normal(jax.random.key(seed), flat.shape))


def like(tree, seed):
    flat, unravel = ravel_pytree(tree)
    return unravel(jax.random.normal(jax.random.key(seed), flat.shape))


def signals(seed=0, training=0.25, epoch=0.5, params=PARAMS):
    activity = jax.tree.map(lambda leaf: jnp.arange(1.0, 1.0 + leaf.shape[-1]), params)
    return Signals(jax.random.key(seed), jnp.float32(training), jnp.float32(epoch), activity)


def steps(optimiser, parameters, gradients, seed=0, places=PLACES):
    """All updates of a run with given gradients and fixed parameters of the agent."""
    transformation = optimiser.transformation(parameters, places, 0.01)
    state, updates = transformation.init(PARAMS), []
    for i, gradient in enumerate(gradients):
        update, state = transformation.update(gradient, state, PARAMS, signals=signals(seed + i))
        updates.append(update)
    return updates


# --- the rule ---


def test_features_against_plain_loops():
    gradients = [jax.tree.map(lambda leaf: 1e-3 * leaf, like(PARAMS, seed)) for seed in range(3)]
    gradients[2]["critic_head"] = gradients[2]["critic_head"].at[1].set(0.0)
    momenta = np.zeros((11, 6))
    for gradient in gradients:
        momenta = DECAYS * momenta + (1 - np.array(DECAYS)) * np.asarray(ravel_pytree(gradient)[0])[:, None]
    found = open_features(PARAMS, gradients[-1], jnp.asarray(momenta, jnp.float32), PLACES, signals())
    wanted, row = [], 0
    tensors = zip(jax.tree.leaves(PARAMS), jax.tree.leaves(gradients[-1]), PLACES, strict=True)
    for values, slopes, place in tensors:
        rows = []
        for p, g in zip(np.ravel(values), np.ravel(slopes), strict=True):
            m = momenta[row]
            rows.append([p, *np.sign(m), *np.log(np.abs(m) + 1e-13), np.sign(g), np.log(np.abs(g) + 1e-13)])
            row += 1
        rows = np.array(rows, np.float64)
        rows = rows / np.sqrt(1e-5 + (rows**2).mean(axis=0))
        for index, features in enumerate(rows):
            neurons = values.shape[-1]
            # Neurons are 1, ..., n active.
            dormancy = (1 + index % neurons) / np.mean(np.arange(1, 1 + neurons))
            wanted.append([*features, 0.25, place.proportion, 0.5, dormancy])
    assert found.shape == (11, 19)
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("build", "gru", "hidden"),
    [(open_optimiser, 8, 16), pytest.param(open_optimiser_large, 16, 32, marks=pytest.mark.slow)],
)
def test_a_file_of_the_authors_is_their_network(build, gru, hidden, tmp_path):
    # The authors' network in Flax, its parameters flattened as theirs are.
    cell = nn.GRUCell(gru)
    head = nn.Sequential(
        [nn.Dense(hidden), nn.LayerNorm(), nn.relu, nn.Dense(hidden), nn.LayerNorm(), nn.relu, nn.Dense(3)]
    )
    features = jax.random.normal(jax.random.key(0), (11, 19))
    memory = jnp.zeros((11, gru))
    tree = {
        "gru_params": cell.init(jax.random.key(1), memory, features),
        "params": head.init(jax.random.key(2), memory),
    }
    flat, unravel = ravel_pytree(tree)
    flat = 0.5 * jax.random.normal(jax.random.key(3), flat.shape)
    tree = unravel(flat)
    path = tmp_path / "theirs.npy"
    np.save(path, np.asarray(flat))
    parameters = load_open(path)
    assert sum(leaf.size for leaf in parameters.values()) == flat.size
    gradients = [like(PARAMS, seed) for seed in range(3)]
    updates = steps(build(), parameters, gradients)
    momenta, carry = jnp.zeros((11, 6)), memory
    actor = np.concatenate([np.ones(8), np.zeros(3)])
    for i, (gradient, update) in enumerate(zip(gradients, updates, strict=True)):
        momenta = jnp.array(DECAYS) * momenta + (1 - jnp.array(DECAYS)) * ravel_pytree(gradient)[0][:, None]
        seen = open_features(PARAMS, gradient, momenta, PLACES, signals(i))
        carry, out = cell.apply(tree["gru_params"], carry, seen)
        output = head.apply(tree["params"], out)
        noise = actor * jax.random.normal(jax.random.key(i), (11,))
        step = 0.01 * (output[:, 0] * jnp.exp(1e-3 * output[:, 1]) + output[:, 2] * noise)
        np.testing.assert_allclose(ravel_pytree(update)[0], -(step - step.mean()), rtol=1e-4, atol=2e-6)
    save_open(tmp_path / "ours.npy", parameters)
    np.testing.assert_array_equal(np.load(tmp_path / "ours.npy"), np.asarray(flat))


def test_noise_moves_the_actor_alone():
    # Up to the mean of the whole step, which is subtracted.
    parameters = random_parameters(open_optimiser(), 0)
    one, two = (steps(open_optimiser(), parameters, [like(PARAMS, 1)], seed)[0] for seed in (0, 100))
    difference = jax.tree.map(lambda a, b: np.asarray(a - b), one, two)
    np.testing.assert_allclose(np.ptp(difference["critic_head"]), 0.0, atol=1e-8)
    assert np.ptp(difference["actor_head"]["kernel"]) > 1e-4
    for update in (one, two):
        np.testing.assert_allclose(ravel_pytree(update)[0].mean(), 0.0, atol=1e-7)


def test_an_output_of_zero_leaves_weights_as_they_are():
    trainer = learner()
    hp = trainer.hyperparameters
    zeros = hp._replace(optimiser=jax.tree.map(jnp.zeros_like, hp.optimiser))
    drawn = hp._replace(optimiser=trainer.agent.initialisers["optimiser"](jax.random.key(4)))
    moved = hp._replace(optimiser=random_parameters(open_optimiser(), 0))
    # Several optimisers side by side.
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), zeros, drawn, moved)
    state = jax.jit(trainer.init)(jax.random.key(0), hp)
    last = jax.jit(jax.vmap(trainer.train_on, (None, 0)))(state, stacked).state.agent.params
    for before, after in zip(jax.tree.leaves(state.agent.params), jax.tree.leaves(last), strict=True):
        np.testing.assert_array_equal(before, after[0])
        np.testing.assert_array_equal(before, after[1])
        assert np.all(np.isfinite(after[2])) and np.any(np.asarray(before) != np.asarray(after[2]))


# --- what it reads of networks ---


@pytest.mark.parametrize("activation", ["relu", pytest.param("tanh", marks=pytest.mark.slow)])
def test_activity_is_the_mean_size_of_a_neurons_output(activation):
    network = actor_critic(Box(-1.0, 1.0, (3,)), 4, 2, hidden_sizes=(5, 4), activation=activation, shared_parameters=2)
    params = like(network.init(jax.random.key(0)), 1)
    observations = jax.random.normal(jax.random.key(2), (7, 6, 3))
    found = network.activity(params, observations, jnp.ones((7, 6, 2)), (), jnp.zeros((7, 6), bool))
    for side in ("actor", "critic"):
        values = np.asarray(observations, np.float64)
        for i in range(2):
            layer = params[f"{side}_torso"][f"Dense_{i}"]
            values = np.asarray(ACTIVATIONS[activation](values @ layer["kernel"] + layer["bias"]))
            for name in ("kernel", "bias"):
                np.testing.assert_allclose(
                    found[f"{side}_torso"][f"Dense_{i}"][name], np.abs(values).mean(axis=(0, 1)), rtol=1e-4
                )
        head = params[f"{side}_head"]
        values = values @ head["kernel"] + head["bias"]
        np.testing.assert_allclose(found[f"{side}_head"]["bias"], np.abs(values).mean(axis=(0, 1)), rtol=1e-4)
    np.testing.assert_array_equal(found["log_std"], [1.0])


def test_layers_are_counted_apart_in_actor_and_critic():
    sizes = (4,) * 11
    network = actor_critic(Box(0.0, 1.0, (5, 5, 2)), 4, 1, network="cnn", hidden_sizes=sizes, shared_parameters=2)
    params = jax.eval_shape(network.init, jax.random.key(0))
    places = jax.tree.unflatten(jax.tree.structure(params), range(len(jax.tree.leaves(params))))
    at = lambda *path: layer_places(params)[_follow(places, path)]  # noqa: E731
    assert at("actor_torso", "Convolution", "kernel") == Place(True, 0.0)
    assert at("actor_torso", "Dense_2", "bias") == Place(True, 3 / 13)
    assert at("actor_torso", "Dense_10", "kernel") == Place(True, 11 / 13)
    assert at("actor_head", "kernel") == Place(True, 12 / 13) and at("log_std") == Place(True, 1.0)
    assert at("critic_torso", "Dense_10", "kernel") == Place(False, 11 / 12)
    assert at("critic_head", "bias") == Place(False, 1.0)
    table = actor_critic(Discrete(3), 4, 1, network="table").init(jax.random.key(0))
    assert layer_places(table) == [Place(True, 0.0), Place(False, 0.0)]


def _follow(tree, path):
    for name in path:
        tree = tree[name]
    return tree


def test_gradients_of_actor_and_critic_are_clipped_apart():
    trainer = learner(max_gradient_norm=1.0)
    hp = trainer.hyperparameters._replace(optimiser=random_parameters(open_optimiser(), 0))
    params = jax.jit(trainer.init)(jax.random.key(0), hp).agent.params
    gradient = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 1e-3), params)
    huge = {name: jax.tree.map(lambda x: 1e6 * x, value) if name.startswith("critic") else value
            for name, value in gradient.items()}  # fmt: skip
    parts = trainer.agent.init.args[0]
    optimiser = optimiser_of(parts, hp, 0.0, params)
    activity = jax.tree.map(lambda leaf: jnp.ones(leaf.shape[-1:]), params)
    seen = Signals(jax.random.key(0), jnp.float32(0.0), jnp.float32(0.0), activity)
    _, (_, state) = optimiser.update(huge, optimiser.init(params), params, signals=seen)
    momenta = jax.tree.map(np.asarray, _unravel(params, state.momenta[:, 0] / 0.9))
    for name, tree in momenta.items():
        entries = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])
        count = sum(
            leaf.size for key, part in params.items() if key.startswith("critic") for leaf in jax.tree.leaves(part)
        )
        wanted = 1 / np.sqrt(count) if name.startswith("critic") else 1e-3
        np.testing.assert_allclose(entries, wanted, rtol=1e-4)


def _unravel(params, flat):
    return ravel_pytree(params)[1](flat)


# --- agents ---


@pytest.mark.parametrize(
    "settings", [{"network": "table"}, pytest.param({"environment": "continuous"}, marks=pytest.mark.slow)]
)
def test_agents_of_many_kinds_learn_with_it(settings):
    environment = {"continuous": lambda: make("gymnax/Pendulum-v1"), None: lambda: RICH}[settings.get("environment")]()
    settings = {name: value for name, value in settings.items() if name != "environment"}
    trainer = learner(environment, num_evaluations=1, total_steps=48, **settings)
    hp = trainer.hyperparameters._replace(optimiser=random_parameters(open_optimiser(), 0))
    before = jax.jit(trainer.init)(jax.random.key(0), hp).agent.params
    after = jax.jit(trainer.run)(jax.random.key(0), hp).state.agent.params
    for one, two in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert np.all(np.isfinite(two)) and np.any(np.asarray(one) != np.asarray(two))


@pytest.mark.slow
def test_evolution_of_an_optimiser_beats_none():
    # Untrained, the policy stays at chance, 0.5 on average.
    environment = "bandit/bernoulli"
    trainer = learner(environment, network="table", num_envs=8, num_steps=4, total_steps=20 * 32, learning_rate=0.1)
    study = evolve(
        trainer, make_tasks(trainer.environment, 20), "optimiser", population_size=16, num_generations=15,
        num_evaluations=2, evaluation_tasks=32, deviation=0.1, learning_rate=0.05, shaping="centred_rank", momentum=0.8,
    )  # fmt: skip
    result = jax.jit(study.run)(jax.random.key(0), study.hyperparameters)
    assert np.all(np.isfinite(result.metrics["fitness"]))
    initial = study.value(study.init(jax.random.key(0), study.hyperparameters))
    test = jax.jit(lambda value: study.test(jax.random.key(5), value, study.hyperparameters, 64).final.mean())
    assert float(test(study.value(result.state))) > float(test(initial)) + 0.1


def test_the_method_has_the_papers_outer_loop():
    study = meta_learner("open", RICH, 3, num_envs=4, num_steps=6, num_minibatches=2, hidden_sizes=(4,),
                         outer_settings={"population_size": 2, "num_generations": 2, "num_evaluations": 1})  # fmt: skip
    evolution = study.hyperparameters.outer.evolution
    assert study.leaf == "optimiser" and study.config.momentum == 0.99 and study.config.shaping == "centred_rank"
    np.testing.assert_allclose(
        [evolution.learning_rate, evolution.learning_rate_decay, evolution.deviation, evolution.deviation_decay],
        [0.03, 0.999, 0.03, 0.999],
    )  # fmt: skip
    np.testing.assert_allclose(study.hyperparameters.training.learning_rate, 1e-3)
    # Meta-seeds begin with optimisers of their own.
    one, two = (study.value(study.init(jax.random.key(seed), study.hyperparameters)) for seed in (0, 1))
    assert np.any(np.asarray(one["input"]) != np.asarray(two["input"])) and not np.any(np.asarray(one["output"]))


# --- errors ---


def test_bad_files_are_refused(tmp_path):
    path = tmp_path / "bad.npy"
    for array, message in ((np.zeros(1210), "1211"), (np.zeros((1211, 1)), "3571"), (np.full(1211, np.nan), "finite")):
        np.save(path, array)
        with pytest.raises(ValueError, match=message):
            load_open(path)
    np.save(path, np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="file of numbers"):
        load_open(path)
    with pytest.raises(ValueError, match="1211 or 3571"):
        save_open(path, open_optimiser(4, 8).init(None))


@pytest.mark.parametrize("settings", [{"shared_torso": True}, {"network": "gru", "num_minibatches": 1}])
def test_networks_that_share_layers_are_refused(settings):
    with pytest.raises(ValueError, match="shared_torso=False"):
        learner(**settings)


def test_bad_settings_are_refused():
    with pytest.raises(UnknownNameError, match="open"):
        learner(optimiser="opne")
    with pytest.raises(ValueError, match="memory_size"):
        open_optimiser(0)
    with pytest.raises(ValueError, match="no parameters to learn"):
        evolve(learner(optimiser="adam"), make_tasks(RICH, 5), "optimiser")
    with pytest.raises(ValueError, match="momentum"):
        evolve(learner(), make_tasks(RICH, 5), "optimiser", momentum=1.0)
    assert replace(CONFIG, optimiser="open_large").optimiser == "open_large"
