"""A kind of run that jaxrl does not know: regret over rounds of a bandit, without environment, agent or policy."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest

import jaxrl
from jaxrl.cli import main
from jaxrl.errors import CheckpointError
from jaxrl.runs import experiment
from jaxrl.runs.comparison import compare
from jaxrl.runs.kinds import KINDS
from jaxrl.runs.report import describe
from jaxrl.runs.saved import evaluate

pytestmark = pytest.mark.quick_compilation


PAGE = Path(__file__).parents[1] / "docs" / "how_to" / "kind.md"


@pytest.fixture(scope="module", autouse=True)
def module(tmp_path_factory):
    """The page's program and kind, imported as a user's module, known to this module's tests alone."""
    place = tmp_path_factory.mktemp("module")
    (place / "regret.py").write_text(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        import regret

        yield regret
    del KINDS._entries["regret"], sys.modules["regret"]


SWEPT = ["--sweep", "exploration=0.1,1.0", "--sweep", "noise=0.1,0.5", "--seeds", "3", "--progress", "False"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    place = tmp_path_factory.mktemp("own") / "run"
    assert main(["regret", "ucb", *SWEPT, "--num-arms", "4", "--out", str(place)]) == 0
    return place


def test_it_sweeps_over_seeds_and_two_leaves_from_the_shell(module, directory):
    table = pandas.read_csv(directory / "metrics.csv")
    assert len(table) == 3 * 2 * 2 * 4 and set(table["steps"]) == {10, 20, 30, 40}
    assert {"average", "gain", "pulls_3", "exploration", "noise"} <= set(table.columns)
    np.testing.assert_allclose(table.filter(like="pulls_").sum(axis=1), table["steps"])
    for (noise, exploration), rows in table.groupby(["noise", "exploration"]):
        values = module.RegretHyperparameters(jnp.float32(exploration), jnp.float32(noise))
        alone = jax.jit(module.regret("ucb", num_arms=4).run)(jax.random.key(1), values)
        np.testing.assert_allclose(rows[rows["seed"] == 1]["average"], alone.evaluation.average, rtol=1e-5)
    assert {path.name for path in (directory / "figures").iterdir()} == {"curve_average.png", "heatmap.png"}
    record = json.loads((directory / "configuration.json").read_text())["configuration"]
    assert (record["kind"], record["agent"], record["settings"]) == ("regret", "ucb", {"num_arms": 4})
    assert record["imports"] == ["regret"]


def test_it_is_resumed_drawn_again_and_says_what_it_learned(directory, capsys):
    before = (directory / "metrics.csv").read_bytes()
    (directory / "figures" / "curve_average.png").unlink()
    assert main(["plot", str(directory)]) == 0 and "curve_average.png" in capsys.readouterr().out
    assert main(["resume", str(directory)]) == 0
    shown = capsys.readouterr().out
    assert "exploration=0.1, noise=0.5" in shown and "average" in shown
    assert (directory / "metrics.csv").read_bytes() == before
    assert jaxrl.load_sweep(directory).learned(11).shape == (4,)


def test_it_has_no_policy_and_says_so_in_one_sentence(module, directory, capsys):
    for arguments in (["evaluate", str(directory)], ["policy", str(directory), "--point", "0"]):
        assert main(arguments) == 2
        assert "hold no policy" in capsys.readouterr().err
    with pytest.raises(ValueError, match="hold no policy"):
        jaxrl.load(directory, member=0)
    with pytest.raises(ValueError, match="hold no policy"):
        evaluate(directory)
    with pytest.raises(ValueError, match="no objectives that weights could weigh"):
        jaxrl.sweep(module.regret("ucb"), weights=3)


def test_it_is_listed_and_its_settings_are_options(capsys):
    assert main(["list", "kinds"]) == 0
    assert "regret of a rule" in capsys.readouterr().out
    assert main(["--help"]) == 0
    assert "regret" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["regret", "greedy", "--help"])
    text = capsys.readouterr().out
    assert "--num-arms" in text and "--exploration" in text and "--seeds" in text and "ENVIRONMENT" not in text
    assert main(["regret", "thomson"]) == 2
    assert "unknown" in capsys.readouterr().err


WORKER = """
import sys
from jaxrl.sweeps import running
from jaxrl.cli import main

save = running.Checkpoints.save
saved = []

def stop_after_two(self, *arguments):
    save(self, *arguments)
    saved.append(1)
    if len(saved) == 2:
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)

running.Checkpoints.save = stop_after_two
main(["--import", "regret", *sys.argv[1:], "--checkpoint-seconds", "0"])
"""


def test_a_killed_run_ends_with_the_same_bits(module, directory, own_devices, tmp_path):
    place = tmp_path / "killed"
    command = ["regret", "ucb", *SWEPT, "--num-arms", "4", "--out", str(place)]
    path = f"{Path(module.__file__).parent}:{PAGE.parents[2]}"
    environment = {**own_devices, "PYTHONPATH": path, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    environment["XLA_FLAGS"] = os.environ["XLA_FLAGS"]
    killed = subprocess.run([sys.executable, "-c", WORKER, *command], env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    assert main(["resume", str(place)]) == 0
    assert (place / "metrics.csv").read_bytes() == (directory / "metrics.csv").read_bytes()
    whole, resumed = (jaxrl.load_sweep(path).groups[0].result for path in (directory, place))
    for one, two in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, two = jax.random.key_data(one), jax.random.key_data(two)
        np.testing.assert_array_equal(one, two)


def test_it_is_tuned_by_its_score(module):
    space = {"exploration": jaxrl.Uniform(0.0, 2.0)}
    tuned = jaxrl.tune(module.regret("ucb"), space, samples=2, seeds=2, rungs=2, held_out_seeds=2, say=lambda _: None)
    assert set(tuned.best) == {"exploration"} and (tuned.trials["score"] <= 0.0).all()
    with pytest.raises(ValueError, match="scored by its gain, average"):
        jaxrl.tune(module.regret("ucb"), space, measure="hypervolume", say=lambda _: None)


@pytest.mark.slow  # Agents are compared in test_kinds.
def test_its_rules_are_compared(tmp_path):
    settings = {"ucb.exploration": 0.5, "num_rounds": 20}
    table = compare(("ucb", "greedy"), ("",), tmp_path, 3, settings, options=jaxrl.RunOptions(progress=False))
    assert list(table["algorithm"]) == ["ucb", "greedy"]
    assert {"average", "average_low", "average_high", "gain"} <= set(table.columns)
    chance = pandas.read_csv(tmp_path / "improvement.csv").set_index(["algorithm", "over"])["probability"]
    scores = pandas.read_csv(tmp_path / "comparison.csv").pivot(index="seed", columns="algorithm", values="gain")
    wins = np.sign(scores["ucb"].to_numpy()[:, None] - scores["greedy"].to_numpy()) / 2 + 0.5
    np.testing.assert_allclose(chance["ucb", "greedy"], wins.mean())
    assert {"profiles.png", "improvement.png"} <= {path.name for path in (tmp_path / "figures").iterdir()}
    record = json.loads((tmp_path / "ucb" / "configuration.json").read_text())["configuration"]
    assert record["settings"] == {"num_rounds": 20, "exploration": 0.5}


def test_its_settings_are_compared_when_they_have_been(directory):
    table = jaxrl.compare_runs([directory])
    last = pandas.read_csv(directory / "metrics.csv").groupby("member").tail(1)
    means = last.groupby(["exploration", "noise"], sort=False)["gain"].mean()
    np.testing.assert_allclose(table["gain"], means)
    assert table["run"][0] == "exploration=0.1, noise=0.1" and (table["seeds"] == 3).all()


@pytest.mark.slow  # A variant of the sweep from the shell.
def test_one_seed_and_static_settings(tmp_path):
    swept = {"num_arms": [9, 10], "noise": [0.0]}
    configuration = experiment.Configuration("regret", "ucb", "", hyperparameters=swept)
    outcome = experiment.run(configuration, tmp_path / "run", jaxrl.RunOptions(progress=False))
    shown = describe(outcome)
    # As they were written, not as words are sorted.
    assert outcome.sweep.num_members == 2 and 0 < shown.index("num_arms=9") < shown.index("num_arms=10")


def test_a_run_of_a_kind_that_nobody_registered_is_refused(tmp_path, monkeypatch):
    place = tmp_path / "run"
    experiment.run(experiment.Configuration("regret", "ucb", ""), place, jaxrl.RunOptions(progress=False))
    monkeypatch.delitem(KINDS._entries, "regret")
    with pytest.raises(CheckpointError, match="a run of the kind 'regret', which nothing has registered"):
        jaxrl.load(place)


def test_what_is_no_program_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(KINDS._entries, "broken", KINDS["regret"]._replace(name="broken", build=lambda _: "nothing"))
    with pytest.raises(ValueError, match="a program needs init, step"):
        experiment.run(experiment.Configuration("broken", "ucb", ""), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_names_of_kinds_are_taken_once():
    with pytest.raises(ValueError, match="'regret' is already registered"):
        jaxrl.register_kind(KINDS["regret"]._replace(build=lambda configuration: None))
