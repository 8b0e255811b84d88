"""`jaxrl compare RUN RUN ...`: runs that have been, by what they were set to, and what cannot be compared."""

import json

import numpy as np
import pandas
import pytest

import jaxrl
from jaxrl.cli import main
from jaxrl.numerics.statistics import interquartile_mean
from jaxrl.runs import experiment
from jaxrl.runs.configuration import OUTCOME, Configuration, claim
from jaxrl.runs.contenders import split_choice
from tests import short

pytestmark = pytest.mark.quick_compilation

QUIET = jaxrl.RunOptions(progress=False)
CART_POLE, PENDULUM = "gymnax/CartPole-v1", "gymnax/Pendulum-v1"


def write(place, returns, agent="ppo", environment=CART_POLE, steps=(128, 256), finished=True, **rest):
    """A run directory as a run leaves it, with known returns `[setting, seed]` at the end and half of them before."""
    seeds = rest.pop("seeds", range(np.shape(returns)[-1]))
    swept = rest.pop("hyperparameters", {})
    settings = {**short.SETTINGS, **rest.pop("settings", {})}
    claim(place, Configuration("sweep", agent, environment, {}, settings, tuple(seeds), swept, **rest))
    rows = []
    ((name, values),) = swept.items() or ((None, [None]),)
    for member, (index, seed) in enumerate(np.ndindex(len(values), len(seeds))):
        for part, step in enumerate(steps, 1):
            row = {
                "member": member,
                "seed": list(seeds)[seed],
                "setting": "",
                "finite": True,
                name or "_": values[index],
            }
            value = np.atleast_2d(returns)[index, seed] * part / len(steps)
            rows.append({**row, "steps": step, "return": value, "deviation": 1.0, "length": 10.0})
    pandas.DataFrame(rows).to_csv(place / "metrics.csv", index=False)
    if finished:
        (place / OUTCOME).write_text("{}")
    return place


@pytest.fixture
def swept(tmp_path):
    rates = {"learning_rate": [1e-3, 1e-2]}
    return write(tmp_path / "runs" / "swept", [[4.0, 8.0, 6.0], [1.0, 3.0, 2.0]], hyperparameters=rates)


@pytest.fixture
def other(tmp_path):
    return write(tmp_path / "runs" / "other", [5.0, 7.0], agent="a2c")


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_setting_is_a_row_with_its_seeds_and_nothing_of_the_runs_changes(swept, other, tmp_path):
    before, said = contents(tmp_path), []
    table = jaxrl.compare_runs([swept, other], tmp_path / "out", say=said.append)
    assert {path: text for path, text in contents(tmp_path).items() if tmp_path / "out" not in path.parents} == before
    assert said == []
    names = ["ppo, learning_rate=0.001", "ppo, learning_rate=0.01", "a2c, learning_rate=0.0007"]
    assert list(table["run"]) == names and list(table["seeds"]) == [3, 3, 2]
    np.testing.assert_allclose(table["return"], [6.0, 2.0, 6.0])
    assert (table["return_low"] < table["return"]).all() and (table["return"] < table["return_high"]).all()
    assert (table["steps"] == 256).all() and "run_seconds" not in table
    chance = pandas.read_csv(tmp_path / "out" / "improvement.csv").set_index(["run", "over"])["probability"]
    assert chance[names[0], names[1]] == 1.0 and chance[names[0], names[2]] == 0.5
    drawn = {path.stem for path in (tmp_path / "out" / "figures").iterdir()}
    assert drawn == {"gymnax-CartPole-v1_return_steps", "profiles", "improvement"}
    runs = pandas.read_csv(tmp_path / "out" / "comparison.csv")
    assert len(runs) == 8 and runs[runs["run"] == names[1]]["return"].tolist() == [1.0, 3.0, 2.0]
    record = json.loads((tmp_path / "out" / "compared.json").read_text())
    assert record["runs"][1]["directories"] == [str(swept)] and record["runs"][1]["members"] == [[3, 4, 5]]


def test_without_a_directory_nothing_is_written(swept, tmp_path):
    before = contents(tmp_path)
    assert len(jaxrl.compare_runs([swept])) == 2
    assert contents(tmp_path) == before


def test_members_are_chosen_by_their_setting(swept, other):
    table = jaxrl.compare_runs([f"{swept}:learning_rate=0.01", other])
    assert list(table["run"]) == ["ppo, learning_rate=0.01", "a2c, learning_rate=0.0007"]
    assert split_choice("runs/a:hidden_sizes=(8,8),agent=ppo") == ("runs/a", {"hidden_sizes": "(8,8)", "agent": "ppo"})
    assert split_choice("runs/at:noon") == ("runs/at:noon", {})
    with pytest.raises(ValueError, match=r"means no members: of learning_rate there are 0\.001, 0\.01"):
        jaxrl.compare_runs([f"{swept}:learning_rate=0.1", other])
    with pytest.raises(ValueError, match="Did you mean 'learning_rate'"):
        jaxrl.compare_runs([f"{swept}:learning_rat=0.1", other])


def test_runs_that_differ_in_their_seeds_alone_are_one_row_unless_they_share_one(tmp_path, other):
    one, two = write(tmp_path / "runs" / "one", [3.0]), write(tmp_path / "runs" / "two", [5.0], seeds=(4,))
    table = jaxrl.compare_runs([one, two, other])
    assert list(table["run"]) == ["ppo", "a2c"] and table["seeds"].tolist() == [2, 2]
    assert table["return"][0] == 4.0
    again = write(tmp_path / "runs" / "again", [9.0])
    table = jaxrl.compare_runs([one, again])
    assert list(table["run"]) == ["one", "again"] and table["return"].tolist() == [3.0, 9.0]
    with pytest.raises(ValueError, match="differ in more than seeds"):
        jaxrl.compare_runs([one, two])


def test_what_was_left_at_its_default_is_the_default_of_its_program(tmp_path):
    one = write(tmp_path / "runs" / "one", [1.0], settings={"discount": 0.99, "clip_epsilon": 0.1})
    two = write(tmp_path / "runs" / "two", [1.0])
    assert list(jaxrl.compare_runs([one, two])["run"]) == ["clip_epsilon=0.1", "clip_epsilon=0.2"]


def test_a_comparisons_folder_is_compared_over_all_of_its_environments(tmp_path):
    folder, said = tmp_path / "comparison", []
    for environment, ppo, a2c in ((CART_POLE, [2.0, 4.0], [0.0, 1.0]), (PENDULUM, [-9.0, -8.0], [-2.0, -3.0])):
        for agent, returns in (("ppo", ppo), ("a2c", a2c)):
            write(folder / environment.replace("/", "-") / agent, returns, agent, environment)
    write(folder / "more", [-1.0, 0.0], "reinforce", PENDULUM)
    table = jaxrl.compare_runs([folder], tmp_path / "out", say=said.append).set_index(["environment", "run"])
    assert table.loc[(PENDULUM, "a2c"), "return"] == -2.5 and (CART_POLE, "reinforce") not in table.index
    assert said == [f"performance profiles and improvements leave out {CART_POLE}, where not all of them ran"]
    chance = pandas.read_csv(tmp_path / "out" / "improvement.csv").set_index(["run", "over"])["probability"]
    assert chance["ppo", "a2c"] == 0.0
    first = [folder / CART_POLE.replace("/", "-"), folder / PENDULUM.replace("/", "-")]
    jaxrl.compare_runs(first, tmp_path / "out")
    chance = pandas.read_csv(tmp_path / "out" / "improvement.csv").set_index(["run", "over"])["probability"]
    assert chance["ppo", "a2c"] == 0.5


def test_all_are_compared_after_as_many_steps_and_that_is_said(tmp_path, other):
    long = write(tmp_path / "runs" / "long", [9.0, 6.0, 3.0], steps=(128, 256, 384), settings={"total_steps": 384})
    said = []
    table = jaxrl.compare_runs([long, other], say=said.append)
    assert table["steps"].tolist() == [256, 256] and table["return"].tolist() == [4.0, 6.0]
    assert said == [f"the number of steps on {CART_POLE} is 384 in {long}; 256 in {other}: all are compared after 256"]
    late = write(tmp_path / "runs" / "late", [9.0], steps=(512,), settings={"total_steps": 512})
    with pytest.raises(ValueError, match="no number of steps after which both were evaluated"):
        jaxrl.compare_runs([late, other])


def test_what_has_not_finished_is_named(tmp_path, other):
    half = write(tmp_path / "runs" / "half", [9.0], steps=(128,), finished=False)
    said = []
    table = jaxrl.compare_runs([half, other], say=said.append)
    assert said[0] == f"{half} is stopped after 128 of 256 steps: it is compared as far as it is"
    assert table["return"].tolist() == [9.0, 3.0]
    with pytest.raises(ValueError, match="is stopped, and fresh episodes are of policies that are finished"):
        jaxrl.compare_runs([half, other], num_episodes=2)
    claim(tmp_path / "runs" / "begun", Configuration("sweep", "ppo", CART_POLE))
    with pytest.raises(ValueError, match=r"begun has no metrics\.csv"):
        jaxrl.compare_runs([tmp_path / "runs" / "begun", other])
    said.clear()
    assert len(jaxrl.compare_runs([tmp_path / "runs"], say=said.append)) == 2
    assert "left out: " in said[0] and "begun has no metrics.csv" in said[0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"environment": PENDULUM}, "these have none in common: gymnax/Pendulum-v1 in .*; gymnax/CartPole-v1 in "),
        (
            {"settings": {"evaluation_explores": True}},
            "one protocol of evaluation, and evaluation_explores is True in ",
        ),
        ({"settings": {"evaluation_steps": 7}}, "evaluation_steps is 7 in .*; 1,000 in "),
    ],
)
def test_numbers_that_mean_different_things_are_not_compared(tmp_path, other, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        jaxrl.compare_runs([write(tmp_path / "runs" / "one", [1.0], **changes), other])


def test_what_makes_a_comparison_less_than_fair_is_said(tmp_path, other):
    said = []
    changed = {"evaluation_episodes": 4, "environment.gravity": 5.0}
    jaxrl.compare_runs([write(tmp_path / "runs" / "one", [1.0], settings=changed), other], say=said.append)
    assert said[0].startswith("evaluation_episodes is 4 in ") and said[0].endswith("make noisier numbers")
    assert said[1].startswith("environment.gravity is 5 in ") and "different versions of" in said[1]


def test_runs_of_other_kinds_are_refused(tmp_path, other):
    claim(tmp_path / "runs" / "front", Configuration("pareto", "ppo", "mo/deep-sea-treasure", settings=short.SETTINGS))
    front = write(tmp_path / "runs" / "weights", [[1.0]], environment="mo/deep-sea-treasure")
    (tmp_path / "runs" / "front" / "metrics.csv").write_bytes((front / "metrics.csv").read_bytes())
    with pytest.raises(ValueError, match="is stopped, and what it is judged by comes at the end: jaxrl resume"):
        jaxrl.compare_runs([tmp_path / "runs" / "front", other])
    (tmp_path / "runs" / "front" / OUTCOME).write_text("{}")
    with pytest.raises(ValueError, match="runs of different kinds come to different things"):
        jaxrl.compare_runs([tmp_path / "runs" / "front", other])


def test_a_comparison_is_written_over_nothing_but_a_former_one(swept, other, tmp_path):
    for out in (swept, swept / "figures"):
        with pytest.raises(ValueError, match="is one of the compared runs, or in it: choose another --out"):
            jaxrl.compare_runs([swept, other], out)
    assert not (swept / "figures").exists()
    with pytest.raises(ValueError, match=r"holds other and no compared\.json of a former comparison"):
        jaxrl.compare_runs([swept, other], tmp_path / "runs")
    jaxrl.compare_runs([swept, other], tmp_path / "out")
    lonely = [
        write(tmp_path / "runs" / name, [1.0], settings={"num_steps": steps}) for name, steps in (("a", 8), ("b", 16))
    ]
    jaxrl.compare_runs(lonely, tmp_path / "out")
    # Of one seed each, and of the former comparison nothing is left.
    assert {path.name for path in (tmp_path / "out" / "figures").iterdir()} == {"gymnax-CartPole-v1_return_steps.png"}
    assert not (tmp_path / "out" / "improvement.csv").exists()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place = tmp_path_factory.mktemp("trained") / "sweep"
    rates = {"learning_rate": [1e-3, 1e-2]}
    configuration = Configuration(
        "sweep", "ppo", CART_POLE, settings=short.SETTINGS, seeds=(0, 1), hyperparameters=rates
    )
    swept = experiment.run(configuration, place, QUIET).sweep
    alone = place.parent / "alone"
    experiment.run(Configuration("train", "ppo", CART_POLE, settings=short.SETTINGS, seeds=(3,)), alone, QUIET)
    return place, alone, swept


def test_fresh_episodes_are_played_where_they_are_asked_for(trained):
    place, alone, swept = trained
    before = contents(place.parent)
    table = jaxrl.compare_runs([place, alone], num_episodes=5)
    assert contents(place.parent) == before
    fresh = np.asarray(swept.evaluate(5, seed=1).returns)[:, 0].reshape(2, 2)
    np.testing.assert_allclose(table["return"][:2], [interquartile_mean(own) for own in fresh])
    rows = pandas.read_csv(place / "metrics.csv").groupby("member").tail(1)["return"].to_numpy().reshape(2, 2)
    np.testing.assert_allclose(jaxrl.compare_runs([place, alone])["return"][:2], rows.mean(axis=1))


def test_a_single_run_counts_by_the_evaluations_among_its_iterations(trained):
    place, alone, _ = trained
    last = pandas.read_csv(alone / "metrics.csv").iloc[-1]
    table = jaxrl.compare_runs([place, alone]).set_index("run")
    assert table.loc["learning_rate=0.00025", "return"] == last["return"]
    assert np.isnan(table.loc["learning_rate=0.00025", "return_low"])


@pytest.mark.slow
def test_fronts_are_compared_by_their_measures(tmp_path):
    places = []
    for rate, discounted in ((1e-3, False), (1e-2, False), (1e-2, True)):
        configuration = Configuration(
            "pareto", "ppo", "mo/deep-sea-treasure", settings={**short.SETTINGS, "learning_rate": rate}, seeds=(0, 1),
            weights=2, options={"evaluation_episodes": 2, "discounted": discounted},
        )  # fmt: skip
        places.append(tmp_path / f"runs/{rate}-{discounted}")
        experiment.run(configuration, places[-1], QUIET)
    before = contents(tmp_path)
    table = jaxrl.compare_runs(places[:2], tmp_path / "out")
    assert {path: text for path, text in contents(tmp_path).items() if tmp_path / "out" not in path.parents} == before
    for row, place in enumerate(places[:2]):
        measures = pandas.read_csv(place / "measures.csv")[:2]
        np.testing.assert_allclose(table["hypervolume"][row], measures["hypervolume"].mean())
    names = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert "mo-deep-sea-treasure_attainment.png" in names and "profiles.png" not in names
    fresh = jaxrl.compare_runs(places[:2], num_episodes=3)
    assert len(fresh) == 2 and np.isfinite(fresh["hypervolume"]).all()
    with pytest.raises(ValueError, match=r"discount is 1 in .*; 0\.99 in "):
        jaxrl.compare_runs(places)


def test_the_shell_tells_runs_from_algorithms(swept, other, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "runs/swept:learning_rate=0.01", "runs/other"]) == 0
    captured = capsys.readouterr()
    assert "ppo, learning_rate=0.01" in captured.out and "Written to runs/compared: compared.json" in captured.out
    assert main(["compare", "runs/swept", "runs/other", "--out", "runs/swept"]) == 2
    assert "choose another --out" in capsys.readouterr().err
    # Where a folder is called like an algorithm, all words must be folders.
    monkeypatch.chdir(tmp_path / "runs")
    write(tmp_path / "runs" / "ppo", [1.0])
    assert main(["compare", "ppo", "gymnax/CartPol"]) == 2
    assert "unknown environment" in capsys.readouterr().err
    assert main(["compare", "ppo", "other"]) == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("runs/other runs/nowhere", "runs/nowhere is no folder"),
        ("runs/other runs/other", "differ in more than seeds, got runs/other"),
        ("runs/other runs/swept --seeds 3", "--seeds is for what is yet to be run"),
        ("runs/other runs/swept --episodes 0", "--episodes must be at least 1, got 0"),
        ("ppo,a2c gymnax/CartPole-v1 more", "'more' is one word too many"),
        ("", "what is compared is missing: jaxrl compare ALGORITHMS ENVIRONMENTS, or jaxrl compare RUN RUN"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(words, sentence, swept, other, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *words.split()]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "runs" / "compared").exists()
