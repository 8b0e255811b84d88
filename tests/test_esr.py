"""Utilities of single episodes against utilities of means, on tasks where their optima differ."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl import aggregation
from jaxrl.environments import Discrete, Environment, EnvironmentSpec, Timestep
from jaxrl.morl.esr import esr_environment, esr_trainer
from tests import environments as probes

pytestmark = pytest.mark.quick_compilation


def lottery():
    """Action 0 earns (4, 0) or (0, 4), as a coin falls; action 1 always (1, 1). One step."""
    spec = EnvironmentSpec("probe/lottery", Discrete(1), Discrete(2), num_objectives=2, time_limit=1)

    def reset(key, params):
        return jnp.int32(0), jnp.int32(0)

    def step(key, state, action, params):
        gamble = jnp.where(jax.random.bernoulli(key), jnp.array([4.0, 0.0]), jnp.array([0.0, 4.0]))
        reward = jnp.where(action == 0, gamble, jnp.ones(2))
        return state, Timestep(jnp.int32(0), reward, jnp.array(True), jnp.array(False), {})

    return Environment(reset, step, (), spec)


def product(returns, *weights):
    return returns[0] * returns[1]


@pytest.mark.parametrize("criterion", [pytest.param("ser", marks=pytest.mark.slow), "esr"])
def test_each_criterion_finds_its_own_optimum_of_the_lottery(criterion):
    # The coin's mean is (2, 2), product 4, but each toss has product 0: SER gambles, ESR takes (1, 1).
    if criterion == "ser":
        aggregator = aggregation.utility_gradient(product)
        trainer = jaxrl.trainer("ppo", lottery(), aggregator=aggregator, **probes.BANDIT, discounted=0.0)
    else:
        trainer = esr_trainer(lottery(), product, "ppo", **probes.BANDIT)
    metrics = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters).metrics
    returns = np.asarray(metrics["episode_return"])[-30:].mean(axis=0)
    np.testing.assert_allclose(returns, [2.0, 2.0] if criterion == "ser" else [1.0, 1.0, 1.0], atol=0.06)


FISH, WOOD, LIMIT = 0.1, 0.9, 13


def fishwood():
    """At the river a fish bites with probability 0.1, in the woods wood is found with 0.9; 13 steps.

    The action is where to be next; what is earned comes from where one is (Roijers et al., 2018).
    """
    spec = EnvironmentSpec("probe/fishwood", Discrete(2), Discrete(2), num_objectives=2, time_limit=LIMIT)

    def reset(key, params):
        return (jnp.int32(1), jnp.int32(0)), jnp.int32(1)

    def step(key, state, action, params):
        place, steps = state
        found = jax.random.uniform(key) < params[place]
        reward = jnp.zeros(2).at[place].set(found.astype(jnp.float32))
        place, steps = action.astype(jnp.int32), steps + 1
        return (place, steps), Timestep(place, reward, jnp.array(False), steps >= LIMIT, {})

    return Environment(reset, step, jnp.array([FISH, WOOD]), spec)


def meals(returns):
    """Every fish needs two pieces of wood."""
    return jnp.minimum(returns[0], returns[1] / 2.0)


def best_expected_meals():
    """The optimum over policies that see what they have, by backward induction over (place, fish, wood)."""
    fish, wood = np.meshgrid(np.arange(LIMIT + 1), np.arange(LIMIT + 1), indexing="ij")
    value = np.stack([np.minimum(fish, wood / 2.0)] * 2).astype(float)
    for _ in range(LIMIT):
        best = value.max(axis=0)
        more_fish, more_wood = (np.take(best, np.minimum(np.arange(1, LIMIT + 2), LIMIT), axis) for axis in (0, 1))
        value = np.stack([FISH * more_fish + (1 - FISH) * best, WOOD * more_wood + (1 - WOOD) * best])
    return value[1, 0, 0]


def best_blind_meals():
    """The optimum over policies that do not: so many steps in the woods, the others at the river."""

    def binomial(n, p):
        steps = np.ones(1)
        for _ in range(n):
            steps = np.convolve(steps, [1 - p, p])
        return steps

    expected = []
    for k in range(1, LIMIT + 1):
        fish, wood = binomial(LIMIT - k, FISH), binomial(k, WOOD)
        utility = np.minimum(np.arange(len(fish))[:, None], np.arange(len(wood)) / 2.0)
        expected.append(fish @ utility @ wood)
    return max(expected)


FISHWOOD_RUN = {
    "total_steps": 300_000,
    "num_envs": 16,
    "num_steps": 4 * LIMIT,
    "learning_rate": 1e-2,
    "hidden_sizes": (32,),
    "num_evaluations": 1,
    "evaluation_episodes": 2000,
}


@pytest.mark.slow  # A learning run; the lottery is the quick test.
def test_expected_utility_policy_gradient_nears_the_optimum_of_fishwood():
    optimum, blind = best_expected_meals(), best_blind_meals()
    np.testing.assert_allclose([optimum, blind], [0.9521, 0.7920], atol=1e-4)
    trainer = esr_trainer(fishwood(), meals, scale=[2.0, 6.0], **FISHWOOD_RUN)
    returns = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters).evaluation.returns[-1]
    # The standard error of 2000 episodes is 0.02.
    assert blind + 0.04 < returns[0] < optimum + 0.05


@pytest.mark.slow
def test_the_utility_of_mean_returns_has_another_optimum_on_fishwood():
    # k mean steps in the woods give min(0.1 (13 - k), 0.45 k), at most 1.0636 at k = 1.3/0.55: more than any
    # policy's expected meals, because surplus fish of one episode feed another.
    def smooth_meals(returns, weights):
        return -0.02 * jax.nn.logsumexp(jnp.array([-50.0, -25.0]) * returns)

    aggregator = aggregation.utility_gradient(smooth_meals)
    settings = {**FISHWOOD_RUN, "aggregator": aggregator, "discounted": 0.0, "entropy_coefficient": 0.0}
    trainer = jaxrl.trainer("reinforce", fishwood(), **{**settings, "learning_rate": 3e-3})
    metrics = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters).metrics
    returns = np.asarray(metrics["episode_return"])[-100:].mean(axis=0)
    np.testing.assert_allclose(meals(returns), 1.0636, atol=0.04)


def test_the_recipe_sees_pays_and_weighs_the_utility():
    trainer = esr_trainer(fishwood(), meals, scale=[2.0, 6.0], gae_lambda=0.9)
    hyperparameters = trainer.hyperparameters
    np.testing.assert_array_equal(hyperparameters.weights, [1.0, 0.0, 0.0])
    assert float(hyperparameters.discount) == 1.0 and float(hyperparameters.gae_lambda) == np.float32(0.9)
    assert trainer.agent_name == "reinforce"
    assert trainer.environment.spec.observation.shape == (2 + 2 + 1,)
    np.testing.assert_array_equal(hyperparameters.environment.inner.accrued_scale, [2.0, 6.0])
    rebuilt = trainer.rebuild(hidden_sizes=(8,)).hyperparameters
    np.testing.assert_array_equal(rebuilt.weights, hyperparameters.weights)


def test_both_discounts_are_that_of_the_utility():
    params = esr_environment(fishwood(), meals, discount=0.7).params
    assert float(params.utility_discount) == float(params.inner.accrued_discount) == np.float32(0.7)


def test_weights_are_refused():
    with pytest.raises(ValueError, match="esr_trainer sets the weights"):
        esr_trainer(fishwood(), meals, weights=[1.0, 0.0, 0.0])
