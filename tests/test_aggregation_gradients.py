"""Weights that follow policy gradients: the gradients against the trained loss, the weights by hand, what they do."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl import aggregation
from jaxrl.agents import Progress, on_policy_loss, on_policy_update
from jaxrl.agents.objective_gradients import objective_gradients
from tests import environments as probes

pytestmark = pytest.mark.quick_compilation

# Two objectives agree on the first action, the third wants the second one.
CONFLICT = [[1.0, 0.9, 0.0], [0.0, 0.1, 1.0], [0.2, 0.2, 0.2]]


def guided(**changes):
    settings = {**probes.BANDIT, "aggregator": "gradient_guided", "total_steps": 40_000, **changes}
    return jaxrl.trainer("ppo", probes.choice(CONFLICT), **settings)


@pytest.mark.parametrize("network", ["mlp", pytest.param("gru", marks=pytest.mark.slow)])
def test_the_weighted_gradients_are_minus_the_gradient_of_the_loss_that_is_trained(network):
    trainer = guided(standardise_advantages="none", network=network)
    parts, hp = trainer.agent.update.args[0], trainer.hyperparameters._replace(value_coefficient=jnp.zeros(()))
    state = jax.jit(trainer.init)(jax.random.key(0), hp)
    run, rollout, _ = jax.jit(trainer.collect)(jax.random.key(1), state, hp)
    batch, _ = on_policy_update.prepare(parts, run.agent, rollout, hp)
    start = Progress(jnp.zeros(()), jnp.ones(()))
    gradients = jax.jit(lambda batch: objective_gradients(parts, run.agent.params, batch, rollout.memory))(batch)
    batch = batch._replace(advantage=on_policy_update.scalarise(parts, run.agent, batch, hp, start))
    loss = partial(on_policy_loss.loss, parts)
    trained = jax.jit(jax.grad(lambda params: loss(params, batch, rollout.memory, run.agent, hp, start)[0]))
    expected = -jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(trained(run.agent.params))])
    assert float(jnp.abs(expected).max()) > 1e-3
    np.testing.assert_allclose(hp.weights @ gradients, expected, atol=1e-6)


def test_weights_by_hand():
    aggregator = aggregation.gradient_guided()
    parameters = {**aggregator.parameters(3), "rate": jnp.asarray(0.5)}
    weights = np.array([0.2, 0.5, 0.3])
    state = aggregator.init(3, parameters)
    np.testing.assert_allclose(aggregator.coefficients(state, jnp.asarray(weights), parameters), weights, rtol=1e-6)
    expected = np.log(weights)
    for seed in range(2):
        gradients = np.random.default_rng(seed).normal(size=(3, 5))
        state = aggregator.update_from_gradients(state, jnp.asarray(gradients, jnp.float32), parameters)
        expected += 0.5 * np.array([sum(row @ other for other in gradients) for row in gradients])
    expected = np.exp(expected) / np.exp(expected).sum()
    np.testing.assert_allclose(aggregator.coefficients(state, jnp.asarray(weights), parameters), expected, rtol=1e-5)
    alone = aggregator.coefficients(state, jnp.asarray([0.0, 1.0, 0.0]), parameters)
    np.testing.assert_allclose(alone, [0.0, 1.0, 0.0], atol=1e-7)


def test_what_conflicts_with_the_others_loses_weight():
    trainer = guided()
    result = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters)
    aggregator = trainer.agent.update.args[0].aggregator
    agent, hp = result.state.agent, trainer.hyperparameters
    first, second, third = aggregator.coefficients(agent.aggregator, hp.weights, hp.aggregator)
    assert third < 0.25 < min(first, second)
    np.testing.assert_allclose(result.evaluation.returns[-1], CONFLICT[0], atol=1e-6)


@pytest.mark.slow  # Two learning runs; the weights by hand are the quick test.
def test_at_rate_zero_it_is_decoupled_normalisation():
    returns = []
    for name, hyperparameters in (("gradient_guided", {"rate": 0.0}), ("decoupled_normalisation", {})):
        built = guided(aggregator=name)
        hp = built.hyperparameters
        hp = hp._replace(aggregator={**hp.aggregator, **{key: jnp.asarray(x) for key, x in hyperparameters.items()}})
        returns.append(jax.jit(built.run)(jax.random.key(0), hp).metrics["episode_return"])
    np.testing.assert_allclose(*returns, atol=1e-5)


def test_one_network_for_all_weights_is_refused():
    with pytest.raises(ValueError, match="cannot be combined with condition_on_weights"):
        guided(condition_on_weights=True)
