"""Networks that remember: a sequence is its steps one by one, values and slopes included, and episodes are apart."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environments.spaces import Box
from jaxrl.networks import Attention, actor_critic, split_heads, values_along
from jaxrl.networks.attention_block import sinusoids
from tests import short

pytestmark = pytest.mark.quick_compilation

TIME, ENV, WIDTH, SIZE, PARAMETERS, VALUES = 7, 4, 6, 5, 3, 2
SPACE = Box(-np.inf, np.inf, (SIZE,))
# Episodes and sequences are longer than what is looked back on.
SMALL = Attention(layers=2, heads=2, context=3, sinks=2, gated=True)
KINDS = {
    "lstm": ("lstm", SMALL),
    "attention": ("attention", SMALL),
    "plain": ("attention", replace(SMALL, layers=1, context=9, sinks=0, gated=False)),
}


@cache
def network(kind):
    """A network and parameters none of which is at its start, so that each has an effect."""
    name, attention = KINDS[kind]
    built = actor_critic(
        SPACE, PARAMETERS, VALUES, network=name, hidden_sizes=(8,), recurrent_size=WIDTH, attention=attention
    )
    params = built.init(jax.random.key(0))
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    moved = [leaf + 0.3 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    return built, structure.unflatten(moved)


def numbers(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


WEIGHTS = jnp.ones((TIME, ENV, VALUES))
# Ends in the middle, at different times; the first steps go on from what was before.
STARTS = jnp.zeros((TIME, ENV), bool).at[jnp.array([3, 1, 5]), jnp.array([1, 3, 3])].set(True)


def remembered(kind, length=3):
    """The memory of copies whose episodes are of different ages."""
    built, params = network(kind)
    begun = jnp.zeros((length, ENV), bool).at[1, 0].set(True)
    memories = built.sequence(params, numbers(length, ENV, SIZE, seed=8), WEIGHTS[0], built.memory((ENV,)), begun)[2]
    return jax.tree.map(lambda leaf: leaf[-1], memories)


def stepwise(kind, params, observations, memory):
    """Outputs, values and memories of acting step by step."""
    built = network(kind)[0]

    def step(memory, inputs):
        observation, start = inputs
        forget = lambda new, old: jnp.where(start.reshape(-1, *(1,) * (old.ndim - 1)), new, old)  # noqa: E731
        value = built.value(params, observation, WEIGHTS[0], jax.tree.map(forget, built.memory((ENV,)), memory))
        parameters, memory = built.act(params, observation, WEIGHTS[0], memory, start)
        return memory, (parameters, value, memory)

    return jax.lax.scan(step, memory, (observations, STARTS))[1]


def everything(kind):
    """All that is compared of one network, as one program."""
    built, params = network(kind)
    observations, following = numbers(TIME, ENV, SIZE), numbers(TIME, ENV, SIZE, seed=5)
    outer = numbers(TIME, ENV, PARAMETERS, seed=6)

    def run(memory):
        along = lambda params, seen, memory: built.sequence(params, seen, WEIGHTS, memory, STARTS)  # noqa: E731
        whole = along(params, observations, memory)
        first = built.sequence(params, observations[:4], WEIGHTS[:4], memory, STARTS[:4])
        between = jax.tree.map(lambda leaf: leaf[-1], first[2])
        second = built.sequence(params, observations[4:], WEIGHTS[4:], between, STARTS[4:])
        slope = lambda f: jax.grad(lambda p, seen: jnp.sum(outer * f(p, seen)[0]), argnums=(0, 1))(params, observations)  # noqa: E731
        return {
            "whole": tuple(whole),
            "steps": stepwise(kind, params, observations, memory),
            "halves": jax.tree.map(lambda *parts: jnp.concatenate(parts), tuple(first), tuple(second)),
            "slope": slope(lambda p, seen: along(p, seen, memory)),
            "slope of steps": slope(lambda p, seen: stepwise(kind, p, seen, memory)),
            "together": values_along(built, params, observations, following, WEIGHTS, memory, STARTS),
            "following": built.value(params, following, WEIGHTS, whole[2]),
            "fresh": along(params, observations, built.memory((ENV,)))[0],
            "changed": along(params, observations.at[:3].add(1.0), built.memory((ENV,)))[0],
            "slope of one": jax.grad(lambda seen: along(params, seen, memory)[0][3:, 1].sum())(observations),
        }

    return jax.jit(run)(remembered(kind))


@pytest.fixture(scope="module", params=["lstm", "attention", pytest.param("plain", marks=pytest.mark.slow)])
def found(request):
    return everything(request.param)


def close(one, other, atol=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol), one, other)


def test_a_sequence_is_its_steps_one_by_one(found):
    close(found["whole"], found["steps"])


def test_two_halves_are_the_whole(found):
    close(found["halves"], found["whole"])


def test_what_follows_is_worth_what_its_memory_says(found):
    close(found["together"], (*found["whole"][:2], found["following"]))
    assert np.abs(found["following"] - found["whole"][1]).max() > 1e-2


def test_slopes_are_those_of_steps_one_by_one(found):
    close(found["slope"], found["slope of steps"], atol=2e-4)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found["slope"]))
    acting = {name: leaf for name, leaf in found["slope"][0].items() if not name.startswith("critic")}
    assert all(np.abs(leaf).max() > 0.0 for leaf in jax.tree.leaves(acting))


def test_a_start_forgets_the_past_of_its_own_slot_alone(found):
    one, two = found["fresh"], found["changed"]
    np.testing.assert_array_equal(one[3:, 1], two[3:, 1])
    assert np.abs(one[3] - two[3])[np.array([0, 2])].max(axis=-1).min() > 1e-4
    assert not found["slope of one"][:3, 1].any() and found["slope of one"][3, 1].any()


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_was_not_finite_is_forgotten_too(kind):
    built, params = network(kind)
    spoilt = jax.tree.map(lambda leaf: jnp.full_like(leaf, 1e38).astype(leaf.dtype), built.memory((ENV,)))
    spoilt = jax.tree.map(lambda leaf: leaf * 1e38 if leaf.dtype == jnp.float32 else leaf, spoilt)
    act = jax.jit(lambda memory, start: built.act(params, numbers(ENV, SIZE), WEIGHTS[0], memory, start))
    close(act(spoilt, jnp.ones(ENV, bool)), act(built.memory((ENV,)), jnp.zeros(ENV, bool)))


@pytest.mark.parametrize("layers", [1, 2])
def test_attention_sees_as_far_as_its_contexts_and_no_further(layers):
    shape = replace(SMALL, layers=layers, gated=False, sinks=0)
    built = actor_critic(SPACE, 3, 2, network="attention", hidden_sizes=(), recurrent_size=WIDTH, attention=shape)
    params, memory, never = built.init(jax.random.key(0)), built.memory((1,)), jnp.zeros((TIME, 1), bool)
    last = lambda seen: built.sequence(params, seen, WEIGHTS[:, :1], memory, never)[0][-1].sum()  # noqa: E731
    reach = jax.jit(jax.grad(last))(numbers(TIME, 1, SIZE))
    assert [bool(step.any()) for step in reach] == [step >= TIME - 1 - layers * 3 for step in range(TIME)]


def test_a_layer_of_attention_is_what_its_equations_say():
    built, params = network("plain")
    heads, context = KINDS["plain"][1].heads, KINDS["plain"][1].context
    observations, never = numbers(TIME, 1, SIZE), jnp.zeros((TIME, 1), bool)
    found = built.sequence(params, observations, WEIGHTS[:, :1], built.memory((1,)), never)[0][:, 0]
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    block, size = p["cell"]["block_0"], WIDTH // heads

    def dense(layer, x):
        return x @ layer["kernel"] + layer["bias"]

    def norm(layer, x):
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * layer["scale"] + layer[
            "bias"
        ]

    x = np.tanh(dense(p["torso"]["Dense_0"], np.asarray(observations[:, 0], np.float64)))
    x = dense(p["cell"]["embed"], x)
    seen = norm(block["first_norm"], x)
    query, key, value = (seen @ block[name]["kernel"] for name in ("query", "key", "value"))
    places = sinusoids(context + 1, WIDTH) @ block["place"]["kernel"]
    attended = np.zeros_like(x)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for i in range(TIME):
            content, place = query[i, part] + block["content_bias"][head], query[i, part] + block["place_bias"][head]
            score = np.array([content @ key[j, part] + place @ places[i - j, part] for j in range(i + 1)])
            weight = np.exp(score / np.sqrt(size))
            attended[i, part] = weight @ value[: i + 1, part] / weight.sum()
    x = x + dense(block["output"], attended)
    x = x + dense(block["outer"], np.maximum(dense(block["inner"], norm(block["second_norm"], x)), 0.0))
    np.testing.assert_allclose(found, dense(p["actor_head"], x), atol=1e-4)


def test_gates_are_nearly_closed_at_first_and_sinks_take_attention_from_nothing():
    shape = replace(SMALL, layers=1)
    built = actor_critic(SPACE, 3, 2, network="attention", hidden_sizes=(8,), recurrent_size=WIDTH, attention=shape)
    params = built.init(jax.random.key(0))
    gate = params["cell"]["block_0"]["first_gate"]
    np.testing.assert_array_equal(gate["gate_bias"], 2.0)
    np.testing.assert_array_equal(params["cell"]["block_0"]["first_norm"]["scale"], 1.0)
    assert not params["cell"]["block_0"]["sink_key"].any()
    _, moved = network("attention")
    block = moved["cell"]["block_0"]
    observation, start = numbers(ENV, SIZE), jnp.zeros(ENV, bool)
    built, memory = network("attention")[0], network("attention")[0].memory((ENV,))
    act = lambda **changes: built.act(  # noqa: E731
        {**moved, "cell": {**moved["cell"], "block_0": {**block, **changes}}}, observation, WEIGHTS[0], memory, start
    )[0]
    # With a strong key the sink is all that a first step sees, besides itself.
    assert np.abs(act() - act(sink_value=block["sink_value"] + 3.0)).max() > 1e-2


def test_an_lstm_remembers_at_first():
    built, _ = network("lstm")
    params = built.init(jax.random.key(0))
    np.testing.assert_array_equal(params["cell"]["hf"]["bias"], 1.0)
    np.testing.assert_array_equal(params["cell"]["hi"]["bias"], 0.0)


def test_several_heads_share_a_memory():
    shape = replace(SMALL, layers=1)
    settings = {"network": "attention", "hidden_sizes": (8,), "recurrent_size": WIDTH, "attention": shape}
    built = actor_critic(SPACE, 3 * PARAMETERS, 3 * VALUES, **settings)
    params, memory, heads = built.init(jax.random.key(0)), built.memory((ENV,)), split_heads(built, 3, 0)

    @jax.jit
    def run(observations, following):
        parameters, values, memories = heads.sequence(params, observations, WEIGHTS, memory, STARTS)
        expected = (parameters, values, heads.value(params, following, WEIGHTS, memories))
        return heads.along(params, observations, following, WEIGHTS, memory, STARTS), expected

    along, expected = run(numbers(TIME, ENV, SIZE), numbers(TIME, ENV, SIZE, seed=5))
    assert along[0].shape == (TIME, ENV, 3, PARAMETERS) and along[2].shape == (TIME, ENV, 3, VALUES)
    close(along, expected)


@pytest.mark.parametrize("name", ["lstm", "attention"])
def test_agents_keep_the_contract_with_minibatches_of_sequences(name):
    settings = {**short.SETTINGS, "total_steps": 128, "num_minibatches": 2, "recurrent_size": 8}
    shape = {"context_length": 5, "attention_heads": 2} if name == "attention" else {}
    trainer = jaxrl.trainer("ppo", "gymnax/CartPole-v1", network=name, **settings, **shape)
    jaxrl.agents.check(lambda spec: trainer.agent, trainer.environment)
    assert trainer.agent.config.num_minibatches == 2


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"network": "attention", "attention_heads": 5}, "attention_heads=5 must divide recurrent_size=64"),
        ({"network": "attention", "context_length": 0}, "context_length must be at least 1, got 0"),
        ({"network": "attention", "attention_sinks": -1}, "attention_sinks must be at least 0, got -1"),
        ({"network": "lstm", "context_length": 5}, "context_length=5 would have no effect.* network='attention'"),
        ({"gated_residuals": False}, "gated_residuals=False would have no effect.* network='attention'"),
        ({"network": "lstm", "num_minibatches": 3}, "sequences of a recurrent network stay whole"),
        ({"network": "lstn"}, "unknown network 'lstn'. Did you mean 'lstm'"),
        ({"network": "lstm", "condition_on_weights": True, "conditioning": "hypernetwork"}, "dense layers only"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        jaxrl.trainer("ppo", "gymnax/CartPole-v1", **settings)
