"""A learned optimiser on networks of action values: what it reads of them, and that it descends as it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environments.spaces import Box
from jaxrl.networks.activity import layer_places
from jaxrl.networks.trunk import Layers
from jaxrl.networks.values import value_network
from jaxrl.optimisers import OPTIMISERS


@pytest.mark.parametrize("dueling", [False, True])
def test_activity_and_places_are_those_of_the_layers(dueling):
    network = value_network(Box(-1.0, 1.0, (3,)), 2, 1, layers=Layers((5, 4)), dueling=dueling)
    params = network.init(jax.random.key(0))
    inputs = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    found = network.activity(params, jnp.asarray(inputs), jnp.zeros((6, 1)), None)

    def relu(x, layer):
        return np.maximum(x @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"]), 0.0)

    first = relu(inputs, params["shared"]["Dense_0"])
    np.testing.assert_allclose(found["shared"]["Dense_0"]["kernel"], first.mean(0), rtol=1e-5)
    last = params["advantage_layer"]["Dense_0"] if dueling else params["shared"]["Dense_1"]
    second = relu(first, last)
    np.testing.assert_allclose(
        (found["advantage_layer"]["Dense_0"] if dueling else found["shared"]["Dense_1"])["bias"],
        second.mean(0),
        rtol=1e-5,
    )
    head = second @ np.asarray(params["head"]["kernel"]) + np.asarray(params["head"]["bias"])
    np.testing.assert_allclose(found["head"]["kernel"], np.abs(head).mean(0), rtol=1e-5)
    places = layer_places({"values": params})
    paths = ["/".join(entry.key for entry in path) for path, _ in jax.tree_util.tree_flatten_with_path(params)[0]]
    assert not any(place.actor for place in places)
    share = {path.rpartition("/")[0]: place.proportion for path, place in zip(paths, places, strict=True)}
    middle = "advantage_layer/Dense_0" if dueling else "shared/Dense_1"
    assert (share["shared/Dense_0"], share[middle], share["head"]) == (0.0, 0.5, 1.0)


def test_an_untrained_one_changes_nothing_and_another_does():
    trainer = jaxrl.trainer(
        "dqn",
        "gymnax/CartPole-v1",
        optimiser="open",
        total_steps=512,
        num_envs=4,
        num_steps=4,
        num_updates=2,
        batch_size=16,
        hidden_sizes=(8,),
        learning_starts=32,
        num_evaluations=1,
        evaluation_episodes=1,
    )
    hp = trainer.hyperparameters
    assert float(hp.learning_rate) == pytest.approx(1e-3)
    run = jax.jit(jax.vmap(trainer.run, in_axes=(None, jax.tree.map(lambda _: None, hp)._replace(optimiser=0))))
    other = OPTIMISERS.make("open").init(jax.random.key(1))
    other = {**other, "output": jax.random.normal(jax.random.key(2), other["output"].shape)}
    both = jax.tree.map(lambda a, b: jnp.stack([a, b]), hp.optimiser, other)
    result = run(jax.random.key(0), hp._replace(optimiser=both))
    params = jax.tree.leaves(result.state.agent.params)
    target = jax.tree.leaves(result.state.agent.target)
    still = [np.array_equal(p[0], t[0]) for p, t in zip(params, target, strict=True)]
    moved = [not np.array_equal(p[0], p[1]) for p in params]
    assert all(still) and any(moved)
    assert np.isfinite(np.concatenate([np.ravel(p) for p in params])).all()


@pytest.mark.parametrize("settings", [{"noisy": True}, {"layer_norm": True}, {"num_critics": 2}, {"network": "gru"}])
def test_layers_that_it_cannot_read_are_refused(settings):
    with pytest.raises(ValueError, match="reads how active the neurons"):
        jaxrl.trainer("dqn", "gymnax/CartPole-v1", optimiser="open", **settings)


def test_agents_with_actors_refuse_it():
    with pytest.raises(ValueError, match="is learned"):
        jaxrl.trainer("sac", "gymnax/Pendulum-v1", optimiser="open")
