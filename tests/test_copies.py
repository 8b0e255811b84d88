"""One run whose copies of the environment are divided among devices: the same run, in less time."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest

import jaxrl
from jaxrl.numerics.copies import copies_mesh, divided, whole
from jaxrl.runs import experiment
from jaxrl.runs.configuration import Configuration
from jaxrl.sweeps import devices, running
from jaxrl.sweeps.checkpoint import Checkpoints
from jaxrl.sweeps.devices import run_mesh
from jaxrl.sweeps.program import program
from tests import short

pytestmark = pytest.mark.quick_compilation

SETTINGS = {**short.SETTINGS, "num_envs": 8, "num_steps": 8, "total_steps": 8 * 64, "normalise_rewards": True}


def trained(trainer, mesh):
    """The state and outputs of a whole run, and its program."""
    compiled = program(trainer, 2, mesh=mesh)
    state = compiled.init(jax.random.key(3), trainer.hyperparameters)
    outputs = []
    for start in range(0, trainer.num_iterations, compiled.chunk):
        state, output = compiled.advance(
            state, trainer.hyperparameters, jnp.asarray(start), jnp.asarray(compiled.chunk)
        )
        outputs.append(output)
    return state, jax.tree.map(lambda *leaves: np.concatenate(leaves), *outputs), compiled


@pytest.mark.parametrize("network", ["mlp", pytest.param("gru", marks=pytest.mark.slow)])
def test_devices_divide_a_run_and_change_it_by_rounding_alone(network):
    trainer = jaxrl.trainer("ppo", "gymnax/CartPole-v1", network=network, num_minibatches=2, **SETTINGS)
    alone, expected, _ = trained(trainer, None)
    state, outputs, compiled = trained(trainer, copies_mesh(4))
    np.testing.assert_array_equal(state.episode.length, alone.episode.length)
    for ours, theirs in zip(jax.tree.leaves(state.agent.params), jax.tree.leaves(alone.agent.params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(outputs[1].returns, expected[1].returns)
    # Each device holds a quarter of the copies, and all of the agent.
    assert {shard.data.shape[0] for shard in state.observation.addressable_shards} == {2}
    assert len(state.observation.addressable_shards) == 4
    assert all(leaf.is_fully_replicated for leaf in jax.tree.leaves(state.agent.params))
    # Gradients are exchanged: were they not, every device would learn from all samples.
    (text,) = (executable.as_text() for executable in compiled.advance.compiled._executables.values())
    assert "all-reduce" in text


@pytest.mark.slow  # Two programs more; test_checkpoints reads what other devices wrote.
def test_what_stopped_on_one_device_goes_on_on_several(tmp_path, monkeypatch):
    run = Configuration("train", "ppo", "gymnax/CartPole-v1", settings=SETTINGS)
    quiet = {"progress": False, "checkpoint_seconds": 0.0, "num_chunks": 4}
    experiment.run(run, tmp_path / "whole", jaxrl.RunOptions(**quiet, devices=1))
    stopped = jaxrl.RunOptions(**quiet, devices=1, on_rows=None)

    class StoppedError(Exception):
        pass

    visits = []

    def stop(bar, *rest):
        visits.append(None)
        if len(visits) == 3:
            raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(running, "_advance_bar", stop)
        with pytest.raises(StoppedError):
            experiment.run(run, tmp_path / "run", stopped)
    assert Checkpoints(tmp_path / "run" / "checkpoints").latest() == 4
    experiment.run(run, tmp_path / "run", jaxrl.RunOptions(**quiet, devices=4))
    ours, theirs = (pandas.read_csv(tmp_path / name / "metrics.csv") for name in ("run", "whole"))
    pandas.testing.assert_frame_equal(ours, theirs, rtol=1e-3, atol=1e-5)


def test_a_run_takes_devices_where_each_has_many_copies(monkeypatch):
    trainer = jaxrl.trainer("ppo", "gymnax/CartPole-v1", **SETTINGS)
    assert run_mesh(trainer) is None
    assert run_mesh(trainer, 2).size == 2
    assert run_mesh(trainer, 1) is None
    wide = trainer.rebuild(num_envs=2048, num_steps=1, total_steps=4096)
    # Cores of a CPU share one device's work already.
    assert run_mesh(wide) is None
    monkeypatch.setattr(devices, "_platform", lambda: "gpu")
    assert run_mesh(wide).size == 8
    assert run_mesh(wide.rebuild(num_envs=1280, total_steps=4096)).size == 5
    assert run_mesh(wide.rebuild(num_envs=511, num_minibatches=1, total_steps=4096)) is None
    for count in (3, 16):
        with pytest.raises(ValueError, match=f"devices={count} must divide the 8 copies .* at most 8"):
            run_mesh(trainer, count)


def test_without_such_devices_nothing_is_added():
    assert str(jax.make_jaxpr(lambda x: whole(divided(x)))(jnp.ones(8))) == str(
        jax.make_jaxpr(lambda x: x)(jnp.ones(8))
    )
