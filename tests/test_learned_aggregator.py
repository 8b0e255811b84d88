"""The aggregator that is meta-learned, and the hypervolume as what it is learned for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl import aggregation
from jaxrl.meta import evolve, make_tasks
from jaxrl.meta.fitness import FITNESS, fitness_components, select_by
from jaxrl.meta.lifetimes import Outcome
from jaxrl.morl.pareto import hypervolume

pytestmark = pytest.mark.quick_compilation

AGENT = {"num_envs": 4, "num_steps": 8, "network": "table", "num_evaluations": 1, "evaluation_episodes": 2}
TREASURE = "mo/deep-sea-treasure"


def trainer(**settings):
    return jaxrl.trainer("a2c", TREASURE, total_steps=4 * 32, aggregator="learned", **AGENT, **settings)


def advantages(seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(5, 7, 3)), jnp.float32)


def test_it_starts_as_the_weighted_sum_of_standardised_advantages():
    learned, known = (aggregation.make_aggregator(name) for name in ("learned", "decoupled_normalisation"))
    weights = jnp.broadcast_to(jnp.asarray([0.2, 0.3, 0.5]), (5, 7, 3))
    found = aggregation.aggregate(learned, (), advantages(), weights, learned.parameters(3), 0.4)
    expected = aggregation.aggregate(known, (), advantages(), weights, {})
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_objectives_are_interchangeable_and_progress_matters():
    learned = aggregation.make_aggregator("learned")
    parameters = {**learned.init_parameters(jax.random.key(1)), "output": jnp.ones(16)}
    weights, order = jnp.broadcast_to(jnp.asarray([0.2, 0.3, 0.5]), (5, 7, 3)), jnp.asarray([2, 0, 1])
    scalar = lambda a, w, progress: aggregation.aggregate(learned, (), a, w, parameters, progress)  # noqa: E731
    found = scalar(advantages(), weights, 0.4)
    np.testing.assert_allclose(found, scalar(advantages()[..., order], weights[..., order], 0.4), rtol=1e-4, atol=1e-5)
    assert np.abs(found - scalar(advantages(), weights, 0.9)).max() > 1e-2


def test_gradients_reach_its_parameters_for_meta_gradients():
    learned = aggregation.make_aggregator("learned")
    loss = lambda p: aggregation.aggregate(learned, (), advantages(), jnp.ones((5, 7, 3)) / 3, p, 0.1).var()  # noqa: E731
    gradient = jax.grad(loss)(learned.parameters(3))
    assert np.abs(gradient["output"]).max() > 1e-4


def test_hypervolume_is_a_fitness_of_all_tasks_together():
    random = np.random.default_rng(0)
    final = jnp.asarray(random.uniform(0.0, 3.0, size=(4, 6, 2)), jnp.float32)
    outcome = Outcome(final, final, final, jnp.ones((4, 6), bool), jnp.ones((4, 6), jnp.int32))
    found = fitness_components(outcome, jnp.full((6, 2), 0.5), (0.5, 0.5))[:, FITNESS.index("hypervolume")]
    for member in range(4):
        np.testing.assert_allclose(found[member], hypervolume(final[member], jnp.asarray([0.5, 0.5])), rtol=1e-5)


def test_candidates_are_worth_a_weighted_sum_or_less_the_more_dominate_them():
    components = jnp.asarray([[1.0, 3.0, 9.0], [2.0, 2.0, 0.0], [1.0, 2.0, 5.0], [0.5, 1.0, 99.0], [2.0, 2.0, 7.0]])
    weights = jnp.asarray([1.0, 2.0, 0.0])
    np.testing.assert_allclose(select_by("weighted", components, weights), components[:, :2] @ weights[:2])
    # The third component has no weight; equal candidates do not dominate one another.
    np.testing.assert_array_equal(select_by("pareto", components, weights), [0.0, 0.0, -3.0, -4.0, 0.0])
    # A diverged candidate dominates none and is no equal of the best; what has no weight may be anything.
    diverged = components.at[1, 0].set(jnp.nan).at[0, 2].set(jnp.inf)
    np.testing.assert_array_equal(select_by("pareto", diverged, weights), [0.0, jnp.nan, -2.0, -3.0, 0.0])


@pytest.mark.slow
def test_evolution_selects_as_it_was_told():
    def best(selection):
        study = evolve(
            trainer(), make_tasks(TREASURE, 4), "aggregator", fitness={"final": 1.0, "early": 1.0}, selection=selection,
            population_size=4, num_generations=1, num_evaluations=1, evaluation_tasks=2, deviation=0.5,
        )  # fmt: skip
        metrics = jax.jit(study.run)(jax.random.key(0), study.hyperparameters).metrics
        return float(metrics["best_fitness"][0]), float(metrics["fitness"][0])

    # The best candidate is dominated by none; a weighted sum of these returns is no count.
    assert best("pareto")[0] == 0.0 and best("pareto")[1] <= 0.0
    assert best("weighted")[0] not in (0.0, -1.0, -2.0, -3.0)


def test_evolution_for_hypervolume_gives_tasks_their_weights_and_moves_the_network():
    study = evolve(
        trainer(), make_tasks(TREASURE, 4), "aggregator", fitness="hypervolume", spread_weights=True,
        tasks_per_candidate=3, population_size=4, num_generations=2, num_evaluations=1, evaluation_tasks=2,
        shaping="centred_rank", deviation=0.5,
    )  # fmt: skip
    result = jax.jit(study.run)(jax.random.key(0), study.hyperparameters)
    before = study.value(study.init(jax.random.key(0), study.hyperparameters))
    for name, leaf in study.value(result.state).items():
        assert np.any(np.asarray(leaf) != np.asarray(before[name])), name
    assert float(result.metrics["fitness"].min()) >= 0.0


def test_a_clipped_surrogate_per_objective_cannot_read_advantages():
    with pytest.raises(ValueError, match="needs scalarise='after_estimation'"):
        trainer(scalarise="after_clipping")
