"""Natural gradients: products against an explicit Fisher matrix, steps against closed forms, and learning."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

import jaxrl
from jaxrl.agents.minibatches import Batch
from jaxrl.agents.natural_gradient import fisher_product, natural_step, split_optimiser
from jaxrl.agents.on_policy_parts import make_parts
from jaxrl.agents.settings import OnPolicyConfig
from jaxrl.environments import Box, Discrete, EnvironmentSpec, MultiDiscrete
from tests import environments as probes

pytestmark = pytest.mark.quick_compilation

SAMPLES = 6


def policy(action):
    spec = EnvironmentSpec("probe", Box(-1.0, 1.0, (3,)), action)
    config = OnPolicyConfig(hidden_sizes=(4,), optimiser="natural")
    parts = make_parts(spec, config)
    params = jax.tree.map(lambda leaf: 2.0 * leaf + 0.1, parts.network.init(jax.random.key(0)))
    zeros = jnp.zeros((SAMPLES, 1))
    batch = Batch(
        jax.random.normal(jax.random.key(1), (SAMPLES, 3)),
        jnp.zeros(SAMPLES),
        jnp.zeros(SAMPLES),
        zeros[:, :0],
        zeros,
        zeros,
        zeros,
        zeros,
        jnp.zeros(SAMPLES, bool),
    )
    return parts, params, batch


def explicit_fisher(parts, params, batch, actions, weights):
    """Mean over observations of the sum over actions of probability times the score's outer product."""
    flat, unravel = ravel_pytree(params)

    def log_prob(flat, row, action):
        seen = (batch.observation[row][None], jnp.ones((1, 1)), (), jnp.zeros(1, bool))
        parameters = parts.network.sequence(unravel(flat), *seen)[0]
        return parts.distribution.log_prob(parameters, action[None])[0]

    total = np.zeros((flat.size, flat.size))
    for row in range(SAMPLES):
        for action, weight in zip(actions(row), weights(row), strict=True):
            score = np.asarray(jax.grad(log_prob)(flat, row, action))
            total += weight * np.outer(score, score) / SAMPLES
    return total


@pytest.mark.parametrize("action", [pytest.param(Discrete(3), marks=pytest.mark.slow), MultiDiscrete((2, 3))])
def test_products_are_those_of_the_explicit_fisher_matrix(action):
    with jax.enable_x64(True):
        parts, params, batch = policy(action)
        if isinstance(action, Discrete):
            each = [jnp.asarray(a) for a in range(3)]
        else:
            each = [jnp.asarray([a, b]) for a in range(2) for b in range(3)]
        parameters = parts.network.sequence(params, batch.observation, jnp.ones((SAMPLES, 1)), (), batch.start)[0]

        def probabilities(row):
            return [float(jnp.exp(parts.distribution.log_prob(parameters[row], one))) for one in each]

        matrix = explicit_fisher(parts, params, batch, lambda row: each, probabilities)
        flat, unravel = ravel_pytree(params)
        product = jax.jit(lambda v: ravel_pytree(fisher_product(parts, params, batch, ())(unravel(v)))[0])
        assert np.abs(matrix).max() > 1e-2
        for seed in range(3):
            v = np.random.default_rng(seed).normal(size=flat.size)
            # Observations are encoded in float32.
            np.testing.assert_allclose(product(jnp.asarray(v)), matrix @ v, atol=1e-7)


def test_products_for_a_gaussian_are_those_of_its_known_information():
    with jax.enable_x64(True):
        parts, params, batch = policy(Box(-1.0, 1.0, (2,)))
        flat, unravel = ravel_pytree(params)

        def parameters_of(flat):
            return parts.network.sequence(unravel(flat), batch.observation, jnp.ones((SAMPLES, 1)), (), batch.start)[0]

        jacobian, at = np.asarray(jax.jacrev(parameters_of)(flat)), np.asarray(parameters_of(flat))
        matrix = np.zeros((flat.size, flat.size))
        for row in range(SAMPLES):
            # 1/σ² of each mean and 2 of each log σ.
            information = np.diag([*np.exp(-2.0 * at[row, 2:]), 2.0, 2.0])
            matrix += jacobian[row].T @ information @ jacobian[row] / SAMPLES
        v = np.random.default_rng(0).normal(size=flat.size)
        found = ravel_pytree(fisher_product(parts, params, batch, ())(unravel(jnp.asarray(v))))[0]
        np.testing.assert_allclose(found, matrix @ v, atol=1e-9)


def step_settings(**changes):
    defaults = {"trust_region": jnp.inf, "step_size": jnp.inf, "damping": 0.0}
    return {name: jnp.asarray(value) for name, value in {**defaults, **changes}.items()}


def test_a_step_solves_the_system_and_keeps_to_the_region():
    with jax.enable_x64(True):
        generator = np.random.default_rng(0)
        root = generator.normal(size=(5, 5))
        matrix, gradient = root @ root.T + np.eye(5), generator.normal(size=5)
        product = lambda v: jnp.asarray(matrix) @ v  # noqa: E731
        take = partial(natural_step, product, jnp.asarray(gradient), 30)
        plain = take(step_settings(step_size=0.3, damping=0.2), 1.0)
        np.testing.assert_allclose(plain, -0.3 * np.linalg.solve(matrix + 0.2 * np.eye(5), gradient), rtol=1e-6)
        bounded = np.asarray(take(step_settings(trust_region=0.02), 1.0))
        np.testing.assert_allclose(0.5 * bounded @ matrix @ bounded, 0.02, rtol=1e-6)
        np.testing.assert_allclose(take(step_settings(trust_region=0.02), 0.25), bounded / 4.0, rtol=1e-6)
        still = natural_step(product, jnp.zeros(5), 30, step_settings(), 1.0)
        np.testing.assert_array_equal(still, 0.0)


def test_on_a_bandit_logits_move_by_the_advantage():
    """Softmax logits x: the natural gradient of Σ π r is r − π·r, up to a constant that leaves π as it is."""
    with jax.enable_x64(True):
        spec = EnvironmentSpec("bandit", Discrete(1), Discrete(3))
        parts = make_parts(spec, OnPolicyConfig(network="table", optimiser="natural"))
        logits, reward = jnp.asarray([[0.3, -0.5, 1.0]]), jnp.asarray([1.0, 0.2, 0.5])
        params = {"actor": logits, "critic": jnp.zeros((1, 1))}
        zeros = jnp.zeros((1, 1))
        batch = Batch(jnp.zeros(1, jnp.int32), *([zeros] * 7), start=jnp.zeros(1, bool))
        gradient = jax.grad(lambda params: -jnp.sum(jax.nn.softmax(params["actor"][0]) * reward))(params)
        product = fisher_product(parts, params, batch, ())
        hp = step_settings(step_size=0.5, damping=1e-9)
        step = natural_step(product, {**gradient, "critic": jnp.zeros((1, 1))}, 20, hp, 1.0)["actor"][0]
        probabilities = jax.nn.softmax(logits[0])
        expected = 0.5 * (reward - probabilities @ reward)
        np.testing.assert_allclose(step - step.mean(), expected - expected.mean(), atol=1e-6)


def test_actor_and_critic_move_apart():
    _, params, _ = policy(Discrete(3))

    optimiser = split_optimiser(optax.sgd(0.1), 10, step_settings(step_size=2.0), 0.5, params)
    gradient = jax.tree.map(jnp.ones_like, params)
    changes, _ = optimiser.update(gradient, optimiser.init(params), params, product=lambda v: v)
    for name, change in changes.items():
        expected = -0.1 if name.startswith("critic") else -1.0
        jax.tree.map(lambda leaf, wanted=expected: np.testing.assert_allclose(leaf, wanted, rtol=1e-5), change)


def test_an_iteration_keeps_to_its_divergence():
    settings = {**probes.BANDIT, "anneal_learning_rate": False, "total_steps": 256}
    trainer = jaxrl.trainer("npg", probes.choice([[1.0], [0.0], [0.5]]), trust_region=0.02, damping=1e-4, **settings)
    hp, parts = trainer.hyperparameters, trainer.agent.update.args[0]
    before = trainer.init(jax.random.key(0), hp)
    after, _ = jax.jit(trainer.step)(before, hp, jnp.asarray(0))
    seen = (jnp.zeros((1, 1)), jnp.ones((1, 1)), (), jnp.zeros(1, bool))
    old, new = (parts.network.act(state.agent.params, *seen)[0] for state in (before, after))
    divergence = parts.distribution.kl(old, new)[0]
    # Steps of one iteration point the same way here, so that nearly all of the region is used.
    assert 0.012 < float(divergence) < 0.025


@pytest.mark.slow  # A learning run; its products and divergence are tested quickly.
def test_npg_learns_the_best_arm():
    settings = {**probes.BANDIT, "total_steps": 10_000}
    trainer = jaxrl.trainer("npg", probes.choice([[0.0], [1.0], [0.5]]), **settings)
    result = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters)
    np.testing.assert_allclose(result.evaluation.returns[-1], 1.0)
    assert float(result.metrics["entropy"][-1]) < 0.3


def test_networks_that_share_layers_are_refused():
    with pytest.raises(ValueError, match="share"):
        jaxrl.trainer("npg", probes.choice([[1.0], [0.0]]), shared_torso=True)
    with pytest.raises(ValueError, match="conjugate_gradient_steps"):
        jaxrl.trainer("npg", probes.choice([[1.0], [0.0]]), conjugate_gradient_steps=0)
