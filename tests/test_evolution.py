import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.errors import UnknownNameError
from jaxrl.meta.evolution import EvolutionHyperparameters, make_strategy, search_gradient, search_metrics
from jaxrl.meta.evosax import from_evosax
from jaxrl.meta.shaping import SHAPING, make_shaping

pytestmark = pytest.mark.quick_compilation

TARGET = {"a": jnp.asarray([1.0, -2.0, 0.5]), "b": jnp.asarray([[0.3], [-0.7]])}


def quadratic(candidate):
    return -sum(jnp.sum((leaf - TARGET[name]) ** 2) for name, leaf in candidate.items())


def search(name, shaping, settings, generations=300, population=32):
    start = jax.tree.map(jnp.zeros_like, TARGET)
    strategy = make_strategy(name, start, population, shaping)
    hp = EvolutionHyperparameters(**settings)

    def generation(state, key):
        candidates, noise = strategy.ask(key, state, hp)
        return strategy.tell(state, noise, jax.vmap(quadratic)(candidates), hp), None

    keys = jax.random.split(jax.random.key(3), generations)
    state, _ = jax.jit(lambda keys: jax.lax.scan(generation, strategy.init(start, hp), keys))(keys)
    return strategy.mean(state), state


@pytest.mark.parametrize(
    ("name", "shaping", "settings"),
    [
        ("open_es", "centred_rank", {"learning_rate": 0.05, "deviation": 0.1, "learning_rate_decay": 0.98}),
        ("open_es", "pairwise_rank", {"learning_rate": 0.05, "deviation": 0.1, "learning_rate_decay": 0.98}),
        ("open_es", "z_score", {"learning_rate": 0.05, "deviation": 0.1, "learning_rate_decay": 0.98}),
        ("snes", "centred_rank", {"learning_rate": 1.0, "deviation": 0.3}),
        ("pgpe", "centred_rank", {"learning_rate": 0.05, "deviation": 0.3, "learning_rate_decay": 0.98}),
    ],
)
def test_every_strategy_finds_the_top_of_a_quadratic(name, shaping, settings):
    found, _ = search(name, shaping, settings)
    for leaf, target in TARGET.items():
        np.testing.assert_allclose(found[leaf], target, atol=0.05)


def test_adapted_deviations_shrink_towards_an_optimum_and_fixed_ones_do_not():
    for name in ("snes", "pgpe"):
        _, state = search(name, "centred_rank", {"learning_rate": 0.3 if name == "snes" else 0.05, "deviation": 0.3})
        assert np.exp(state.log_deviation).mean() < 0.15
    _, state = search("open_es", "centred_rank", {"deviation": 0.3})
    np.testing.assert_allclose(np.exp(state.log_deviation), 0.3, rtol=1e-5)


def test_the_raw_search_gradient_is_unbiased_on_a_quadratic():
    # E[f(μ + σε) ε]/σ is the gradient of a quadratic at μ exactly.
    start = jax.tree.map(jnp.zeros_like, TARGET)
    strategy = make_strategy("open_es", start, 40_000, "raw")
    hp = EvolutionHyperparameters(learning_rate=1.0, deviation=0.5)
    state = strategy.init(start, hp)
    candidates, noise = strategy.ask(jax.random.key(0), state, hp)
    fitness = jax.vmap(quadratic)(candidates)
    estimate = fitness @ noise / len(fitness) / 0.5
    gradient = jax.flatten_util.ravel_pytree(jax.grad(quadratic)(start))[0]
    np.testing.assert_allclose(estimate, gradient, atol=0.1)
    # Adam's first step is the gradient's sign.
    moved = strategy.tell(state, noise, fitness, hp)
    np.testing.assert_allclose(moved.mean, np.sign(gradient), atol=1e-3)


def test_candidates_are_antithetic_pairs_of_the_searched_shapes():
    strategy = make_strategy("open_es", TARGET, 6)
    hp = EvolutionHyperparameters(deviation=0.2)
    state = strategy.init(TARGET, hp)
    candidates, noise = strategy.ask(jax.random.key(1), state, hp)
    np.testing.assert_array_equal(noise[:3], -noise[3:])
    for name, leaf in TARGET.items():
        assert candidates[name].shape == (6, *leaf.shape)
        np.testing.assert_allclose((candidates[name][:3] + candidates[name][3:]) / 2, np.stack([leaf] * 3), atol=1e-6)


def test_settings_are_traced_and_can_be_swept():
    strategy = make_strategy("open_es", TARGET, 4)
    rates = jnp.asarray([0.1, 0.4])

    def moved(rate):
        hp = EvolutionHyperparameters(learning_rate=rate)
        state = strategy.init(TARGET, hp)
        _, noise = strategy.ask(jax.random.key(0), state, hp)
        return strategy.tell(state, noise, jnp.asarray([1.0, 2.0, 0.0, 5.0]), hp).mean - state.mean

    steps = jax.vmap(moved)(rates)
    np.testing.assert_allclose(steps[1], 4.0 * steps[0], rtol=1e-3)


def test_shaping_by_hand():
    fitness = jnp.asarray([3.0, 1.0, 1.0, 10.0])
    np.testing.assert_allclose(make_shaping("centred_rank")(fitness), [2 / 3 - 0.5, -1 / 3, -1 / 3, 0.5], atol=1e-6)
    np.testing.assert_allclose(make_shaping("pairwise_rank")(fitness), [0.5, -0.5, -0.5, 0.5])
    np.testing.assert_allclose(make_shaping("pairwise_rank")(jnp.ones(2)), [0.0, 0.0])
    scores = make_shaping("z_score")(fitness)
    np.testing.assert_allclose([scores.mean(), scores.std()], [0.0, 1.0], atol=1e-6)


@pytest.mark.parametrize("name", sorted(SHAPING))
def test_a_candidate_that_diverged_counts_as_the_worst(name):
    shape = make_shaping(name)
    np.testing.assert_allclose(
        shape(jnp.asarray([1.0, jnp.nan, 3.0, 2.0])), shape(jnp.asarray([1.0, 1.0, 3.0, 2.0])), atol=1e-6
    )
    assert np.isfinite(shape(jnp.full(4, jnp.nan))).all()


def test_bad_settings_are_named():
    with pytest.raises(UnknownNameError, match="open_es"):
        make_strategy("openes", TARGET, 4)
    with pytest.raises(UnknownNameError, match="centred_rank"):
        make_strategy("open_es", TARGET, 4, "centered_rank")
    with pytest.raises(ValueError, match="even number of at least 2, got 5"):
        make_strategy("open_es", TARGET, 5)
    with pytest.raises(ValueError, match="use centred_rank"):
        make_strategy("snes", TARGET, 4, "pairwise_rank")


def test_search_gradients_turn_towards_the_gradient_as_populations_grow():
    # A smooth function of twenty parameters, far from a quadratic.
    frequencies = jnp.linspace(0.5, 2.0, 20)
    smooth = lambda x: jnp.sum(jnp.sin(frequencies * x)) + 0.1 * jnp.prod(jnp.cos(0.3 * x))  # noqa: E731
    point = jnp.linspace(-1.0, 1.0, 20)
    exact = jax.grad(smooth)(point)
    cosines = []
    for population in (8, 64, 512, 4096):
        strategy, hp = make_strategy("open_es", point, population, "raw"), EvolutionHyperparameters(deviation=0.02)
        candidates, noise = strategy.ask(jax.random.key(0), strategy.init(point, hp), hp)
        found = search_gradient(noise, jax.vmap(smooth)(candidates), 0.02)
        cosines.append(float(found @ exact / jnp.linalg.norm(found) / jnp.linalg.norm(exact)))
    assert cosines == sorted(cosines) and cosines[-1] > 0.99


@pytest.mark.parametrize(("name", "settings"), [("CMA_ES", {}), ("SNES", {})])
def test_strategies_of_evosax_find_the_top_of_a_quadratic(name, settings):
    algorithms = pytest.importorskip("evosax.algorithms")
    found, state = search(from_evosax(getattr(algorithms, name), **settings), "raw", {}, generations=150)
    for leaf, target in TARGET.items():
        np.testing.assert_allclose(found[leaf], target, atol=0.05)
    assert int(state.generation) == 150


def test_evosax_without_a_mean_is_refused():
    algorithms = pytest.importorskip("evosax.algorithms")
    with pytest.raises(ValueError, match="SimpleGA keeps no mean"):
        from_evosax(algorithms.SimpleGA)


def test_evosax_refuses_at_build_what_would_fail_later():
    algorithms = pytest.importorskip("evosax.algorithms")
    for name in ("SV_CMA_ES", "SV_Open_ES"):
        with pytest.raises(ValueError, match=f"{name} keeps several means"):
            from_evosax(getattr(algorithms, name))
    with pytest.raises(
        ValueError, match=r"RandomSearch has no default for sampling_fn: give from_evosax\(RandomSearch"
    ):
        from_evosax(algorithms.RandomSearch)
    with pytest.raises(UnknownNameError, match="optimizer"):
        from_evosax(algorithms.Open_ES, optimiser=None)


# --- candidates that diverged ---

# Those of evosax 0.3.2 whose means one such candidate made NaN for good.
FRAGILE = ("ASEBO", "ESMC", "GuidedES", "LES", "NoiseReuseES", "PersistentES")
SLOW = (
    "ARS", "CMAAnchoredLES", "CMA_ES", "CR_FM_NES", "DES", "EvoTF_ES", "GradientlessDescent", "HillClimbing",
    "LM_MA_ES", "MA_ES", "Open_ES", "PGPE", "Rm_ES", "SNES", "Sep_CMA_ES", "SimpleES", "SimulatedAnnealing",
    "iAMaLGaM_Full", "iAMaLGaM_Univariate", "xNES",
)  # fmt: skip


def strategy_named(name):
    if name in ("open_es", "pgpe", "snes"):
        return make_strategy(name, TARGET, 8, "centred_rank")
    algorithms = pytest.importorskip("evosax.algorithms")
    return make_strategy(from_evosax(algorithms.distribution_based_algorithms[name]), TARGET, 8)


@pytest.mark.parametrize(
    "name",
    [
        "open_es",
        "snes",
        "pgpe",
        "LES",
        *(pytest.param(name, marks=pytest.mark.slow) for name in (*FRAGILE, *SLOW) if name != "LES"),
    ],
)
def test_strategies_take_a_candidate_that_diverged_for_the_worst(name):
    strategy, hp = strategy_named(name), EvolutionHyperparameters()

    @jax.jit
    def generation(state, key, fitness):
        candidates, noise = strategy.ask(key, state, hp)
        return strategy.tell(state, noise, fitness, hp), candidates

    start = strategy.init(TARGET, hp)
    broken = jnp.asarray([1.0, jnp.nan, 3.0, 2.0, -jnp.inf, 0.5, 1.0, jnp.inf])
    found, candidates = generation(start, jax.random.key(0), broken)
    expected, _ = generation(start, jax.random.key(0), jnp.where(jnp.isfinite(broken), broken, 0.5))
    np.testing.assert_array_equal(found.mean, expected.mean)
    # A generation of which nothing is known leaves the search as it was.
    after, candidates = generation(found, jax.random.key(1), jnp.full(8, jnp.nan))
    np.testing.assert_array_equal(after.mean, found.mean)
    assert int(after.generation) == 2 and int(found.generation) == 1
    for leaf in jax.tree.leaves((after.mean, after.log_deviation, candidates)):
        assert np.isfinite(leaf).all()


def test_every_strategy_of_evosax_with_one_mean_is_tried():
    algorithms = pytest.importorskip("evosax.algorithms")
    # One needs a setting of its own, two keep several means.
    others = {"RandomSearch", "SV_CMA_ES", "SV_Open_ES"}
    assert {*FRAGILE, *SLOW} == set(algorithms.distribution_based_algorithms) - others


def test_metrics_of_a_search_leave_out_and_count_candidates_that_diverged():
    strategy, hp = make_strategy("open_es", TARGET, 4), EvolutionHyperparameters()
    search = strategy.init(TARGET, hp)
    metrics = search_metrics(jnp.asarray([1.0, jnp.nan, 4.0, -jnp.inf]), search)
    found = {name: float(metrics[name]) for name in ("fitness", "best_fitness", "fitness_deviation")}
    assert found == {"fitness": 2.5, "best_fitness": 4.0, "fitness_deviation": 1.5}
    assert metrics["non_finite_candidates"] == 2.0 and metrics["non_finite"] == 0.0
    lost = search_metrics(jnp.full(4, jnp.nan), search)
    assert lost["non_finite_candidates"] == 4.0 and lost["non_finite"] == 1.0 and np.isnan(lost["best_fitness"])
