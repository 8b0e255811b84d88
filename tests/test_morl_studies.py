"""Multi-objective studies: contract, accounting, archives, and what each method does between evaluations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.morl.algorithms import c_morl, decomposition
from jaxrl.morl.population import _follow
from jaxrl.morl.population_state import Assignment, Checkpoint
from jaxrl.numerics import archive as archives
from tests import environments as probes

pytestmark = pytest.mark.quick_compilation

QUIET = {"options": jaxrl.RunOptions(progress=False), "say": lambda _: None}
SMALL = {"num_envs": 4, "num_steps": 32, "num_minibatches": 2, "num_epochs": 2, "evaluation_episodes": 2}
TREASURE = "mo/deep-sea-treasure"


def small(algorithm, environment=TREASURE, **settings):
    return jaxrl.study(algorithm, environment, **{**SMALL, "total_steps": 20_000, **settings})


def bandit():
    """Three one-step actions with returns (1, 0), (0, 1) and (0.7, 0.7)."""
    return probes.choice([[1.0, 0.0], [0.0, 1.0], [0.7, 0.7]])


# --- the contract ---


@pytest.fixture(scope="module")
def cmorl_run():
    study = small("c_morl", num_initial=3, num_selected=2, num_evaluations=6)
    return study, jax.jit(study.run)(jax.random.key(3), study.hyperparameters)


def test_steps_of_all_members_are_counted_and_stay_within_the_budget(cmorl_run):
    study, result = cmorl_run
    sizes = study.iteration_steps // (SMALL["num_envs"] * SMALL["num_steps"])
    assert set(sizes) == {3, 4}, "three initial members, then two policies times two objectives"
    assert 0.8 * 20_000 <= study.iteration_steps.sum() <= 20_000
    assert study.evaluation_steps[-1] == study.iteration_steps.sum()
    assert result.metrics["episodes"].shape == (study.num_iterations,)


def test_the_archive_is_mutually_non_dominated_and_never_shrinks_in_hypervolume(cmorl_run):
    _, result = cmorl_run
    points = np.asarray(result.state.archive.points)[np.asarray(result.state.archive.mask)]
    better = (points[:, None] >= points[None]).all(-1) & (points[:, None] > points[None]).any(-1)
    assert len(points) >= 2 and not better.any()
    assert np.all(np.diff(result.evaluation.hypervolume) >= 0.0)


@pytest.mark.slow
def test_chunks_of_the_host_loop_equal_one_program(cmorl_run):
    study, whole = cmorl_run
    chunked = jaxrl.sweep(study, seeds=[3], max_devices=1, **QUIET).groups[0].result
    np.testing.assert_allclose(chunked.evaluation.hypervolume[0], whole.evaluation.hypervolume, rtol=1e-5)
    np.testing.assert_array_equal(chunked.state.archive.mask[0], whole.state.archive.mask)


def test_archived_policies_reproduce_their_returns(cmorl_run):
    study, result = cmorl_run
    points, mask, weights = study.evaluate(jax.random.key(0), result.state, study.hyperparameters, 2)
    mask = np.asarray(mask)
    # The environment and the greedy policies are deterministic.
    np.testing.assert_allclose(np.asarray(points)[mask], result.state.archive.points[mask], rtol=1e-5)
    np.testing.assert_allclose(weights[mask].sum(axis=-1), 1.0, rtol=1e-5)


@pytest.mark.slow
def test_a_stopped_study_resumes_to_the_same_end(tmp_path):
    study = small("morl_d", num_members=3, num_evaluations=4)
    options = jaxrl.RunOptions(progress=False, checkpoint_seconds=0.0, num_chunks=6)
    straight = jaxrl.sweep(study, seeds=2, **QUIET).groups[0].result
    calls = []

    def stop(*_):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    from jaxrl.sweeps import running

    original = running._advance_bar
    running._advance_bar = stop
    try:
        with pytest.raises(KeyboardInterrupt):
            jaxrl.sweep(study, seeds=2, options=options, directory=tmp_path, say=lambda _: None)
    finally:
        running._advance_bar = original
    resumed = jaxrl.sweep(study, seeds=2, options=options, directory=tmp_path, say=lambda _: None).groups[0]
    for one, two in zip(jax.tree.leaves(straight.evaluation), jax.tree.leaves(resumed.result.evaluation), strict=True):
        np.testing.assert_array_equal(one, two)
    assert resumed.timing.run_seconds > 0.0 and resumed.timing.compile_seconds > 0.0


# --- what studies find ---


@pytest.mark.slow
def test_every_algorithm_finds_all_actions_of_a_bandit():
    settings = {"learning_rate": 0.02, "reference_point": (-0.1, -0.1), "total_steps": 30_000}
    for algorithm in ("population", "morl_d", "c_morl", "pgmorl"):
        study = small(algorithm, bandit(), **settings)
        result = jax.jit(study.run)(jax.random.key(0), study.hyperparameters)
        # The square of (0.7, 0.7) and two strips beyond it.
        found = float(result.evaluation.hypervolume[-1])
        assert found == pytest.approx(0.8 * 0.8 + 2 * 0.3 * 0.1), algorithm


@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param({"scalarise": "after_clipping"}, marks=pytest.mark.slow),
        pytest.param({"conditioning": "hypernetwork", "learning_rate": 2e-3}, marks=pytest.mark.slow),
    ],
)
def test_a_conditioned_study_serves_every_preference(settings):
    study = jaxrl.study(
        "conditioned",
        bandit(),
        reference_point=(-0.1, -0.1),
        num_policies=11,
        num_evaluation_weights=11,
        **{**SMALL, "num_envs": 16, "total_steps": 60_000, "learning_rate": 5e-3, **settings},
    )
    result = jax.jit(study.run)(jax.random.key(0), study.hyperparameters)
    points, mask, _ = study.evaluate(jax.random.key(1), result.state, study.hyperparameters, 2)
    assert np.all(mask)
    assert {tuple(np.round(p, 1)) for p in np.asarray(points).tolist()} == {(1.0, 0.0), (0.0, 1.0), (0.7, 0.7)}


# --- C-MORL's selection ---


def chosen_points(points, extended, count, selection="crowding"):
    example = Checkpoint((), jnp.zeros(2), jnp.zeros(2), jnp.zeros((), bool))
    rows = Checkpoint((), jnp.zeros((len(points), 2)), jnp.zeros((len(points), 2)), jnp.asarray(extended))
    archive = archives.insert(archives.init(8, 2, example), jnp.asarray(points), rows)
    config = c_morl.CMORLConfig(num_selected=count, selection=selection)
    places = c_morl._choose(config, jax.random.key(0), archive)
    return [tuple(row) for row in np.asarray(archive.points)[np.asarray(places)].tolist()]


def test_the_extension_takes_the_least_crowded_policies_that_were_not_extended_yet():
    points = [[0.0, 10.0], [1.0, 9.0], [1.5, 8.5], [6.0, 4.0], [10.0, 0.0]]
    fresh = [False] * 5
    assert set(chosen_points(points, fresh, 3)) == {(0.0, 10.0), (10.0, 0.0), (6.0, 4.0)}
    extremes_done = [True, False, False, False, True]
    assert chosen_points(points, extremes_done, 1) == [(6.0, 4.0)]
    assert len(set(chosen_points(points, [True] * 5, 3))) == 3, "with none left, the others are extended again"
    assert set(chosen_points(points[:2], [False, False], 4)) == {(0.0, 10.0), (1.0, 9.0)}


def archived(points):
    """A C-MORL study, and its first state with policies of these returns in the archive."""
    study = small("c_morl", num_initial=4, num_selected=2, num_evaluations=4)
    state = jax.jit(study.init)(jax.random.key(0), study.hyperparameters)
    points = jnp.asarray(points)
    rows = jax.tree.map(lambda leaf: leaf[: len(points)], state.members.agent)
    payload = Checkpoint(rows, jnp.full(points.shape, 0.5), points, jnp.zeros(len(points), bool))
    return study, state._replace(archive=archives.insert(state.archive, points, payload))


def test_extensions_maximise_one_objective_under_bounds_from_the_parent():
    study, state = archived([[2.0, -8.0], [5.0, -20.0]])
    parts = study.step.args[0]
    extend = jax.jit(
        lambda state, completed: parts.method.select(jax.random.key(1), state, study.hyperparameters, completed)
    )
    first = parts.method.phases[0].num_evaluations
    after = extend(state, first)
    weights, bounds = np.asarray(after.assignment.weights), np.asarray(after.assignment.aggregator["thresholds"])
    np.testing.assert_array_equal(weights, np.tile(np.eye(2), (2, 1)))
    # Nine tenths of a positive return; a negative one may get worse by a tenth of its size.
    expected = {(-np.inf, -8.8), (1.8, -np.inf), (-np.inf, -22.0), (4.5, -np.inf)}
    assert {tuple(np.round(row, 3)) for row in bounds.tolist()} == expected
    assert np.asarray(after.archive.payload.extended).sum() == 2
    np.testing.assert_array_equal(after.memory, bounds)
    before = extend(state, first - 1)
    np.testing.assert_array_equal(before.assignment.weights, state.assignment.weights)


@pytest.mark.slow  # Bounds from other parents are the quick test.
def test_a_parent_with_a_return_of_zero_leaves_room_below_it():
    study, state = archived([[0.0, -8.0], [5.0, -20.0]])
    extend = jax.jit(
        lambda state: c_morl._extend(study.config, study.trainer, jax.random.key(1), state, study.hyperparameters)
    )
    after = extend(state)
    # A tenth of a tenth of the archive's extent 5.
    assert {round(float(bound), 4) for bound in after.memory[:, 0]} == {-np.inf, -0.05, 4.5}


@pytest.mark.slow
def test_all_steps_may_go_to_fewer_initial_members_than_a_round_would_have():
    study = small("c_morl", num_initial=3, num_selected=5, initial_share=1.0, num_evaluations=2)
    result = jax.jit(study.run)(jax.random.key(0), study.hyperparameters)
    assert set(study.iteration_steps // (SMALL["num_envs"] * SMALL["num_steps"])) == {3}
    assert np.isfinite(result.evaluation.hypervolume[-1])


@pytest.mark.slow
def test_extended_policies_keep_what_their_parents_had():
    # Straight lines between three actions: without bounds every extension would end at a single action.
    table = [[10.0, 1.0], [1.0, 10.0], [6.0, 6.0]]
    settings = {"num_envs": 16, "total_steps": 120_000, "num_evaluations": 8, "learning_rate": 5e-3}
    settings |= {"num_initial": 3, "num_selected": 3, "initial_share": 0.2, "evaluations_per_round": 6}
    settings |= {"entropy_coefficient": 1.0, "reference_point": (0.0, 0.0)}
    shortfalls = {}
    for constraint in ("log_barrier", "none"):
        study = small("c_morl", probes.choice(table), constraint=constraint, **settings)
        state = jax.jit(study.run)(jax.random.key(0), study.hyperparameters).state
        evaluate = jax.jit(jax.vmap(study.trainer.evaluator(512, explore=True), in_axes=(None, 0, None)))
        found = evaluate(jax.random.key(1), state.members.agent, study.trainer.hyperparameters).discounted_returns
        bounds = np.asarray(state.memory)
        bounded = np.isfinite(bounds)
        assert bounded.sum() == 6
        shortfalls[constraint] = np.max((bounds - np.asarray(found)[: len(bounds)])[bounded] / bounds[bounded])
    assert shortfalls["log_barrier"] < 0.15 and shortfalls["none"] > 0.4, shortfalls


def test_training_returns_are_averaged_over_episodes():
    old = jnp.asarray([[jnp.nan], [4.0], [4.0], [4.0]])
    returns = jnp.asarray([[2.0], [jnp.nan], [2.0], [2.0]])
    episodes = jnp.asarray([3.0, 0.0, 1.0, 640.0])
    followed = _follow(old, returns, episodes)
    np.testing.assert_allclose(followed, [[2.0], [4.0], [4.0 - 2.0 / 64], [2.0]], rtol=1e-4)


# --- MORL/D's exchange ---


def test_weights_move_away_from_the_nearest_archived_point():
    archive = archives.insert(archives.init(4, 2), jnp.asarray([[1.0, 5.0], [9.0, 0.0]]))
    # Better than (1, 5) in the first objective, worse in the second.
    moved = decomposition._adapt(jnp.asarray([0.5, 0.5]), jnp.asarray([2.0, 4.0]), archive, jnp.asarray(0.1))
    np.testing.assert_allclose(moved, np.asarray([1.1, 1 / 1.1]) / (1.1 + 1 / 1.1), rtol=1e-6)
    alone = archives.insert(archives.init(4, 2), jnp.asarray([[2.0, 4.0]]))
    kept = decomposition._adapt(jnp.asarray([0.3, 0.7]), jnp.asarray([2.0, 4.0]), alone, jnp.asarray(0.1))
    np.testing.assert_allclose(kept, [0.3, 0.7])


def test_members_go_on_from_the_neighbour_that_serves_them_best():
    study = small("population", num_members=3, neighbourhood=1)
    state = jax.jit(study.init)(jax.random.key(0), study.hyperparameters)
    # Member 2's policy is the best under everyone's weights, but member 0 is the only neighbour of member 1 (of two
    # equally near the first), and member 1 that of member 0.
    state = state._replace(points=jnp.asarray([[0.0, 0.0], [5.0, 5.0], [9.0, 9.0]]))
    parts = study.step.args[0]
    after = jax.jit(lambda s: parts.method.select(jax.random.key(1), s, study.hyperparameters, jnp.asarray(1)))(state)
    kernel = lambda s: np.asarray(jax.tree.leaves(s.members.agent.params)[1])  # noqa: E731
    np.testing.assert_array_equal(kernel(after)[0], kernel(state)[1])
    np.testing.assert_array_equal(kernel(after)[1], kernel(state)[1])
    np.testing.assert_array_equal(kernel(after)[2], kernel(state)[2])
    # Who keeps its policy also keeps its running episodes.
    np.testing.assert_array_equal(after.members.observation[2], state.members.observation[2])


@pytest.mark.parametrize("scalarisation", ["linear", "chebyshev"])
def test_a_diverged_member_serves_nobody(scalarisation):
    config = decomposition.DecompositionConfig(num_members=3, scalarisation=scalarisation)
    points = jnp.asarray([[1.0, 0.0], [jnp.nan, 5.0], [0.0, 1.0]])
    utilities = np.asarray(decomposition._utilities(config, points, jnp.asarray([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])))
    assert np.all(np.isneginf(utilities[:, 1])) and np.all(np.isfinite(utilities[:, [0, 2]]))
    assert utilities.argmax(axis=1).tolist()[::2] == [0, 2]


@pytest.mark.slow
def test_a_study_that_explores_in_evaluation_is_measured_exploring():
    settings = {"learning_rate": 0.0, "reference_point": (-0.1, -0.1), "total_steps": 4_000, "num_members": 2}
    explores = small("population", bandit(), evaluation_explores=True, **settings)
    state = jax.jit(explores.run)(jax.random.key(0), explores.hyperparameters).state
    points, mask, _ = explores.evaluate(jax.random.key(0), state, explores.hyperparameters, 400)
    # An untrained policy is all but uniform over the three actions: greedy, it would only ever take one.
    np.testing.assert_allclose(np.asarray(points)[np.asarray(mask)], 1.7 / 3, atol=0.1)


def test_members_share_the_best_return_as_their_utopia_point():
    config = decomposition.DecompositionConfig(num_members=2, scalarisation="chebyshev")
    study = small("morl_d", num_members=2, scalarisation="chebyshev")
    state = jax.jit(study.init)(jax.random.key(0), study.hyperparameters)
    state = state._replace(estimate=jnp.asarray([[1.0, -9.0], [jnp.nan, -2.0]]))
    utopia = decomposition._share_utopia(config, state).assignment.aggregator["utopia"]
    np.testing.assert_allclose(utopia, [[1.0, -2.0], [1.0, -2.0]])
    assert isinstance(state.assignment, Assignment)


# --- bad input ---


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"algorithm": "cmorl"}, "Did you mean 'c_morl'"),
        ({"environment": "gymnax/CartPole-v1"}, "at least 2 objectives"),
        ({"weights": [0.5, 0.5]}, "chooses preference weights itself"),
        ({"aggregator": "linear"}, "chooses aggregator itself"),
        ({"initial_share": 1.5}, r"initial_share must lie in \(0, 1\]"),
        ({"constraint": "penalty"}, "unknown constraint"),
        ({"reference_point": (0.0,)}, "reference_point needs 2 entries"),
        ({"reference_point": (float("nan"), 0.0)}, "reference_point takes a number, got nan"),
        ({"reference_point": (0.0, float("-inf"))}, "reference_point must be finite, got -inf"),
        ({"evaluation_discount": 1.2}, "must lie in"),
        ({"horizon": 1000}, "horizon must lie between"),
        ({"learning_rat": 0.1}, "Did you mean 'learning_rate'"),
        ({"total_steps": 1000, "num_envs": 8, "num_steps": 512}, "total_steps=1000"),
        ({"algorithm": "pgmorl", "environment": "mo/fruit-tree"}, "pgmorl takes 2 or 3 objectives"),
        ({"algorithm": "morl_d", "num_members": 1}, "less than one for each"),
        ({"algorithm": "conditioned", "num_policies": 1}, "num_policies=1"),
        ({"algorithm": "conditioned", "num_preferences": 3, "num_envs": 16}, "divide num_envs=16"),
        (
            {"algorithm": "conditioned", "scalarise": "before_estimation", "aggregator": "decoupled_normalisation"},
            "needs aggregator='linear'",
        ),
    ],
)
def test_bad_settings_are_refused_before_anything_runs(settings, message):
    arguments = {"algorithm": "c_morl", "environment": TREASURE, **settings}
    with pytest.raises(ValueError, match=message):
        jaxrl.study(arguments.pop("algorithm"), arguments.pop("environment"), **{**SMALL, **arguments})
