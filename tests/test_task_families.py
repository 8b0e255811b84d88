"""Families of tasks: the contract, held-out splits, and each reward against its equation."""

import subprocess
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environments import Box, Environment, EnvironmentSpec, Timestep, check
from jaxrl.environments.check import check_structure
from jaxrl.multitask import merge
from jaxrl.multitask.families import FAMILIES, family, locomotion

pytestmark = pytest.mark.quick_compilation

BRAX = {"ant-direction", "ant-goal", "ant-velocity", "half-cheetah-direction", "half-cheetah-velocity"}
SMALL = {"num_tasks": 3, "num_held_out": 2}
DRAWN = ("acrobot", "cart-pole", "grid", "highway", "lunar-lander", "mountain-car", "pendulum")
OPTIONS = {**dict.fromkeys(DRAWN, SMALL), "objectives": {"environment": "mo/mountaincar"}}


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - BRAX))
def test_the_tasks_to_train_on_merge_into_an_environment(name):
    check_structure(jaxrl.make(f"multitask/{name}", **OPTIONS.get(name, {})))


@pytest.mark.parametrize("name", ["grid", "pendulum"])
def test_merged_tasks_keep_the_contract(name):
    check(jaxrl.make(f"multitask/{name}", **OPTIONS[name]), num_steps=8)


@pytest.mark.parametrize("name", DRAWN)
def test_held_out_tasks_are_others_and_the_same_for_the_same_seed(name):
    built, again, other = (family(name, seed=seed, **SMALL) for seed in (0, 0, 1))
    assert (built.num_tasks, built.train.num_tasks, built.held_out.num_tasks) == (5, 3, 2)
    rows = np.concatenate([np.asarray(leaf, float).reshape(5, -1) for leaf in jax.tree.leaves(built.params)], axis=1)
    assert len(np.unique(rows, axis=0)) == 5
    jax.tree.map(np.testing.assert_array_equal, built.params, again.params)
    assert any(bool(jnp.any(a != b)) for a, b in zip(*map(jax.tree.leaves, (built.params, other.params)), strict=True))


def first_reward(built, task, action, steps=1):
    """Reward of the last of some equal actions, and the states around it."""
    params = jax.tree.map(lambda leaf: leaf[task], built.params)
    step = jax.jit(built.environment.step)
    state, _ = jax.jit(built.environment.reset)(jax.random.key(0), params)
    for _ in range(steps):
        before = state
        state, timestep = step(jax.random.key(1), state, action, params)
    return float(timestep.reward[0]), before, state, params


def test_a_pendulum_is_paid_for_its_goal_angle():
    built = family("pendulum", angle=(-2.0, 2.0), **SMALL)
    reward, before, _, params = first_reward(built, 1, jnp.asarray([0.7]), steps=3)
    apart = (float(before.theta) - float(params.goal) + np.pi) % (2 * np.pi) - np.pi
    expected = -(apart**2) - 0.1 * float(before.theta_dot) ** 2 - 0.001 * 0.7**2
    np.testing.assert_allclose(reward, expected, rtol=1e-4)


def test_a_lander_is_paid_gymnasiums_sum(monkeypatch):
    vector = jnp.asarray([100.0, -2.0, -0.7, -1.0])
    real = jaxrl.make("mo/lunar-lander")
    still = lambda key, state, action, params: (state, Timestep(jnp.zeros(8), vector, False, False, {}))  # noqa: E731
    monkeypatch.setattr(
        sys.modules["jaxrl.multitask.families.lunar_lander"], "make", lambda name: real._replace(step=still)
    )
    built = family("lunar-lander", gravity=(3.0, 4.0), **SMALL)
    params = jax.tree.map(lambda leaf: leaf[2], built.params)
    reward = built.environment.step(jax.random.key(1), (), jnp.asarray(2), params)[1].reward
    np.testing.assert_allclose(reward, [100.0 - 2.0 - 0.3 * 0.7 - 0.03], rtol=1e-6)
    assert 3.0 <= float(params.inner.physics.gravity) <= 4.0


def test_a_highway_is_paid_highway_envs_reward(monkeypatch):
    vector = jnp.asarray([0.5, 1.0, -1.0])
    real = jaxrl.make("mo/highway-fast")
    still = lambda key, state, action, params: (state, Timestep(jnp.zeros(25), vector, True, False, {}))  # noqa: E731
    monkeypatch.setattr(sys.modules["jaxrl.multitask.families.highway"], "make", lambda name: real._replace(step=still))
    built = family("highway", density=(2.0, 3.0), time_gap=(1.0, 1.1), speed_limit=(40.0, 50.0), **SMALL)
    params = jax.tree.map(lambda leaf: leaf[2], built.params)
    reward = built.environment.step(jax.random.key(1), (), jnp.asarray(2), params)[1].reward
    np.testing.assert_allclose(reward, [(0.4 * 0.5 + 0.1 - 1.0 + 1.0) / 1.5], rtol=1e-6)
    inner = params.inner
    assert 2.0 <= float(inner.density) <= 3.0 and 40.0 <= float(inner.traffic.speed_limit) <= 50.0
    assert 1.0 <= float(inner.traffic.time_gap) <= 1.1


def test_derived_constants_of_a_cart_pole_follow():
    params = family("cart-pole", **SMALL).params
    np.testing.assert_allclose(params.polemass_length, params.masspole * params.length, rtol=1e-6)


class Body(NamedTuple):
    pos: jax.Array


class Pipeline(NamedTuple):
    x: Body


class Limited(NamedTuple):
    inner: Pipeline


def walker(name, backend, limit, **options):
    """In place of brax: the first action is the velocity along x and the second that along y."""

    def reset(key, params):
        return Limited(Pipeline(Body(jnp.zeros((1, 3))))), jnp.zeros(2)

    def step(key, state, action, params):
        place = state.inner.x.pos.at[0, :2].add(action)
        reward = jnp.stack([action[0], jnp.ones(()), -jnp.sum(action**2)])
        return Limited(Pipeline(Body(place))), Timestep(jnp.zeros(2), reward, jnp.array(False), jnp.array(False), {})

    spec = EnvironmentSpec(name, Box(-1.0, 1.0, (2,)), Box(-1.0, 1.0, (2,)), 3, limit)
    return Environment(reset, step, jnp.zeros(()), spec)


@pytest.mark.parametrize(
    ("name", "paid"),
    [
        ("half-cheetah-velocity", lambda goal: -abs(0.6 - goal) - 0.05 * 0.45),
        ("half-cheetah-direction", lambda goal: goal * 0.6 - 0.05 * 0.45),
        ("ant-velocity", lambda goal: 1.0 - abs(0.6 - goal) - 0.5 * 0.45),
        ("ant-direction", lambda goal: 1.0 + goal * 0.6 - 0.5 * 0.45),
        ("ant-goal", lambda goal: -np.hypot(*(np.array([1.2, 0.6]) - goal)) - 0.1 * 0.45),
    ],
)
def test_locomotion_is_paid_for_its_goal(monkeypatch, name, paid):
    monkeypatch.setattr(locomotion, "_brax", walker)
    built = family(name)
    for task in (0, 1):
        reward, _, _, params = first_reward(built, task, jnp.asarray([0.6, 0.3]), steps=2)
        np.testing.assert_allclose(reward, paid(np.asarray(params.goal)), rtol=1e-5)
    if name.endswith("direction"):
        np.testing.assert_array_equal(built.params.goal, [1.0, -1.0])


@pytest.mark.slow  # Compiles a physics engine; the family is tested on smaller bodies.
def test_an_ant_on_brax_goes_to_a_goal():
    pytest.importorskip("brax")
    built = family("ant-goal", **SMALL)
    params = jax.tree.map(lambda leaf: leaf[1], built.params)

    @jax.jit
    def steps(action):
        state, _ = built.environment.reset(jax.random.key(0), params)
        state, timestep = built.environment.step(jax.random.key(1), state, action, params)
        return state.inner.x.pos[0, :2], timestep

    place, timestep = steps(jnp.full(8, 0.5))
    np.testing.assert_allclose(timestep.reward[0], -np.linalg.norm(place - params.goal) - 0.1 * 2.0, rtol=1e-4)
    assert not timestep.terminated
    merged = merge(built.train)
    assert (merged.spec.num_tasks, merged.spec.costly_reset) == (3, True)


@pytest.mark.slow  # A process of its own.
def test_families_are_listed_without_brax():
    code = (
        "import sys; sys.modules['brax'] = None; import jaxrl; from jaxrl.multitask.families import family;"
        "print(len(jaxrl.list_environments('multitask')))\n"
        "try: family('ant-goal')\nexcept ImportError as error: print(error)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert str(len(FAMILIES)) in shown
    assert "jaxrl[brax]" in shown


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cart-poll", {}, "cart-pole"),
        ("cart-pole", {"gravity": (9.0, 5.0)}, "gravity"),
        ("cart-pole", {"num_tasks": 0}, "num_tasks"),
        ("objectives", {"environment": "gymnax/CartPole-v1"}, "one objective"),
        ("grid", {"levels": "tinny"}, "tiny"),
        ("mountain-car", {"goal": (0.3, 0.9)}, "0.6"),
    ],
)
def test_bad_options_are_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        family(name, **options)
