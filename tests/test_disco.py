"""DiscoRL: the rule against the authors' code, its parts by hand, and the agent around it."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxrl
from jaxrl.agents import disco as disco_agent
from jaxrl.agents.disco import adam
from jaxrl.environments.grid import grid, random_levels
from jaxrl.errors import UnknownNameError
from jaxrl.meta import differentiate, make_tasks
from jaxrl.meta.gradient import outer_loss
from jaxrl.meta.methods import METHODS, meta_learner
from jaxrl.networks.action_conditional import Predictions
from jaxrl.numerics import returns
from jaxrl.objectives import disco_parameters, disco_values
from jaxrl.objectives.disco import (
    DiscoCoefficients,
    Experience,
    disco_loss,
    disco_targets,
    init_disco,
    init_rule_state,
    load_disco,
)
from tests.environments import choice, constant_reward

pytestmark = pytest.mark.quick_compilation

CHAIN = jaxrl.make("bandit/delayed-chain", max_length=3)
SMALL = {
    "num_predictions": 5, "num_bins": 21, "max_value": 5.0, "trajectory_size": 6, "lifetime_size": 4,
    "num_envs": 3, "num_steps": 4, "num_evaluations": 1, "evaluation_episodes": 2,
}  # fmt: skip
# Numbers of github.com/google-deepmind/disco_rl on parameters and inputs that `published_arrays` and `inputs` draw.
REFERENCE = json.loads((Path(__file__).parent / "disco_reference.json").read_text())


def learner(environment=CHAIN, updates=3, **settings):
    settings = {**SMALL, "network": "table" if environment is CHAIN else "mlp", **settings}
    return jaxrl.trainer("disco", environment, total_steps=updates * 12, **settings)


# --- the rule ---


def published_arrays():
    """Arrays as a user's file has them, from one NumPy stream in the order of their names."""
    random, arrays = np.random.RandomState(0), {}
    shapes = {}
    for layer in disco_parameters._layers(disco_parameters.PUBLISHED):
        kernel = (layer.inputs, layer.outputs)
        shapes[f"{layer.source}/w"] = (1, *kernel) if layer.convolution else kernel
        shapes[f"{layer.source}/b"] = (layer.outputs,)
    for name, shape in sorted(shapes.items()):
        scale = 0.1 if name.endswith("/b") else np.prod(shape[:-1]) ** -0.5
        arrays[name] = (scale * random.normal(size=shape)).astype(np.float32)
    return arrays


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("disco") / "copy.npz"
    np.savez(path, **published_arrays())
    return path


def inputs(seed, time=5, env=2, actions=3, categories=600, bins=601):
    """Predictions of the agent along a rollout, and the rollout with everything else."""
    random = np.random.RandomState(seed)

    def normal(*shape):
        return random.normal(size=(time + 1, env, *shape)).astype(np.float32)

    def predictions():
        policy, y, z = normal(actions), normal(categories), normal(actions, categories)
        centre = (np.arange(bins) - bins // 2).astype(np.float32)
        q = normal(actions, bins) - 0.02 * centre**2
        return Predictions(policy, y, z, q, normal(actions, actions))

    current, target = predictions(), predictions()
    behaviour = current.policy + 0.3 * normal(actions)
    action = random.randint(actions, size=(time + 1, env)).astype(np.int32)
    reward = 2 * random.normal(size=(time, env)).astype(np.float32)
    terminated = np.zeros((time, env), bool)
    terminated[2, 1] = True

    def experience(current):
        before, after = (lambda x: jnp.asarray(x)[:-1]), (lambda x: jnp.asarray(x)[1:])
        along = [jax.tree.map(cut, given) for given in (current, target) for cut in (before, after)]
        rest = (before(behaviour), before(action), jnp.asarray(reward), jnp.asarray(terminated))
        return Experience(*along, *rest, truncated=jnp.zeros((time, env), bool))

    return jax.tree.map(jnp.asarray, current), experience


def follow_the_rule(parameters, current, state, experience):
    given = experience(current)
    targets, returns, state = disco_targets(parameters, state, given, 300.0, 0.997, 0.95)
    coefficients = DiscoCoefficients(1.0, 1.0, 1.0, 1.0, 0.2)
    total, metrics = disco_loss(given.current, targets, returns, given, coefficients, 300.0)
    return total, (targets, returns, state, metrics)


def test_two_updates_are_those_of_the_authors_code_and_so_are_the_meta_gradients(published):
    parameters, state = load_disco(published), init_rule_state(128)
    (one, first), (two, second) = inputs(1), inputs(2)
    total, (targets, _, state, _) = jax.jit(lambda *given: follow_the_rule(*given, first))(parameters, one, state)
    expected = REFERENCE["first"]
    np.testing.assert_allclose(total, expected["total"], rtol=1e-4)
    np.testing.assert_allclose(targets.policy, expected["policy"], rtol=1e-4, atol=1e-5)
    differentiated = jax.value_and_grad(follow_the_rule, argnums=(0, 1), has_aux=True)
    step = jax.jit(lambda *given: differentiated(*given, second))
    (total, (targets, retraced, state, metrics)), (of_rule, of_agent) = step(parameters, two, state)
    expected = REFERENCE["second"]
    losses = [metrics[f"{name}_loss"] for name in ("policy", "next_policy", "value")]
    found = {
        "total": total,
        "policy": targets.policy,
        "prediction": targets.prediction[..., 7],
        "action_prediction": targets.action_prediction[..., 11],
        "returns": retraced,
        "hidden": state.lifetime.hidden[::16],
        "losses": jnp.stack(losses),
        "agent_gradient": jnp.stack([jnp.linalg.norm(leaf) for leaf in of_agent]),
    }
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)
    for layer in disco_parameters._layers(disco_parameters.PUBLISHED):
        for own, theirs in (("kernel", "w"), ("bias", "b")):
            norm = jnp.linalg.norm(of_rule[layer.part][layer.name][own])
            name = f"{layer.source}/{theirs}"
            np.testing.assert_allclose(norm, expected["rule_gradient"][name], rtol=1e-3, atol=1e-6, err_msg=name)


def changed(**changes):
    arrays = {**published_arrays(), **changes}
    return {name: array for name, array in arrays.items() if array is not None}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"lstm/linear_2/w": None}, r"lacks 1 of 42 arrays, such as 'lstm/linear_2/w'"),
        ({"lstm/more": np.zeros(1)}, r"has 1 arrays that the rule has no use for, such as 'lstm/more'"),
        ({"lstm/lstm/linear/w": np.zeros((282, 1024))}, r"has shape \(282, 1024\), the rule takes \(283, 1024\)"),
        ({"lstm/linear/b": np.full(256, np.nan)}, r"'lstm/linear/b' in .* must hold finite floats"),
    ],
)
def test_files_that_do_not_fit_are_refused_and_say_why(arrays, message, tmp_path):
    np.savez(tmp_path / "other.npz", **changed(**arrays))
    with pytest.raises(ValueError, match=message):
        load_disco(tmp_path / "other.npz")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz"):
        load_disco(tmp_path / "nothing.npz")
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(ValueError, match="is not an npz file of arrays"):
        load_disco(tmp_path / "text.npz")


def test_a_random_rule_has_as_many_parameters_as_the_published_one():
    drawn = init_disco(jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(drawn)) == 754_778
    kernel = np.asarray(drawn["heads"]["prediction"]["kernel"])
    assert np.abs(kernel).max() <= 0.6 and 0.25 < kernel.std() < 0.28


# --- values ---


def test_values_survive_bins_and_squashing():
    values = jnp.asarray([-40.0, -3.3, 0.0, 0.4, 7.0, 200.0])
    np.testing.assert_allclose(disco_values.unsquash(disco_values.squash(values)), values, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(disco_values.squash(jnp.asarray(8.0)), 2.008, rtol=1e-6)
    bins = np.asarray(disco_values.two_hot(disco_values.squash(values), 61, 15.0))
    np.testing.assert_allclose(bins.sum(axis=-1), 1.0, rtol=1e-6)
    assert ((bins > 0).sum(axis=-1) <= 2).all()
    logits = jnp.log(jnp.asarray(bins) + 1e-30)
    np.testing.assert_allclose(disco_values.scalar_values(logits, 15.0), values, rtol=1e-3, atol=1e-3)
    beyond = disco_values.two_hot(jnp.asarray([-99.0, 99.0]), 61, 15.0)
    np.testing.assert_array_equal(np.argmax(beyond, axis=-1), [0, 60])


def test_retrace_by_a_slow_loop():
    random = np.random.RandomState(0)
    reward, q, following, log_ratio = random.normal(size=(4, 6, 3))
    terminated, truncated = random.uniform(size=(2, 6, 3)) < 0.4
    assert terminated.any() and truncated.any()
    expected = np.zeros((6, 3))
    for t in reversed(range(6)):
        for e in range(3):
            ahead = 0.0 if terminated[t, e] else following[t, e]
            if t < 5 and not (terminated[t, e] or truncated[t, e]):
                c = 0.8 * min(1.0, np.exp(log_ratio[t + 1, e]))
                ahead += c * (expected[t + 1, e] - q[t + 1, e])
            expected[t, e] = reward[t, e] + 0.9 * ahead
    arrays = (jnp.asarray(x, jnp.float32)[..., None] for x in (reward, q, following))
    ends = jnp.asarray(terminated), jnp.asarray(truncated)
    found = returns.retrace(*arrays, *ends, jnp.asarray(log_ratio, jnp.float32), 0.9, 0.8)
    np.testing.assert_allclose(found[..., 0], expected, rtol=1e-4, atol=1e-5)


# --- the agent ---


def silent(trainer):
    """Hyperparameters with a rule that is the same whatever it sees: zero but for ŷ's bias."""
    hp = trainer.hyperparameters
    rule = jax.tree.map(jnp.zeros_like, hp.objective)
    rule["heads"]["prediction"]["bias"] = jnp.asarray([1.0, 0.0, -1.0, 0.5, 0.0])
    return hp._replace(objective=rule)


@pytest.mark.slow  # A learning run; two updates are compared with the authors' own.
def test_predictions_and_values_become_what_they_are_told():
    # A time limit is no end: under a uniform policy q = 1/(1 - γ) = 2.
    trainer = learner(constant_reward(limit=3), updates=150, learning_rate=0.03, discount=0.5)
    hp = silent(trainer)
    result = jax.jit(trainer.run)(jax.random.key(0), hp)
    agent = trainer.agent
    np.testing.assert_allclose(agent.value(result.state.agent, jnp.zeros((1, 1)), (), hp), 2.0, atol=0.03)
    assert float(result.metrics["prediction_loss"][-1]) < 1e-4 < float(result.metrics["prediction_loss"][0])
    assert float(result.metrics["policy_loss"][-1]) < 1e-4
    assert float(result.metrics["non_finite"].sum()) == 0.0


def test_the_target_network_follows_and_the_rule_remembers():
    trainer = learner(learning_rate=0.1)
    hp = trainer.hyperparameters
    states = [trainer.init(jax.random.key(0), hp)]
    step = jax.jit(lambda state, index: trainer.step(state, hp, index)[0])
    for index in range(2):
        states.append(step(states[-1], index))
    zero, one, two = (state.agent for state in states)
    for name in zero.params:
        np.testing.assert_array_equal(one.target[name], zero.params[name])
        np.testing.assert_allclose(two.target[name], 0.9 * one.target[name] + 0.1 * one.params[name], atol=1e-6)
    assert not np.any(zero.rule.lifetime.hidden) and np.all(one.rule.lifetime.hidden != two.rule.lifetime.hidden)
    np.testing.assert_allclose(two.rule.advantage.start, 0.99**2, rtol=1e-6)


def test_adam_is_optax_clipped_and_blind_to_its_denominator():
    gradients = jax.random.normal(jax.random.key(0), (4, 5))
    state, plain = optax.scale_by_adam().init(gradients[0]), optax.scale_by_adam().init(gradients[0])
    for gradient in gradients:
        direction, state = adam(gradient, state, 0.3)
        expected, plain = optax.scale_by_adam().update(gradient, plain)
        np.testing.assert_allclose(direction, jnp.clip(expected, -0.3, 0.3), rtol=1e-5)
    fresh = optax.scale_by_adam().init(gradients[0])
    slope = jax.grad(lambda g: adam(g, fresh, 10.0)[0].sum())(gradients[0])
    np.testing.assert_allclose(slope, 1.0 / np.abs(gradients[0]), rtol=1e-4)


@pytest.mark.slow
def test_networks_and_seeds():
    # Images, vectors and integers; seeds and hyperparameters are axes.
    images = grid(random_levels("square", (3, 3), (3, 3), (8, 8)), observation="planes")
    trainer = learner(images, updates=1, network="auto", hidden_sizes=(8,), model_size=4)
    state = jax.eval_shape(trainer.init, jax.random.key(0), trainer.hyperparameters)
    assert "Convolution" in state.agent.params["torso"]
    trainer = learner(choice([[0.0], [1.0]]), updates=2, hidden_sizes=(8,), model_size=4)
    hp = trainer.hyperparameters._replace(learning_rate=jnp.asarray([1e-3, 1e-1]))
    axes = jax.tree.map(lambda _: None, trainer.hyperparameters)._replace(learning_rate=0)
    result = jax.jit(jax.vmap(trainer.run, in_axes=(0, axes)))(jax.random.split(jax.random.key(0), 2), hp)
    heads = np.asarray(result.state.agent.params["prediction_head"]["bias"])
    assert heads.shape == (2, 5) and np.abs(heads[1]).max() > 10 * np.abs(heads[0]).max() > 0.0


def test_what_it_cannot_do_is_said():
    with pytest.raises(ValueError, match="disco needs Discrete actions, gymnax/Pendulum-v1"):
        jaxrl.trainer("disco", "gymnax/Pendulum-v1")
    with pytest.raises(UnknownNameError, match="unknown network 'gru'"):
        learner(network="gru")
    with pytest.raises(ValueError, match="num_predictions must be at least 1, got 0"):
        learner(num_predictions=0)
    with pytest.raises(ValueError, match="num_bins must be at least 2, got 1"):
        learner(num_bins=1)
    with pytest.raises(FileNotFoundError, match=r"gone\.npz"):
        learner(parameters="gone.npz")


def test_a_file_of_parameters_is_the_rule(published):
    trainer = jaxrl.trainer("disco", CHAIN, parameters=str(published), network="table")
    for found in (trainer.hyperparameters.objective, trainer.agent.initialisers["objective"](jax.random.key(1))):
        np.testing.assert_array_equal(found["heads"]["scale"]["bias"], published_arrays()["lstm/linear/b"])


# --- meta-training ---


@pytest.mark.slow
def test_the_meta_gradient_is_the_finite_difference_where_nothing_is_cut(monkeypatch):
    # Values and Adam's denominator are cut by design; differences know no cuts.
    monkeypatch.setattr(jax.lax, "stop_gradient", lambda value: value)
    monkeypatch.setattr(disco_agent, "adam", lambda gradient, state, max_update: (gradient, state))
    with jax.enable_x64(True):
        trainer = learner(CHAIN, learning_rate=3.0)
        tasks = make_tasks(CHAIN, 6, lambda key: CHAIN.params)
        study = differentiate(
            trainer, tasks, num_agents=1, unroll=3, num_meta_steps=1, num_evaluations=1, evaluation_tasks=1,
            critic_network="table", regularisers=METHODS["disco"].outer_settings["regularisers"],
        )  # fmt: skip
        hp, key = study.hyperparameters, jax.random.key(0)
        state = study.init(key, hp)
        life, critic = (jax.tree.map(lambda leaf: leaf[0], tree) for tree in (state.lives, state.critics))
        value = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), state.value)
        flat, unravel = jax.flatten_util.ravel_pytree(value)
        direction = jax.random.normal(key, flat.shape)
        direction /= jnp.linalg.norm(direction)

        @jax.jit
        @jax.value_and_grad
        def loss(distance):
            moved = unravel(flat + distance * direction)
            return outer_loss(study.init.args[0], moved, key, life, critic, hp)[0]

        difference, derivative = (loss(1e-5)[0] - loss(-1e-5)[0]) / 2e-5, loss(0.0)[1]
    assert abs(derivative) > 1e-6
    np.testing.assert_allclose(derivative, difference, rtol=1e-3)


@pytest.mark.slow  # A study of its own; the rule by itself is tested quickly.
@pytest.mark.parametrize("outer", ["gradient", "evolution"])
def test_both_outer_loops_take_it(outer):
    small = {"num_evaluations": 1, "evaluation_tasks": 2}
    small |= {"num_agents": 2, "num_meta_steps": 2} if outer == "gradient" else {"population_size": 2}
    settings = {name: SMALL[name] for name in SMALL if "evaluation" not in name}
    study = meta_learner("disco", CHAIN, 20, outer, small, network="table", **settings)
    hp = study.hyperparameters
    before = jax.eval_shape(study.init, jax.random.key(0), hp)
    after, _ = jax.eval_shape(study.step, before, hp, 0)
    shapes = lambda tree: jax.tree.map(lambda leaf: leaf.shape, tree)  # noqa: E731
    assert shapes(after) == shapes(before)
    assert shapes(jax.eval_shape(study.value, before)) == shapes(study.trainer.hyperparameters.objective)
