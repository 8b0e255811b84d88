"""`jaxrl runs`: the runs in a folder, what tells them apart, how far they have come."""

import json
import os

import pandas
import pytest

import jaxrl
from jaxrl.cli import main
from jaxrl.runs import experiment
from jaxrl.runs.configuration import OUTCOME, Configuration, claim
from jaxrl.runs.finding import find_runs
from jaxrl.sweeps.lock import LOCK, is_locked, lock
from tests import short

pytestmark = [pytest.mark.quick_compilation, pytest.mark.usefixtures("built_once")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    options = jaxrl.RunOptions(progress=False)
    train = Configuration("train", "ppo", "gymnax/CartPole-v1", settings=short.SETTINGS)
    experiment.run(train, root / "one", options)
    swept = Configuration(
        "sweep", "a2c", "gymnax/CartPole-v1", settings={**short.SETTINGS, "num_envs": 8}, seeds=(0, 1),
        hyperparameters={"learning_rate": [1e-3, 1e-2]},
    )  # fmt: skip
    experiment.run(swept, root / "deep" / "two", options)
    claim(root / "stopped", train)
    (root / "broken").mkdir()
    (root / "broken" / "configuration.json").write_text("{")
    (root / "other").mkdir()
    return root


def test_every_run_is_a_row_with_what_tells_it_apart(folder):
    table = find_runs(folder).set_index("run")
    assert list(table.index) == ["broken", "deep/two", "one", "stopped"]
    assert table["state"].to_dict() == {
        "broken": "damaged", "deep/two": "finished", "one": "finished", "stopped": "stopped",
    }  # fmt: skip
    assert table.loc["deep/two", "num_envs"] == 8 and table.loc["one", "num_envs"] == 4
    assert (
        json.loads(table.loc["deep/two", "learning_rate"]) == [1e-3, 1e-2] and table.loc["one", "learning_rate"] == "–"
    )
    assert table.loc["deep/two", "seeds"] == 2
    # What is the same in all is no column.
    assert not {"total_steps", "num_steps", "design"} & {*table.columns}


def test_steps_and_returns_are_those_of_the_last_evaluation(folder):
    table = find_runs(folder).set_index("run")
    alone = pandas.read_csv(folder / "one" / "metrics.csv")
    assert table.loc["one", "steps"] == 256 and table.loc["one", "return"] == alone["return"].iloc[-1]
    members = pandas.read_csv(folder / "deep" / "two" / "metrics.csv").groupby("member").tail(1)
    assert table.loc["deep/two", "return"] == pytest.approx(members["return"].mean())
    assert pandas.isna(table.loc["stopped", "return"])


def test_a_run_directory_by_itself_is_a_table_of_one(folder):
    table = find_runs(folder / "one")
    assert table["run"].tolist() == ["one"] and list(table.columns) == [
        "run", "kind", "agent", "environment", "state", "steps", "return", "changed",
    ]  # fmt: skip


def test_a_run_is_running_while_its_lock_is_held(folder):
    with lock(folder / "stopped"):
        assert find_runs(folder).set_index("run").loc["stopped", "state"] == "running"
    assert not is_locked(folder / "stopped")
    # What a killed process leaves.
    path = folder / "stopped" / LOCK
    path.write_text(f"process 999999999 on {os.uname().nodename}\n")
    assert not is_locked(folder / "stopped")
    path.write_text("process 1 on another-machine\n")
    assert is_locked(folder / "stopped")
    path.unlink()


def test_a_run_that_ended_says_so_and_a_stopped_one_does_not(folder):
    assert "ended" in json.loads((folder / "one" / OUTCOME).read_text())
    assert not (folder / "stopped" / OUTCOME).exists()


def test_what_was_saved_alone_is_finished_and_not_to_be_resumed(folder, tmp_path):
    saved = tmp_path / "member"
    jaxrl.save_member(jaxrl.load_sweep(folder / "deep" / "two"), 1, saved)
    assert find_runs(tmp_path)["state"].tolist() == ["finished"]


def test_the_shell_prints_sorts_and_saves_the_table(folder, tmp_path, capsys):
    assert main(["runs", str(folder), "--sort", "return", "--save", str(tmp_path / "runs.csv")]) == 0
    printed = capsys.readouterr().out
    assert "deep/two" in printed and "finished" in printed
    saved = pandas.read_csv(tmp_path / "runs.csv")
    assert saved["return"].dropna().is_monotonic_decreasing and len(saved) == 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "nowhere is no folder"),
        (["--sort", "retrun"], "unknown column 'retrun'. Did you mean 'return'?"),
    ],
)
def test_what_cannot_be_listed_is_one_sentence(folder, words, sentence, capsys, monkeypatch):
    monkeypatch.chdir(folder.parent)
    place = [] if words[0] == "nowhere" else [str(folder)]
    assert main(["runs", *place, *words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_folder_without_runs_says_so(tmp_path, capsys):
    assert main(["runs", str(tmp_path)]) == 2
    assert "holds no run directory" in capsys.readouterr().err
