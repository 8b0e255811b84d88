"""Run directories while they are written: rows after every chunk, figures along the way, one writer, bad places."""

import errno
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import jax
import numpy as np
import pandas
import pytest

import jaxrl
from jaxrl.cli import main
from jaxrl.errors import CheckpointError
from jaxrl.runs import experiment, metrics
from jaxrl.runs.configuration import threads_of
from jaxrl.runs.metrics import GrowingTable, read_metrics
from jaxrl.sweeps.lock import lock
from jaxrl.sweeps.tables import run_table
from tests import walks
from tests.stopping import stopping

pytestmark = pytest.mark.quick_compilation

EVERY = jaxrl.RunOptions(progress=False, num_chunks=4, checkpoint_seconds=0.0)
WALK = experiment.Configuration("walk", "walk", "", seeds=(3, 1, 4), hyperparameters={"scale": [0.5, 0.25]})


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch):
    """The same walk is compiled but once, however often it is run."""
    monkeypatch.setattr(sys.modules[jaxrl.sweep.__module__], "program", walks.compiled_once)


def run(directory, monkeypatch, stop_after=None, before_save=False):
    """Runs the walk, or as much of it as so many checkpoints, the last of which may be just about to be written."""
    with stopping(monkeypatch, stop_after, before_save) if stop_after else nullcontext():
        experiment.run(WALK, directory, EVERY)


def rows(path):
    return sorted(path.read_text().splitlines()[1:])


@pytest.mark.parametrize("before_save", [False, True])
def test_rows_are_there_after_every_chunk_and_once_after_a_stop(before_save, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "draw_table", lambda *_: None)
    whole, begun = tmp_path / "whole" / "metrics.csv", tmp_path / "begun" / "metrics.csv"
    run(whole.parent, monkeypatch)
    table = read_metrics(whole)
    for chunks in (1, 3):
        # The second of these goes on from the first, whose last rows may be ahead of its last checkpoint.
        run(begun.parent, monkeypatch, stop_after=chunks if chunks == 1 else 2, before_save=before_save)
        done = 2 * (2 if before_save and chunks == 3 else chunks)
        seen = table[table["steps"] <= done]
        assert rows(begun) == sorted(seen.to_csv(index=False).splitlines()[1:])
        # A process killed while it writes leaves a part of a row.
        with begun.open("a") as file:
            file.write("0,3,scale=0.5,Tr")
        assert len(read_metrics(begun)) == len(seen)
    run(begun.parent, monkeypatch)
    assert begun.read_bytes() == whole.read_bytes()


def test_only_new_rows_are_written_and_new_columns_find_their_place(tmp_path, monkeypatch):
    replaced = []
    monkeypatch.setattr(metrics, "replaced", lambda path: (replaced.append(path), original(path))[1])
    from jaxrl.sweeps.files import replaced as original

    growing = GrowingTable(tmp_path / "metrics.csv")
    growing.add(pandas.DataFrame({"steps": [1, 2], "loss": np.float32([0.1, 0.2])}), restored=True)
    assert not growing.path.exists()
    for step in (3, 4, 5):
        growing.add(pandas.DataFrame({"steps": [step], "loss": np.float32([0.3])}))
    assert len(replaced) == 1
    growing.add(pandas.DataFrame({"steps": [6], "loss": np.float32([0.3]), "success": [1.0]}))
    growing.add(pandas.DataFrame({"steps": [7], "loss": np.float32([0.3])}))
    expected = ["1,0.1,", "2,0.2,", "3,0.3,", "4,0.3,", "5,0.3,", "6,0.3,1.0", "7,0.3,"]
    assert growing.path.read_text().splitlines() == ["steps,loss,success", *expected]


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiment, "draw_table", lambda *_: None)
    run(tmp_path / "whole", monkeypatch)
    run(tmp_path / "run", monkeypatch, stop_after=1)
    before = (tmp_path / "run" / "metrics.csv").read_bytes()

    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        assert main(["resume", str(tmp_path / "run")]) == 2
    message = f"cannot write {tmp_path}/run/metrics.csv: No space left on device; jaxrl resume goes on"
    assert message in capsys.readouterr().err
    assert (tmp_path / "run" / "metrics.csv").read_bytes() == before
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()


def test_parts_of_a_single_run_make_its_table():
    walk, values = walks.walk(11), np.arange(11, dtype=np.float32) / 7
    due, parts = walk.evaluation_iterations, []
    for first, end in ((0, 4), (4, 5), (5, 11)):
        own = due[(due >= first) & (due < end)]
        table, evaluated = run_table(
            walk, {"drift": values[first:end]}, walks.Position(values[own] * 3), 5, (first, end)
        )
        assert evaluated["steps"].tolist() == (own + 1).tolist()
        parts.append(table.to_csv(index=False).splitlines())
    whole = run_table(walk, {"drift": values}, walks.Position(values[due] * 3), 5)[0].to_csv(index=False).splitlines()
    assert [parts[0][0], *(row for part in parts for row in part[1:])] == whole


def test_a_run_in_progress_is_drawn_without_training_or_locking(tmp_path, monkeypatch, capsys):
    run(tmp_path, monkeypatch, stop_after=2)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(jaxrl.sweeps.running, "execute", None)
    with lock(tmp_path):
        assert main(["plot", str(tmp_path)]) == 0
    assert "curve_position.png" in capsys.readouterr().out
    assert (tmp_path / "figures" / "curve_position.png").stat().st_size > 10_000
    assert {path: path.read_bytes() for path in files} == files


def test_what_has_nothing_to_draw_says_so(tmp_path, capsys):
    experiment.claim(tmp_path, WALK)
    assert main(["plot", str(tmp_path)]) == 2
    assert "has no metrics.csv yet: it comes with the first chunk of a run" in capsys.readouterr().err
    (tmp_path / "metrics.csv").write_bytes(b"\xff\xfe\x00\n\x00")
    assert main(["plot", str(tmp_path)]) == 2
    assert "metrics.csv is damaged" in capsys.readouterr().err


def test_a_second_writer_is_refused_and_a_reader_is_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiment, "draw_table", lambda *_: None)
    place = tmp_path / "run"
    run(place, monkeypatch, stop_after=1)
    with lock(place):
        assert main(["resume", str(place)]) == 2
        message = capsys.readouterr().err
        assert f"{place} is being written by process {os.getpid()} on " in message and message.count("\n") == 1
    with lock(place / "checkpoints"), pytest.raises(CheckpointError, match="is being written by process"):
        jaxrl.load_sweep(place)  # It would finish what is not finished.
    run(place, monkeypatch)
    with lock(place), lock(place / "checkpoints"):
        assert jaxrl.load_sweep(place).num_members == 6
    assert not list(tmp_path.rglob(".lock"))


HOLDER = """
import sys, time
from jaxrl.sweeps.lock import lock
with lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_killed_process_holds_no_lock(own_devices, tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], env=own_devices, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(CheckpointError, match=f"is being written by process {holder.pid} on"), lock(tmp_path):
        pass
    holder.kill()
    holder.wait()
    assert (tmp_path / ".lock").exists()
    with lock(tmp_path):
        pass
    assert not (tmp_path / ".lock").exists()


def test_hosts_of_one_run_do_not_lock_each_other_out(tmp_path, monkeypatch):
    with lock(tmp_path):
        monkeypatch.setattr(jax, "process_index", lambda: 1)
        with lock(tmp_path):
            pass


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("/dev/null", "/dev/null is a file, not a folder for a run"),
        ("/dev/null/run", "/dev/null is a file, not a folder for a run"),
        ("file", "file is a file, not a folder for a run"),
        ("file/below", "file is a file, not a folder for a run"),
        ("x" * 300, "xxx ...: File name too long"),
        ("", "a run needs a folder, got ''"),
        ("taken", "taken is no run directory: it holds precious.txt but no configuration.json"),
    ],
)
def test_a_bad_place_is_said_before_the_work(place, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiment, "build", None)
    Path("file").write_text("")
    Path("taken").mkdir()
    Path("taken/precious.txt").write_text("mine")
    with pytest.raises(CheckpointError) as refused:
        experiment.run(WALK, place, EVERY)
    assert message in str(refused.value) and len(str(refused.value)) < 400
    assert sorted(str(path) for path in Path().rglob("*")) == ["file", "taken", "taken/precious.txt"]


@pytest.mark.parametrize("fault", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_that_takes_no_files_is_said_before_the_work(fault, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "build", None)

    def refuse(*_, **__):
        raise OSError(fault, os.strerror(fault))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", refuse)
        with pytest.raises(CheckpointError, match=f"cannot write to .*: {os.strerror(fault)}; choose another --out"):
            experiment.run(WALK, tmp_path / "run", EVERY)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(CheckpointError, match="cannot be written to; choose another --out"):
        experiment.run(WALK, tmp_path / "run", EVERY)


def test_what_is_refused_leaves_no_folder(tmp_path):
    wrong = experiment.Configuration("walk", "walk", "", hyperparameters={"scael": [1.0]})
    with pytest.raises(ValueError, match="unknown hyperparameter 'scael'"):
        experiment.run(wrong, tmp_path / "deep" / "run", EVERY)
    assert not list(tmp_path.iterdir())


def test_cores_asked_for_too_late_are_a_warning(monkeypatch):
    jax.devices()
    monkeypatch.setenv("XLA_FLAGS", "")
    with pytest.warns(UserWarning, match=r"JAX has started with 8 CPU devices and goes on with them"):
        jaxrl.use_cpu_cores(3)
    assert jax.device_count() == 8


@pytest.mark.parametrize(
    ("count", "threads", "expected"),
    [(None, None, "8"), (6, None, "12"), (2, 1, "1"), (None, 1, "1"), (2, 3, "3"), (4, 4, "8")],
)
def test_threads_are_one_or_more_than_the_devices(monkeypatch, count, threads, expected):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
    jaxrl.use_cpu_cores(count, threads)
    assert os.environ["NPROC"] == "16"  # as tests/conftest.py has set it
    monkeypatch.delenv("NPROC")
    jaxrl.use_cpu_cores(count, threads)
    assert os.environ["NPROC"] == expected
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        jaxrl.use_cpu_cores(count, threads=0)


@pytest.mark.parametrize(
    ("words", "threads"),
    [
        ("train ppo walk", "8"),
        ("sweep ppo walk --seeds 3", "8"),
        ("sweep ppo walk --seeds 4", "1"),
        ("sweep ppo walk --sweep learning_rate=1e-4,1e-3 --sweep discount=0.9,0.99", "1"),
        ("sweep ppo walk --sweep learning_rate=log:1e-4:1e-3 --design random --samples 4", "1"),
        ("pareto ppo walk", "1"),
        ("sweep ppo walk --seeds 4 --environment.no-such-leaf 3", "1"),
        ("train ppo walk --environment.no-such-leaf 3", "8"),
    ],
)
def test_a_command_takes_one_thread_where_every_core_has_members(monkeypatch, capsys, words, threads):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
    monkeypatch.delenv("NPROC")
    assert main(words.split()) != 0  # there is no such environment, or leaf
    assert os.environ["NPROC"] == threads


def test_a_run_goes_on_under_as_many_threads_as_it_began(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
    monkeypatch.setenv("NPROC", "1")
    experiment.run(WALK, tmp_path / "run", EVERY)
    monkeypatch.delenv("NPROC")
    assert main(["resume", str(tmp_path / "run")]) in (None, 0)
    assert os.environ["NPROC"] == "1"
    # Earlier versions wrote none.
    path = tmp_path / "run" / "configuration.json"
    path.write_text(path.read_text().replace('"threads": 1', '"kept": 1'))
    assert threads_of(tmp_path / "run") is None and threads_of(tmp_path) is None
