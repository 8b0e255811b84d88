"""The command line, in this process: what a user types, sees and finds on disk."""

import json

import pandas
import pytest

from jaxrl.cli import main

pytestmark = [pytest.mark.quick_compilation, pytest.mark.usefixtures("built_once")]

SMALL = ["--total-steps", "256", "--num-envs", "4", "--num-steps", "16", "--num-evaluations", "2"]
SMALL += ["--evaluation-episodes", "2", "--progress", "False"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A single run, a sweep and a Pareto study."""
    root = tmp_path_factory.mktemp("runs")
    assert main(["train", "ppo", "gymnax/CartPole-v1", *SMALL, "--seed", "3", "--out", str(root / "train")]) == 0
    swept = ["--sweep", "learning_rate=1e-4,1e-3", "--sweep", "discount=0.9,0.99", "--seeds", "2"]
    assert main(["sweep", "ppo", "gymnax/CartPole-v1", *SMALL, *swept, "--out", str(root / "sweep")]) == 0
    weights = ["--num-weights", "3", "--front-episodes", "2"]
    assert main(["pareto", "ppo", "mo/deep-sea-treasure", *SMALL, *weights, "--out", str(root / "pareto")]) == 0
    return root


def test_a_run_directory_has_everything(runs):
    record = json.loads((runs / "train" / "configuration.json").read_text())
    assert record["configuration"]["agent"] == "ppo"
    assert record["configuration"]["settings"]["total_steps"] == 256
    assert record["configuration"]["seeds"] == [3]
    assert {"jaxrl", "jax", "python"} <= set(record["versions"])
    table = pandas.read_csv(runs / "train" / "metrics.csv")
    assert table["steps"].tolist() == [64, 128, 192, 256]
    assert table["return"].notna().sum() == 2
    assert (runs / "train" / "figures" / "curve_return.png").stat().st_size > 10_000
    assert list((runs / "train" / "checkpoints").glob("4.npz"))


def test_a_sweep_writes_its_table_and_figures(runs):
    table = pandas.read_csv(runs / "sweep" / "metrics.csv")
    assert len(table) == 2 * 2 * 2 * 2
    assert set(table["learning_rate"]) == {1e-4, 1e-3}
    assert {path.name for path in (runs / "sweep" / "figures").glob("*.png")} == {"curve_return.png", "heatmap.png"}


def test_a_pareto_study_writes_its_front(runs):
    front = pandas.read_csv(runs / "pareto" / "front.csv")
    assert len(front) == 3 * 2
    assert front["on_front"].any()
    measures = pandas.read_csv(runs / "pareto" / "measures.csv")
    assert measures["seed"].tolist() == ["0", "1", "all"]
    assert (runs / "pareto" / "figures" / "front.png").exists()


def test_evaluate_prints_a_row_per_policy(runs, capsys):
    assert main(["evaluate", str(runs / "train"), "--episodes", "3"]) == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == 2
    assert main(["evaluate", str(runs / "sweep"), "--episodes", "3"]) == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == 9
    assert main(["evaluate", str(runs / "sweep"), "--episodes", "3", "--member", "5"]) == 0
    assert capsys.readouterr().out.strip().splitlines()[1].split()[0] == "5"


def test_plot_draws_again_and_resume_changes_nothing(runs, capsys):
    before = (runs / "sweep" / "metrics.csv").read_bytes()
    (runs / "sweep" / "figures" / "heatmap.png").unlink()
    assert main(["plot", str(runs / "sweep")]) == 0
    assert "heatmap.png" in capsys.readouterr().out
    assert main(["resume", str(runs / "sweep")]) == 0
    assert (runs / "sweep" / "metrics.csv").read_bytes() == before


def test_list_names_everything(capsys):
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    for name in ("gymnax/CartPole-v1", "mo/minecart", "brax/hopper", "ppo", "drift", "lagrangian"):
        assert name in listed
    assert main(["list", "agents"]) == 0
    assert "gymnax" not in capsys.readouterr().out


@pytest.mark.parametrize("command", ["train", "sweep", "pareto", "evaluate", "resume", "plot", "list"])
def test_help_explains_every_option(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert f"jaxrl {command}" in text
    if command in ("train", "sweep", "pareto"):
        for option in ("--learning-rate", "--num-envs", "--total-steps", "--surrogate", "--out", "--set"):
            assert option in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "unknown command 'trian'. Did you mean 'train'?"),
        (["train", "pop", "gymnax/CartPole-v1"], "unknown agent 'pop'. Did you mean 'ppo'?"),
        (
            ["train", "ppo", "gymnax/CartPol"],
            "unknown environment 'gymnax/CartPol'. Did you mean 'gymnax/CartPole-v1'?",
        ),
        (
            ["train", "ppo", "gymnax/CartPole-v1", "--set", "gravety=3"],
            "unknown setting 'gravety'. Did you mean 'gravity'?",
        ),
        (["train", "ppo", "gymnax/CartPole-v1", "--set", "gravity"], "expected NAME=VALUE, got 'gravity'"),
        (["pareto", "ppo", "gymnax/CartPole-v1"], "a Pareto study needs at least 2 objectives"),
        (["sweep", "ppo", "gymnax/CartPole-v1", "--sweep", "discont=0.9"], "unknown hyperparameter 'discont'"),
        (["resume", "nowhere"], "nowhere is not a run directory"),
    ],
)
def test_errors_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("jaxrl: ") and message in error
    assert "Traceback" not in error
