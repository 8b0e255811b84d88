"""Locomotion: robots and dynamics against gymnasium's and MO-Gymnasium's own, and the contract."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments import check, list_environments, make, vectorise
from jaxrl.environments.multi_objective.locomotion import TASKS
from jaxrl.environments.multi_objective.locomotion import environment as adapter
from jaxrl.environments.multi_objective.locomotion.models import ROBOTS, load_model
from jaxrl.errors import UnknownNameError
from tests.peers import mujoco_peer

pytestmark = pytest.mark.filterwarnings("ignore")

PEERS = {
    "halfcheetah": "mo-halfcheetah-v5",
    "hopper-2": "mo-hopper-2obj-v5",
    "hopper-3": "mo-hopper-v5",
    "walker2d": "mo-walker2d-v5",
    "ant-2": "mo-ant-2obj-v5",
    "ant-3": "mo-ant-v5",
    "humanoid": "mo-humanoid-v5",
    "swimmer": "mo-swimmer-v5",
}


def uniform_actions(environment, shape, seed=2):
    space = environment.spec.action
    low, high = jnp.asarray(space.low), jnp.asarray(space.high)
    return jax.random.uniform(jax.random.key(seed), (*shape, *space.shape), minval=low, maxval=high)


def rollout(environment, params, state, actions):
    def body(state, action):
        return environment.step(jax.random.key(0), state, action, params)

    return jax.lax.scan(body, state, actions)[1]


def compare_with_peer(name, num_steps, num_members=3, cone=None):
    """Largest differences per step of observation (relative beyond 1), reward and termination."""
    environment, other = make(f"mo/{name}"), mujoco_peer(PEERS[name])
    if cone is not None:
        other.unwrapped.model.opt.cone = cone
    keys = jax.random.split(jax.random.key(1), num_members)
    state, first = jax.jit(jax.vmap(environment.reset, (0, None)))(keys, environment.params)
    actions = uniform_actions(environment, (num_members, num_steps))
    run = jax.jit(jax.vmap(lambda state, actions: rollout(environment, environment.params, state, actions)))
    timesteps = jax.device_get(run(state, actions))
    difference = np.zeros((num_steps, 3))
    for i in range(num_members):
        other.reset(seed=0)
        raw = other.unwrapped
        raw.set_state(np.asarray(state.inner.qpos[i], float), np.asarray(state.inner.qvel[i], float))
        np.testing.assert_allclose(first[i], raw._get_obs(), rtol=1e-4, atol=1e-4)
        for t in range(num_steps):
            observation, vector, terminated, _, _ = other.step(np.asarray(actions[i, t]))
            scaled = np.abs(timesteps.observation[i, t] - observation) / (1 + np.abs(observation))
            paid = np.abs(timesteps.reward[i, t] - vector).max()
            now = (scaled.max(), paid, timesteps.terminated[i, t] != terminated)
            difference[t] = np.maximum(difference[t], now)
    assert vector.shape == (environment.spec.num_objectives,)
    return difference


# --- the ids ---------------------------------------------------------------------------------


@pytest.mark.slow  # A process of its own.
def test_names_are_listed_without_importing_the_physics():
    program = (
        "import sys; from jaxrl.environments import list_environments; names = list_environments('mo');"
        "assert 'mo/ant-3' in names and 'mo/swimmer-pgmorl' in names and 'mo/reacher' in names;"
        "assert not {'brax', 'mujoco', 'mujoco.mjx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert {f"mo/{name}" for name in TASKS} <= set(list_environments("mo"))


def test_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "brax", None)
    with pytest.raises(ImportError, match=r"jaxrl\[brax\]"):
        make("mo/hopper-2")


def test_unknown_backend_is_refused():
    with pytest.raises(UnknownNameError, match="mjx-lite"):
        make("mo/hopper-2", backend="spring")


@pytest.mark.parametrize(
    ("name", "time_limit", "discount", "reference"),
    [
        ("hopper-3", 1000, 0.99, -100.0),
        pytest.param("hopper-3-pgmorl", 500, 1.0, 0.0, marks=pytest.mark.slow),
        pytest.param("humanoid-pgmorl", 1000, 1.0, 0.0, marks=pytest.mark.slow),
    ],
)
def test_protocol_of_each_family(name, time_limit, discount, reference):
    pytest.importorskip("brax")
    spec = make(f"mo/{name}").spec
    assert (spec.time_limit, spec.discount) == (time_limit, discount)
    assert spec.reference_point == (reference,) * spec.num_objectives
    assert len(spec.objective_names) == spec.num_objectives == (3 if name.startswith("hopper") else 2)
    assert make(f"mo/{name}", limit=7).spec.time_limit == 7


# --- the robots ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("robot", "file"),
    [
        ("halfcheetah", "half_cheetah"),
        ("hopper", "hopper"),
        ("walker2d", "walker2d_v5"),
        ("ant", "ant"),
        ("humanoid", "humanoid"),
        ("swimmer", "swimmer"),
    ],
)
def test_models_equal_those_of_gymnasium(robot, file):
    pytest.importorskip("brax")
    mujoco, gymnasium = pytest.importorskip("mujoco"), pytest.importorskip("gymnasium")
    path = f"{gymnasium.__path__[0]}/envs/mujoco/assets/{file}.xml"
    ours, theirs = load_model(ROBOTS[robot], full=True), mujoco.MjModel.from_xml_path(path)
    fields = "body_pos body_quat body_mass body_inertia body_ipos jnt_axis jnt_range jnt_limited jnt_stiffness"
    fields += " jnt_solref jnt_solimp dof_armature dof_damping dof_invweight0 qpos0 qpos_spring geom_type geom_size"
    fields += " geom_pos geom_quat geom_contype geom_friction geom_margin geom_solref geom_solimp"
    fields += " actuator_gear actuator_ctrlrange actuator_ctrllimited"
    if robot != "swimmer":  # it touches nothing
        fields += " geom_conaffinity geom_condim"
    for field in fields.split():
        np.testing.assert_allclose(getattr(ours, field), getattr(theirs, field), atol=2e-5, err_msg=field)
    for option in ("timestep", "gravity", "density", "viscosity", "integrator", "cone", "disableflags", "impratio"):
        np.testing.assert_array_equal(getattr(ours.opt, option), getattr(theirs.opt, option), err_msg=option)


def test_pgmorl_robots_differ_where_pgmorl_does():
    pytest.importorskip("brax")
    hopper, walker, ant, swimmer = (
        load_model(ROBOTS[f"{name}-pgmorl"], full=True) for name in ("hopper", "walker2d", "ant", "swimmer")
    )
    np.testing.assert_allclose(hopper.actuator_ctrlrange[:, 1], [2.0, 2.0, 4.0])
    np.testing.assert_allclose(hopper.actuator_gear[:, 0], [200.0, 200.0, 300.0])
    assert np.max(hopper.dof_damping) == 40.0
    assert not hopper.jnt_limited.any()
    plain = load_model(ROBOTS["walker2d"], full=True)
    np.testing.assert_allclose(walker.body_mass, 1.5 * plain.body_mass, rtol=1e-6)
    assert np.max(walker.dof_damping) == 3.0 and np.max(plain.dof_damping) == 0.1
    assert set(ant.actuator_gear[:, 0]) == {100.0} and set(swimmer.actuator_gear[:, 0]) == {300.0}


# --- the dynamics ----------------------------------------------------------------------------


@pytest.mark.slow  # Compiles a physics engine; recorded dynamics change with its version alone.
def test_hopper_steps_as_the_peer_does():
    pytest.importorskip("brax")
    difference = compare_with_peer("hopper-3", 25)
    # float32 against MuJoCo's float64, 16 evaluations of the dynamics per step.
    assert np.all(difference < [1e-4, 1e-4, 0.5]), difference.max(0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "num_steps", "tolerance"),
    [
        ("hopper-2", 25, 1e-4),
        ("walker2d", 10, 2e-3),
        ("swimmer", 25, 1e-4),
        ("halfcheetah", 10, 2e-3),
        ("humanoid", 10, 2e-3),
    ],
)
def test_steps_as_the_peer_does(name, num_steps, tolerance):
    pytest.importorskip("brax")
    difference = compare_with_peer(name, num_steps)
    assert np.all(difference < [tolerance, tolerance, 0.5]), difference.max(0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ant-2", "ant-3"])
def test_ant_steps_as_the_peer_does_with_round_friction_cones(name, monkeypatch):
    """With pyramids, MJX turns those under shins steeper than 60 degrees, where MuJoCo does not."""
    pytest.importorskip("brax")
    cone = pytest.importorskip("mujoco").mjtCone.mjCONE_ELLIPTIC

    def load(*arguments):
        model = load_model(*arguments)
        model.opt.cone = cone
        return model

    monkeypatch.setattr(adapter, "load_model", load)
    difference = compare_with_peer(name, 4, cone=cone)
    assert np.all(difference < [5e-4, 1e-4, 0.5]), difference


@pytest.fixture(scope="module")
def swimmer():
    pytest.importorskip("brax")
    return make("mo/swimmer-pgmorl", backend="mjx-lite", limit=6)


@pytest.mark.slow
def test_params_are_swept_and_episodes_restart(swimmer):
    """One program: swept gear, auto-reset after 6 steps, the reward from the state alone."""
    batched = vectorise(swimmer, 3)
    gear = jnp.array([1.0, 0.5])[:, None, None] * swimmer.params.gear
    actions = uniform_actions(swimmer, (13, 3))

    def run(params):
        state, observation = batched.reset(jax.random.key(0), params)
        draws = batched.draw(jax.random.key(1), 13, params)

        def body(state, inputs):
            state, timestep = batched.step(inputs[0], state, inputs[1], params)
            return state, timestep

        return observation, jax.lax.scan(body, state, (draws, actions))[1]

    axes = jax.tree.map(lambda _: None, swimmer.params)._replace(gear=0)
    first, timesteps = jax.jit(jax.vmap(run, (axes,)))(swimmer.params._replace(gear=gear))
    truncated = np.asarray(timesteps.truncated)
    assert truncated[:, [5, 11]].all() and truncated.sum() == 2 * 2 * 3 and not np.any(timesteps.terminated)
    # PGMORL starts every episode in one resting pose.
    np.testing.assert_array_equal(timesteps.observation[:, [5, 11]], np.zeros((2, 2, 3, 8)))
    np.testing.assert_array_equal(first, np.zeros((2, 3, 8)))
    observation = np.asarray(timesteps.info["final_observation"])
    assert np.abs(observation[0] - observation[1]).max() > 0.05, "half the gear moves less"
    energy = 0.3 - 0.15 * np.sum(np.asarray(actions) ** 2, -1)
    np.testing.assert_allclose(timesteps.reward[..., 1], np.stack([energy, energy]), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "backend"),
    [(name, "mjx-lite") for name in TASKS] + [(f"{name}-pgmorl", "mjx") for name in ("hopper-3", "walker2d", "ant-2")],
)
def test_every_id_passes_the_contract_check(name, backend):
    pytest.importorskip("brax")
    check(make(f"mo/{name}", backend=backend, limit=30), num_steps=31)
