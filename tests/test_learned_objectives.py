"""Objectives with parameters to learn: drifts, LPG's rule, and the agent that follows a trajectory objective."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxrl
from jaxrl.agents import Progress
from jaxrl.environments.grid import grid, random_levels
from jaxrl.errors import UnknownNameError
from jaxrl.objectives.base import SurrogateInputs
from jaxrl.objectives.learned_drift import LEARNED, drift_features
from jaxrl.objectives.lpg import learned_policy_gradient
from jaxrl.objectives.surrogate import make_surrogate
from jaxrl.objectives.trajectory import Heads, Trajectory

pytestmark = pytest.mark.quick_compilation

RICH = grid(random_levels("rich", (3, 3), (3, 3), (8, 8)))


def inputs(log_ratio, advantage, progress=0.0):
    values = (jnp.asarray(value, jnp.float32) for value in (log_ratio, advantage))
    return SurrogateInputs(*values, jnp.zeros(()), jnp.zeros(()), jnp.asarray(progress, jnp.float32))


def parameters(surrogate, seed, scale=1.0):
    shapes = surrogate.init(None)
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    return {name: scale * jax.random.normal(key, leaf.shape) for key, (name, leaf) in zip(keys, shapes.items())}


# --- drifts ---


@pytest.mark.parametrize("name", sorted(LEARNED))
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000), advantage=st.floats(-5, 5), progress=st.floats(0, 0.99))
def test_whatever_its_parameters_a_drift_is_one(name, seed, advantage, progress):
    surrogate = make_surrogate(name)
    value = parameters(surrogate, seed, scale=3.0)

    def drift(log_ratio):
        advantages = jnp.full_like(log_ratio, advantage)
        given = inputs(log_ratio, advantages, progress)
        return surrogate.apply(given, value, ()) + jnp.exp(given.log_ratio) * advantages

    ratios = jnp.linspace(-1.5, 1.5, 61)
    # Up to the rounding of loss + r A.
    assert float(drift(ratios).min()) >= -1e-5
    assert abs(float(drift(jnp.zeros(1))[0])) <= 1e-6
    assert abs(float(jax.grad(lambda x: drift(x[None])[0])(jnp.zeros(())))) <= 1e-6


def test_features_by_hand():
    ratio, advantage = 1.3, -2.0
    log = np.log(ratio)
    plain = [1 - ratio, (1 - ratio) ** 2, log, log**2]
    expected = [*plain, *(advantage * entry for entry in plain)]
    np.testing.assert_allclose(drift_features(jnp.log(jnp.asarray(ratio)), jnp.asarray(advantage)), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["learned_drift_from_clip", "time_aware_drift_from_clip"])
def test_drifts_from_clip_start_as_ppo(name):
    ratios, advantages = jnp.meshgrid(jnp.linspace(-0.8, 0.8, 33), jnp.linspace(-3.0, 3.0, 13))
    start, clip = make_surrogate(name), make_surrogate("clip")
    given = inputs(ratios, advantages, 0.3)
    loss = start.apply(given, start.init(jax.random.key(0)), ())
    np.testing.assert_allclose(loss, clip.apply(given, clip.init(None), ()), atol=2e-4)


def test_a_time_aware_drift_changes_during_training():
    surrogate, plain = make_surrogate("time_aware_drift"), make_surrogate("learned_drift")
    value = parameters(surrogate, 0)
    early, late = (surrogate.apply(inputs([0.4, -0.4], [1.0, -1.0], t), value, ()) for t in (0.0, 0.9))
    assert np.abs(np.asarray(early - late)).max() > 1e-3
    # Before training has begun, time's features are zero.
    first = {"hidden": value["hidden"][:8], "output": value["output"]}
    np.testing.assert_allclose(early, plain.apply(inputs([0.4, -0.4], [1.0, -1.0]), first, ()), rtol=1e-5)


# --- LPG ---


def trajectory(seed=0, time=7, env=3, outputs=4, fraction=0.25, horizon=50.0):
    keys = jax.random.split(jax.random.key(seed), 6)
    ends = jax.random.uniform(keys[5], (time, env))
    return Trajectory(
        reward=jax.random.normal(keys[0], (time, env)),
        probability=jax.random.uniform(keys[1], (time, env)),
        output=jax.random.normal(keys[2], (time, env, outputs)),
        next_output=jax.random.normal(keys[3], (time, env, outputs)),
        terminated=ends < 0.2,
        truncated=ends > 0.85,
        discount=jnp.asarray(0.9),
        progress=Progress(jnp.asarray(fraction), jnp.asarray(horizon)),
    )


def slow_targets(given, value, time_aware):
    """A loop over steps from the last to the first, one environment at a time."""
    value = {name: np.asarray(leaf, np.float64) for name, leaf in value.items()}
    softmax = lambda x: np.exp(x) / np.exp(x).sum()  # noqa: E731
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731

    def embed(logits):
        hidden = np.maximum(
            softmax(np.asarray(logits, np.float64)) @ value["embedding_hidden"] + value["embedding_bias"], 0.0
        )
        return hidden @ value["embedding_output"]

    time, env = given.reward.shape
    policy, output = np.zeros((time, env)), np.zeros(given.output.shape)
    for e in range(env):
        memory = np.zeros(value["hidden"].shape[0])
        for t in reversed(range(time)):
            done = bool(given.terminated[t, e] | given.truncated[t, e])
            following = 0.0 if given.terminated[t, e] else embed(given.next_output[t, e])
            x = [given.reward[t, e], 1.0 - done, given.discount, given.probability[t, e]]
            x += [embed(given.output[t, e]), following]
            if time_aware:
                x += [given.progress.fraction, np.log(given.progress.horizon) / 5]
            if done:
                memory = np.zeros_like(memory)
            reset, update, new = np.split(np.asarray(x, np.float64) @ value["input"] + value["bias"], 3)
            reset_memory, update_memory, new_memory = np.split(memory @ value["hidden"], 3)
            gate = sigmoid(update + update_memory)
            memory = gate * memory + (1 - gate) * np.tanh(new + sigmoid(reset + reset_memory) * new_memory)
            policy[t, e] = memory @ value["policy"] + value["policy_bias"]
            output[t, e] = np.log(softmax(memory @ value["output"] + value["output_bias"]))
    return policy, output


def moved(value):
    """Parameters none of which is 0."""
    return jax.tree.map(lambda leaf: leaf + 0.1 * jax.random.normal(jax.random.key(9), leaf.shape), value)


def test_a_fresh_time_aware_rule_is_the_rule_without_time_of_the_same_key():
    given, (plain, aware) = trajectory(), (learned_policy_gradient(4, 5, aware) for aware in (False, True))
    fresh = aware.init(jax.random.key(3))
    expected = plain.targets(given, plain.init(jax.random.key(3)))
    np.testing.assert_allclose(aware.targets(given, fresh).policy, expected.policy, rtol=1e-6)
    later = given._replace(progress=given.progress._replace(fraction=given.progress.fraction + 0.5))
    assert np.abs(aware.targets(later, moved(fresh)).policy - aware.targets(given, moved(fresh)).policy).min() > 0.0


@pytest.mark.parametrize("time_aware", [False, True])
def test_targets_of_lpg_by_a_slow_loop(time_aware):
    rule = learned_policy_gradient(4, 5, time_aware)
    value, given = moved(rule.init(jax.random.key(3))), trajectory()
    assert given.terminated.any() and given.truncated.any()
    targets = rule.targets(given, value)
    policy, output = slow_targets(given, value, time_aware)
    np.testing.assert_allclose(targets.policy, policy, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(targets.output, output, rtol=1e-4, atol=1e-5)


def test_targets_look_ahead_to_the_end_of_the_episode_and_no_further():
    rule = learned_policy_gradient(4, 5)
    value, given = rule.init(jax.random.key(3)), trajectory()
    given = given._replace(terminated=jnp.zeros((7, 3), bool).at[4, 1].set(True), truncated=jnp.zeros((7, 3), bool))
    changed = given._replace(reward=given.reward.at[5].add(3.0))
    before, after = rule.targets(given, value).policy, rule.targets(changed, value).policy
    moved = np.abs(np.asarray(before - after)) > 1e-7
    assert moved[:6, [0, 2]].all() and not moved[6].any()
    assert not moved[:5, 1].any() and moved[5, 1]


def test_the_loss_of_lpg_by_hand():
    rule, given = learned_policy_gradient(4, 5), trajectory()
    targets = rule.targets(given, rule.init(jax.random.key(3)))
    heads = Heads(jnp.log(given.probability), jnp.ones((7, 3)), given.output)
    total, metrics = rule.loss(heads, targets, {}, jnp.asarray(0.5))
    y = np.asarray(jax.nn.softmax(given.output))
    divergence = np.mean(np.sum(y * (np.log(y) - np.asarray(targets.output)), axis=-1))
    policy_loss = -np.mean(np.asarray(targets.policy) * np.log(np.asarray(given.probability)))
    np.testing.assert_allclose(total, policy_loss + 0.5 * divergence, rtol=1e-5)
    np.testing.assert_allclose(metrics["output_loss"], divergence, rtol=1e-5)


def test_a_hand_written_trajectory_objective_is_the_ordinary_agent():
    shared = {
        "total_steps": 5 * 24, "num_envs": 4, "num_steps": 6, "network": "table", "optimiser": "sgd",
        "learning_rate": 2.0, "anneal_learning_rate": False, "num_evaluations": 1, "evaluation_episodes": 1,
    }  # fmt: skip
    ordinary = jaxrl.trainer("a2c", RICH, **shared, gae_lambda=0.95)
    spoken = jaxrl.trainer("lpg", RICH, **shared, trajectory_objective="a2c")
    one, two = (jax.jit(t.run)(jax.random.key(0), t.hyperparameters).state.agent.params for t in (ordinary, spoken))
    assert np.abs(np.asarray(one["actor"])).max() > 1e-3
    for name in ("actor", "critic"):
        np.testing.assert_allclose(one[name], two[name], rtol=1e-5, atol=1e-6)


def test_bad_settings_are_named():
    with pytest.raises(UnknownNameError, match="time_aware_lpg"):
        jaxrl.trainer("lpg", RICH, trajectory_objective="time_aware_lgp")
    with pytest.raises(ValueError, match="num_outputs must be at least 1, got 0"):
        jaxrl.trainer("lpg", RICH, num_outputs=0)
    with pytest.raises(ValueError, match="'table' needs Discrete or MultiDiscrete observations"):
        jaxrl.trainer("ppo", "gymnax/CartPole-v1", network="table")
    with pytest.raises(ValueError, match="no input for preference weights"):
        jaxrl.trainer("ppo", "mo/deep-sea-treasure", network="table", condition_on_weights=True)
    with pytest.raises(UnknownNameError, match="group_size"):
        jaxrl.trainer("lpg", RICH, group_size=4)
