"""Clipping of what is learned from, scales of first parameters, and optimisers by optax's names."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxrl
from jaxrl.agents.acting import see
from jaxrl.agents.on_policy_update import paid_rewards
from jaxrl.agents.optimisation import make_optimiser
from jaxrl.cli import main
from jaxrl.hyperparameters import leaves
from jaxrl.numerics.normalisation import init_statistics, update_statistics
from jaxrl.optimisers.plain import PLAIN
from tests import short
from tests.environments import one_step

pytestmark = pytest.mark.quick_compilation


def trainer(environment="gymnax/CartPole-v1", **settings):
    return jaxrl.trainer("ppo", environment, **{**short.SETTINGS, **settings})


def state_of(made):
    return jax.jit(made.init)(jax.random.key(0), made.hyperparameters)


# --- clipping ---


def test_observations_are_clipped_after_they_are_normalised():
    made = trainer(normalise_observations=True, clip_observations=True, observation_clip=1.5)
    seen = jax.random.normal(jax.random.key(1), (1000, 4)) * 3.0 + 5.0
    state = state_of(made).agent._replace(observations=update_statistics(init_statistics((4,)), seen))
    observation = jnp.asarray([5.0, 100.0, -100.0, 6.0])
    found = see(state, observation, made.hyperparameters)
    np.testing.assert_allclose(found, [0.0, 1.5, -1.5, 1.0 / 3.0], atol=0.1)
    # By itself normalisation clips to 10.
    plain = trainer(normalise_observations=True)
    assert see(state, observation, plain.hyperparameters)[1:3].tolist() == [10.0, -10.0]
    raw = trainer(clip_observations=True)
    np.testing.assert_array_equal(see(state_of(raw).agent, observation, raw.hyperparameters), [5.0, 10.0, -10.0, 6.0])
    assert "limits" not in {path.partition(".")[0] for path in leaves(plain.hyperparameters)}


def test_acting_evaluating_and_learning_see_the_same():
    made = trainer(clip_observations=True, observation_clip=0.01)
    state, hp = state_of(made), made.hyperparameters
    far, near = jnp.full((1, 4), 5.0), jnp.full((1, 4), 0.01)
    act = lambda observation: made.agent.act(jax.random.key(3), state.agent, observation, (), hp, True)[0]  # noqa: E731
    value = lambda observation: made.agent.value(state.agent, observation, (), hp)  # noqa: E731
    np.testing.assert_array_equal(value(far), value(near))
    assert act(far) == act(near)
    _, rollout, _ = made.collect(jax.random.key(1), state, hp)
    clipped = rollout._replace(observation=jnp.clip(rollout.observation, -0.01, 0.01))
    assert np.abs(rollout.observation).max() > 0.01
    one, other = (made.agent.score(state.agent, seen, hp) for seen in (rollout, clipped))
    np.testing.assert_array_equal(one.log_prob, other.log_prob)


@pytest.mark.parametrize("normalise", [False, True])
def test_rewards_are_clipped_after_they_are_scaled_and_the_scale_knows_nothing_of_it(normalise):
    made = trainer(one_step(8.0), normalise_rewards=normalise, clip_rewards=True, reward_clip=3.0)
    parts, state = made.agent.update.args[0], state_of(made)
    _, rollout, _ = made.collect(jax.random.key(1), state, made.hyperparameters)
    reward, scale, _ = paid_rewards(parts, state.agent, rollout, made.hyperparameters)
    np.testing.assert_array_equal(reward, 3.0)
    if not normalise:
        return
    free = paid_rewards(parts._replace(), state.agent, rollout, made.hyperparameters._replace(limits={}))[1]
    jax.tree.map(np.testing.assert_array_equal, scale, free)
    # A scale of 16 puts rewards of 8 below the limit.
    wide = scale.statistics._replace(squares=256.0 * scale.statistics.count * jnp.ones(1))
    agent = state.agent._replace(rewards=scale._replace(statistics=wide))
    np.testing.assert_allclose(paid_rewards(parts, agent, rollout, made.hyperparameters)[0], 0.5)


def test_members_of_one_program_have_limits_of_their_own():
    made = trainer(clip_rewards=True, clip_observations=True, learning_rate=0.01)

    def kernel(limits):
        chosen = made.hyperparameters._replace(limits=limits)
        state, _ = made.learn(made.init(jax.random.key(0), chosen), chosen, jnp.asarray(0), made.num_iterations)
        return state.agent.params["critic_torso"]["Dense_0"]["kernel"]

    limits = {"reward_clip": jnp.asarray([10.0, 0.1, 10.0]), "observation_clip": jnp.asarray([10.0, 10.0, 0.01])}
    plain, rewards, observations = jax.jit(jax.vmap(kernel))(limits)
    assert np.abs(plain - rewards).max() > 1e-5 and np.abs(plain - observations).max() > 1e-5


# --- scales ---


def gain(layer):
    return float(np.linalg.norm(np.asarray(layer["kernel"]), ord=2))


def test_kernels_start_with_the_gains_that_are_set():
    made = trainer(hidden_scale=0.5, policy_scale=2.0, value_scale=0.0, network="gru")
    params = made.agent.init(jax.random.key(0), made.hyperparameters).params
    assert gain(params["actor_head"]) == pytest.approx(2.0, rel=1e-4) and gain(params["critic_head"]) == 0.0
    assert gain(params["torso"]["Dense_0"]) == pytest.approx(0.5, rel=1e-4)
    assert gain(params["cell"]["hn"]) == pytest.approx(1.0, rel=1e-4)


def test_heads_of_ones_own_network_take_their_scales():
    import flax.linen as nn

    class Plain(nn.Module):
        @nn.compact
        def __call__(self, observation):
            return nn.Dense(8)(observation)

    made = trainer(network=Plain(), policy_scale=2.0, value_scale=3.0)
    params = made.agent.init(jax.random.key(0), made.hyperparameters).params
    assert gain(params["actor_head"]) == pytest.approx(2.0, rel=1e-4)
    assert gain(params["critic_head"]) == pytest.approx(3.0, rel=1e-4)
    with pytest.raises(ValueError, match=r"hidden_scale=1.0 would have no effect here: it needs a network of jaxrl's"):
        trainer(network=Plain(), hidden_scale=1.0)


# --- optimisers ---

EPSILON, ROOT = 1e-5, 1e-20
MATRICES = {"kernel": True, "bias": False}


def betas(settings):
    return settings["beta_1"], settings["beta_2"]


# optax's own, with jaxrl's ε and its clipping apart.
OPTAX = {
    "adam": lambda p: optax.adam(0.1, eps=EPSILON, eps_root=ROOT),
    "rmsprop": lambda p: optax.rmsprop(0.1, decay=0.99, eps=EPSILON),
    "sgd": lambda p: optax.sgd(0.1),
    "momentum": lambda p: optax.sgd(0.1, momentum=p["momentum"]),
    "nesterov": lambda p: optax.sgd(0.1, momentum=p["momentum"], nesterov=True),
    "adamw": lambda p: optax.adamw(0.1, *betas(p), EPSILON, ROOT, weight_decay=p["weight_decay"], mask=MATRICES),
    "nadam": lambda p: optax.nadam(0.1, *betas(p), EPSILON, ROOT),
    "nadamw": lambda p: optax.nadamw(0.1, *betas(p), EPSILON, ROOT, weight_decay=p["weight_decay"], mask=MATRICES),
    "radam": lambda p: optax.radam(0.1, *betas(p), EPSILON, ROOT),
    "amsgrad": lambda p: optax.amsgrad(0.1, *betas(p), EPSILON, ROOT),
    "adabelief": lambda p: optax.adabelief(0.1, *betas(p), 1e-8, ROOT),
    "adamax": lambda p: optax.adamax(0.1, *betas(p), EPSILON),
    "yogi": lambda p: optax.yogi(0.1, *betas(p), 1e-3),
    "adagrad": lambda p: optax.adagrad(0.1, eps=EPSILON),
    "lion": lambda p: optax.lion(0.1, *betas(p), weight_decay=p["weight_decay"], mask=MATRICES),
}  # fmt: skip


def settings_of(name):
    """Settings that differ from the defaults."""
    return {key: value * 0.9 if key != "weight_decay" else 0.3 for key, value in PLAIN[name].settings.items()}


def test_every_optimiser_has_an_oracle_and_ranges():
    assert set(OPTAX) == set(PLAIN)
    assert all(set(plain.settings) == set(plain.ranges) for plain in PLAIN.values())


RARE = ("nadam", "nadamw", "radam", "amsgrad", "adamax", "yogi", "adagrad")


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in RARE else ()) for name in OPTAX])
def test_an_optimiser_takes_the_steps_of_optax_own(name):
    made = trainer()
    config = replace(made.agent.config, optimiser=name, anneal_learning_rate=False)
    settings = {key: jnp.asarray(value) for key, value in settings_of(name).items()}
    hp = made.hyperparameters._replace(
        optimiser=settings, learning_rate=jnp.asarray(0.1), max_gradient_norm=jnp.asarray(jnp.inf)
    )
    start = {"kernel": jnp.asarray([[1.0, -2.0], [0.5, 3.0]]), "bias": jnp.asarray([4.0, -1.0])}
    gradients = [jax.tree.map(lambda x, i=i: jnp.sin(x + i), start) for i in range(12)]

    def steps(optimiser):
        params, state = start, optimiser.init(start)
        for gradient in gradients:
            changes, state = optimiser.update(gradient, state, params)
            params = optax.apply_updates(params, changes)
        return params

    found = jax.jit(lambda hp: steps(make_optimiser(config, hp, 0.0)))(hp)
    expected = steps(OPTAX[name](settings_of(name)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5), found, expected)
    assert np.abs(found["kernel"] - start["kernel"]).max() > 0.02


def test_clipping_comes_before_decay_which_spares_vectors():
    made = trainer(optimiser="adamw", weight_decay=0.5, learning_rate=0.1)
    hp = made.hyperparameters
    assert set(hp.optimiser) == {"beta_1", "beta_2", "weight_decay"}
    config = replace(made.agent.config, anneal_learning_rate=False)
    optimiser, params = make_optimiser(config, hp, 0.0), {"kernel": jnp.full((2, 2), 3.0), "bias": jnp.full(2, 3.0)}
    changes, _ = optimiser.update(jax.tree.map(jnp.zeros_like, params), optimiser.init(params), params)
    np.testing.assert_allclose(changes["kernel"], -0.1 * 0.5 * 3.0, rtol=1e-6)
    np.testing.assert_array_equal(changes["bias"], 0.0)


def test_members_of_one_program_have_optimisers_settings_of_their_own():
    made = trainer(optimiser="lion", learning_rate=1e-3)

    def kernel(settings):
        chosen = made.hyperparameters._replace(optimiser=settings)
        state, _ = made.learn(made.init(jax.random.key(0), chosen), chosen, jnp.asarray(0), made.num_iterations)
        return state.agent.params["critic_torso"]["Dense_0"]["kernel"]

    settings = {name: jnp.full(3, value) for name, value in made.hyperparameters.optimiser.items()}
    settings["weight_decay"], settings["beta_1"] = jnp.asarray([1e-3, 3.0, 1e-3]), jnp.asarray([0.9, 0.9, 0.1])
    first, *others = jax.jit(jax.vmap(kernel))(settings)
    assert all(np.abs(first - other).max() > 1e-5 for other in others)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"observation_clip": 5.0}, "observation_clip would have no effect here: it needs clip_observations=True"),
        ({"reward_clip": 5.0}, "reward_clip would have no effect here: it needs clip_rewards=True"),
        ({"clip_rewards": True, "reward_clip": -1.0}, "limits.reward_clip' must be above 0, got -1"),
        ({"weight_decay": 0.1}, "weight_decay would have no effect here: it needs optimiser=adamw or nadamw or lion"),
        ({"optimiser": "sgd", "momentum": 0.9}, "momentum would have no effect here: it needs optimiser=momentum or n"),
        ({"optimiser": "adamw", "weight_decay": -0.1}, "optimiser.weight_decay' must be at least 0"),
        ({"optimiser": "lion", "beta_1": 1.0}, "optimiser.beta_1' must lie in"),
        ({"optimiser": "addam"}, "unknown optimiser 'addam'.* Did you mean 'adam'"),
        ({"hidden_scale": -1.0}, "hidden_scale must be at least 0, got -1"),
        ({"policy_scale": float("nan")}, "policy_scale takes a number, got nan"),
    ],
)
def test_what_has_no_effect_or_no_sense_is_one_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        trainer(**settings)


@pytest.mark.parametrize(
    ("environment", "settings", "sentence"),
    [
        (
            "grid/tiny",
            {"clip_observations": True, "network": "mlp"},
            "needs a Box observation of floats, grid/tiny has",
        ),
        ("multitask/cart-pole", {"clip_observations": True}, "would clip the name of the task"),
        ("grid/tiny", {"policy_scale": 1.0, "network": "table"}, "policy_scale=1.0 would have no effect.*'table'"),
    ],
)
def test_settings_fit_their_environment(environment, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        trainer(environment, **settings)


def test_the_shell_has_the_settings_of_what_is_chosen(capsys):
    with pytest.raises(SystemExit):
        main("train ppo gymnax/CartPole-v1 --optimiser adamw --clip-rewards --help".split())  # noqa: SIM905
    text = " ".join(capsys.readouterr().out.split())
    assert "--weight-decay NUMBER optimiser.weight_decay, of adamw. [at least 0; default 0.0001]" in text
    assert "--reward-clip NUMBER limits.reward_clip. [above 0; default 10]" in text
    assert "--action-repeat INTEGER" in text and "--policy-scale NUMBER" in text
