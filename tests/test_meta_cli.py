import json

import pandas
import pytest

import jaxrl
from jaxrl.cli import main
from jaxrl.meta import transfer
from jaxrl.meta.methods import meta_learner

pytestmark = pytest.mark.quick_compilation

SMALL = ["--horizon", "2", "--num-envs", "4", "--num-steps", "6", "--network", "table", "--progress", "False"]
OUTER = ["--outer-population-size", "2", "--outer-num-generations", "2", "--outer-num-evaluations", "1"]
OUTER += ["--outer-evaluation-tasks", "2"]


CHEAP = {"population_size": 2, "num_generations": 1, "num_evaluations": 1, "evaluation_tasks": 2}


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory):
    out = tmp_path_factory.mktemp("meta") / "run"
    arguments = ["meta-train", "lpo", *SMALL, *OUTER, "--num-minibatches", "1", "--seeds", "2", "--out", str(out)]
    assert main([*arguments, "--outer-fitness", "final=0.7", "early=0.3"]) == 0
    return out


def test_a_run_directory_repeats_and_returns_what_was_learned(run_directory):
    record = json.loads((run_directory / "configuration.json").read_text())["configuration"]
    assert record["kind"] == "meta" and record["agent"] == "lpo" and record["environment"] == "grid/tiny"
    assert record["outer_settings"]["num_generations"] == 2 and record["horizon"] == 2
    assert record["outer_settings"]["fitness"] == {"final": 0.7, "early": 0.3}
    swept = jaxrl.load_sweep(run_directory)
    weights = swept.trainer.hyperparameters.outer.fitness_weights
    assert weights.tolist() == pytest.approx([0.7, 0.0, 0.3, 0.0, 0.0])
    table = pandas.read_csv(run_directory / "metrics.csv")
    assert sorted(table["seed"]) == [0, 1] and table["final_return"].notna().all()
    assert (run_directory / "figures" / "curve_final_return.png").exists()
    learned = swept.learned(1)
    assert learned["hidden"].shape == (8, 128)


def test_meta_test_compares_on_other_environments(run_directory, capsys):
    arguments = ["meta-test", str(run_directory), "bandit/bernoulli", "--tasks", "2"]
    assert main([*arguments, "--baselines", "a2c", "--learning-rates", "0.1", "0.01"]) == 0
    table = pandas.read_csv(run_directory / "meta_test.csv")
    assert set(table["environment"]) == {"bandit/bernoulli"} and len(table) == 3
    assert {"learned", "untrained"} < set(table["contender"])
    assert (table["low"] <= table["iqm"]).all() and (table["iqm"] <= table["high"]).all()
    assert "a2c, learning rate 0." in capsys.readouterr().out


@pytest.mark.slow  # Each of the examinations is tested in test_microscope.
def test_examine_draws_what_was_learned(run_directory, capsys):
    assert main(["examine", str(run_directory)]) == 0
    written = {path.name for path in (run_directory / "examination").iterdir()}
    assert {"slopes.png", "slopes.csv", "distilled.csv"} <= written and "slopes.csv" in capsys.readouterr().out


@pytest.mark.slow
def test_baselines_have_as_much_experience_as_the_learner(monkeypatch):
    # The learner's sizes count where they are its defaults too, which are not a2c's.
    study = meta_learner("ta_lpg", "grid/tiny", 1, outer_settings=CHEAP, network="table", objective_size=2)
    swept = jaxrl.sweep(study, options=jaxrl.RunOptions(progress=False), say=lambda _: None)
    built = []
    original = transfer.baseline
    monkeypatch.setattr(transfer, "baseline", lambda *args: built.append((args[0], original(*args))) or built[-1][1])
    transfer.meta_test(swept, ["grid/tiny"], 1, 2, ("a2c",), (0.1,), lambda _: None)
    assert [trainer.steps_per_iteration for trainer in built[0]] == [64 * 20, 64 * 20]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["meta-train", "lgp"], "lpg"),
        (["meta-train", "lpg", "--outer", "evolutoin"], "evolution"),
        (["meta-train", "lpg", *SMALL, "--outer-unroll", "0"], "unroll must be at least 1, got 0"),
        (["meta-train", "lpo", *SMALL, *OUTER, "--outer-fitness", "finals"], "final"),
        (["meta-train", "lpo", *SMALL, *OUTER, "--outer-selection", "paretto"], "pareto"),
    ],
)
def test_bad_input_is_one_line(arguments, named, capsys, tmp_path):
    assert main([*arguments, "--out", str(tmp_path / "run")]) == 2
    assert named in capsys.readouterr().err
