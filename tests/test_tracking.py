"""Loggers: rows leave after every chunk, whole and in order, and nothing that a logger does costs a run."""

import sys
import threading

import numpy as np
import pandas
import pytest

import jaxrl
from jaxrl import tracking
from jaxrl.cli import main
from jaxrl.errors import UnknownNameError
from jaxrl.runs import experiment
from jaxrl.runs.configuration import Configuration
from jaxrl.tracking.csv import CsvLogger
from tests import short

pytestmark = [pytest.mark.quick_compilation, pytest.mark.usefixtures("built_once")]

RUN = Configuration("train", "ppo", "gymnax/CartPole-v1", settings=short.SETTINGS)
SWEEP = Configuration(
    "sweep", "ppo", "gymnax/CartPole-v1", settings=short.SETTINGS, seeds=(0, 1),
    hyperparameters={"learning_rate": [1e-3, 1e-2]},
)  # fmt: skip


class Recorder:
    """Keeps what it is told; raises where it is told to."""

    def __init__(self, fails=""):
        self.fails, self.calls, self.rows, self.threads = fails, [], [], set()

    def _told(self, name):
        self.calls.append(name)
        self.threads.add(threading.current_thread())
        if name == self.fails:
            raise RuntimeError("no network")

    def open(self, run):
        self.run = run
        self._told("open")

    def write(self, rows):
        self.rows.append(rows)
        self._told("write")

    def close(self):
        self._told("close")

    @property
    def table(self):
        return pandas.concat(self.rows, ignore_index=True)


def options(*loggers, said=None, **rest):
    say = said.append if said is not None else print
    return jaxrl.RunOptions(progress=False, num_chunks=4, checkpoint_seconds=0.0, loggers=loggers, say=say, **rest)


def run(configuration, directory, *loggers, **rest):
    experiment.run(configuration, directory, options(*loggers, **rest))
    return pandas.read_csv(directory / "metrics.csv")


def test_a_logger_is_told_of_a_run_and_given_every_row_in_order(tmp_path):
    recorder = Recorder()
    written = run(RUN, tmp_path / "run", recorder)
    assert recorder.calls == ["open", "write", "write", "write", "write", "close"]
    assert recorder.threads.isdisjoint({threading.main_thread()}) and len(recorder.threads) == 1
    pandas.testing.assert_frame_equal(recorder.table, written, check_dtype=False, rtol=1e-6)
    assert recorder.run.name == "run" and recorder.run.directory == tmp_path / "run"
    assert recorder.run.configuration["agent"] == "ppo" and recorder.run.configuration["settings"]["num_envs"] == 4


def test_a_sweep_gives_the_rows_of_all_members_with_what_tells_them_apart(tmp_path):
    recorder = Recorder()
    written = run(SWEEP, tmp_path / "run", recorder)
    given = recorder.table.sort_values(["member", "steps"]).reset_index(drop=True)
    assert set(given["member"]) == {0, 1, 2, 3} and set(given["learning_rate"].round(6)) == {1e-3, 1e-2}
    ordered = written.sort_values(["member", "steps"]).reset_index(drop=True)
    np.testing.assert_allclose(given["return"], ordered["return"])
    assert recorder.run.columns == ("learning_rate",)


def test_a_sweep_in_python_takes_loggers_and_names():
    recorder, trainer = Recorder(), jaxrl.trainer("ppo", "gymnax/CartPole-v1", **short.SETTINGS)
    swept = jaxrl.sweep(trainer, seeds=2, options=options(), loggers=[recorder], say=lambda _: None)
    assert len(recorder.table) == len(swept.table) == 4
    assert recorder.run.directory is None and recorder.run.configuration["num_envs"] == 4


@pytest.mark.parametrize(
    "fails", ["write", *(pytest.param(part, marks=pytest.mark.slow) for part in ("open", "close"))]
)
def test_a_logger_that_fails_costs_a_warning_and_nothing_else(tmp_path, fails):
    said, recorder, other = [], Recorder(fails), Recorder()
    alone = run(RUN, tmp_path / "alone")
    told = run(RUN, tmp_path / "told", recorder, other, said=said)
    pandas.testing.assert_frame_equal(alone, told)
    assert len(said) == 1 and said[0].startswith("Recorder failed and gets no more rows of this run: RuntimeError: no")
    assert len(other.table) == 4


def test_a_slow_logger_holds_a_run_up_no_longer_than_patience():
    said, free = [], threading.Event()

    class Slow(Recorder):
        def write(self, rows):
            free.wait(30)

    with tracking.Tracking([Slow()], tracking.Tracked("run", None, {}), said.append, patience=0.05) as told:
        for step in range(1100):
            told.add(pandas.DataFrame({"seed": [0], "steps": [step]}))
    assert said[0] == "Slow is 1000 chunks behind: it gets no more rows of this run"
    assert said[1] == "Slow has not written all rows after 0.05 s: the run ends without it"
    free.set()


def test_rows_that_a_checkpoint_held_are_given_again_to_loggers_that_can_tell(tmp_path):
    written = run(RUN, tmp_path / "run")
    again, replaying = Recorder(), Recorder()
    replaying.replays = True
    run(RUN, tmp_path / "run", again, replaying)
    assert again.calls == ["open", "close"] and replaying.calls == ["open", "write", "close"]
    assert replaying.table["steps"].tolist() == written["steps"].tolist()


def test_names_and_loggers_are_checked_when_options_are_made(monkeypatch):
    assert isinstance(jaxrl.RunOptions(loggers="csv").loggers[0], CsvLogger)
    with pytest.raises(UnknownNameError, match=r"unknown logger 'tensorbord'\. Did you mean 'tensorboard'"):
        jaxrl.RunOptions(loggers="csv,tensorbord")
    with pytest.raises(ValueError, match=r"a logger has the methods open, write and close, is a fun.*; got 3"):
        jaxrl.RunOptions(loggers=[3])
    for name, library, said in (
        ("tensorboard", "tensorboardX", r"needs tensorboardX: pip install 'jaxrl\[tensorboard\]'"),
        ("wandb", "wandb", r"needs wandb: pip install 'jaxrl\[wandb\]'"),
        ("mlflow", "mlflow.tracking", r"needs mlflow: pip install 'jaxrl\[mlflow\]'"),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(__import__("sys").modules, library, None)
            with pytest.raises(ImportError, match=said):
                jaxrl.RunOptions(loggers=name)


def test_a_logger_of_ones_own_is_a_name():
    name = "test-recorder"
    jaxrl.register_logger(name, Recorder)
    try:
        assert isinstance(jaxrl.RunOptions(loggers=name).loggers[0], Recorder)
    finally:
        tracking.LOGGERS._entries.pop(name)


def test_csv_files_by_member_hold_every_row_once_even_if_some_are_given_twice(tmp_path):
    written = run(SWEEP, tmp_path / "run", "csv")
    files = sorted((tmp_path / "run" / "csv").iterdir())
    assert [path.name for path in files] == [f"member_{member}.csv" for member in range(4)]
    logger = CsvLogger()
    logger.open(tracking.Tracked("run", tmp_path / "run", {}))
    logger.write(written)
    held = pandas.concat([pandas.read_csv(path) for path in files], ignore_index=True)
    pandas.testing.assert_frame_equal(held, written.sort_values(["member", "steps"], ignore_index=True), rtol=1e-6)


def events(folder):
    """What TensorBoard itself reads."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder))
    read.Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}, read


def test_tensorboard_reads_what_was_measured(tmp_path, capsys):
    pytest.importorskip("tensorboardX")
    pytest.importorskip("tensorboard")
    out = tmp_path / "run"
    words = [*short.WORDS, "--num-evaluations", "2", "--log", "tensorboard,csv", "--out", str(out)]
    assert main(words) == 0, capsys.readouterr().err
    table = pandas.read_csv(out / "metrics.csv")
    found, read = events(out / "tensorboard" / "seed_0")
    for name in ("policy_loss", "entropy"):
        assert [step for step, _ in found[name]] == table["steps"].tolist()
        np.testing.assert_allclose([value for _, value in found[name]], table[name], rtol=1e-5)
    evaluated = table.dropna(subset="return")
    assert [step for step, _ in found["return"]] == evaluated["steps"].tolist()
    assert "seed" not in found
    text = read.Tensors("configuration/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| agent | ppo |" in text
    # A process that went on after a kill gives its first rows again: they replace what was there.
    logger = tracking.resolve_loggers("tensorboard")[0]
    logger.open(tracking.Tracked("run", out, {}))
    logger.write(table.iloc[-2:])
    logger.close()
    again, _ = events(out / "tensorboard" / "seed_0")
    assert [step for step, _ in again["entropy"]] == table["steps"].tolist()


def test_mlflow_keeps_a_run_per_member(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    from jaxrl.tracking.mlflow import MlflowLogger

    # Files, as the small client has no database; users have one.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "mlruns").as_uri()
    written = run(SWEEP, tmp_path / "run", MlflowLogger(uri=uri))
    client = MlflowClient(tracking_uri=uri)
    runs = client.search_runs([client.get_experiment_by_name("jaxrl").experiment_id])
    assert sorted(found.info.run_name for found in runs) == [f"run member_{member}" for member in range(4)]
    for found in runs:
        member = int(found.data.tags["jaxrl.member"].removeprefix("member_"))
        rows = written[written["member"] == member]
        history = client.get_metric_history(found.info.run_id, "return")
        assert [metric.step for metric in history] == rows["steps"].tolist()
        np.testing.assert_allclose([metric.value for metric in history], rows["return"])
        assert found.data.params["agent"] == "ppo" and found.info.status == "FINISHED"
        assert float(found.data.params["learning_rate"]) == pytest.approx(rows["learning_rate"].iloc[0])
    # Resumed, a member goes on in its own run.
    logger = MlflowLogger(uri=uri)
    logger.open(tracking.Tracked("run", tmp_path / "run", {}))
    logger.write(written)
    assert [metric.step for metric in client.get_metric_history(found.info.run_id, "return")] == rows["steps"].tolist()
    assert len(client.search_runs([client.get_experiment_by_name("jaxrl").experiment_id])) == 4


def names_of_runs(client, experiment="jaxrl"):
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return sorted(one.info.run_name for one in found)


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """MLflow in an empty folder, with no word of where to write; files, as the small client has no database."""
    mlflow = pytest.importorskip("mlflow")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        # Set first, so that what MLflow sets is undone.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    yield mlflow
    mlflow.set_tracking_uri(None)


@pytest.mark.parametrize("how", ["set_tracking_uri", "MLFLOW_TRACKING_URI"])
def test_mlflow_goes_where_it_is_told(alone, how, tmp_path, monkeypatch):
    uri = (tmp_path / "elsewhere").as_uri()
    if how == "set_tracking_uri":
        alone.set_tracking_uri(uri)
    else:
        monkeypatch.setenv(how, uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    said = []
    run(RUN, tmp_path / "run", "mlflow", said=said)
    assert not said and names_of_runs(alone.tracking.MlflowClient(tracking_uri=uri), "mine") == ["run seed_0"]
    assert not list(tmp_path.glob("**/mlflow.db"))


def test_mlflow_without_a_word_writes_where_its_own_client_and_page_look(alone, tmp_path):
    # Of whoever has written files here before, MLflow 3 goes on with them; the small client can do no other.
    alone.tracking.MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri()).create_experiment("before")
    said = []
    run(RUN, tmp_path / "run", "mlflow", said=said)
    assert not said and names_of_runs(alone.tracking.MlflowClient()) == ["run seed_0"]
    assert not list((tmp_path / "run").glob("mlflow*"))


def test_mlflow_without_a_database_is_a_sentence(alone, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow.store.tracking.sqlalchemy_store", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mine.db")
    said = []
    run(RUN, tmp_path / "run", "mlflow", said=said)
    (sentence,) = said
    assert "this MLflow keeps no database" in sentence and "pip install mlflow, or set MLFLOW_TRACKING_URI" in sentence
    assert len(pandas.read_csv(tmp_path / "run" / "metrics.csv"))


def test_wandb_writes_offline_runs(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    said = []
    run(RUN, tmp_path / "run", "wandb", said=said)
    assert not said
    files = list((tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == 1 and files[0].stat().st_size > 0
    data = files[0].read_bytes()
    assert b"entropy" in data and b"policy_loss" in data
