"""Programs kept for the next process: found while nothing they depend on has changed, and never for another one."""

import importlib
import json
import os
import subprocess
import sys
import time
from functools import partial
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.sweeps import kept
from jaxrl.sweeps.program import Compiled, Timing


@pytest.fixture
def folder(tmp_path, monkeypatch):
    # Part of every program below, so that JAX's own cache has none of them.
    monkeypatch.setattr(sys.modules[__name__], "SALT", float(np.frombuffer(os.urandom(4), np.uint32)[0]))
    # As in a process that begins now: other tests have written modules and imported them.
    monkeypatch.setattr(kept, "_BEGUN", time.time_ns())
    kept.keep_in(tmp_path / "programs")
    yield tmp_path / "programs"
    kept.keep_in(None)


SALT = 0.0


def power(exponent, offset=None, wrap=lambda function: function):
    inner = wrap(lambda x: x**exponent)
    return lambda x: {"value": inner(x) + (0 if offset is None else offset), "salt": jnp.sin(SALT * x[0])}


def call(function, x=None, **options):
    """What it gives, and whether it had to be lowered."""
    lowered = []
    compiled = Compiled(function, **options)
    lower = compiled.function.lower
    compiled.function = type("Spied", (), {"lower": lambda self, *args: lowered.append(1) or lower(*args)})()
    out = compiled(Timing(), jnp.arange(3.0) if x is None else x)
    return np.asarray(out["value"]), bool(lowered)


def test_the_same_function_is_found_and_another_is_not(folder):
    assert call(power(2))[1]
    value, lowered = call(power(2))
    np.testing.assert_array_equal(value, [0, 1, 4])
    assert not lowered
    others = [
        power(3),
        power(2, offset=np.array([1.0, 0.0, 0.0])),
        power(2, offset=np.array([2.0, 0.0, 0.0])),
        power(3, wrap=jax.jit),
        power(2, wrap=jax.jit),
        power(4, wrap=lambda function: jax.jit(partial(function))),
        power(5, wrap=jax.checkpoint),
    ]
    for other in others:
        expected = np.asarray(other(jnp.arange(3.0))["value"])
        value, lowered = call(other)
        np.testing.assert_array_equal(value, expected)
        assert lowered
    # Shapes, types and what is donated are part of what was compiled.
    assert call(power(2), jnp.arange(4.0))[1]
    assert call(power(2), jnp.arange(3))[1]
    assert call(power(2), donate_argnums=0)[1]


def test_what_depends_on_a_file_that_has_changed_is_compiled_again(folder, tmp_path, monkeypatch):
    path, written = tmp_path / "scaled_by_a_user.py", iter(range(1_000_000_000, 2_000_000_000))

    def write(text):
        path.write_text(text)
        os.utime(path, (second := next(written), second))

    write("def scale(x):\n    return 2.0 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("scaled_by_a_user")

    def scaled():
        return lambda x: {"value": module.scale(x), "salt": jnp.sin(SALT * x[0])}

    assert call(scaled())[1] and not call(scaled())[1]
    write("def scale(x):\n    return 30.0 * x\n")
    importlib.reload(module)
    value, lowered = call(scaled())
    np.testing.assert_array_equal(value, [0, 30, 60])
    assert lowered
    # One that changes nothing of the program costs tracing, once.
    write("def scale(x):\n    return 30.0 * x  # as before\n")
    assert call(scaled())[1] and not call(scaled())[1]
    # One that may have changed after it was imported: what was traced is not what stands there.
    os.utime(path, (time.time() + 9, time.time() + 9))
    assert call(scaled())[1] and call(scaled())[1]
    del sys.modules[module.__name__]


def test_variables_that_compilation_reads_are_part_of_it(folder, monkeypatch):
    assert call(power(2))[1]
    monkeypatch.setenv("XLA_OF_A_TEST", "1")
    assert call(power(2))[1]


@pytest.mark.parametrize("which", [0, -1], ids=["code", "what was called"])
@pytest.mark.parametrize("keep", [slice(0), slice(300), slice(1, None)], ids=["empty", "cut", "shifted"])
def test_a_damaged_entry_is_compiled_again(folder, which, keep):
    call(power(2))
    entry = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)[which]
    entry.write_bytes(entry.read_bytes()[keep])
    value, lowered = call(power(2))
    np.testing.assert_array_equal(value, [0, 1, 4])
    assert lowered


def test_what_calls_python_is_not_kept(folder):
    shape = jax.ShapeDtypeStruct((3,), np.float32)
    function = lambda x: {"value": jax.pure_callback(lambda a: np.asarray(a) * 2, shape, x)}  # noqa: E731
    assert call(function)[1] and call(function)[1]
    assert not folder.exists() or not [*folder.iterdir()]


def test_what_jax_has_in_its_own_cache_runs_the_second_time(folder, tmp_path):
    # XLA could serialise it again, into something that loads and cannot be called.
    call(power(2))
    kept.keep_in(tmp_path / "other")
    for _ in range(2):
        np.testing.assert_array_equal(call(power(2))[0], [0, 1, 4])


def test_what_was_used_longest_ago_makes_room(folder, monkeypatch):
    call(power(2))
    first = [*folder.iterdir()]
    for path in first:
        os.utime(path, (1, 1))
    monkeypatch.setattr(kept, "LIMIT", int(1.2 * sum(path.stat().st_size for path in first)))
    call(power(3))
    assert not all(path.exists() for path in first)
    assert not call(power(3))[1] and call(power(2))[1]


def test_without_a_folder_nothing_is_kept():
    assert call(power(2))[1] and call(power(2))[1]


# Prints a name per setting. A process of its own: the checks of annotations in tests cannot be pickled.
NAMES = """
import json, sys
import jaxrl
from jaxrl.sweeps import kept
from jaxrl.sweeps.program import program
names = {}
for label, (agent, environment, settings) in json.load(sys.stdin).items():
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    trainer = jaxrl.trainer(agent, environment, **{"total_steps": 4096, "num_evaluations": 1, **settings})
    names[label] = kept._name(program(trainer, 1).advance.compiled._recipe, ())
print(json.dumps(names))
"""
SETTINGS = {
    "total_steps": 8192,
    "num_epochs": 2,
    "num_minibatches": 2,
    "activation": "relu",
    "shared_torso": True,
    "hidden_sizes": (8, 8),
    "num_steps": 64,
    "num_envs": 8,
    "normalise_observations": False,
    "normalise_rewards": True,
    "clip_values": False,
    "hidden_scale": 1.0,
    "policy_scale": 1.0,
    "surrogate": "policy_gradient",
    "anneal_learning_rate": False,
    "action_repeat": 2,
    "evaluation_explores": True,
    "evaluation_steps": 7,
}


def test_every_static_setting_names_a_program_of_its_own_and_in_every_process_the_same():
    cartpole = "gymnax/CartPole-v1"
    programs = {"default": ("ppo", cartpole, {}), "agent": ("a2c", cartpole, {}), "dqn": ("dqn", cartpole, {})}
    programs |= {name: ("ppo", cartpole, {name: value}) for name, value in SETTINGS.items()}
    programs["environment"] = ("ppo", "gymnax/Acrobot-v1", {})
    words = {"args": [sys.executable, "-c", NAMES], "capture_output": True, "text": True, "check": True}
    names = json.loads(subprocess.run(input=json.dumps(programs), **words).stdout)
    assert not [pair for pair in combinations(names, 2) if names[pair[0]] == names[pair[1]]]
    again = json.loads(subprocess.run(input=json.dumps({"default": programs["default"]}), **words).stdout)
    assert again["default"] == names["default"]
