"""How much memory a sweep takes, of what a machine, a container or a shell grants."""

import resource

import jax
import jax.numpy as jnp
import pytest

import jaxrl
from jaxrl import machine
from jaxrl.sweeps import memory
from jaxrl.sweeps.liveness import peak_bytes
from tests import short

GIB = 2**30


@pytest.fixture
def granted(monkeypatch, tmp_path):
    """A machine of 64 GiB whose process is in no control group, and where its groups are."""
    monkeypatch.setattr(machine.os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 64 * GIB // 4096}.get)
    monkeypatch.setattr(machine, "_CONTROL_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(machine, "_OWN_GROUPS", tmp_path / "own")
    return tmp_path


def write_limit(granted, groups, path, name, text):
    (granted / "own").write_text(groups)
    place = granted / "groups" / path
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_text(f"{text}\n")


def test_a_machine_grants_all_that_it_has(granted):
    assert machine.host_memory() == 64 * GIB


@pytest.mark.parametrize(
    ("groups", "path", "name"),
    [
        ("0::/job/step\n", "job/step", "memory.max"),
        ("0::/job/step\n", "job", "memory.max"),
        # In a container: its own group is the root of what it sees.
        ("0::/\n", "", "memory.max"),
        ("5:cpu:/x\n4:memory:/job/step\n0::/\n", "memory/job/step", "memory.limit_in_bytes"),
        ("4:hugetlb,memory:/outside\n", "memory", "memory.limit_in_bytes"),
    ],
)
def test_a_control_group_or_one_around_it_grants_less(granted, groups, path, name):
    write_limit(granted, groups, path, name, 8 * GIB)
    assert machine.host_memory() == 8 * GIB


@pytest.mark.parametrize("text", ["max", str(2**63 - 4096)])
def test_a_group_without_a_limit_grants_all(granted, text):
    write_limit(granted, "0::/job\n", "job", "memory.max", text)
    assert machine.host_memory() == 64 * GIB


def test_a_limit_of_the_shell_counts(granted, monkeypatch):
    limits = {resource.RLIMIT_DATA: 6 * GIB, resource.RLIMIT_RSS: 7 * GIB}
    unlimited = resource.RLIM_INFINITY
    monkeypatch.setattr(machine.resource, "getrlimit", lambda kind: (limits.get(kind, unlimited), unlimited))
    assert machine.host_memory() == 6 * GIB


def test_fewer_members_fit_where_less_is_granted(granted):
    trainer = jaxrl.trainer("ppo", "gymnax/CartPole-v1", **short.SETTINGS)
    before = memory.members_that_fit(trainer, 1)
    write_limit(granted, "0::/\n", "", "memory.max", 8 * GIB)
    assert memory.members_that_fit(trainer, 1) == pytest.approx(before / 8, rel=0.01)
    assert memory.bytes_per_member(trainer.rebuild(num_envs=64, total_steps=4096)) > 1.5 * memory.bytes_per_member(
        trainer
    )
    # However little there is, every device has one.
    write_limit(granted, "0::/\n", "", "memory.max", 1)
    assert memory.members_that_fit(trainer, 3) == 3


NUMBERS = jnp.ones(1000)


def alive_at_once(function):
    return peak_bytes(jax.make_jaxpr(function)(NUMBERS).jaxpr)


def test_what_is_used_no_more_takes_no_room():
    # The doubled numbers are over when their sines have been taken, and never are three alive.
    assert alive_at_once(lambda x: jnp.cos(jnp.sin(2.0 * x)).sum()) == pytest.approx(8000, abs=100)
    assert alive_at_once(lambda x: jnp.cos(y := 2.0 * x) + y + jnp.sin(y)) == pytest.approx(12000, abs=100)


def test_a_loop_needs_its_body_once_and_all_that_it_keeps():
    def body(x, _):
        return jnp.sin(jnp.cos(x)), x

    looped = alive_at_once(lambda x: jax.lax.scan(body, x, None, length=7))
    assert looped == pytest.approx(7 * 4000 + 4000 + 8000, abs=4200)


def test_branches_need_as_much_as_the_largest():
    def branch(x):
        return jax.lax.cond(x[0] > 0.0, lambda x: (x[:, None] * x).sum(), lambda x: x.sum(), x)

    assert alive_at_once(branch) == pytest.approx(1000 * 1000 * 4, rel=0.02)


def test_the_estimate_of_a_run_is_near_what_its_compiler_allots():
    trainer = jaxrl.trainer("ppo", "gymnax/CartPole-v1", **{**short.SETTINGS, "num_steps": 32, "hidden_sizes": (64,)})
    state = jax.eval_shape(trainer.init, jax.random.key(0), trainer.hyperparameters)
    step = jax.jit(trainer.step).trace(state, trainer.hyperparameters, 0)
    allotted = step.lower().compile().memory_analysis().temp_size_in_bytes
    assert 0.5 < peak_bytes(step.jaxpr.jaxpr) / allotted < 2.0
