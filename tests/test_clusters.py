"""Members of a sweep as jobs elsewhere: one table, and jobs that die go on."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest

import jaxrl
from jaxrl import clusters
from jaxrl.cli import main
from jaxrl.errors import CheckpointError, ClusterError
from jaxrl.runs import experiment, saved
from jaxrl.runs.configuration import Configuration
from jaxrl.runs.parts import Elsewhere
from jaxrl.sweeps.parts import Part, cut
from jaxrl.sweeps.running import RunOptions
from tests import short

pytestmark = [pytest.mark.quick_compilation, pytest.mark.usefixtures("built_once")]

SWEEP = Configuration(
    "sweep", "ppo", "gymnax/CartPole-v1", settings=short.SETTINGS, seeds=(0, 1, 2),
    hyperparameters={"discount": [0.9, 0.99]},
)  # fmt: skip
GROUPS = replace(SWEEP, hyperparameters={"hidden_sizes": [(8,), (4,)]})
QUIET = RunOptions(progress=False, checkpoint_seconds=0.0, num_chunks=2, keep="best", say=lambda _: None)


class _Done:
    """A call that has been carried out."""

    def __init__(self, name, function, arguments):
        self.name, self._error = name, None
        try:
            function(*arguments)
        except Exception as error:
            self._error = str(error)

    def done(self):
        return True

    def error(self):
        return self._error


class Here:
    """A cluster of one's own, which carries calls out at once, but for the first ones, which die half way."""

    def __init__(self, folder, deaths=0):
        self.folder, self.deaths, self.calls = folder, deaths, []

    def submit(self, function, *arguments):
        self.calls.append(arguments)
        if len(self.calls) <= self.deaths:
            function = self._dying(function)
        return _Done(str(len(self.calls)), function, arguments)

    def cores(self, jobs):
        return 8

    def _dying(self, function):
        def die(directory, first, end, options, cores):
            visits = []

            def on_save(text):
                visits.append(text)

            options = replace(options, say=on_save)
            from jaxrl.sweeps import running

            real = running._advance_bar

            def advance(*arguments):
                visits.append(None)
                if len(visits) == 2:
                    raise MemoryError("killed half way")
                real(*arguments)

            running._advance_bar = advance
            try:
                function(directory, first, end, options, cores)
            finally:
                running._advance_bar = real

        return die


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    place = tmp_path_factory.mktemp("alone") / "run"
    experiment.run(SWEEP, place, QUIET)
    return place


@pytest.fixture
def here(monkeypatch):
    """A cluster that is registered for a test, and how its builder is to be called."""
    made = []

    def build(folder, **options):
        made.append(Here(folder, **options))
        return made[-1]

    monkeypatch.setitem(clusters.CLUSTERS._entries, "here", build)
    monkeypatch.setattr(clusters.jobs.time, "sleep", lambda _: None)
    return made


def assert_same(run, alone, whiches=("last", "best")):
    ours, theirs = (pandas.read_csv(place / "metrics.csv") for place in (run, alone))
    pandas.testing.assert_frame_equal(ours, theirs, rtol=1e-4, atol=1e-5)
    for which in whiches:
        ours, theirs = (saved.load(place, member=4, which=which).state.params for place in (run, alone))
        for a, b in zip(*(map(np.asarray, _leaves(tree)) for tree in (ours, theirs)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def _leaves(tree):
    import jax

    return jax.tree.leaves(tree)


def test_members_are_cut_into_parts_of_nearly_equal_size():
    assert cut(10, 3) == [Part(0, 3), Part(3, 6), Part(6, 10)]
    assert cut(2, 5) == [Part(0, 1), Part(1, 2)]


@pytest.mark.slow  # Ten programs; what failed and is resumed, and a process that is killed, are the quick tests.
def test_jobs_end_as_one_sweep_whose_dead_go_on(here, tmp_path):
    # Six members of two groups in three jobs: one job has members of both.
    alone = tmp_path / "alone"
    experiment.run(GROUPS, alone, QUIET)
    elsewhere = Elsewhere("here", jobs=3, options={"deaths": 2})
    outcome = experiment.run(GROUPS, tmp_path / "run", QUIET, elsewhere)
    assert [call[1:3] for call in here[0].calls][:3] == [(0, 2), (2, 4), (4, 6)]
    assert len(here[0].calls) == 5 and outcome.sweep.num_members == 6
    assert_same(tmp_path / "run", alone)
    assert not list((tmp_path / "run" / "jobs").glob("*/group_*"))
    # What is finished is read, not run: there is no such cluster any more.
    assert experiment.run(GROUPS, tmp_path / "run", QUIET).sweep.num_members == 6
    assert len(here) == 1


def test_what_failed_for_good_is_said_and_resumed(alone, here, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(ClusterError, match="1 of 2 jobs failed and can go on with jaxrl resume: 1: killed half way"):
        experiment.run(SWEEP, run, QUIET, Elsewhere("here", jobs=2, options={"deaths": 1}, retries=0))
    # The rows of the others are there meanwhile.
    assert set(pandas.read_csv(run / "metrics.csv")["member"]) >= set(range(3, 6))
    # As it was begun, but for the deaths.
    path = run / "jobs" / "parts.json"
    path.write_text(path.read_text().replace('"deaths": 1', '"deaths": 0'))
    experiment.run(SWEEP, run, QUIET)
    assert [call[1:3] for call in here[-1].calls] == [(0, 3)]
    assert_same(run, alone, ["best"])
    path.write_text("{")
    with pytest.raises(CheckpointError, match=r"parts\.json is damaged"):
        experiment.run(SWEEP, run, QUIET)


def test_processes_of_this_machine_train_a_sweep_and_a_killed_one_is_tried_again(tmp_path, own_devices, monkeypatch):
    for name, value in own_devices.items():
        monkeypatch.setenv(name, value)
    from jaxrl.clusters import with_submitit

    real, killed = with_submitit._Submitit.submit, []

    def submit(self, function, *arguments):
        job = real(self, function, *arguments)
        if not killed:
            killed.append(job.name)
            os.kill(job._job._process.pid, signal.SIGKILL)
        return job

    monkeypatch.setattr(with_submitit._Submitit, "submit", submit)
    words = ["sweep", *short.WORDS[1:], "--seeds", "2", "--progress", "False", "--on", "local", "--jobs", "1"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    table = pandas.read_csv(tmp_path / "run" / "metrics.csv")
    assert sorted(set(table["member"])) == [0, 1] and killed
    expected = jaxrl.sweep(
        jaxrl.trainer("ppo", "gymnax/CartPole-v1", total_steps=256, num_envs=4, num_steps=16, evaluation_episodes=2),
        seeds=2,
        options=RunOptions(progress=False),
    )
    np.testing.assert_allclose(table["return"], expected.table["return"], rtol=1e-4)


@pytest.mark.slow  # Ray is a quarter of a gigabyte, and not installed by `make test`.
def test_ray_trains_a_sweep(tmp_path, own_devices, monkeypatch):
    pytest.importorskip("ray")
    for name, value in own_devices.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    words = ["sweep", *short.WORDS[1:], "--seeds", "3", "--progress", "False", "--on", "ray", "--jobs", "3"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    assert sorted(set(pandas.read_csv(tmp_path / "run" / "metrics.csv")["member"])) == [0, 1, 2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--on", "slrm"], "unknown cluster 'slrm'. Did you mean 'slurm'"),
        (["--on", "local", "--jobs", "0"], "jobs"),
        (["--on", "local", "--cluster-option", "timeout=1"], "--cluster-option of local"),
        (["--on", "slurm"], "slurm"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(words, message, tmp_path, capsys):
    assert main(["sweep", *short.WORDS[1:], "--seeds", "2", *words, "--out", str(tmp_path / "run")]) != 0
    said = capsys.readouterr().err.strip()
    assert message in said and "Traceback" not in said and len(said.splitlines()) <= 2


def test_a_single_run_has_no_members(tmp_path, capsys):
    run = Configuration("train", "ppo", "gymnax/CartPole-v1", settings=short.SETTINGS)
    with pytest.raises(ValueError, match="a run of the kind train has none"):
        experiment.run(run, tmp_path / "run", QUIET, Elsewhere("local"))
