"""Kinds of runs: nobody asks which one it is, what cannot be run is refused before anything is, places are claimed."""

import ast
import json
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pandas
import pytest

import jaxrl
from jaxrl.cli import main
from jaxrl.errors import CheckpointError, UnknownNameError
from jaxrl.runs import experiment
from jaxrl.runs.comparison import compare
from jaxrl.runs.configuration import Configuration, claim, read_configuration
from jaxrl.runs.kinds import KINDS, kind_that_runs, names_of
from jaxrl.runs.report import describe
from jaxrl.sweeps import running
from jaxrl.sweeps.checkpoint import Checkpoints
from jaxrl.training.program import Program

pytestmark = [pytest.mark.quick_compilation, pytest.mark.usefixtures("built_once")]

PACKAGE = Path(jaxrl.__file__).parent
ROOMS = ("cli", "figures", "runs", "sweeps", "training")
PROGRAMS = {"Study", "MetaStudy", "Maml", "BarfiStudy", "ParlStudy", "Trainer"}
SMALL = {"total_steps": 128, "num_envs": 4, "num_steps": 16, "num_evaluations": 2, "evaluation_episodes": 2}
SMALL |= {"num_epochs": 1, "num_minibatches": 1}
QUIET = jaxrl.RunOptions(progress=False)


def test_no_shared_room_asks_which_kind_it_holds():
    found = []
    for path in (path for room in ROOMS for path in (PACKAGE / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            asked = isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance"
            if asked and PROGRAMS & {name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name)}:
                found.append(f"{path}: {ast.unparse(node)}")
            if isinstance(node, ast.Compare) and "kind" in ast.unparse(node):
                words = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
                found += [f"{path}: {ast.unparse(node)}"] if words & set(KINDS) else []
    assert found == []


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_says_what_it_is_and_what_it_runs(name):
    kind = KINDS[name]
    assert kind.name == name and kind.description and names_of(kind)


def test_a_name_finds_the_kind_that_runs_it():
    assert kind_that_runs("ppo", "a2c").name == "sweep" and kind_that_runs("c_morl").name == "pareto"
    assert [kind_that_runs(name).name for name in ("lpo", "maml", "barfi")] == ["meta", "maml", "align"]
    with pytest.raises(UnknownNameError, match="Did you mean 'ppo'"):
        kind_that_runs("poo")
    with pytest.raises(ValueError, match="ppo is run by 'sweep', c_morl is run by 'pareto'"):
        kind_that_runs("ppo", "c_morl")


def test_a_name_that_no_kind_runs_is_told_each_that_one_does_once():
    with pytest.raises(UnknownNameError, match="unknown agent or algorithm 'foo'") as error:
        kind_that_runs("foo")
    known = str(error.value).partition("Known: ")[2].rstrip(".").split(", ")
    assert {"ppo", "c_morl", "maml"} <= set(known) and len(set(known)) == len(known)


def configuration(**changes):
    return Configuration(**{"kind": "sweep", "agent": "ppo", "environment": "gymnax/CartPole-v1", **changes})


def test_a_directory_of_another_run_says_what_differs(tmp_path):
    claim(tmp_path / "run", configuration(settings={"discount": 0.9, "num_envs": 4}, seeds=(0, 1)))
    with pytest.raises(CheckpointError) as error:
        claim(tmp_path / "run", configuration(settings={"discount": 0.99, "num_steps": 8}, seeds=(0, 1, 2)))
    for part in (
        "run holds another run: ",
        "discount is 0.9 there and 0.99 here",
        "num_envs is 4 there and left at its default here",
        "num_steps is left at its default there and 8 here",
        "seeds is [0, 1] there and [0, 1, 2] here",
    ):
        assert part in str(error.value)
    with pytest.raises(CheckpointError, match="kind is 'sweep' there and 'train' here"):
        claim(tmp_path / "run", configuration(kind="train"))


def test_a_folder_of_something_else_is_no_run_and_stays_as_it_is(tmp_path, capsys):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "notes.txt").write_text("mine")
    assert main(["train", "ppo", "gymnax/CartPole-v1", "--out", str(tmp_path)]) == 2
    assert "is no run directory: it holds checkpoints but no configuration.json" in capsys.readouterr().err
    assert main(["resume", str(tmp_path)]) == 2
    assert "is not a run directory" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["notes.txt"]


def test_configurations_of_former_versions_are_read(tmp_path):
    record = {
        "kind": "pareto", "agent": "c_morl", "environment": "mo/minecart", "environment_options": {}, "settings": {},
        "seeds": [0, 1], "hyperparameters": {}, "weights": None, "design": "grid", "samples": None,
        "evaluation_episodes": 5, "discounted": False, "horizon": 50, "outer": None, "outer_settings": {},
    }  # fmt: skip
    (tmp_path / "configuration.json").write_text(json.dumps({"configuration": record}))
    found = read_configuration(tmp_path)
    assert found.options == {"evaluation_episodes": 5, "discounted": False} and found.seeds == (0, 1)
    claim(tmp_path, replace(found, options={"evaluation_episodes": 5}))
    meta = {**record, "kind": "meta", "agent": "lpg", "environment": "grid/tiny", "horizon": 7}
    (tmp_path / "configuration.json").write_text(json.dumps({"configuration": meta}))
    assert read_configuration(tmp_path).option("horizon") == 7
    (tmp_path / "configuration.json").write_text(json.dumps({"configuration": {**record, "colour": 3}}))
    with pytest.raises(CheckpointError, match="damaged"):
        read_configuration(tmp_path)


def test_options_belong_to_a_kind():
    with pytest.raises(UnknownNameError, match="Did you mean 'evaluation_episodes'"):
        configuration(kind="pareto", options={"evaluation_episode": 2})
    assert configuration(kind="pareto").option("evaluation_episodes") == 64


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"network": ["mlp", "foo"]}, "foo"),
        ({"learning_rate": [1e-3, 0.001]}, "the values of 'learning_rate' must differ"),
        ({"hidden_sizes": [[4], (4,)]}, "the values of 'hidden_sizes' must differ"),
        ({"num_steps": [16, 10**6]}, "total_steps=128 is less than one iteration"),
    ],
)
def test_a_sweep_that_cannot_be_run_whole_is_not_begun(values, message, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["jaxrl.sweeps.sweep"], "execute_until", lambda *_: pytest.fail("trained"))
    with pytest.raises(ValueError, match=message):
        experiment.run(configuration(settings=SMALL, hyperparameters=values), tmp_path / "run", QUIET)
    assert not (tmp_path / "run").exists()


def test_a_design_that_repeats_itself_is_refused():
    trainer = jaxrl.trainer("ppo", "gymnax/CartPole-v1", **SMALL)
    space = {"environment.max_steps_in_episode": jaxrl.Integer(3, 4)}
    with pytest.raises(ValueError, match="must differ"):
        jaxrl.sweep(trainer, hyperparameters=space, design="random", samples=4)


ALIKE = {"learning_rate": [1.00001e-3, 1.00002e-3]}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    place = tmp_path_factory.mktemp("alike") / "run"
    return experiment.run(configuration(settings=SMALL, hyperparameters=ALIKE), place, QUIET)


def test_settings_that_look_alike_keep_labels_of_their_own(outcome):
    assert outcome.sweep.table["setting"].nunique() == 2
    assert "learning_rate=0.00100001" in describe(outcome)


def test_a_comparison_is_not_written_into_a_run(tmp_path, capsys):
    claim(tmp_path / "run", configuration())
    assert main(["compare", "ppo,a2c", "gymnax/CartPole-v1", "--out", str(tmp_path / "run")]) == 2
    assert "run holds a run, whose figures would be written over" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["configuration.json"]


@pytest.mark.parametrize("afterwards", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_agents_are_compared_by_their_returns(afterwards, tmp_path, capsys):
    words = ["compare", "ppo,a2c", "gymnax/CartPole-v1", "--seeds", "3", "--total-steps", "128"]
    pairs = ["--set", "num_envs=4", "--set", "num_steps=16", "--set", "num_evaluations=2"]
    more = ["--set", "ppo.num_epochs=1", "--front-episodes", "3", "--out", str(tmp_path)]
    assert main([*words, *pairs, *more]) == 0
    assert "return_low" in capsys.readouterr().out
    summary = pandas.read_csv(tmp_path / "summary.csv")
    assert list(summary["algorithm"]) == ["ppo", "a2c"] and (summary["seeds"] == 3).all()
    assert ((summary["return_low"] <= summary["return"]) & (summary["return"] <= summary["return_high"])).all()
    runs = pandas.read_csv(tmp_path / "comparison.csv")
    assert len(runs) == 6 and (runs["steps"] == 128).all()
    scores = runs.pivot(index="seed", columns="algorithm", values="return")
    wins = np.sign(scores["ppo"].to_numpy()[:, None] - scores["a2c"].to_numpy()) / 2 + 0.5
    chances = pandas.read_csv(tmp_path / "improvement.csv").set_index(["algorithm", "over"])["probability"]
    np.testing.assert_allclose(chances["ppo", "a2c"], wins.mean())
    np.testing.assert_allclose(chances["a2c", "ppo"], 1.0 - wins.mean())
    names = {"profiles", "improvement", "gymnax-CartPole-v1_return_steps", "gymnax-CartPole-v1_return_seconds"}
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == names
    record = json.loads((tmp_path / "gymnax-CartPole-v1" / "a2c" / "configuration.json").read_text())["configuration"]
    assert record["kind"] == "sweep" and "num_epochs" not in record["settings"]
    if not afterwards:
        return
    # The same runs, compared afterwards under as many episodes, come to the same.
    again = jaxrl.compare_runs([tmp_path], num_episodes=3)
    columns = ["return", "return_low", "return_high", "seeds", "steps"]
    np.testing.assert_allclose(again[columns], summary.iloc[::-1][columns], rtol=1e-6)
    assert [name.split(",")[0] for name in again["run"]] == ["a2c", "ppo"]


@pytest.mark.parametrize(
    ("algorithms", "environments", "settings", "message"),
    [
        (["ppo", "c_morl"], ["mo/minecart"], {}, "different kinds"),
        (["ppo", "pop"], ["gymnax/CartPole-v1"], {}, "Did you mean 'ppo'"),
        (["ppo", "ppo"], ["gymnax/CartPole-v1"], {}, "every algorithm once"),
        (["ppo", "a2c"], ["gymnax/CartPol"], {}, "unknown environment"),
        (["ppo", "a2c"], ["gymnax/CartPole-v1"], {"a2c.num_epoch": 3}, "num_epoch"),
        (["c_morl"], ["gymnax/CartPole-v1"], {}, "at least 2 objectives"),
    ],
)
def test_a_comparison_that_cannot_be_run_is_not_begun(algorithms, environments, settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        compare(algorithms, environments, tmp_path / "comparison", 2, settings)
    assert not (tmp_path / "comparison").exists()


def test_several_agents_in_a_sweep_are_told_where_they_belong(capsys):
    assert main(["sweep", "ppo,a2c", "gymnax/CartPole-v1"]) == 2
    assert "jaxrl compare ppo,a2c" in capsys.readouterr().err
    assert main(["compare", "ppo,a2c"]) == 2
    assert "ENVIRONMENTS is missing" in capsys.readouterr().err


def test_a_checkpoint_without_a_metric_of_today_is_read(outcome, tmp_path, monkeypatch):
    chosen, whole = configuration(settings=SMALL, hyperparameters=ALIKE), outcome.sweep
    original = Checkpoints.save

    def without(self, step, tree, metadata=None):
        state, hyperparameters, (metrics, evaluation) = tree
        original(self, step, (state, hyperparameters, ({"kl": metrics["kl"]}, evaluation)), metadata)

    monkeypatch.setattr(running.Checkpoints, "save", without)
    experiment.run(chosen, tmp_path / "former", QUIET)
    former = jaxrl.load_sweep(tmp_path / "former")
    np.testing.assert_array_equal(former.groups[0].result.metrics["kl"], whole.groups[0].result.metrics["kl"])
    assert np.isnan(former.groups[0].result.metrics["entropy"]).all()
    np.testing.assert_array_equal(former.final_returns(), whole.final_returns())


def test_a_program_is_whole_by_what_its_class_has():
    trainer = jaxrl.trainer("ppo", "gymnax/CartPole-v1", **SMALL)
    assert isinstance(trainer, Program) and not isinstance(3, Program)
    assert trainer.curves == trainer.summary == ("return",) and trainer.score == "return"
    assert trainer.name == "gymnax/CartPole-v1" and trainer.objective_names == ("reward",)
    assert trainer.learned(None) is None and trainer.diagnostics == ()
    state = jax.eval_shape(trainer.init, jax.random.key(0), trainer.hyperparameters)
    player = trainer.actor(state, trainer.hyperparameters)
    assert player.hyperparameters is trainer.hyperparameters
