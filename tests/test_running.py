"""The host loop: chunked equals whole, killed and resumed equals uninterrupted, bit for bit."""

import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.errors import CheckpointError, NonFiniteError
from jaxrl.runs import experiment
from jaxrl.runs.configuration import claim
from jaxrl.runs.metrics import read_metrics
from jaxrl.sweeps.checkpoint import Checkpoints
from jaxrl.sweeps.program import program
from jaxrl.sweeps.running import RunOptions, execute
from tests import environments as probes

SETTINGS = {
    "total_steps": 11 * 64,
    "num_envs": 4,
    "num_steps": 16,
    "num_evaluations": 3,
    "evaluation_episodes": 2,
    "normalise_observations": True,
    "normalise_rewards": True,
    "aggregator": "lagrangian",
}


def build(environment="gymnax/CartPole-v1", **settings):
    return jaxrl.trainer("ppo", environment, **{**SETTINGS, **settings})


def drive(trainer, num_chunks, **options):
    axes = jax.tree.map(lambda _: None, trainer.hyperparameters)
    compiled = program(trainer, num_chunks)
    return execute(
        trainer,
        compiled,
        jax.random.key(7),
        trainer.hyperparameters,
        axes,
        RunOptions(num_chunks=num_chunks, progress=False, **options),
    )


def assert_identical(first, second):
    for one, two in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, two = jax.random.key_data(one), jax.random.key_data(two)
        np.testing.assert_array_equal(one, two)


@pytest.fixture(scope="module")
def whole():
    trainer = build()
    return trainer, jax.jit(trainer.run)(jax.random.key(7), trainer.hyperparameters)


@pytest.mark.slow  # What is resumed runs in eleven chunks as well.
@pytest.mark.parametrize("num_chunks", [1, 4, 11])
def test_chunked_equals_whole(whole, num_chunks):
    trainer, result = whole
    assert_identical(drive(trainer, num_chunks), result)


@pytest.mark.slow  # That leaves compile nothing anew is tested in test_training and test_sweeps.
@pytest.mark.parametrize("num_members", [0, 2])
def test_a_run_compiles_each_of_its_programs_once(num_members, caplog):
    # This environment starts with a weakly typed step count, which its first step makes strong.
    trainer = build(total_steps=3 * 64)
    assert jax.eval_shape(trainer.init, jax.random.key(0), trainer.hyperparameters).environment.time.weak_type
    axes = jax.tree.map(lambda _: None, trainer.hyperparameters)
    keys = jax.random.split(jax.random.key(7), num_members) if num_members else jax.random.key(7)
    with jax.log_compiles(), caplog.at_level("WARNING"):
        compiled = program(trainer, 3, axes, num_members)
        execute(trainer, compiled, keys, trainer.hyperparameters, axes, RunOptions(num_chunks=3, progress=False))
    finished = [record.message for record in caplog.records if record.message.startswith("Finished XLA compilation")]
    assert sum("jit(advance)" in message for message in finished) == 1


def test_resumed_equals_uninterrupted(whole, tmp_path):
    trainer, result = whole
    # A run of the same program that stops early leaves what a killed one would.
    stopped = trainer._replace(num_iterations=6)
    axes = jax.tree.map(lambda _: None, trainer.hyperparameters)
    compiled = program(trainer, 11)
    options = RunOptions(num_chunks=11, progress=False, checkpoint_directory=tmp_path, checkpoint_seconds=0.0)
    inputs = (jax.random.key(7), trainer.hyperparameters, axes, options)
    execute(stopped, compiled, *inputs)
    assert Checkpoints(tmp_path).metadata()["iteration"] == 6
    assert_identical(execute(trainer, compiled, *inputs), result)
    # Once more from its last checkpoint: nothing is left to do and nothing changes.
    assert_identical(execute(trainer, compiled, *inputs), result)


@pytest.mark.slow  # Three processes; of a kind of one's own, test_own_kind kills one quickly.
def test_a_killed_process_resumes_bit_for_bit(own_devices, tmp_path):
    command = [sys.executable, "-m", "jaxrl", "train", "ppo", "gymnax/CartPole-v1", "--total-steps", "50000"]
    command += ["--num-evaluations", "3", "--evaluation-episodes", "2", "--checkpoint-seconds", "0"]

    def start(out):
        return subprocess.Popen([*command, "--out", str(out)], env=own_devices, stdout=subprocess.DEVNULL)

    killed = start(tmp_path / "killed")
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed" / "checkpoints").glob("[0-9]*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    begun = read_metrics(tmp_path / "killed" / "metrics.csv", as_text=True).to_csv(index=False)
    assert start(tmp_path / "whole").wait() == 0
    resume = [sys.executable, "-m", "jaxrl", "resume", str(tmp_path / "killed")]
    subprocess.run(resume, env=own_devices, check=True, stdout=subprocess.DEVNULL)
    whole, resumed = (tmp_path / name / "metrics.csv" for name in ("whole", "killed"))
    assert resumed.read_bytes() == whole.read_bytes()
    assert whole.read_text().startswith(begun) and begun.count("\n") > 1
    first, second = jaxrl.load(tmp_path / "whole"), jaxrl.load(tmp_path / "killed")
    assert_identical(first.state, second.state)


def test_a_foreign_checkpoint_is_refused(whole, tmp_path):
    trainer, _ = whole
    options = {"checkpoint_directory": tmp_path}
    drive(trainer, 1, **options)
    with pytest.raises(CheckpointError, match="written by other settings"):
        drive(build(hidden_sizes=(8,)), 1, **options)
    with pytest.raises(CheckpointError, match="written with learning_rate="):
        drive(build(learning_rate=0.5), 1, **options)


def test_a_damaged_checkpoint_is_refused(whole, tmp_path):
    trainer, _ = whole
    drive(trainer, 1, checkpoint_directory=tmp_path)
    (path,) = tmp_path.glob("*.npz")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="damaged"):
        drive(trainer, 1, checkpoint_directory=tmp_path)


def test_not_a_number_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    # Every third reward: after four iterations more than a tenth of ten are lost.
    trainer = build(probes.not_a_number(2), aggregator="linear", normalise_rewards=False, normalise_observations=False)
    with pytest.raises(NonFiniteError, match=r"not finite .* last good checkpoint is step 3"):
        drive(trainer, 11, checkpoint_directory=tmp_path, checkpoint_seconds=0.0)
    assert Checkpoints(tmp_path).latest() == 3


def test_a_rare_fault_does_not_stop_the_run():
    trainer = build(probes.not_a_number(40), aggregator="linear", normalise_rewards=False, normalise_observations=False)
    result = drive(trainer, 11)
    assert result.metrics["faulty_steps"].sum() == 4 * (11 * 16 // 41) and not result.metrics["non_finite"].any()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result.state.agent))


def test_a_run_directory_refuses_another_configuration(tmp_path):
    small = {"total_steps": 256, "num_envs": 4, "num_steps": 16, "num_evaluations": 1, "evaluation_episodes": 2}
    configuration = experiment.Configuration("train", "ppo", "gymnax/CartPole-v1", settings=small)
    claim(tmp_path, configuration)
    other = experiment.Configuration("train", "ppo", "gymnax/CartPole-v1", settings={**small, "discount": 0.5})
    with pytest.raises(CheckpointError, match="another run"):
        experiment.run(other, tmp_path)
    with pytest.raises(CheckpointError, match="not a run directory"):
        jaxrl.load(tmp_path / "nowhere")
