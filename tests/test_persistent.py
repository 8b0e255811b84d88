"""Persistent evolution strategies: unbiased over cut lives, and wired as the estimator asks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environments.grid import grid, random_levels
from jaxrl.errors import UnknownNameError
from jaxrl.meta import evolve_persistently, make_tasks
from jaxrl.meta.evolution import EvolutionHyperparameters, make_strategy, search_gradient

pytestmark = pytest.mark.quick_compilation

RICH = grid(random_levels("rich", (3, 3), (3, 3), (8, 8)))


def stretch(position, parameter):
    """Three steps of x ← 0.8 x + θ, and what they are worth."""
    fitness = 0.0
    for _ in range(3):
        position = 0.8 * position + parameter
        fitness = fitness - (position - 1.0) ** 2
    return position, fitness


def test_persistent_gradients_of_cut_lives_are_those_of_whole_lives():
    """On a quadratic: the mean over many noises is the exact derivative; without accumulating it is not."""
    parameter, deviation, stretches = jnp.asarray([0.4]), 0.3, 4
    strategy = make_strategy("open_es", parameter, 20_000, "raw")
    hp = EvolutionHyperparameters(deviation=deviation)
    search = strategy.init(parameter, hp)
    position, accumulated = jnp.zeros(20_000), 0.0
    persistent = truncated = 0.0
    for number in range(stretches):
        candidates, noise = strategy.ask(jax.random.key(number), search, hp)
        accumulated = accumulated + noise
        position, fitness = stretch(position, candidates[:, 0])
        persistent += search_gradient(accumulated, fitness, deviation)[0]
        truncated += search_gradient(noise, fitness, deviation)[0]

    def whole(parameter):
        position, total = 0.0, 0.0
        for _ in range(stretches):
            position, fitness = stretch(position, parameter)
            total += fitness
        return total

    # A quadratic's smoothing by Gaussian noise leaves its derivative as it is.
    exact = float(jax.grad(whole)(0.4))
    assert abs(exact) > 5.0
    np.testing.assert_allclose(persistent, exact, rtol=0.03)
    assert abs(truncated - exact) > 0.3 * abs(exact)


def study(horizon=(2, 6), **settings):
    trainer = jaxrl.trainer(
        "a2c", RICH, num_envs=4, num_steps=6, num_evaluations=1, network="table", total_steps=6 * 24, learning_rate=0.1
    )
    settings = {"population_size": 4, "unroll": 2, "num_meta_steps": 5, "num_evaluations": 1, **settings}
    return evolve_persistently(trainer, make_tasks(RICH, horizon), "discount", evaluation_tasks=2, **settings)


def test_noise_accumulates_over_a_life_and_pairs_stay_together():
    built = study()
    state = jax.jit(built.init)(jax.random.key(0), built.hyperparameters)
    step, strategy = jax.jit(built.step), built.init.args[0].strategy
    ask = jax.jit(
        lambda index: strategy.ask(jax.random.fold_in(state.key, index), state.search, built.hyperparameters.outer)[1]
    )
    expected, restarts = np.zeros(state.accumulated.shape), 0
    for index in range(5):
        state, _ = step(state, built.hyperparameters, index)
        expected += np.asarray(ask(index))
        restarted = np.asarray(state.lives.age) == 0
        expected[restarted], restarts = 0.0, restarts + restarted.sum()
        np.testing.assert_allclose(state.accumulated, expected, atol=1e-6)
        halves = jax.tree.map(lambda leaf: np.split(np.asarray(leaf), 2), state.lives.task.environment)
        for first, second in jax.tree.leaves(halves, is_leaf=lambda leaf: isinstance(leaf, list)):
            np.testing.assert_array_equal(first, second)
    assert 0 < restarts < 20


@pytest.mark.slow  # A learning run; its noise and estimates are tested above.
def test_it_learns_a_hyperparameter_that_is_known_to_matter():
    # An entropy bonus far too high keeps the policy of a bandit uniform.
    trainer = jaxrl.trainer(
        "ppo", "bandit/bernoulli", num_envs=4, num_steps=16, num_epochs=2, num_minibatches=1, learning_rate=0.1,
        num_evaluations=1, network="table", total_steps=10 * 64, anneal_learning_rate=False, entropy_coefficient=3.0,
    )  # fmt: skip
    built = evolve_persistently(
        trainer, make_tasks("bandit/bernoulli", 10), "entropy_coefficient", population_size=16, unroll=2,
        num_meta_steps=150, num_evaluations=1, evaluation_tasks=8, deviation=0.3, learning_rate=0.1,
    )  # fmt: skip
    result = jax.jit(built.run)(jax.random.key(0), built.hyperparameters)
    assert float(built.value(result.state)) < 1.5


def test_ranks_are_refused():
    with pytest.raises(UnknownNameError, match="z_score"):
        study(shaping="centred_rank")


@pytest.mark.slow  # A life that diverged, in test_meta, is the quick test.
def test_a_life_that_diverged_is_the_worst_until_it_ends_and_changes_nothing_else():
    built = study(horizon=4)
    state = jax.jit(built.init)(jax.random.key(0), built.hyperparameters)
    broken = state._replace(lives=state.lives._replace(total=state.lives.total.at[1].set(jnp.nan)))
    step, counts = jax.jit(built.step), []
    for index in range(3):
        before = broken.search.mean
        broken, (metrics, _) = step(broken, built.hyperparameters, index)
        counts.append(float(metrics["non_finite_candidates"]))
        assert np.isfinite(broken.search.mean).all() and not np.array_equal(broken.search.mean, before)
        assert np.isfinite(metrics["fitness"]) and metrics["non_finite"] == 0.0
    # A life of four iterations, cut short at first, two of them a step.
    assert counts[0] == 1.0 and counts[-1] == 0.0
    state, _ = step(state, built.hyperparameters, 0)
    assert jax.tree.structure(state) == jax.tree.structure(broken)
