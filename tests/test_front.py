"""Attainment surfaces, choosing a policy from a front, and comparing algorithms, as a user does."""

import json

import jax
import moocore
import numpy as np
import pandas
import pytest

import jaxrl
from jaxrl.cli import main
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.spaces import Discrete
from jaxrl.morl.front import Front
from jaxrl.numerics.attainment import attainment_surface

pytestmark = pytest.mark.quick_compilation

RUN = "--total-steps 12000 --num-envs 4 --num-steps 32 --num-minibatches 2 --num-epochs 1 --evaluation-episodes 2"


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_attainment_surfaces_equal_moocore(share):
    generator = np.random.default_rng(3)
    runs = [generator.integers(0, 9, size=(count, 2)).astype(float) for count in (4, 1, 6, 3, 5)]
    # moocore minimises, and numbers its percentiles from 0 to 100.
    sets = np.repeat(np.arange(len(runs)), [len(points) for points in runs])
    theirs = -moocore.eaf(-np.concatenate(runs), sets, percentiles=[100 * share])[:, :2]
    np.testing.assert_array_equal(attainment_surface(runs, share), theirs[np.argsort(theirs[:, 0])])


def test_an_attainment_surface_needs_runs_with_two_objectives():
    with pytest.raises(ValueError, match="at least one run"):
        attainment_surface([])
    with pytest.raises(ValueError, match=r"\[point, 2\]"):
        attainment_surface([np.zeros((3, 3))])


@pytest.fixture(scope="module")
def study_directory(tmp_path_factory):
    place = tmp_path_factory.mktemp("study") / "run"
    arguments = f"pareto morl_d mo/deep-sea-treasure --num-members 3 --seeds 2 {RUN} --front-episodes 2"
    assert main([*arguments.split(), "--evaluation-discount", "1.0", "--out", str(place)]) == 0
    return place


def test_a_study_leaves_a_front_its_measures_and_a_figure(study_directory):
    table, measures = (pandas.read_csv(study_directory / name) for name in ("front.csv", "measures.csv"))
    assert list(measures["seed"]) == ["0", "1", "all"]
    assert table["on_front"].sum() == measures["cardinality"].iloc[-1]
    assert (study_directory / "figures" / "front.png").stat().st_size > 5_000
    record = json.loads((study_directory / "configuration.json").read_text())["configuration"]
    assert record["agent"] == "morl_d" and record["settings"]["num_members"] == 3
    progress = pandas.read_csv(study_directory / "metrics.csv")
    assert progress["steps"].max() <= 12_000 and progress.groupby("seed")["hypervolume"].is_monotonic_increasing.all()


def test_the_exact_front_is_drawn_where_it_is_known(study_directory, monkeypatch):
    from jaxrl.figures import plotting

    drawn, draw = [], plotting.front
    monkeypatch.setattr(plotting, "front", lambda *values, **named: drawn.append(values[3]) or draw(*values, **named))
    assert main(["plot", str(study_directory)]) == 0
    np.testing.assert_allclose(sorted(drawn[0][:, 0])[-1], 23.7, rtol=1e-6)  # undiscounted, as the protocol says


def test_a_chosen_policy_is_rolled_out_saved_alone_and_plays_what_was_chosen(study_directory, tmp_path, capsys):
    table = pandas.read_csv(study_directory / "front.csv")
    front = table[table["on_front"]]
    bound = float(np.sort(front["return_treasure"])[-1]) - 1e-3
    arguments = ["policy", str(study_directory), "--at-least", f"treasure={bound}", "--save", str(tmp_path / "one")]
    assert main([*arguments, "--episodes", "2"]) == 0
    shown = capsys.readouterr().out
    chosen = front[front["return_treasure"] >= bound]
    assert f"policy {chosen.index[0]}" in shown
    assert main(["evaluate", str(tmp_path / "one"), "--episodes", "2"]) == 0
    alone = capsys.readouterr().out.splitlines()[-1].split()
    np.testing.assert_allclose(float(alone[2]), chosen["return_treasure"].iloc[0], rtol=1e-3)
    action = jaxrl.load(tmp_path / "one")(jax.random.key(0), np.zeros(2, np.int32))
    assert 0 <= int(action) < 4


@pytest.mark.slow  # Every policy by itself; a chosen one is saved and evaluated in the quick test.
def test_a_study_directory_is_evaluated_and_loaded_policy_by_policy(study_directory, capsys):
    table = pandas.read_csv(study_directory / "front.csv")
    assert main(["evaluate", str(study_directory), "--episodes", "2"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [int(row[0]) for row in rows] == list(range(len(table)))
    # Environment and greedy policies are deterministic.
    np.testing.assert_allclose([float(row[2]) for row in rows], table["return_treasure"], rtol=1e-3)
    last = len(table) - 1
    assert main(["evaluate", str(study_directory), "--episodes", "2", "--member", str(last)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[0] == str(last)
    policy = jaxrl.load(study_directory, member=last)
    assert 0 <= int(policy(jax.random.key(0), np.zeros(2, np.int32))) < 4
    with pytest.raises(ValueError, match=f"member=0 to {last}"):
        jaxrl.load(study_directory)
    with pytest.raises(IndexError, match="policy 99 does not exist"):
        jaxrl.load(study_directory, member=99)
    with pytest.raises(ValueError, match=r"use jaxrl.front"):
        jaxrl.load_sweep(study_directory).policy(0)


SLOW_CHOICES = [
    ("--at-least treasure=1000", "no policy on the front has {'treasure': 1000}"),
    ("--at-least 7=1", "objective 7 does not exist"),
    ("--weights 0.9 0.9", "does not sum to 1"),
    ("--point 99", "policy 99 does not exist"),
]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--at-least tresure=1", "Did you mean 'treasure'"),
        *(pytest.param(*choice, marks=pytest.mark.slow) for choice in SLOW_CHOICES),
    ],
)
def test_a_choice_that_cannot_be_made_is_one_clear_line(study_directory, arguments, message, capsys):
    assert main(["policy", str(study_directory), *arguments.split()]) == 2
    assert message in capsys.readouterr().err


def test_a_policy_whose_utility_is_no_number_is_not_chosen():
    points = np.array([[np.inf, -np.inf], [1.0, 2.0], [3.0, 1.0]])
    spec = EnvironmentSpec("probe", Discrete(2), Discrete(2), 2, time_limit=1)
    found = Front(points, np.ones(3, bool), np.arange(3), None, None, spec, None, None)
    assert jaxrl.choose(found, [0.5, 0.5]) == 2 and jaxrl.choose(found, [0.0, 1.0]) == 1


@pytest.mark.slow
def test_a_comparison_writes_one_table_over_algorithms_and_figures(tmp_path, capsys):
    small = {"num_envs": 4, "num_steps": 32, "num_minibatches": 2, "num_epochs": 1, "evaluation_episodes": 2}
    pairs = [part for name, value in small.items() for part in ("--set", f"{name}={value}")]
    arguments = ["compare", "population,morl_d", "mo/deep-sea-treasure", "--seeds", "2", "--total-steps", "12000"]
    extra = ["--set", "num_members=3", "--set", "morl_d.scalarisation=smooth_chebyshev", "--out", str(tmp_path)]
    assert main([*arguments, *extra, *pairs, "--front-episodes", "2"]) == 0
    summary = pandas.read_csv(tmp_path / "summary.csv")
    assert list(summary["algorithm"]) == ["population", "morl_d"]
    assert (summary["hypervolume_low"] <= summary["hypervolume"]).all() and (summary["compile_seconds"] > 0).all()
    made = {path.name for path in (tmp_path / "figures").iterdir()}
    kinds = ("attainment", "hypervolume_steps", "hypervolume_seconds")
    assert made == {f"mo-deep-sea-treasure_{kind}.png" for kind in kinds}
    inner = json.loads((tmp_path / "mo-deep-sea-treasure" / "morl_d" / "configuration.json").read_text())
    assert inner["configuration"]["settings"]["scalarisation"] == "smooth_chebyshev"
    assert main(["compare", "morl_d", "mo/deep-sea-treasure", "--set", "c_morl.beta=0.5", "--out", str(tmp_path)]) == 2
    assert "unknown compared algorithm" in capsys.readouterr().err
