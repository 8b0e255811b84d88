"""The trainer's contracts, and agents on probes with known answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl import aggregation
from jaxrl.hyperparameters import leaves, replace
from jaxrl.training.rollouts import collect
from tests import environments as probes

SMALL = {"num_envs": 4, "num_steps": 32, "num_evaluations": 2, "evaluation_episodes": 3}


def small_trainer(agent="ppo", environment="gymnax/CartPole-v1", total_steps=1280, **settings):
    return jaxrl.trainer(agent, environment, total_steps=total_steps, **{**SMALL, **settings})


def learn(trainer, seed=0):
    return jax.jit(trainer.run)(jax.random.key(seed), trainer.hyperparameters)


def value_at(trainer, result, observation):
    observation = jnp.asarray(observation, jnp.float32)
    return np.asarray(trainer.agent.value(result.state.agent, observation, (), trainer.hyperparameters))


# --- probes ---


@pytest.mark.slow  # A delayed reward, whose last step this is, is the quick test.
def test_one_step_reward_is_the_value():
    trainer = small_trainer(environment=probes.one_step(3.0), total_steps=20_000, learning_rate=3e-3)
    np.testing.assert_allclose(value_at(trainer, learn(trainer), [0.0]), 3.0, atol=0.05)


def test_time_limit_is_not_termination():
    # Constant reward 1 for ever, cut every 10 steps: 1/(1-0.9) = 10, not (1-0.9^10)/(1-0.9) = 6.5.
    trainer = small_trainer(
        environment=probes.constant_reward(10), total_steps=60_000, learning_rate=3e-3, discount=0.9, num_epochs=8
    )
    np.testing.assert_allclose(value_at(trainer, learn(trainer), [0.0]), 10.0, atol=0.3)


@pytest.mark.slow  # The value under a time limit is the quick test.
def test_staying_beats_leaving_only_if_truncation_bootstraps():
    trainer = small_trainer(
        environment=probes.stay_or_leave(),
        total_steps=150_000,
        learning_rate=3e-3,
        discount=0.99,
        num_epochs=8,
        gae_lambda=0.95,
        entropy_coefficient=0.02,
    )
    result = learn(trainer)
    policy = jaxrl.Policy(trainer.agent, result.state.agent, trainer.hyperparameters)
    assert int(policy(jax.random.key(0), jnp.zeros(1))) == 0
    np.testing.assert_allclose(np.asarray(result.evaluation.returns)[-1], [10.0])


def test_delayed_reward_is_discounted_backwards():
    trainer = small_trainer(
        environment=probes.delayed_reward(3), total_steps=60_000, learning_rate=3e-3, discount=0.5, num_epochs=8
    )
    result = learn(trainer)
    for state, value in ((0.0, 0.25), (1.0, 0.5), (2.0, 1.0)):
        np.testing.assert_allclose(value_at(trainer, result, [state]), value, atol=0.06)


@pytest.mark.parametrize(
    "agent",
    [
        "ppo",
        pytest.param("a2c", marks=pytest.mark.slow),
        pytest.param("reinforce", marks=pytest.mark.slow),
        pytest.param("mdpo", marks=pytest.mark.slow),
        pytest.param("dpo", marks=pytest.mark.slow),
    ],
)
def test_every_agent_reads_its_observation(agent):
    trainer = small_trainer(agent, probes.observation_matters(), total_steps=40_000, learning_rate=3e-3)
    assert float(learn(trainer).evaluation.returns[-1, 0]) == 1.0


@pytest.mark.parametrize("network", ["mlp", pytest.param("gru", marks=pytest.mark.slow)])
def test_weights_choose_the_action(network):
    environment = probes.choice([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    trainer = small_trainer(environment=environment, total_steps=20_000, learning_rate=3e-3, network=network)
    run = jax.jit(lambda key, weights: trainer.run(key, trainer.hyperparameters._replace(weights=weights)))
    for best in range(3):
        weights = jnp.full(3, 0.2).at[best].set(0.6)
        returns = run(jax.random.key(1), weights).evaluation.returns[-1]
        np.testing.assert_allclose(returns, np.eye(3)[best])


@pytest.mark.slow  # A conditioned study of three actions is the quick test.
def test_one_conditioned_network_serves_every_weight():
    environment = probes.choice([[1.0, 0.0], [0.0, 1.0]])
    trainer = small_trainer(
        environment=environment, total_steps=40_000, learning_rate=3e-3, condition_on_weights=True, num_envs=16
    )
    result = learn(trainer)
    policy = jaxrl.Policy(trainer.agent, result.state.agent, trainer.hyperparameters)
    for weights, action in (([0.9, 0.1], 0), ([0.1, 0.9], 1)):
        assert int(policy.with_weights(weights)(jax.random.key(0), jnp.zeros(1))) == action


# --- contracts ---


@pytest.mark.slow  # Two programs; what weights make of advantages is tested by itself.
def test_one_objective_is_the_scalar_agent_bit_for_bit():
    # The scalar agent takes its only advantage as it is, without weights or sums.
    scalar = aggregation.linear()._replace(coefficients=lambda state, weights, parameters: jnp.ones_like(weights))
    trainers = (small_trainer(total_steps=256, aggregator=each) for each in ("linear", scalar))
    one, two = map(learn, trainers)
    for vector, plain in zip(jax.tree.leaves(one.state.agent.params), jax.tree.leaves(two.state.agent.params)):
        np.testing.assert_array_equal(vector, plain)


def test_seeds_have_different_initial_parameters_and_starts():
    trainer = small_trainer()
    init = jax.jit(jax.vmap(trainer.init, in_axes=(0, None)))
    states = init(jax.random.split(jax.random.key(0), 5), trainer.hyperparameters)
    kernels = np.asarray(states.agent.params["actor_head"]["kernel"]).reshape(5, -1)
    assert len(np.unique(kernels, axis=0)) == 5
    assert len(np.unique(np.asarray(states.observation).reshape(-1, 4), axis=0)) == 5 * 4


@pytest.fixture(scope="module")
def shared():
    """A trainer with much of what may be set, and its run, compiled once for the tests that vary traced leaves."""
    trainer = small_trainer(total_steps=256, clip_values=True, normalise_observations=True, learning_rate=5e-3)
    return trainer, jax.jit(trainer.run)


def test_vmapped_member_equals_the_single_run(shared):
    # Batched and single matrix products add in another order, so equality holds to float
    # tolerance and for a short run only; longer, chaotic dynamics amplify rounding.
    trainer, run = shared
    keys = jax.random.split(jax.random.key(3), 3)
    many = jax.jit(jax.vmap(trainer.run, in_axes=(0, None)))(keys, trainer.hyperparameters)
    one = run(keys[1], trainer.hyperparameters)
    for batched, single in zip(jax.tree.leaves(many.state.agent.params), jax.tree.leaves(one.state.agent.params)):
        np.testing.assert_allclose(batched[1], single, rtol=2e-4, atol=2e-5)


def test_changing_a_traced_leaf_does_not_recompile(shared):
    trainer, run = shared
    hyperparameters = trainer.hyperparameters
    for name, leaf in leaves(hyperparameters).items():
        run(jax.random.key(0), replace(hyperparameters, {name: leaf if leaf.dtype == jnp.int32 else leaf * 0.5}))
    assert run._cache_size() == 1


def test_every_traced_leaf_changes_the_run(shared):
    trainer, run = shared

    def kernel(hyperparameters):
        params = run(jax.random.key(0), hyperparameters).state.agent.params
        return np.asarray(params["actor_torso"]["Dense_0"]["kernel"])

    before = kernel(trainer.hyperparameters)
    for name in (
        "learning_rate",
        "discount",
        "gae_lambda",
        "entropy_coefficient",
        "max_gradient_norm",
        "value_clip",
        "objective.clip_epsilon",
        "environment.gravity",
    ):
        half = replace(trainer.hyperparameters, {name: leaves(trainer.hyperparameters)[name] * 0.5})
        assert not np.array_equal(before, kernel(half)), name


def test_evaluation_uses_the_swept_environment_parameters(shared):
    trainer, run = shared
    limited = trainer.hyperparameters._replace(
        environment=trainer.hyperparameters.environment.replace(max_steps_in_episode=jnp.asarray(4))
    )
    result = run(jax.random.key(0), limited)
    np.testing.assert_allclose(result.evaluation.length, 4.0)


def test_evaluation_uses_the_training_statistics(shared):
    trainer, run = shared
    result = run(jax.random.key(0), trainer.hyperparameters)
    assert float(result.state.agent.observations.count) == 256
    broken = result.state.agent._replace(
        observations=jax.tree.map(lambda leaf: leaf * 0 + 1e3, result.state.agent.observations)
    )
    key = jax.random.key(5)
    evaluate = jax.jit(trainer.evaluate)
    right = evaluate(key, result.state.agent, trainer.hyperparameters)
    wrong = evaluate(key, broken, trainer.hyperparameters)
    assert not np.allclose(right.returns, wrong.returns)


def test_ratios_are_one_before_the_first_step(shared):
    # Statistics move after the update that used them, so behaviour and target policy agree.
    trainer, run = shared
    metrics = run(jax.random.key(0), replace(trainer.hyperparameters, {"learning_rate": jnp.float32(0.0)})).metrics
    np.testing.assert_allclose(metrics["kl"], 0.0, atol=1e-6)


def test_branches_stay_branches_under_vmap():
    trainer = small_trainer(total_steps=256)
    init = jax.vmap(trainer.init, in_axes=(0, None))
    states = jax.eval_shape(init, jax.random.split(jax.random.key(0), 2), trainer.hyperparameters)
    step = jax.vmap(trainer.step, in_axes=(0, None, None))
    jaxpr = str(jax.make_jaxpr(step)(states, trainer.hyperparameters, jnp.asarray(0)))
    assert " cond[" in jaxpr


def test_no_key_is_used_twice():
    trainer = small_trainer(total_steps=256)
    agent = trainer.agent

    def careless(key, *rest):
        jax.random.uniform(key)
        return agent.update(key, *rest)

    schedule = {"total_steps": 256, "num_evaluations": 2, "evaluation_episodes": 3}
    again = jaxrl.trainer(lambda _: agent._replace(update=careless), trainer.environment, **schedule)
    with jax.debug_key_reuse(True):
        state = jax.jit(trainer.init)(jax.random.key(0), trainer.hyperparameters)
        jax.jit(trainer.step)(state, trainer.hyperparameters, jnp.asarray(0))
        with pytest.raises(jax.errors.KeyReuseError):
            jax.jit(again.step)(state, trainer.hyperparameters, jnp.asarray(0))


def test_iterations_draw_different_numbers():
    trainer = small_trainer(total_steps=256)
    collect = jax.jit(lambda index: collected(trainer, index).raw_action)
    assert not np.array_equal(collect(0), collect(1))


def collected(trainer, index):
    from jaxrl.environments import vectorise

    state = trainer.init(jax.random.key(0), trainer.hyperparameters)
    batched = vectorise(trainer.environment, SMALL["num_envs"])
    key = jax.random.fold_in(state.key, index)
    return collect(key, state, trainer.agent, batched, trainer.hyperparameters)[1]


def test_the_gradient_norm_is_global():
    trainer = small_trainer(total_steps=256)
    from jaxrl.agents.optimisation import make_optimiser

    hyperparameters = trainer.hyperparameters._replace(
        max_gradient_norm=jnp.asarray(1.0), learning_rate=jnp.asarray(1.0)
    )
    from dataclasses import replace

    config = replace(trainer.agent.config, optimiser="sgd", anneal_learning_rate=False)
    optimiser = make_optimiser(config, hyperparameters, 0.0)
    gradient = {"a": jnp.asarray([3.0, 0.0]), "b": jnp.asarray([[4.0]])}
    change, _ = optimiser.update(gradient, optimiser.init(gradient))
    np.testing.assert_allclose(change["a"], [-0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(change["b"], [[-0.8]], rtol=1e-6)


def test_a_run_continues_where_it_stopped(shared):
    trainer, run = shared
    first = run(jax.random.key(0), trainer.hyperparameters)
    more = jax.jit(trainer.train_on)(first.state, trainer.hyperparameters)
    assert float(more.evaluation.returns[-1, 0]) >= 8.0
    assert not np.array_equal(
        more.state.agent.params["actor_head"]["kernel"], first.state.agent.params["actor_head"]["kernel"]
    )


def test_evaluations_are_equally_spaced_and_end_with_the_run():
    trainer = small_trainer(total_steps=11 * 128, num_evaluations=3)
    assert trainer.evaluation_iterations.tolist() == [3, 7, 10]
    assert learn(trainer).evaluation.steps.tolist() == [4 * 128, 8 * 128, 11 * 128]


# --- errors ---


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_minibatches": 3}, "num_minibatches=3 does not divide num_envs \\* num_steps = 128"),
        ({"num_env": 3}, "unknown setting 'num_env'. Did you mean 'num_envs'"),
        ({"aggregator": "lineer"}, "unknown aggregator 'lineer'. Did you mean 'linear'"),
        ({"surrogate": "klip"}, "unknown surrogate 'klip'. Did you mean 'clip'"),
        ({"network": "cnn"}, "'cnn' needs height x width x channels"),
        ({"distribution": "gaussian"}, "distribution 'gaussian' cannot act in"),
        ({"weights": [0.5, 0.5]}, "weights need 1 entries"),
        ({"weights": [-1.0]}, "negative"),
        ({"discount": 1.5}, "'discount' must lie in"),
        ({"learning_rate": float("nan")}, "'learning_rate' takes a number, got nan"),
        ({"total_steps": 10}, "less than one iteration"),
        ({"num_evaluations": 100}, "must lie between 1 and the number of iterations"),
        ({"num_envs": 0}, "num_envs must be at least 1"),
        ({"auto_reset": "sometimes"}, "unknown auto-reset mode"),
        ({"hidden_sizes": (0,)}, "hidden_sizes must be at least 1, got 0"),
    ],
)
def test_bad_settings_raise_at_build_time(settings, message):
    with pytest.raises(ValueError, match=message):
        small_trainer(**settings)


def test_an_unknown_agent_is_named():
    with pytest.raises(ValueError, match=r"unknown agent 'poo'. Did you mean 'ppo'\?"):
        small_trainer("poo")


def test_traced_weights_of_the_wrong_length_raise_while_tracing():
    trainer = small_trainer()
    with pytest.raises(ValueError, match="weights have shape"):
        jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters._replace(weights=jnp.ones(2)))


def test_recurrent_minibatches_divide_sequences():
    with pytest.raises(ValueError, match="sequences of a recurrent network stay whole"):
        small_trainer(network="gru", num_minibatches=8)


def test_estimating_aggregators_do_not_serve_many_weights():
    with pytest.raises(ValueError, match="cannot be combined with condition_on_weights"):
        small_trainer(aggregator="lagrangian", condition_on_weights=True)


def test_an_environment_that_breaks_the_contract_is_refused():
    whole = probes.one_step()

    def scalar_reward(key, state, action, params):
        state, timestep = whole.step(key, state, action, params)
        return state, timestep._replace(reward=timestep.reward[0])

    with pytest.raises(jaxrl.environments.EnvironmentContractError, match=r"use transforms\.vector_reward"):
        small_trainer(environment=whole._replace(step=scalar_reward))
