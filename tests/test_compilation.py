"""Compiled programs that are kept for the next run: where, how much, and safe whoever else writes there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxrl.cli import compilation, main

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
draw = lambda key: jax.lax.fori_loop(0, 9, lambda i, x: jnp.tanh(x @ x), jax.random.normal(key, (9, 9)))
run = jax.jit(jax.shard_map(jax.vmap(draw), mesh=mesh, in_specs=member, out_specs=member))
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


def test_processes_at_once_and_one_two_and_eight_devices_get_the_same_numbers(tmp_path):
    first = [*map(finish, [start(tmp_path, devices) for devices in (1, 2, 8)])]
    again = [*map(finish, [start(tmp_path, devices) for devices in (1, 1, 2, 8)])]
    assert len({run["out"] for run in (*first, *again)}) == 1
    assert [run["hits"] for run in first] == [0, 0, 0] and all(run["hits"] for run in again)


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


def test_the_folder_is_bounded_and_what_was_used_last_stays(tmp_path):
    finish(start(tmp_path, limit=30_000, programs=12))
    entries = [*tmp_path.glob("*-cache")]
    assert entries and sum(entry.stat().st_size for entry in entries) <= 30_000
    assert finish(start(tmp_path, limit=30_000))["hits"] > 0


def test_where_programs_are_kept(tmp_path):
    told, users, file = tmp_path / "told", tmp_path / "users", tmp_path / "file"
    file.write_text("")
    runs = {
        "variable": start("", JAXRL_COMPILATION_CACHE=str(told), JAX_COMPILATION_CACHE_DIR=str(users)),
        "jax": start("", JAX_COMPILATION_CACHE_DIR=str(users)),
        "default": start("", XDG_CACHE_HOME=str(tmp_path), LOCALAPPDATA=str(tmp_path), HOME=str(tmp_path)),
        "off": start("off", JAX_COMPILATION_CACHE_DIR=str(users)),
        "file": start(file / "below"),
    }
    found = {name: finish(run) for name, run in runs.items()}
    assert {name: run["folder"] for name, run in found.items() if name != "default"} == {
        "variable": str(told), "jax": str(users), "off": "None", "file": "None"
    }  # fmt: skip
    assert Path(found["default"]["folder"]).is_relative_to(tmp_path)
    assert [*told.glob("*-cache")] and [*Path(found["default"]["folder"]).glob("*-cache")]
    assert "jaxrl: compiled programs are not kept: " in found["file"]["errors"]
    assert len({run["out"] for run in found.values()}) == 1


def test_the_option_stands_anywhere_and_needs_a_value(capsys):
    words = ["train", "ppo", "--compilation-cache", "off", "gymnax/CartPole-v1"]
    assert compilation.take_option(words) == (["train", "ppo", "gymnax/CartPole-v1"], "off")
    assert compilation.take_option(["--compilation_cache=a/b", "list"]) == (["list"], "a/b")
    assert compilation.take_option(["list"]) == (["list"], None)
    for words in (["list", "--compilation-cache"], ["--compilation-cache", "--out", "x"], ["--compilation-cache="]):
        with pytest.raises(ValueError, match="--compilation-cache needs a folder, or off"):
            compilation.take_option(words)
        assert main(words) == 2
        assert capsys.readouterr().err == "jaxrl: --compilation-cache needs a folder, or off\n"


def test_a_command_keeps_what_it_compiles_outside_its_run_directory(tmp_path, own_devices):
    kept = tmp_path / "kept"
    words = ["train", "ppo", "bandit/bernoulli", "--total-steps", "64", "--num-envs", "4", "--num-steps", "8"]
    words += ["--num-evaluations", "1", "--evaluation-episodes", "2", "--compilation-cache", str(kept)]
    own_devices.pop("JAX_COMPILATION_CACHE_DIR")
    rows = []
    for name in ("first", "second"):
        line = [sys.executable, "-m", "jaxrl", *words, "--out", str(tmp_path / name)]
        done = subprocess.run(line, env=own_devices, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        rows.append((tmp_path / name / "metrics.csv").read_text())
        assert not [path for path in (tmp_path / name).rglob("*") if path.name.endswith(("-cache", "-atime"))]
    assert rows[0] == rows[1] and [*kept.glob("jit_advance-*-cache")]
