"""Tabular algorithms as studies: protocol, counted steps, policies saved alone, and clear errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest

import jaxrl
from jaxrl.cli import main
from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.multi_objective.fronts import front as exact_front
from jaxrl.environments.spaces import Discrete
from jaxrl.environments.transforms import time_limit
from jaxrl.errors import CheckpointError, UnknownNameError
from jaxrl.morl.algorithms import ALGORITHMS
from jaxrl.runs.saved import choose_policy, evaluate

pytestmark = pytest.mark.quick_compilation

TREASURE, CONCAVE = "mo/deep-sea-treasure", "mo/deep-sea-treasure-concave"
QUIET = {"options": jaxrl.RunOptions(progress=False), "say": lambda _: None}
TABULAR = [name for name, entry in ALGORITHMS.items() if not hasattr(entry.config(), "member_agent")]


def by_first(points):
    return points[np.argsort(points[:, 0], kind="stable")]


def bandit():
    """Three actions that end the episode, with returns (1, 0), (0, 1) and (0.4, 0.4), which no weights prefer."""
    spec = EnvironmentSpec("test/bandit", Discrete(2), Discrete(3), 2)

    def step(key, state, action, params):
        return state + 1, Timestep(state + 1, params[action], jnp.array(True), jnp.array(False), {})

    reset = lambda key, params: (jnp.int32(0), jnp.int32(0))  # noqa: E731
    params = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.4, 0.4]])
    return time_limit(Environment(reset, step, params, spec), 4)


QUICK = ("pareto_q_learning", "ipro_2d")


@pytest.mark.parametrize(
    "algorithm", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in TABULAR]
)
def test_every_tabular_algorithm_is_a_study(algorithm):
    steps = {} if algorithm in ("ipro_2d", "optimistic_linear_support") else {"total_steps": 300}
    study = jaxrl.study(algorithm, bandit(), reference_point=(-0.1, -0.1), **steps)
    assert study.num_members == 1
    swept = jaxrl.sweep(study, seeds=2, **QUIET)
    found = jaxrl.front(swept, num_episodes=64)
    expected = {(1.0, 0.0), (0.0, 1.0), (0.4, 0.4)}
    if algorithm == "optimistic_linear_support":
        expected -= {(0.4, 0.4)}
    if algorithm == "chebyshev_exploration":
        # Mixtures of the extremes: every episode plays one of them, in shares that 64 episodes estimate.
        np.testing.assert_allclose(found.points.sum(axis=1), 1.0, rtol=1e-5)
        planned = np.asarray(swept.groups[0].result.state.mixtures.returns).reshape(-1, 2)
        assert np.abs(found.points - planned).max() < 4 * 0.5 / 8.0
        assert ((found.points[:, 0] > 0.1) & (found.points[:, 0] < 0.9)).sum() >= 6
    else:
        assert {tuple(np.round(point.astype(float), 3)) for point in found.points} == expected
    table = swept.table
    assert set(study.diagnostics) < set(table.columns)
    assert table["steps"].max() <= study.iteration_steps.sum()
    one_program = jax.jit(study.run)(jax.random.key(1), study.hyperparameters)
    np.testing.assert_allclose(table["hypervolume"].iloc[-1], one_program.evaluation.hypervolume[-1], rtol=1e-5)


@pytest.mark.slow  # A plan of a whole map; fronts are planned in test_tabular and by the command.
def test_planning_maximises_what_the_protocol_reports():
    for discount in (1.0, 0.8):
        study = jaxrl.study("ipro_2d", CONCAVE, evaluation_discount=discount, max_queries=32)
        swept = jaxrl.sweep(study, **QUIET)
        np.testing.assert_allclose(by_first(jaxrl.front(swept).points), exact_front(CONCAVE, discount), rtol=1e-4)
        assert swept.table["gap"].iloc[-1] == 0.0 and swept.table["evicted"].max() == 0


def test_a_shorter_horizon_hides_what_is_too_far_away():
    study = jaxrl.study("ipro_2d", CONCAVE, evaluation_discount=1.0, horizon=9, max_queries=16)
    points = by_first(jaxrl.front(jaxrl.sweep(study, **QUIET)).points)
    exact = exact_front(CONCAVE, 1.0)
    np.testing.assert_allclose(points, exact[exact[:, 1] >= -9.0], rtol=1e-5)


def test_environment_steps_of_exploration_are_those_taken():
    # Every episode of the bandit lasts one step of its limit, so that far fewer are taken than were allowed.
    study = jaxrl.study("chebyshev_exploration", bandit(), reference_point=(-0.1, -0.1), total_steps=1000)
    limit = study.environment.spec.time_limit
    steps = jaxrl.sweep(study, **QUIET).table["steps"].to_numpy()
    episodes = study.iteration_steps // limit
    np.testing.assert_array_equal(steps, np.cumsum(episodes))
    assert limit > 1


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    place = tmp_path_factory.mktemp("tabular") / "run"
    arguments = "pareto ipro_2d mo/deep-sea-treasure-concave --seeds 1 --max-queries 32 --evaluation-discount 1"
    # Static settings may be swept: the policies of each come from a study of their own.
    assert main([*arguments.split(), "--sweep", "capacity=12,16", "--out", str(place)]) == 0
    return place


def test_the_command_line_leaves_a_front_and_says_the_gap(directory, capsys):
    assert main(["resume", str(directory)]) == 0
    shown = capsys.readouterr().out
    assert "At the end" in shown and "gap" in shown and "10 of 20 policies" in shown
    table, measures = (pandas.read_csv(directory / name) for name in ("front.csv", "measures.csv"))
    assert table["on_front"].sum() == 10 and measures["hypervolume"].iloc[-1] == pytest.approx(4255.0)
    assert not any(name.startswith("weight_") for name in table.columns)
    assert (directory / "figures" / "front.png").stat().st_size > 5_000


def test_a_policy_is_chosen_and_saved_alone(directory, tmp_path, capsys):
    table = pandas.read_csv(directory / "front.csv")
    for place, row in enumerate((0, len(table) - 1)):
        saved = tmp_path / str(place)
        index, played = choose_policy(directory, point=row, num_episodes=2, save=saved)
        names = ["return_treasure", "return_time"]
        assert index == row
        np.testing.assert_allclose(played[names].iloc[0].tolist(), table[names].iloc[row].tolist(), rtol=1e-6)
        pandas.testing.assert_frame_equal(evaluate(saved, num_episodes=2)[names], played[names])
    policy = jaxrl.load(saved)
    environment = jaxrl.make(CONCAVE)
    state, observation = environment.reset(jax.random.key(0), environment.params)
    memory, total, done = policy.initial_memory(), 0.0, False
    while not done:
        action, memory = policy.act(jax.random.key(1), observation, memory)
        state, timestep = environment.step(jax.random.key(2), state, action, environment.params)
        observation, total = timestep.observation, total + timestep.reward
        done = bool(timestep.terminated | timestep.truncated)
    np.testing.assert_allclose(total, played[names].iloc[0].tolist(), rtol=1e-6)
    assert main(["resume", str(saved)]) == 2
    assert "one policy of a study" in capsys.readouterr().err
    with pytest.raises(ValueError, match="not conditioned on weights"):
        policy.with_weights([0.5, 0.5])


@pytest.mark.slow
def test_a_study_that_finds_no_policy_leaves_empty_tables(tmp_path, capsys):
    # No episode of fishwood ends by itself, so that sets stay empty.
    words = "pareto pareto_q_learning mo/fishwood --total-steps 40 --num-evaluations 2 --seeds 2".split()  # noqa: SIM905
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    assert "0 of 0 policies" in capsys.readouterr().out
    measures = pandas.read_csv(tmp_path / "run" / "measures.csv")
    assert measures["seed"].tolist() == ["0", "1", "all"] and set(measures["hypervolume"]) == {0.0}
    assert set(measures["cardinality"]) == {0.0}
    for command in ("policy", "evaluate"):
        assert main([command, str(tmp_path / "run")]) == 2
        assert "the front of mo/fishwood is empty" in capsys.readouterr().err
    with pytest.raises(ValueError, match="is empty"):
        jaxrl.load(tmp_path / "run")


def test_seeds_without_a_policy_count():
    study = jaxrl.study("pareto_q_learning", TREASURE, total_steps=20, num_evaluations=2)
    found = jaxrl.front(jaxrl.sweep(study, seeds=8, **QUIET), num_episodes=1)
    empty = set(range(8)) - set(found.labels["seed"])
    rows = found.measures.set_index("seed")
    assert empty and len(empty) < 8 and len(rows) == 9
    for seed in range(8):
        assert (rows.loc[str(seed), "cardinality"] == 0.0) == (seed in empty)
        assert (rows.loc[str(seed), "hypervolume"] == 0.0) == (seed in empty)


def test_finished_searches_ask_no_more_and_other_members_go_on():
    environment = bandit()
    asked = []

    def reset(key, params):
        jax.debug.callback(lambda: asked.append(1))
        return environment.reset(key, params)

    counted = environment._replace(reset=reset)
    study = jaxrl.study(
        "optimistic_linear_support", counted, reference_point=(-0.1, -0.1), solver="q_learning",
        max_queries=12, total_steps=12 * 60,
    )  # fmt: skip
    states = jax.jit(jax.vmap(study.run, (0, None)))(jax.random.split(jax.random.key(0), 2), study.hyperparameters)
    jax.effects_barrier()
    queries = np.asarray(states.metrics["queries"])
    # Both members learn while either searches: a reset for each of 56 steps, at the start and in the episode played.
    assert queries[:, -1].max() < 12
    assert len(asked) <= 2 * queries[:, -1].max() * (56 + 2)


def test_a_policy_of_a_study_without_a_name_is_not_saved(tmp_path):
    built = jaxrl.study("ipro_2d", bandit(), reference_point=(-0.1, -0.1))._replace(rebuild=None)
    with pytest.raises(ValueError, match="no registered algorithm"):
        jaxrl.save_policy(jaxrl.front(jaxrl.sweep(built, **QUIET)), 0, tmp_path / "one")


def test_a_damaged_policy_is_refused(directory, tmp_path):
    choose_policy(directory, num_episodes=1, save=tmp_path / "one")
    (tmp_path / "one" / "configuration.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        jaxrl.load(tmp_path / "one")


@pytest.mark.parametrize(
    ("algorithm", "settings", "message"),
    [
        ("ipro_2d", {"discount": 0.9}, "discount=0.9 cannot be set: the protocol's evaluation_discount says it"),
        ("ipro_2d", {"total_steps": 100}, "ipro_2d needs total_steps of at least .* to fill its tables, got 100"),
        ("pareto_q_learning", {"reference": (0, 0)}, "the protocol's reference_point says it"),
        ("pareto_q_learning", {"epsilon_end": 1.5}, r"'epsilon_end' must lie in \[0, 1\], got 1.5"),
        ("ipro_2d", {"scale": (1.0, 0.0)}, r"'scale' must be above 0, got 0"),
        ("ipro_2d", {"scale": (1.0, 1.0, 1.0)}, r"'scale' has shape \(2,\), got a value of shape \(3,\)"),
        ("pareto_q_learning", {"weights": (1, 0)}, "chooses preference weights itself"),
        ("chebyshev_exploration", {"total_steps": 499}, "total_steps of at least 500 for an episode of 100 steps"),
    ],
)
def test_what_cannot_be_set_is_named(algorithm, settings, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.study(algorithm, TREASURE, **settings)


def test_settings_of_other_algorithms_are_unknown():
    with pytest.raises(UnknownNameError, match="num_envs"):
        jaxrl.study("pareto_q_learning", TREASURE, num_envs=4)
    with pytest.raises(UnknownNameError, match="Did you mean 'epsilon_start'"):
        jaxrl.study("pareto_q_learning", TREASURE, epsilon_stat=0.5)
    with pytest.raises(UnknownNameError, match="Did you mean 'max_queries'"):
        jaxrl.study("ipro_2d", TREASURE, max_querys=5)
    with pytest.raises(UnknownNameError, match="Did you mean 'evaluation_discount'"):
        jaxrl.study("ipro_2d", TREASURE, evaluation_discout=0.9)
    study = jaxrl.study("ipro_2d", TREASURE)
    with pytest.raises(UnknownNameError, match="discount"):
        jaxrl.sweep(study, hyperparameters={"discount": [0.9, 0.8]}, **QUIET)


def test_hyperparameters_reach_the_algorithm():
    study = jaxrl.study("pareto_q_learning", TREASURE, total_steps=100, num_evaluations=2, epsilon_start=0.25)
    assert study.hyperparameters.algorithm.epsilon_start == 0.25
    tolerances = jaxrl.sweep(jaxrl.study("ipro_2d", TREASURE), hyperparameters={"tolerance": [0.0, 5.0]}, **QUIET)
    last = tolerances.table.groupby("member").tail(1)
    assert last["queries"].tolist()[0] > last["queries"].tolist()[1]
    assert last["gap"].tolist()[0] == 0.0 and 0.0 < last["gap"].tolist()[1] <= 5.0


def test_continuous_environments_are_refused_on_the_command_line(capsys):
    assert main(["pareto", "pareto_q_learning", "mo/minecart"]) == 2
    assert "needs a finite environment" in capsys.readouterr().err


def test_a_comparison_counts_seeds_that_found_nothing(tmp_path):
    words = "compare pareto_q_learning mo/deep-sea-treasure --seeds 8 --total-steps 20"
    more = ["--set", "num_evaluations=2", "--front-episodes", "1", "--progress", "False", "--out", str(tmp_path)]
    assert main([*words.split(), *more]) == 0
    table = pandas.read_csv(tmp_path / "comparison.csv")
    assert table["seed"].tolist() == [*range(8)] and set(table["cardinality"] == 0) == {True, False}
    assert (tmp_path / "figures" / "mo-deep-sea-treasure_attainment.png").exists()


@pytest.mark.slow
def test_a_comparison_of_planning_and_learning(tmp_path):
    arguments = "compare ipro_2d,chebyshev_exploration mo/deep-sea-treasure --seeds 2 --total-steps 9000"
    more = ["--front-episodes", "2", "--progress", "False", "--out", str(tmp_path)]
    assert main([*arguments.split(), "--set", "chebyshev_exploration.num_rounds=20", *more]) == 0
    summary = pandas.read_csv(tmp_path / "summary.csv").set_index("algorithm")
    assert summary.loc["ipro_2d", "hypervolume"] > summary.loc["chebyshev_exploration", "hypervolume"]
    assert (summary["steps"] <= 9000).all() and (summary["steps"] > 0).all()
