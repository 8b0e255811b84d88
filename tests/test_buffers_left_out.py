"""Checkpoints with and without replay buffers: their size, and how a run goes on from either."""

from dataclasses import replace

import environments as probes
import jax
import numpy as np
import pytest

import jaxrl
from jaxrl.replay import Buffer, with_buffers, without_buffers
from tests.stopping import stopping

pytestmark = pytest.mark.quick_compilation

# Four iterations before the first update; a checkpoint after every fifth of twenty.
SETTINGS = {
    "num_envs": 2,
    "num_steps": 4,
    "num_updates": 2,
    "batch_size": 8,
    "buffer_size": 50_000,
    "learning_starts": 32,
    "total_steps": 160,
    "hidden_sizes": (8,),
    "num_evaluations": 2,
    "evaluation_episodes": 2,
    "evaluation_steps": 4,
}
EVERY = jaxrl.RunOptions(progress=False, num_chunks=4, checkpoint_seconds=0.0)
WITHOUT = replace(EVERY, checkpoint_buffers=False)


@pytest.fixture(scope="module")
def trainer():
    return jaxrl.trainer("dqn", probes.one_step(), **SETTINGS)


def sweep(trainer, directory, options):
    return jaxrl.sweep(trainer, seeds=2, options=options, directory=directory, say=lambda _: None, max_devices=1)


def stopped(trainer, directory, options, monkeypatch, after=2):
    with stopping(monkeypatch, after):
        sweep(trainer, directory, options)
    return (directory / "group_0" / "10.npz").stat().st_size


def same(one, other):
    plain = lambda leaf: np.asarray(  # noqa: E731
        jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
    )
    leaves = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(plain(a), plain(b), equal_nan=True) for a, b in leaves)


def test_a_run_goes_on_with_its_buffer_to_the_same_bits_and_without_one_once_it_is_filled(
    trainer, tmp_path, monkeypatch
):
    whole = sweep(trainer, None, EVERY)
    size = stopped(trainer, tmp_path / "with", EVERY, monkeypatch)
    less = stopped(trainer, tmp_path / "without", WITHOUT, monkeypatch)
    # 50,000 steps of two members, an observation before and after of one number each and at least 4 bytes more.
    assert size > 2 * 50_000 * 12 and less < size / 20
    assert same(sweep(trainer, tmp_path / "with", EVERY).groups[0].result, whole.groups[0].result)

    # As it began: nobody says again that buffers are left out.
    resumed = sweep(trainer, tmp_path / "without", EVERY).groups[0].result
    assert not same(without_buffers(resumed.state), without_buffers(whole.groups[0].result.state))
    updates = np.asarray(resumed.metrics["updates"])
    expected = [0] * 3 + [2] * 7 + [0] * 3 + [2] * 7
    np.testing.assert_array_equal(updates, [expected, expected])
    np.testing.assert_array_equal(resumed.state.agent.buffer.written, 4 * 10)
    assert np.isfinite(np.asarray(resumed.metrics["loss"])[:, 13:]).all()

    finished = sweep(trainer, tmp_path / "without", EVERY)
    assert (tmp_path / "without" / "group_0" / "20.npz").stat().st_size < size / 20
    assert finished.groups[0].result.state.agent.buffer == ()
    assert finished.policy(1)(jax.random.key(0), np.zeros((1, 1))).shape == (1,)


def test_a_buffer_anywhere_in_a_state_is_left_out_and_put_back(trainer):
    state = jax.eval_shape(trainer.init, jax.random.key(0), trainer.hyperparameters)
    several = {"members": (state, 1.0), "other": [state.agent.buffer]}
    bare = without_buffers(several)
    assert not any(isinstance(leaf, Buffer) for leaf in (bare["members"][0].agent.buffer, bare["other"][0]))
    assert with_buffers(bare, several) == several
    assert without_buffers({"none": 1.0}) == with_buffers({"none": 1.0}, {"none": 2.0}) == {"none": 1.0}


@pytest.mark.slow
def test_a_single_run_goes_on_without_its_buffer_and_its_policy_is_read(tmp_path):
    from jaxrl.cli import main

    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items() if name != "hidden_sizes"]
    out = str(tmp_path / "run")
    flags += ["--out", out, "--checkpoint-buffers", "False", "--checkpoint-seconds", "0", "--keep", "best"]
    main(["train", "dqn", "gymnax/CartPole-v1", *flags])
    places = [*(tmp_path / "run" / "checkpoints").rglob("*.npz")]
    assert len(places) > 1 and all(place.stat().st_size < 800_000 for place in places)
    for which in ("last", "best"):
        assert jaxrl.load(out, which=which)(jax.random.key(0), np.zeros((3, 4))).shape == (3,)
    (tmp_path / "run" / "checkpoints" / "20.npz").unlink(missing_ok=True)
    main(["resume", out])
    assert len(jaxrl.evaluate(out, 2)) == 1
