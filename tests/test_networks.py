"""Shapes, initialisation, memory and conditioning of actor-critic networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments.spaces import Box, Discrete, MultiDiscrete
from jaxrl.errors import UnknownNameError
from jaxrl.networks import actor_critic, encode, first_head, split_heads, total_parameters

pytestmark = pytest.mark.quick_compilation

TIME, ENV, OBJECTIVE, PARAMETERS, MEMORY = 6, 5, 3, 4, 7
VECTOR = Box(-np.inf, np.inf, (8,))
IMAGE = Box(0.0, 1.0, (10, 10, 4))
SPACES = {"vector": VECTOR, "image": IMAGE, "integer": Discrete(9), "integers": MultiDiscrete((3, 2, 4))}


def build(space=VECTOR, **options):
    return actor_critic(space, PARAMETERS, OBJECTIVE, **{"hidden_sizes": (11, 12), "recurrent_size": MEMORY, **options})


def observations(space, *shape, seed=0):
    keys = jax.random.split(jax.random.key(seed), shape)
    return jax.vmap(space.sample)(keys.reshape(-1)).reshape(*shape, *space.shape)


def simplex(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).dirichlet(np.ones(OBJECTIVE), size=shape), jnp.float32)


def act(network, params, observation, weights=None, memory=None, start=None):
    batch = weights.shape[:-1] if weights is not None else (ENV,)
    weights = simplex(*batch) if weights is None else weights
    memory = network.memory(batch) if memory is None else memory
    start = jnp.zeros(batch, bool) if start is None else start
    return network.act(params, observation, weights, memory, start)


@pytest.mark.parametrize(
    ("space", "network"),
    [
        *(("vector", "auto"), ("vector", "gru")),
        *(("image", "cnn"), ("image", "gru"), ("integer", "auto"), ("integers", "gru")),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("image", "auto"), ("image", "mlp"), ("integers", "mlp"))
        ),
    ],
)
def test_shapes_hold_for_steps_sequences_and_single_observations(space, network):
    space = SPACES[space]
    built = build(space, network=network, channels=2)
    params = built.init(jax.random.key(0))
    parameters, memory = act(built, params, observations(space, ENV))
    assert parameters.shape == (ENV, PARAMETERS) and built.recurrent == (network == "gru")
    if built.recurrent:
        assert memory.shape == built.memory((ENV,)).shape == (ENV, MEMORY)
    else:
        assert memory == built.memory((ENV,)) == ()
    single, _ = act(built, params, observations(space, ENV)[0], simplex())
    np.testing.assert_allclose(
        single, act(built, params, observations(space, ENV), simplex()[None].repeat(ENV, 0))[0][0], atol=1e-5
    )
    sequence = observations(space, TIME, ENV)
    weights, starts = simplex(TIME, ENV), jnp.zeros((TIME, ENV), bool)
    parameters, values, memories = built.sequence(params, sequence, weights, built.memory((ENV,)), starts)
    assert parameters.shape == (TIME, ENV, PARAMETERS) and values.shape == (TIME, ENV, OBJECTIVE)
    assert built.value(params, sequence, weights, memories).shape == (TIME, ENV, OBJECTIVE)


def test_a_feed_forward_sequence_is_each_step_by_itself():
    network = build()
    params, sequence, weights = network.init(jax.random.key(0)), observations(VECTOR, TIME, ENV), simplex(TIME, ENV)
    starts = jnp.zeros((TIME, ENV), bool)
    parameters, values, _ = network.sequence(params, sequence, weights, (), starts)
    for t in range(TIME):
        np.testing.assert_allclose(act(network, params, sequence[t], weights[t])[0], parameters[t], atol=1e-6)
        np.testing.assert_allclose(network.value(params, sequence[t], weights[t], ()), values[t], atol=1e-6)


def test_a_multilayer_perceptron_computes_what_its_layers_say():
    network = build()
    params = network.init(jax.random.key(3))
    observation = observations(VECTOR, ENV)

    def forward(torso, head):
        x = np.asarray(observation)
        for layer in ("Dense_0", "Dense_1"):
            x = np.tanh(x @ params[torso][layer]["kernel"] + params[torso][layer]["bias"])
        return x @ params[head]["kernel"] + params[head]["bias"]

    np.testing.assert_allclose(act(network, params, observation)[0], forward("actor_torso", "actor_head"), atol=1e-5)
    values = network.value(params, observation, simplex(ENV), ())
    np.testing.assert_allclose(values, forward("critic_torso", "critic_head"), atol=1e-5)


def test_kernels_start_orthogonal_with_the_usual_gains_and_zero_biases():
    params = build().init(jax.random.key(1))
    gains = {"actor_head": 0.01, "critic_head": 1.0}
    layers = [(params[head], gain) for head, gain in gains.items()]
    for torso in ("actor_torso", "critic_torso"):
        layers += [(layer, np.sqrt(2.0)) for layer in params[torso].values()]
    assert len(layers) == 6
    for layer, gain in layers:
        kernel = np.asarray(layer["kernel"])
        # Orthonormal along the shorter side.
        gram = kernel.T @ kernel if kernel.shape[0] >= kernel.shape[1] else kernel @ kernel.T
        np.testing.assert_allclose(gram, gain**2 * np.eye(len(gram)), atol=1e-5 * gain**2)
        np.testing.assert_array_equal(layer["bias"], 0.0)


def test_keys_give_different_networks():
    network = build()
    first, second = (network.init(jax.random.key(seed))["actor_head"]["kernel"] for seed in (0, 1))
    assert not np.allclose(first, second)


# --- memory --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recurrent():
    network = build(network="gru")
    params = network.init(jax.random.key(2))
    # Larger heads, so that a difference in memory is seen in the outputs.
    params["actor_head"]["kernel"] *= 100.0
    return network, params


@pytest.fixture(scope="module")
def rollout(recurrent):
    network, params = recurrent
    rng = np.random.default_rng(0)
    sequence, weights = observations(VECTOR, TIME, ENV), simplex(TIME, ENV)
    starts = jnp.asarray(rng.uniform(size=(TIME, ENV)) < 0.3)
    memory = jnp.asarray(rng.normal(size=(ENV, MEMORY)), jnp.float32)
    return sequence, weights, memory, starts, network.sequence(params, sequence, weights, memory, starts)


def test_a_recurrent_sequence_equals_acting_step_by_step(recurrent, rollout):
    network, params = recurrent
    sequence, weights, memory, starts, (parameters, values, memories) = rollout
    assert 0 < starts.sum() < starts.size
    for t in range(TIME):
        before = jnp.where(starts[t][:, None], 0.0, memory)
        step, memory = network.act(params, sequence[t], weights[t], memory, starts[t])
        np.testing.assert_allclose(step, parameters[t], atol=1e-5)
        np.testing.assert_allclose(memory, memories[t], atol=1e-5)
        # The value of an observation, given the memory before it, is that of the sequence.
        np.testing.assert_allclose(network.value(params, sequence[t], weights[t], before), values[t], atol=1e-5)


def test_a_recurrent_cell_follows_the_gated_recurrent_unit(recurrent):
    network, params = recurrent
    observation, memory = observations(VECTOR, ENV), np.random.default_rng(1).normal(size=(ENV, MEMORY))
    x = np.asarray(observation)
    for layer in ("Dense_0", "Dense_1"):
        x = np.tanh(x @ params["torso"][layer]["kernel"] + params["torso"][layer]["bias"])
    cell = {k: (np.asarray(v["kernel"]), np.asarray(v.get("bias", 0.0))) for k, v in params["cell"].items()}

    def dense(name, value):
        return value @ cell[name][0] + cell[name][1]

    reset, update = (1 / (1 + np.exp(-(dense("i" + g, x) + dense("h" + g, memory)))) for g in "rz")
    candidate = np.tanh(dense("in", x) + reset * dense("hn", memory))
    expected = (1 - update) * candidate + update * memory
    _, actual = act(network, params, observation, memory=jnp.asarray(memory, jnp.float32))
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_the_value_of_what_follows_uses_the_memory_after_the_step(recurrent, rollout):
    network, params = recurrent
    sequence, weights, memory, _, _ = rollout
    never = jnp.zeros((TIME, ENV), bool)
    _, values, memories = network.sequence(params, sequence, weights, memory, never)
    following = network.value(params, sequence[1:], weights[1:], memories[:-1])
    np.testing.assert_allclose(following, values[1:], atol=1e-5)
    assert not np.allclose(network.value(params, sequence[1:], weights[1:], memories[1:]), values[1:], atol=1e-3)


def test_a_start_forgets_the_past_of_its_own_slot_only(recurrent):
    network, params = recurrent
    sequence, weights = observations(VECTOR, TIME, ENV), simplex(TIME, ENV)
    starts = jnp.zeros((TIME, ENV), bool).at[3, 1].set(True)
    changed = sequence.at[:3].add(1.0)
    one = network.sequence(params, sequence, weights, network.memory((ENV,)), starts)[0]
    two = network.sequence(params, changed, weights, network.memory((ENV,)), starts)[0]
    np.testing.assert_array_equal(one[3:, 1], two[3:, 1])
    assert np.all(np.abs(one[3:] - two[3:])[:, np.array([0, 2, 3, 4])].max(axis=(0, 2)) > 1e-4)


# --- conditioning, sharing, encoding -------------------------------------------------------------


@pytest.mark.parametrize("network", ["mlp", "gru", "cnn"])
@pytest.mark.parametrize("conditioned", [False, True])
def test_weights_matter_exactly_when_conditioned_on(network, conditioned):
    space = IMAGE if network == "cnn" else VECTOR
    built = build(space, network=network, conditioning="input" if conditioned else "none", channels=2)
    params = built.init(jax.random.key(0))
    observation, (one, two) = observations(space, ENV), (simplex(ENV, seed=1), simplex(ENV, seed=2))
    same_action = np.array_equal(act(built, params, observation, one)[0], act(built, params, observation, two)[0])
    memory = built.memory((ENV,))
    values = [built.value(params, observation, weights, memory) for weights in (one, two)]
    assert same_action == (not conditioned)
    assert np.array_equal(*values) == (not conditioned)


def test_weights_broadcast_over_leading_axes():
    network = build(conditioning="input")
    params, sequence, weights = network.init(jax.random.key(0)), observations(VECTOR, TIME, ENV), simplex(ENV)
    starts = jnp.zeros((TIME, ENV), bool)
    narrow = network.sequence(params, sequence, weights, (), starts)
    wide = network.sequence(params, sequence, jnp.broadcast_to(weights, (TIME, ENV, OBJECTIVE)), (), starts)
    np.testing.assert_array_equal(narrow[0], wide[0])


def test_a_shared_torso_is_one_set_of_parameters_that_both_heads_train():
    shared, apart = build(shared_torso=True).init(jax.random.key(0)), build().init(jax.random.key(0))
    assert set(shared) == {"torso", "actor_head", "critic_head"}
    assert set(apart) == {"actor_torso", "critic_torso", "actor_head", "critic_head"}
    observation, weights = observations(VECTOR, ENV), simplex(ENV)

    def moved(network, params):
        gradient = jax.grad(lambda p: network.value(p, observation, weights, ()).sum())(params)
        return {name for name, part in gradient.items() if any(np.any(leaf) for leaf in jax.tree.leaves(part))}

    assert moved(build(shared_torso=True), shared) == {"torso", "critic_head"}
    assert moved(build(), apart) == {"critic_torso", "critic_head"}


def test_shared_parameters_come_last_and_do_not_depend_on_the_observation():
    network = build(shared_parameters=2, initial_shared=-0.5)
    params = network.init(jax.random.key(0))
    assert params["log_std"].shape == (2,) and params["actor_head"]["bias"].shape == (PARAMETERS - 2,)
    parameters, _ = act(network, params, observations(VECTOR, ENV))
    np.testing.assert_array_equal(parameters[:, 2:], -0.5)
    assert not np.allclose(parameters[0, :2], parameters[1, :2], atol=1e-6)


def test_encoding_is_one_hot_for_integers_and_flat_for_arrays():
    np.testing.assert_array_equal(encode(Discrete(3), jnp.asarray([2, 0])), [[0, 0, 1], [1, 0, 0]])
    encoded = encode(MultiDiscrete((2, 3)), jnp.asarray([[1, 0], [0, 2]]))
    np.testing.assert_array_equal(encoded, [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]])
    image = jnp.arange(24, dtype=jnp.int32).reshape(2, 3, 2, 2)
    flat = encode(Box(0.0, 24.0, (3, 2, 2), "int32"), image)
    assert flat.shape == (2, 12) and flat.dtype == jnp.float32
    assert encode(Box(0.0, 24.0, (3, 2, 2), "int32"), image, keep_image=True).shape == (2, 3, 2, 2)
    assert encode(Box(0.0, 1.0, ()), jnp.asarray([0.5, 0.25])).shape == (2, 1)


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        ({"network": "cnn"}, "height x width x channels"),
        ({"hidden_sizes": (4, 0)}, "at least 1"),
        ({"recurrent_size": 0}, "at least 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused(options, fragment):
    with pytest.raises(ValueError, match=fragment):
        build(**options)


@pytest.mark.parametrize(("options", "nearest"), [({"network": "grru"}, "gru"), ({"activation": "Relu6"}, "relu")])
def test_unknown_names_are_refused_with_the_nearest(options, nearest):
    with pytest.raises(UnknownNameError, match=f"Did you mean '{nearest}'"):
        build(**options)


def test_patches_and_a_dense_layer_are_a_convolution():
    from jaxrl.networks import patches

    image = jax.random.normal(jax.random.key(0), (5, 10, 9, 4))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 4, 7))
    numbers = ("NHWC", "HWIO", "NHWC")
    convolved = jax.lax.conv_general_dilated(image, kernel, (1, 1), "VALID", dimension_numbers=numbers)
    np.testing.assert_allclose(patches(image) @ kernel.reshape(36, 7), convolved, atol=1e-4)


def test_generated_layers_start_as_one_network_and_then_follow_the_weights():
    network = build(conditioning="hypernetwork", hyper_features=3, hyper_hidden=(5,))
    params = network.init(jax.random.key(0))
    observation = observations(VECTOR, ENV)
    memory, start = network.memory((ENV,)), jnp.zeros(ENV, bool)
    one, other = jnp.eye(OBJECTIVE)[0], jnp.eye(OBJECTIVE)[1]
    act = lambda params, weights: network.act(params, observation, weights, memory, start)[0]  # noqa: E731
    np.testing.assert_array_equal(act(params, one), act(params, other))
    moved = jax.tree.map(lambda leaf: leaf + 0.1, params)
    assert np.abs(act(moved, one) - act(moved, other)).max() > 1e-3
    # Every sample may have weights of its own: the same as one call per weight.
    rows = jnp.stack([one, other] * ENV)[:ENV]
    together = act(moved, rows)
    apart = jnp.stack([act(moved, row)[i] for i, row in enumerate(rows)])
    np.testing.assert_allclose(together, apart, rtol=1e-5, atol=1e-6)


def test_a_generated_layer_equals_a_dense_layer_with_the_mixed_parameters():
    from jaxrl.networks.layers import GeneratedDense

    generator = np.random.default_rng(0)
    inputs, mix = jnp.asarray(generator.normal(size=(4, 5))), jnp.asarray(generator.normal(size=3))
    layer = GeneratedDense(2)
    params = layer.init(jax.random.key(0), inputs, mix)["params"]
    params = jax.tree.map(lambda leaf: jnp.asarray(generator.normal(size=leaf.shape)), params)
    kernel = params["base"]["kernel"] + np.einsum("f,ifo->io", mix, params["generator"]["kernel"].reshape(5, 3, 2))
    bias = params["base"]["bias"] + mix @ params["generator"]["bias"].reshape(3, 2)
    np.testing.assert_allclose(layer.apply({"params": params}, inputs, mix), inputs @ kernel + bias, rtol=1e-4)


@pytest.mark.parametrize("shared", [0, 2])
def test_heads_are_parts_of_one_networks_outputs(shared):
    heads, total = 3, total_parameters(3, PARAMETERS, shared)
    assert total == 3 * (PARAMETERS - shared) + shared
    network = actor_critic(VECTOR, total, heads * 2, hidden_sizes=(5,), shared_parameters=shared, initial_shared=0.3)
    params, start = network.init(jax.random.key(0)), jnp.zeros((TIME, ENV))
    observation = observations(VECTOR, TIME, ENV)
    inputs = (params, observation, jnp.zeros((TIME, ENV, 2)), (), start)
    parameters, values, _ = network.sequence(*inputs)
    all_parameters, all_values, _ = split_heads(network, heads, shared).sequence(*inputs)
    own = PARAMETERS - shared
    for head in range(heads):
        found = all_parameters[..., head, :]
        np.testing.assert_array_equal(found[..., :own], parameters[..., head * own : (head + 1) * own])
        np.testing.assert_array_equal(found[..., own:], parameters[..., total - shared :])
        np.testing.assert_array_equal(all_values[..., head, :], values[..., 2 * head : 2 * head + 2])
    first = first_head(network, heads, shared)
    np.testing.assert_array_equal(first.sequence(*inputs)[0], all_parameters[..., 0, :])
    np.testing.assert_array_equal(first.sequence(*inputs)[1], all_values[..., 0, :])
    one = (observation[0], jnp.zeros((ENV, 2)), ())
    np.testing.assert_allclose(first.act(params, *one, start[0])[0], all_parameters[0, :, 0], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(first.value(params, *one), all_values[0, :, 0], rtol=1e-6, atol=1e-8)


def test_tables_have_a_row_of_their_own_for_every_observation():
    space = MultiDiscrete((2, 3, 4))
    network = actor_critic(space, 1, 1, network="table")
    params = network.init(jax.random.key(0))
    params = {**params, "critic": jnp.arange(24.0)[:, None]}
    every = jnp.stack(jnp.meshgrid(*map(jnp.arange, space.sizes), indexing="ij"), axis=-1)
    values = network.value(params, every, jnp.ones(1), ())
    np.testing.assert_array_equal(values.ravel(), np.arange(24))
