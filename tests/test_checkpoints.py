"""Checkpoints: of members on any devices, of former versions, damaged, and of a full disk."""

import json
import resource
import shutil
import sys
import zlib
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.cli import main
from jaxrl.errors import CheckpointError, DamagedError, NonFiniteError
from jaxrl.runs import experiment, saved
from jaxrl.sweeps import batches
from jaxrl.sweeps.checkpoint import Checkpoints
from tests import walks
from tests.stopping import stopping
from tests.walks import walk

pytestmark = [pytest.mark.quick_compilation, pytest.mark.usefixtures("built_once")]

EVERY = jaxrl.RunOptions(progress=False, num_chunks=4, checkpoint_seconds=0.0)
SEEDS = (5, 1, 3)


def sweep(directory, seeds, program=None, **rest):
    given = {"hyperparameters": {"scale": [0.5, 0.25]}, "options": EVERY, "say": lambda _: None, **rest}
    return jaxrl.sweep(program or walk(), seeds=seeds, directory=directory, **given)


def same(first, second):
    """Tables and states of two sweeps, bit for bit."""
    assert first.table.equals(second.table)
    for one, two in zip(first.groups, second.groups, strict=True):
        for left, right in zip(jax.tree.leaves(one.result), jax.tree.leaves(two.result), strict=True):
            if jnp.issubdtype(left.dtype, jax.dtypes.prng_key):
                left, right = jax.random.key_data(left), jax.random.key_data(right)
            np.testing.assert_array_equal(left, right)


@contextmanager
def no_training(monkeypatch):
    """Whatever is called in here only reads."""

    def refuse(*_):
        raise AssertionError("a finished run was started")

    with monkeypatch.context() as patched:
        patched.setattr(batches.Batches, "start", refuse)
        yield


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch):
    """The same walk is compiled but once, however often it is run."""
    monkeypatch.setattr(sys.modules[jaxrl.sweep.__module__], "program", walks.compiled_once)


@pytest.mark.parametrize(
    "num_seeds", [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(5, marks=pytest.mark.slow)]
)
def test_members_move_between_any_devices(num_seeds, tmp_path, monkeypatch):
    assert jax.device_count() == 8
    seeds = list(range(num_seeds))
    wanted = jaxrl.sweep(walk(), seeds=seeds, options=EVERY, max_devices=1)
    for written in (1, 2, 8):
        place, begun = tmp_path / f"whole{written}", tmp_path / f"begun{written}"
        one = {"hyperparameters": None}
        same(sweep(place, seeds, max_devices=written, **one), wanted)
        with stopping(monkeypatch, 2):
            sweep(begun, seeds, max_devices=written, **one)
        for read in (1, 2, 8):
            with no_training(monkeypatch):
                same(sweep(place, seeds, max_devices=read, **one), wanted)
            here = shutil.copytree(begun, tmp_path / f"{written}to{read}")
            same(sweep(here, seeds, max_devices=read, **one), wanted)


def test_what_fits_in_memory_changes_nothing(tmp_path, monkeypatch):
    wanted = sweep(None, 3, max_devices=1)
    with stopping(monkeypatch, 2):
        sweep(tmp_path, 3, max_devices=2, members_per_block=2)
    # Five of six members at a time on one device now: the last batch is filled up.
    found = sweep(tmp_path, 3, max_devices=1, members_per_block=5)
    same(found, wanted)
    with no_training(monkeypatch):
        same(sweep(tmp_path, 3), wanted)
    record = json.loads(np.load(tmp_path / "group_0" / "8.npz")["record.json"])
    assert record["leaves"]["0/position"]["shape"] == [6, 2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A sweep of three agents, written on two devices."""
    place = tmp_path_factory.mktemp("trained") / "run"
    devices = jax.devices
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(jax, "devices", lambda *rest: devices(*rest)[:2])
        settings = {"total_steps": 128, "num_envs": 4, "num_steps": 16, "num_evaluations": 1, "evaluation_episodes": 2}
        settings |= {"hidden_sizes": (4,)}
        configuration = experiment.Configuration("sweep", "ppo", "gymnax/CartPole-v1", settings=settings, seeds=SEEDS)
        outcome = experiment.run(configuration, place, jaxrl.RunOptions(progress=False, num_chunks=1))
    return place, outcome.sweep


@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.slow), 8])
def test_a_sweep_that_devices_do_not_divide_is_read_on_others(trained, count, monkeypatch):
    place, swept = trained
    devices = jax.devices
    monkeypatch.setattr(jax, "devices", lambda *rest: devices(*rest)[:count])
    with no_training(monkeypatch):
        same(saved.load_sweep(place), swept)
        if count == 8:
            policy = jaxrl.load(place, member=2)
            for one, two in zip(jax.tree.leaves(policy.state), jax.tree.leaves(swept.policy(2).state), strict=True):
                np.testing.assert_array_equal(one, two)
            assert saved.evaluate(place, num_episodes=2)["member"].tolist() == [0, 1, 2]


def write_former(place, step, tree, iteration):
    """A checkpoint as versions before 0.2.0 wrote it."""
    import orbax.checkpoint as ocp

    plain = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        plain[jax.tree_util.keystr(path, simple=True, separator="/")] = np.asarray(
            jax.random.key_data(leaf) if key else leaf
        )
    leaves = {
        name: {"shape": list(leaf.shape), "dtype": str(leaf.dtype), "crc": zlib.crc32(leaf.tobytes())}
        for name, leaf in plain.items()
    }
    manager = ocp.CheckpointManager(place)
    record = {"leaves": leaves, "metadata": {"iteration": iteration}}
    arguments = ocp.args.Composite(tree=ocp.args.StandardSave(plain), record=ocp.args.JsonSave(record))
    manager.save(step, args=arguments)
    manager.close()


def former_blocks(place, wanted, steps):
    """A sweep of five members in padded blocks of four, each at its own step."""
    group = wanted.groups[0]
    seen = np.full((5, 8), np.nan, np.float32)
    seen[:, group.trainer.evaluation_iterations] = group.result.evaluation.position
    outputs = dict(group.result.metrics), group.result.evaluation._replace(position=seen)
    for index, (step, rows) in enumerate(zip(steps, ([0, 1, 2, 3], [4, 0, 1, 2]), strict=True)):
        chosen = np.asarray(rows)
        state, history = jax.tree.map(lambda leaf, chosen=chosen: leaf[chosen], (group.result.state, outputs))
        history = jax.tree.map(lambda leaf, step=step: leaf[:, :step], history)
        tree = state, group.trainer.hyperparameters, history
        write_former(place / "group_0" / f"block_{index}", step, tree, step)


def test_former_checkpoints_of_padded_blocks_are_read(tmp_path, monkeypatch):
    wanted = jaxrl.sweep(walk(), seeds=5, options=EVERY)
    former_blocks(tmp_path / "whole", wanted, (8, 8))
    with no_training(monkeypatch):
        same(sweep(tmp_path / "whole", 5, hyperparameters=None), wanted)
    former_blocks(tmp_path / "begun", wanted, (8, 4))
    with pytest.raises(CheckpointError, match="by an earlier version, in blocks that stand at different iterations"):
        sweep(tmp_path / "begun", 5, hyperparameters=None)


def damages(data):
    """Contents that a file may have after a fault, by name; None where it is gone."""
    found = {"gone": None, "emptied": b"", "cut short": data[: len(data) // 2], "cut at the end": data[:-1]}
    for place in (len(data) // 3, len(data) // 2, len(data) - 1):
        flipped = bytearray(data)
        flipped[place] ^= 4
        found[f"bit {place}"] = bytes(flipped)
    return found


def test_every_damage_of_every_file_is_harmless_or_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiment, "draw_table", lambda *_: None)
    configuration = experiment.Configuration("walk", "walk", "", seeds=SEEDS)
    whole, used = tmp_path / "whole", tmp_path / "used"
    experiment.run(configuration, whole, EVERY)
    metrics = (whole / "metrics.csv").read_bytes()
    assert main(["evaluate", str(whole)]) == 0
    numbers = capsys.readouterr().out
    refused = set()
    for path in sorted(each for each in whole.rglob("*") if each.is_file()):
        for name, damaged in damages(path.read_bytes()).items():
            for command in ("evaluate", "resume"):
                shutil.rmtree(used, ignore_errors=True)
                shutil.copytree(whole, used)
                victim = used / path.relative_to(whole)
                victim.unlink() if damaged is None else victim.write_bytes(damaged)
                status = main([command, str(used)])
                out, error = capsys.readouterr()
                case = f"{command} after {path.relative_to(whole)} was {name}: {error}"
                assert "Traceback" not in error and len(error.splitlines()) <= 1 and len(error) < 400, case
                if status == 0 and command == "evaluate":
                    assert out == numbers, case
                elif status == 0:
                    assert (used / "metrics.csv").read_bytes() == metrics, case
                else:
                    assert status == 2 and error.startswith("jaxrl: "), case
                    refused.add(path.name)
    # The older checkpoint stands in for the newest, and says so.
    assert refused == {"configuration.json"}


def test_a_damaged_checkpoint_gives_way_to_the_one_before_and_says_so(tmp_path, capsys):
    wanted = sweep(tmp_path, 3)
    newest = tmp_path / "group_0" / "8.npz"
    newest.write_bytes(newest.read_bytes()[:-100])
    same(sweep(tmp_path, 3), wanted)
    error = capsys.readouterr().err
    assert f"the checkpoint {tmp_path}/group_0/8 is damaged (" in error and "going on from step 6" in error
    for path in newest.parent.glob("*.npz"):
        path.write_bytes(b"")
    with pytest.raises(
        DamagedError, match=r"group_0/8 is damaged \(.*, and no other is whole: delete .*to start again"
    ):
        sweep(tmp_path, 3)


def test_a_damaged_single_run_names_the_checkpoint_to_go_on_from(tmp_path):
    checkpoints, tree = Checkpoints(tmp_path), {"a": np.arange(5.0, dtype=np.float32), "key": jax.random.key(3)}
    for step in (1, 2, 3):
        checkpoints.save(step, tree, {"iteration": step})
    assert checkpoints.steps() == [3, 2]
    np.testing.assert_array_equal(checkpoints.restore(tree)["a"], tree["a"])
    (tmp_path / "3.npz").write_bytes(b"nothing of the kind")
    with pytest.raises(DamagedError, match=r"3 is damaged \(.*; step 2 is there too: jaxrl resume goes on from it"):
        checkpoints.restore(tree)
    # The run went on from step 2: what is at 3 or later is not its own.
    (tmp_path / "9.npz").write_bytes(b"nothing of the kind")
    checkpoints.save(3, tree, {"iteration": 3})
    assert checkpoints.steps() == [3, 2]
    np.testing.assert_array_equal(checkpoints.restore(tree)["a"], tree["a"])


def test_types_that_numpy_lacks_are_saved(tmp_path):
    tree = {"half": jnp.arange(4, dtype=jnp.bfloat16), "flag": jnp.asarray(True), "none": jnp.zeros((0, 3))}
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, tree)
    for name, leaf in checkpoints.restore(tree).items():
        assert leaf.dtype == tree[name].dtype
        np.testing.assert_array_equal(leaf, tree[name])


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path):
    """A limit on the size of files stands for the disk: writing fails half way, as it does when nothing is left."""
    tree, checkpoints = {"a": np.zeros(5000, np.float32)}, Checkpoints(tmp_path)
    with pytest.raises(CheckpointError, match=r"cannot save step 1 in .*: File too large; none was saved before"):
        _with_little_room(checkpoints.save, 1, tree)
    (tmp_path / f"1.npz.{2**22 + 1}.tmp").write_bytes(b"what a killed process left")
    checkpoints.save(1, tree, {"iteration": 1})
    with pytest.raises(CheckpointError, match=r"cannot save step 2 in .*; step 1 is whole: resume goes on from it"):
        _with_little_room(checkpoints.save, 2, tree)
    assert [path.name for path in tmp_path.iterdir()] == ["1.npz"]
    np.testing.assert_array_equal(checkpoints.restore(tree)["a"], tree["a"])


def _with_little_room(act, *arguments):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        act(*arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_run_that_diverges_says_what_it_leaves(tmp_path):
    with pytest.raises(NonFiniteError, match=r"iterations 0 to 1; no checkpoint was saved before\. Lower"):
        sweep(tmp_path / "at once", 2, walk(diverges=1))
    with pytest.raises(NonFiniteError, match=r"iterations 0 to 5; the last good checkpoint is step 4\. Lower"):
        sweep(tmp_path / "later", 2, walk(diverges=5))
    with pytest.raises(NonFiniteError, match=r"iterations 0 to 1\. Lower"):
        sweep(None, 2, walk(diverges=1))
