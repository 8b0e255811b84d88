"""Compiled programs that are kept for the next run: where, how much, and safe whoever else writes there."""

import json
import os
import subprocess
import sys

import jax
import pytest

from jaxrl.cli import compilation, main
from jaxrl.cli.everywhere import take_options

# Keeps all that it compiles, and prints what it has found and computed.
SCRIPT = """
import json, sys
import jax, jax.numpy as jnp, numpy as np
from jaxrl.cli import compilation
compilation._LEAST = 0.0
compilation.LIMIT = int(sys.argv[3])
jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name) if name.endswith("cache_hits") else None)
folder = compilation.keep_compiled(sys.argv[2] or None)
mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("member",))
member = jax.sharding.PartitionSpec("member")
def draw(keys):
    rows = jax.vmap(lambda key: jax.random.normal(key, (9, 9)))(keys)
    return jax.lax.fori_loop(0, 9, lambda i, x: jnp.tanh(x @ x), rows)
run = jax.jit(jax.shard_map(draw, mesh=mesh, in_specs=member, out_specs=member))
for size in range(int(sys.argv[4])):
    jax.block_until_ready(jax.jit(lambda x: jnp.sort(x) @ x + size)(np.ones(64, np.float32)))
out = np.asarray(run(jax.random.split(jax.random.key(0), 8)))
print(json.dumps({"folder": str(folder), "hits": len(hits), "out": out.tobytes().hex()}))
"""


def start(folder, devices=1, limit=2**30, programs=0, **environment):
    names = ("XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR", "JAXRL_COMPILATION_CACHE")
    inherited = {name: value for name, value in os.environ.items() if name not in names}
    words = [sys.executable, "-c", SCRIPT, str(devices), str(folder), str(limit), str(programs)]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**inherited, **environment}
    )


def finish(process):
    out, err = process.communicate()
    assert process.returncode == 0, err
    return {**json.loads(out), "errors": err}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder that three processes have filled at once, and what they have computed."""
    folder = tmp_path_factory.mktemp("kept")
    runs = [start(folder, devices) for devices in (1, 1, 8)]
    return folder, {run["out"] for run in map(finish, runs)}


def test_processes_at_once_and_one_and_eight_devices_get_the_same_numbers(kept):
    folder, out = kept
    again = [*map(finish, [start(folder, devices) for devices in (1, 8)])]
    assert {run["out"] for run in again} == out and len(out) == 1
    assert all(run["hits"] for run in again)


def test_what_is_damaged_is_compiled_again_and_what_was_being_written_is_removed(tmp_path):
    whole = finish(start(tmp_path))
    for i, entry in enumerate(sorted(tmp_path.glob("*-cache"))):
        content = bytearray(entry.read_bytes())
        content[len(content) // 2] ^= 64
        entry.write_bytes(content[: len(content) // 3] if i % 2 else content)
    unfinished = tmp_path / "jit_killed-0-cache"
    unfinished.write_bytes(b"half of a pro")
    again = finish(start(tmp_path))
    assert again["out"] == whole["out"] and again["hits"] == 0
    assert "Error reading persistent compilation cache entry" in again["errors"]
    assert not unfinished.exists()


@pytest.mark.slow  # A process that compiles a dozen programs.
def test_the_folder_is_bounded_and_what_was_compiled_last_stays(tmp_path):
    finish(start(tmp_path, limit=60_000, programs=12))
    assert sum(entry.stat().st_size for entry in tmp_path.glob("*-cache")) <= 60_000
    assert [*tmp_path.glob("jit_draw-*-cache")] and len([*tmp_path.glob("jit__lambda*-cache")]) < 12


def test_where_programs_are_kept(tmp_path, monkeypatch, capsys):
    told, users = tmp_path / "told", tmp_path / "users"
    before, settings = jax.config.jax_compilation_cache_dir, {}
    monkeypatch.setattr(compilation, "default_folder", lambda: tmp_path / "default")
    monkeypatch.delenv("JAXRL_COMPILATION_CACHE", raising=False)
    try:
        jax.config.update("jax_compilation_cache_dir", str(users))
        with monkeypatch.context() as patch:
            patch.setattr(jax.config, "update", settings.__setitem__)
            assert compilation.keep_compiled() == users and not settings
            assert compilation.keep_compiled("off") is None and settings == {"jax_enable_compilation_cache": False}
            assert compilation.keep_compiled(str(told)) == told and settings["jax_compilation_cache_dir"] == str(told)
            assert settings["jax_compilation_cache_max_size"] == compilation.LIMIT == 2**30
            patch.setenv("JAXRL_COMPILATION_CACHE", str(tmp_path / "variable"))
            assert compilation.keep_compiled() == tmp_path / "variable"
            assert compilation.keep_compiled(str(told)) == told
            settings.clear()
            (tmp_path / "file").write_text("")
            assert compilation.keep_compiled(str(tmp_path / "file" / "below")) is None
            assert settings == {"jax_enable_compilation_cache": False}
            assert capsys.readouterr().err.startswith("jaxrl: compiled programs are not kept: ")
        jax.config.update("jax_compilation_cache_dir", None)
        with monkeypatch.context() as patch:
            patch.setattr(jax.config, "update", settings.__setitem__)
            assert compilation.keep_compiled() == tmp_path / "default"
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


@pytest.mark.parametrize(
    ("platform", "folder"), [("linux", "xdg/jaxrl"), ("darwin", "home/Library/Caches/jaxrl"), ("win32", "local/jaxrl")]
)
def test_the_users_cache_folder_is_that_of_the_platform(platform, folder, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", platform)
    for name, place in (("HOME", "home"), ("XDG_CACHE_HOME", "xdg"), ("LOCALAPPDATA", "local")):
        monkeypatch.setenv(name, str(tmp_path / place))
    assert compilation.default_folder() == tmp_path / folder


def test_the_option_stands_anywhere_and_needs_a_value(capsys):
    words = ["train", "ppo", "--compilation-cache", "off", "gymnax/CartPole-v1"]
    taken = lambda words: (lambda rest, values: (rest, values["--compilation-cache"]))(*take_options(words))  # noqa: E731
    assert taken(words) == (["train", "ppo", "gymnax/CartPole-v1"], ["off"])
    assert taken(["--compilation_cache=a/b", "list"]) == (["list"], ["a/b"])
    assert taken(["list"]) == (["list"], [])
    assert take_options(["--import", "one", "list", "--import=two"]) == (
        ["list"],
        {"--compilation-cache": [], "--import": ["one", "two"]},
    )
    for words in (["list", "--compilation-cache"], ["--compilation-cache", "--out", "x"], ["--compilation-cache="]):
        with pytest.raises(ValueError, match="--compilation-cache needs a folder, or off"):
            take_options(words)
        assert main(words) == 2
        assert capsys.readouterr().err == "jaxrl: --compilation-cache needs a folder, or off\n"


@pytest.mark.parametrize("runs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_command_keeps_what_it_compiles_outside_its_run_directory(runs, tmp_path, own_devices):
    kept = tmp_path / "kept"
    words = ["train", "ppo", "bandit/bernoulli", "--total-steps", "64", "--num-envs", "4", "--num-steps", "8"]
    words += ["--num-evaluations", "1", "--evaluation-episodes", "2", "--compilation-cache", str(kept)]
    own_devices.pop("JAX_COMPILATION_CACHE_DIR")
    rows = []
    for name in ("first", "second")[:runs]:
        line = [sys.executable, "-m", "jaxrl", *words, "--out", str(tmp_path / name)]
        done = subprocess.run(line, env=own_devices, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        rows.append((tmp_path / name / "metrics.csv").read_text())
        assert not [path for path in (tmp_path / name).rglob("*") if path.name.endswith(("-cache", "-atime"))]
    assert len(set(rows)) == 1 and [*kept.glob("jit_advance-*-cache")]
