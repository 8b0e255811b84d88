"""Functions among the loggers: told of every chunk, they may end a run, which is saved and goes on when resumed."""

import threading

import numpy as np
import pandas
import pytest

import jaxrl
from jaxrl import tracking
from jaxrl.cli import main
from jaxrl.runs import experiment
from jaxrl.runs.configuration import Configuration
from jaxrl.runs.finding import find_runs
from jaxrl.runs.kinds import KINDS
from jaxrl.sweeps.checkpoint import Checkpoints
from tests import short

pytestmark = [pytest.mark.quick_compilation, pytest.mark.usefixtures("built_once")]

RUN = Configuration("train", "ppo", "gymnax/CartPole-v1", settings=short.SETTINGS)
SWEEP = Configuration("sweep", "ppo", "gymnax/CartPole-v1", settings=short.SETTINGS, seeds=(0, 1))


def options(*loggers, said=None, **rest):
    say = said.append if said is not None else print
    # Saved at the end alone, unless somebody ends the run.
    return jaxrl.RunOptions(progress=False, num_chunks=4, checkpoint_seconds=1e6, loggers=loggers, say=say, **rest)


def until(step, stop=lambda: True):
    """A callback that ends a run at a step, and what it was told."""
    told = []

    def look(name, now, rows):
        told.append((name, now, rows, threading.current_thread()))
        return stop() if now >= step else None

    return look, told


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    for name, configuration in (("run", RUN), ("sweep", SWEEP)):
        experiment.run(configuration, folder / name, options())
    return {name: pandas.read_csv(folder / name / "metrics.csv") for name in ("run", "sweep")}


def test_a_function_is_told_of_every_chunk_in_the_thread_of_the_run(tmp_path, whole):
    look, told = until(np.inf)
    outcome = experiment.run(RUN, tmp_path / "run", options(look))
    assert [step for _, step, _, _ in told] == [64, 128, 192, 256] and {name for name, *_ in told} == {"run"}
    assert {thread for *_, thread in told} == {threading.main_thread()}
    rows = pandas.concat([rows for _, _, rows, _ in told], ignore_index=True)
    pandas.testing.assert_frame_equal(rows, whole["run"], check_dtype=False, rtol=1e-6)
    assert not outcome.stopped and outcome.stopped_after is None


def raising():
    raise jaxrl.StopRun


@pytest.mark.parametrize("stop", [lambda: np.bool_(True), pytest.param(raising, marks=pytest.mark.slow)])
def test_a_run_that_is_ended_is_saved_and_goes_on_to_the_same_end(tmp_path, whole, stop):
    look, told = until(128, stop)
    outcome = experiment.run(RUN, tmp_path / "run", options(look))
    assert outcome.stopped and outcome.stopped_after == 2 and len(told) == 2
    assert outcome.result.metrics["kl"].shape == (2,) and outcome.result.evaluation.returns.shape == (1, 1)
    assert Checkpoints(tmp_path / "run" / "checkpoints").latest() == 2
    assert pandas.read_csv(tmp_path / "run" / "metrics.csv")["steps"].tolist() == [64, 128]
    assert find_runs(tmp_path)["state"].tolist() == ["stopped"]
    again, told = until(np.inf)
    finished = experiment.run(RUN, tmp_path / "run", options(again))
    # What a checkpoint held is not told again.
    assert [step for _, step, _, _ in told] == [192, 256] and not finished.stopped
    pandas.testing.assert_frame_equal(pandas.read_csv(tmp_path / "run" / "metrics.csv"), whole["run"])
    assert find_runs(tmp_path)["state"].tolist() == ["finished"]


def test_what_is_no_true_goes_on_and_what_fails_costs_a_warning(tmp_path, whole):
    said = []

    def fails(name, step, rows):
        raise RuntimeError("no phone")

    loud = [fails, lambda name, step, rows: "yes", lambda name, step, rows: 1]
    experiment.run(RUN, tmp_path / "run", options(*loud, said=said))
    pandas.testing.assert_frame_equal(pandas.read_csv(tmp_path / "run" / "metrics.csv"), whole["run"])
    assert said == ["fails failed and is not called again in this run: RuntimeError: no phone"]


@pytest.mark.slow  # A run that is ended and goes on is the quick test.
def test_a_sweep_in_python_ends_with_what_was_done_and_goes_on_from_its_directory(tmp_path, whole):
    trainer, (look, told) = jaxrl.trainer("ppo", "gymnax/CartPole-v1", **short.SETTINGS), until(128)
    settings = {"seeds": 2, "directory": tmp_path / "sweep", "options": options(), "say": lambda _: None}
    swept = jaxrl.sweep(trainer, loggers=look, **settings)
    assert swept.stopped and swept.table["steps"].tolist() == [128, 128] and len(told) == 1
    assert swept.final_returns().shape == (2, 1) and swept.policy(1) is not None
    pandas.testing.assert_frame_equal(told[0][2], swept.table)
    swept = jaxrl.sweep(trainer, **settings)
    assert not swept.stopped
    np.testing.assert_allclose(swept.table["return"], whole["sweep"]["return"])


@pytest.mark.slow  # Two programs; a sweep of one is the quick test.
def test_a_sweep_of_several_programs_ends_with_the_one_that_was_running(tmp_path):
    trainer, (look, _) = jaxrl.trainer("ppo", "gymnax/CartPole-v1", **short.SETTINGS), until(128)
    static = {"num_epochs": [1, 2]}
    swept = jaxrl.sweep(trainer, hyperparameters=static, loggers=[look], options=options(), say=lambda _: None)
    assert swept.stopped and len(swept.groups) == 1 and set(swept.table["num_epochs"]) == {1}


def test_a_kind_finishes_no_run_that_was_ended(tmp_path, monkeypatch):
    finished = []
    kind = KINDS["sweep"]._replace(finish=lambda outcome, directory: finished.append(directory))
    monkeypatch.setitem(KINDS._entries, "sweep", kind)
    assert experiment.run(SWEEP, tmp_path / "sweep", options(until(128)[0])).stopped and not finished
    experiment.run(SWEEP, tmp_path / "sweep", options())
    assert finished == [tmp_path / "sweep"]


def test_a_callback_with_a_name_ends_a_run_of_the_shell(tmp_path, capsys):
    name = "test-until"
    jaxrl.register_logger(name, lambda: until(64)[0])
    try:
        out = str(tmp_path / "run")
        assert main([*short.WORDS, "--num-evaluations", "4", "--log", name, "--out", out]) == 0
        printed = capsys.readouterr().out
        assert f"Ended early by a logger; jaxrl resume {out} goes on" in printed
        assert main(["resume", out]) == 0 and "Ended early" not in capsys.readouterr().out
    finally:
        tracking.LOGGERS._entries.pop(name)


def test_one_function_alone_is_a_logger():
    def look(name, step, rows):
        pass

    assert jaxrl.RunOptions(loggers=look).loggers == jaxrl.RunOptions(loggers=[look]).loggers == (look,)
    with pytest.raises(ValueError, match="a logger has the methods open, write and close, is a function, or is one of"):
        jaxrl.RunOptions(loggers=[3])
