"""Observations of several parts: spaces, what check says of them, encoders, statistics, and a whole run."""

from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import my_dqn
import numpy as np
import pytest
from gymnax.environments import environment as gymnax_environment
from gymnax.environments import spaces as gymnax_spaces

import jaxrl
from jaxrl import environments
from jaxrl.cli import main
from jaxrl.environments import Box, Dict, Discrete, MultiDiscrete, Tuple, transforms
from jaxrl.environments.gymnax import from_gymnax
from jaxrl.environments.masks import seen_space
from jaxrl.environments.parts import batch_shape, parts_of, shapes, zeros
from jaxrl.environments.spaces import encode
from jaxrl.multitask import make_family, merge, suite
from jaxrl.networks import actor_critic, custom_network
from jaxrl.networks.activity import layer_places
from jaxrl.rendering.base import Scene
from jaxrl.rendering.generic import what_is_seen
from tests import environments as probes

pytestmark = pytest.mark.quick_compilation

VIEW, TURN, PAIR = Box(0.0, 1.0, (4, 5, 2)), Discrete(3), Tuple((Box(-1.0, 1.0, (2,)), MultiDiscrete((2, 3))))
SPACE = Dict({"turn": TURN, "camera": Dict({"view": VIEW}), "pair": PAIR})
FLAT = Dict({"turn": TURN, "pair": PAIR})
SMALL = {
    "num_envs": 4,
    "num_steps": 8,
    "total_steps": 64,
    "num_minibatches": 2,
    "num_evaluations": 1,
    "evaluation_episodes": 2,
    "hidden_sizes": (8,),
}


def drawn(space, *batch, seed=0):
    keys = jax.random.split(jax.random.key(seed), int(np.prod(batch)))
    return jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), jax.vmap(space.sample)(keys))


# --- spaces --------------------------------------------------------------------------------------


def test_parts_are_in_jax_order_and_spaces_compare_by_value():
    assert [name for name, _ in SPACE.parts] == ["camera", "pair", "turn"]
    assert list(parts_of(SPACE)) == ["camera.view", "pair.0", "pair.1", "turn"]
    assert Dict([("pair", PAIR), ("turn", TURN), ("camera", Dict({"view": VIEW}))]) == SPACE
    assert hash(SPACE) == hash(Dict(dict(SPACE.parts))) and SPACE != FLAT and SPACE.without("camera") == FLAT
    assert repr(Dict({"a": Tuple((TURN,))})) == f"Dict({{'a': Tuple(({TURN!r},))}})"
    observation = drawn(SPACE, 6, 5)
    assert jax.tree.structure(observation) == jax.tree.structure(shapes(SPACE)) == jax.tree.structure(zeros(SPACE))
    assert batch_shape(SPACE, observation) == (6, 5) and batch_shape(TURN, observation["turn"]) == (6, 5)
    assert SPACE.contains(jax.device_get(drawn(SPACE, 7)))
    assert not SPACE.contains({**drawn(SPACE, 2), "turn": np.array([0, 3])})
    assert not SPACE.contains(drawn(FLAT, 2)) and not PAIR.contains((np.zeros(2), np.array([1, 3])))


def test_parts_are_encoded_one_after_the_other():
    observation = drawn(SPACE, 3)
    expected = [observation["camera"]["view"].reshape(3, -1), observation["pair"][0]]
    expected += [jax.nn.one_hot(observation["pair"][1][:, i], n) for i, n in enumerate((2, 3))]
    expected += [jax.nn.one_hot(observation["turn"], 3)]
    np.testing.assert_array_equal(encode(SPACE, observation), np.concatenate(expected, axis=-1))


def described(space, observation=None):
    """An environment that shows zeros, or something else than it says."""
    shown = zeros(space) if observation is None else observation
    environment = probes.constant_reward()

    def reset(key, params):
        return environment.reset(key, params)[0], shown

    def step(key, state, action, params):
        state, timestep = environment.step(key, state, action, params)
        return state, timestep._replace(observation=shown)

    return environment._replace(reset=reset, step=step, spec=replace(environment.spec, observation=space))


FAULTS = {
    "no parts": (described(Dict({}), {}), "spec.observation is a Dict without parts"),
    "a name with a dot": (
        described(Dict({"a.b": TURN})),
        r"has a part 'a.b': a part's name is a text .* without \. and",
    ),
    "a part that is no space": (
        described(Dict({"a": Tuple((TURN, 3))}), {"a": (jnp.int32(0), jnp.int32(0))}),
        r"spec.observation\['a'\]\[1\] is of type int; allowed: Discrete, .* and Dict and Tuple of these",
    ),
    "an impossible part": (
        described(Dict({"a": Box(1.0, 0.0, (2,))})),
        r"spec.observation\['a'\] has a bound low that is not at most high",
    ),
    "another type": (
        described(SPACE, {**zeros(SPACE), "turn": jnp.zeros(())}),
        r"observation\['turn'\] is float32\[\], spec.observation says int32\[\]",
    ),
    "another form": (
        described(SPACE, {"camera": zeros(SPACE)["camera"], "turn": jnp.int32(0)}),
        r"an observation is a dict of \['camera'\]\['view'\].*, spec.observation says a dict of .*\['pair'\]\[0\]",
    ),
    "a list": (described(PAIR, list(zeros(PAIR))), "an observation is a list of .*, spec.observation says a tuple of"),
    "a value outside": (
        described(SPACE, {**zeros(SPACE), "pair": (jnp.full(2, 3.0), jnp.zeros(2, jnp.int32))}),
        r"an observation's 'pair.0' from reset lies outside Box.*: min 3, max 3",
    ),
    "not finite": (
        described(SPACE, {**zeros(SPACE), "camera": {"view": jnp.full(VIEW.shape, jnp.nan)}}),
        "an observation's 'camera.view' is not finite",
    ),
    "actions of several parts": (
        probes.constant_reward()._replace(spec=replace(probes.constant_reward().spec, action=PAIR)),
        "spec.action is of type Tuple; allowed: Discrete, MultiDiscrete and Box",
    ),
}


@pytest.mark.parametrize(("environment", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_check_names_the_part_and_its_fault(environment, message):
    with pytest.raises(environments.EnvironmentContractError, match=message):
        environments.check(environment, num_steps=12)


@pytest.mark.parametrize(
    "name", ["ppo", *(pytest.param(name, marks=pytest.mark.slow) for name in ("npg", "disco")), "lpg"]
)
def test_parts_pass_the_check_and_agents_of_every_design_take_them(name):
    """By abstract evaluation: nothing compiles."""
    environment = probes.several_parts()
    if name == "ppo":
        environments.check(environment)
        jaxrl.agents.check(my_dqn.dqn, probes.several_parts(image=False))
    jaxrl.agents.check(name, environment)


def test_transforms_suites_and_families_keep_parts():
    plain = described(SPACE)
    flat = transforms.flatten_observation(plain)
    assert flat.spec.observation.shape == (40 + 2 + 2 + 1,) and flat.spec.observation.low[0] == 0.0
    environments.check(flat, num_steps=12)
    with pytest.raises(ValueError, match="frame_stack needs a Box observation"):
        transforms.frame_stack(plain, 2)
    merged = merge(make_family(plain._replace(params=jnp.ones(())), jnp.arange(3.0)))
    assert merged.spec.observation == Dict((*SPACE.parts, ("task", Discrete(3))))
    environments.check(merged, num_steps=12)
    for hidden in ({}, {"observe_task": False, "multi_head": True}):
        trainer = jaxrl.trainer("ppo", merged, **SMALL, **hidden, normalise_observations=True)
        params = jax.eval_shape(trainer.init, jax.random.key(0), trainer.hyperparameters).agent.params
        # The view's 6 inner cells of 16 channels, the pair's 8 and 5, the turn's 3, and the task's 3 where it is seen.
        assert params["actor_torso"]["Dense_0"]["kernel"].shape[0] == 6 * 16 + 8 + 5 + 3 + (0 if hidden else 3)
    both = suite([plain, plain._replace(spec=replace(plain.spec, name="probe/other"))])
    batch = environments.vectorise(both, 4)
    _, first = jax.eval_shape(batch.reset, jax.random.key(0), batch.params)
    assert first["camera"]["view"].shape == (4, *VIEW.shape) and first["task"].shape == (4,)
    with pytest.raises(ValueError, match="have a part 'task' already"):
        merge(make_family(described(merged.spec.observation)._replace(params=jnp.ones(())), jnp.arange(3.0)))


class Parted(gymnax_environment.Environment):
    """An environment of gymnax's whose observation has attributes for parts."""

    @property
    def default_params(self):
        return gymnax_environment.EnvParams(max_steps_in_episode=5)

    def _shown(self, state):
        return {"position": jnp.float32(state.time)[None], "legal": jnp.array([True, False])}, state

    def reset_env(self, key, params):
        return self._shown(gymnax_environment.EnvState(time=0))

    def step_env(self, key, state, action, params):
        observation, state = self._shown(gymnax_environment.EnvState(time=state.time + 1))
        return observation, state, jnp.float32(action), jnp.array(False), {}

    def is_truncated(self, state, params):
        return state.time >= params.max_steps_in_episode

    def observation_space(self, params):
        parts = {"position": gymnax_spaces.Box(0.0, 5.0, (1,)), "legal": gymnax_spaces.Box(0, 1, (2,), jnp.bool_)}
        return gymnax_spaces.Dict(parts)

    def action_space(self, params=None):
        return gymnax_spaces.Discrete(2)


def test_an_environment_of_gymnax_with_parts_is_adapted():
    adapted = from_gymnax(Parted())
    assert adapted.spec.observation == Dict({"position": Box(0.0, 5.0, (1,)), "legal": Box(0.0, 1.0, (2,), "bool")})
    adapted = adapted._replace(spec=replace(adapted.spec, action_mask="legal"))
    environments.check(adapted, num_steps=8)


# --- networks ------------------------------------------------------------------------------------


def network(space, **settings):
    return actor_critic(space, 4, 2, **{"hidden_sizes": (11, 7), "channels": 3, "recurrent_size": 5, **settings})


@pytest.mark.parametrize(
    ("space", "kind"),
    [
        *((SPACE, "auto"), (SPACE, "gru"), (FLAT, "auto"), (PAIR, "parts")),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in ((SPACE, "mlp"), (FLAT, "gru"))),
    ],
)
def test_shapes_hold_for_steps_and_sequences(space, kind):
    built = network(space, network=kind)
    params = jax.jit(built.init)(jax.random.key(0))
    observation, weights, starts = drawn(space, 3, 6), jnp.ones((3, 6, 2)), jnp.zeros((3, 6), bool)
    parameters, values, memories = built.sequence(params, observation, weights, built.memory((6,)), starts)
    assert parameters.shape == (3, 6, 4) and values.shape == (3, 6, 2)
    first = jax.tree.map(lambda leaf: leaf[0], observation)
    step, _ = built.act(params, first, weights[0], built.memory((6,)), starts[0])
    np.testing.assert_allclose(step, parameters[0], atol=1e-5)
    alone = jax.tree.map(lambda leaf: leaf[0, 0], observation)
    single, _ = built.act(params, alone, weights[0, 0], built.memory(()), starts[0, 0])
    np.testing.assert_allclose(single, parameters[0, 0], atol=1e-5)
    assert built.value(params, observation, weights, memories).shape == (3, 6, 2)
    torso = params["torso" if kind == "gru" else "actor_torso"]
    apart = kind == "parts" or (kind in ("auto", "gru") and space is SPACE)
    assert ("Part_0" in torso) == apart and "Convolution" not in torso


def test_encoders_are_of_the_parts_and_each_of_them_learns():
    built = network(SPACE)
    params = jax.jit(built.init)(jax.random.key(0))
    kernels = {name: leaf["kernel"].shape for name, leaf in params["actor_torso"].items()}
    # The view: 3 x 3 x 2 entries to 3 channels, at 2 x 3 places; the pair: 2 numbers to 11; then 5 and 3, one-hot.
    assert kernels == {"Part_0": (18, 3), "Part_1": (2, 11), "Dense_0": (18 + 11 + 5 + 3, 11), "Dense_1": (11, 7)}
    observation = drawn(SPACE, 9)
    inputs = (jnp.ones((9, 2)), (), jnp.zeros(9, bool))
    squares = jax.jit(jax.grad(lambda params: jnp.sum(built.act(params, observation, *inputs)[0] ** 2)))
    slope = squares(params)["actor_torso"]
    assert all(np.abs(leaf["kernel"]).max() > 0.0 for leaf in slope.values())
    changed = {**observation, "turn": (observation["turn"] + 1) % 3}
    assert not np.allclose(built.act(params, changed, *inputs)[0], built.act(params, observation, *inputs)[0])
    activity = built.activity(
        params, jax.tree.map(lambda leaf: leaf[None], observation), inputs[0][None], (), inputs[2][None]
    )
    assert activity["actor_torso"]["Part_0"]["kernel"].shape == (3,)
    # Encoders lie side by side, before the first layer that joins them.
    places = jax.tree.unflatten(jax.tree.structure(params), layer_places(params))["actor_torso"]
    assert {name: place["kernel"].proportion for name, place in places.items()} == {
        **dict.fromkeys(("Part_0", "Part_1"), 0.0), "Dense_0": 1 / 3, "Dense_1": 2 / 3,
    }  # fmt: skip
    generated = network(SPACE, conditioning="hypernetwork", hyper_hidden=(4,), hyper_features=2)
    assert set(generated.init(jax.random.key(0))["actor_torso"]["Part_1"]) == {"base", "generator"}


def test_networks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"network 'cnn' needs height x width .* network='parts' takes images among"):
        network(SPACE, network="cnn")
    with pytest.raises(ValueError, match="network 'parts' needs Dict or Tuple observations, got Box"):
        network(VIEW, network="parts")
    with pytest.raises(ValueError, match="network 'table' needs Discrete or MultiDiscrete observations, got Dict"):
        network(FLAT, network="table")
    with pytest.raises(ValueError, match="normalise_observations needs a Box observation, or a part that is one"):
        jaxrl.trainer("ppo", described(Dict({"a": TURN, "b": TURN})), **SMALL, normalise_observations=True)


@pytest.mark.parametrize(("space", "form"), [(FLAT, "array"), (SPACE, "parts")])
def test_a_network_of_ones_own_sees_a_vector_or_parts_and_no_mask(space, form):
    seen = []

    class Own(nn.Module):
        @nn.compact
        def __call__(self, observation):
            seen.append(jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype.name), observation))
            if form == "array":
                return observation
            view = observation["camera"]["view"]
            flat = view.reshape(*view.shape[:-3], -1)
            return jnp.concatenate([flat, *observation["pair"], observation["turn"]], axis=-1)

    masked = transforms.action_mask(described(space), lambda state, params: jnp.ones(2, bool))
    assert seen_space(masked.spec) == space
    custom_network(Own(), seen_space(masked.spec), 2, 1, num_preferences=1)
    expected = ((3, 2, 10), "float32")
    if form == "parts":
        pair = ((3, 2, 2), "float32"), ((3, 2, 5), "float32")
        expected = {"camera": {"view": ((3, 2, 4, 5, 2), "float32")}, "pair": pair, "turn": ((3, 2, 3), "float32")}
    assert seen[-1] == expected
    trainer = jaxrl.trainer("ppo", masked, **{**SMALL, "network": Own()})
    jax.eval_shape(trainer.run, jax.random.key(0), trainer.hyperparameters)


# --- a run ---------------------------------------------------------------------------------------


@pytest.mark.slow  # A learning run; a run with parts is the quick test.
@pytest.mark.parametrize("settings", [{}, {"network": "gru"}], ids=["auto", "gru"])
def test_an_agent_learns_from_all_parts_with_statistics_of_those_that_are_numbers(settings):
    environment = probes.several_parts()
    trainer = jaxrl.trainer(
        "ppo", environment, total_steps=16_384, num_envs=16, num_steps=32, learning_rate=1e-2, hidden_sizes=(32,),
        normalise_observations=True, num_evaluations=1, evaluation_episodes=32, channels=4, **settings,
    )  # fmt: skip
    result = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters)
    assert float(result.evaluation.returns[-1, 0]) == 6.0
    statistics = result.state.agent.observations
    assert statistics["turn"] is None and statistics["legal"] is None and statistics["pair"][1] is None
    np.testing.assert_allclose(statistics["pair"][0].mean, 50.0, atol=1.0)
    np.testing.assert_allclose(np.sqrt(statistics["pair"][0].squares / statistics["pair"][0].count), 10.0, atol=1.0)
    assert statistics["camera"]["view"].mean.shape == (4, 5, 2)


def test_a_run_with_parts_is_saved_loaded_evaluated_watched_and_resumed(tmp_path, capsys):
    run, words = tmp_path / "run", ["--environment-option", "action_mask=True", "--environment-option"]
    words += ["observation=planes", "--num-envs", "4", "--num-steps", "8", "--hidden-sizes", "8"]
    shared = ["--total-steps", "64", "--evaluation-episodes", "2", "--normalise-observations", "--out", str(run)]
    assert main(["train", "ppo", "grid/tiny", *words, *shared]) == 0
    policy = jaxrl.load(run)
    environment = jaxrl.make("grid/tiny", action_mask=True, observation="planes")
    _, observation = environment.reset(jax.random.key(0), environment.params)
    several = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (5, 2, *leaf.shape)), observation)
    action = policy(jax.random.key(0), observation)
    assert action.shape == () and observation["action_mask"][action]
    np.testing.assert_array_equal(policy(jax.random.key(0), several), np.broadcast_to(action, (5, 2)))
    with pytest.raises(ValueError, match="observation has another form than this policy was trained on, Dict"):
        policy(jax.random.key(0), observation["observation"])
    with pytest.raises(ValueError, match=r"observation's 'action_mask' has shape \(4,\), this policy was trained on"):
        policy(jax.random.key(0), {**observation, "action_mask": np.ones(4, bool)})
    with pytest.raises(ValueError, match="parts of an observation have different batch axes"):
        policy(jax.random.key(0), {**several, "action_mask": observation["action_mask"]})
    assert main(["evaluate", str(run), "--episodes", "3"]) == 0
    assert main(["watch", str(run), "--max-steps", "3", "--out", str(tmp_path / "frame.png")]) == 0
    assert main(["resume", str(run)]) == 0
    assert (tmp_path / "frame_0001.png").exists() and "return" in capsys.readouterr().out


def test_parts_are_drawn_side_by_side():
    environment = probes.several_parts()
    state, observation = environment.reset(jax.random.key(0), environment.params)
    picture = what_is_seen(Scene(state, jax.device_get(observation), (), environment.spec))
    view = what_is_seen(Scene(state, observation["camera"]["view"], (), described(VIEW).spec))
    assert picture.width > view.width and picture.height >= view.height
