"""Sweeps: designs, labels, devices, hosts, members."""

import json
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.morl.front import front
from jaxrl.sweeps import designs
from tests import environments as probes

pytestmark = pytest.mark.quick_compilation

SMALL = {"total_steps": 256, "num_envs": 4, "num_steps": 16, "num_evaluations": 2, "evaluation_episodes": 3}
QUIET = {"options": jaxrl.RunOptions(progress=False, num_chunks=2), "say": lambda _: None}


@pytest.fixture(scope="module")
def trainer():
    return jaxrl.trainer("ppo", "gymnax/CartPole-v1", **SMALL)


@pytest.fixture(scope="module")
def swept(trainer):
    settings = {"learning_rate": [1e-4, 1e-3], "environment.max_steps_in_episode": [3, 5, 7]}
    return jaxrl.sweep(trainer, seeds=2, hyperparameters=settings, **QUIET)


def test_the_table_has_a_row_per_member_and_evaluation(swept):
    table = swept.table
    assert len(table) == 2 * 3 * 2 * 2
    assert set(table["seed"]) == {0, 1}
    assert list(table.columns[:5]) == ["member", "seed", "setting", "finite", "learning_rate"]
    np.testing.assert_array_equal(table["length"], table["environment.max_steps_in_episode"])


def test_arrays_have_named_axes(swept):
    arrays, axes = swept.arrays()
    assert axes == ("setting", "weight", "seed", "evaluation", "objective")
    assert arrays["returns"].shape == (6, 1, 2, 2, 1)
    np.testing.assert_array_equal(arrays["length"][:, 0, 0, 0], [3, 5, 7, 3, 5, 7])


@pytest.mark.slow  # A program of its own; the axes of others are tested quickly.
def test_equal_weights_keep_their_own_axis(trainer):
    swept = jaxrl.sweep(trainer, seeds=2, weights=3, **QUIET)
    assert swept.arrays()[0]["returns"].shape == (1, 3, 2, 2, 1)


def test_a_member_equals_its_single_run(trainer, swept):
    from jaxrl.hyperparameters import replace

    member = 2 * (3 + 1) + 1
    settings = {"learning_rate": 1e-3, "environment.max_steps_in_episode": 5}
    single = jax.jit(trainer.run)(jax.random.key(1), replace(trainer.hyperparameters, settings))
    for one, two in zip(jax.tree.leaves(swept.policy(member).state.params), jax.tree.leaves(single.state.agent.params)):
        np.testing.assert_allclose(one, two, rtol=2e-4, atol=2e-5)


def test_eight_devices_own_devices_and_blocks_give_the_same_members(trainer):
    assert jax.device_count() == 8
    settings = {"seeds": 5, "hyperparameters": {"discount": [0.9, 0.99]}, **QUIET}
    eight = jaxrl.sweep(trainer, **settings)
    one = jaxrl.sweep(trainer, max_devices=1, **settings)
    blocks = jaxrl.sweep(trainer, max_devices=1, members_per_block=3, **settings)
    # Products of other sizes round otherwise, which now and then is another action in an episode that is evaluated.
    for other in (eight, blocks):
        for member in range(one.num_members):
            found = (jax.tree.leaves(swept.policy(member).state.params) for swept in (one, other))
            for ours, theirs in zip(*found, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


def test_members_are_spread_over_the_devices(trainer):
    from jaxrl.sweeps.devices import member_mesh
    from jaxrl.sweeps.program import program

    axes = jax.tree.map(lambda _: None, trainer.hyperparameters)
    compiled = program(trainer, 1, axes, 16, member_mesh())
    keys = compiled.place(jax.random.split(jax.random.key(0), 16), 0)
    state = compiled.init(keys, compiled.place(trainer.hyperparameters, axes))
    assert len(state.observation.sharding.device_set) == 8
    assert state.observation.addressable_shards[0].data.shape[0] == 2


def test_static_settings_are_swept_at_one_compilation_each(trainer):
    said = []
    options = jaxrl.RunOptions(progress=False)
    settings = {"hidden_sizes": [(8,), (16, 16)], "discount": [0.9, 0.99]}
    result = jaxrl.sweep(trainer, seeds=2, hyperparameters=settings, options=options, say=said.append)
    assert "2 combinations of static settings (hidden_sizes)" in said[0]
    assert result.num_members == 8
    assert result.policy(0).state.params["actor_torso"]["Dense_0"]["kernel"].shape == (4, 8)
    assert result.policy(7).state.params["actor_torso"]["Dense_0"]["kernel"].shape == (4, 16)
    assert result.table["hidden_sizes"].nunique() == 2


def test_designs_fill_their_ranges():
    ranges = {"a": designs.LogUniform(1e-4, 1e-1), "b": designs.Uniform(-1.0, 2.0), "c": designs.Integer(2, 5)}
    for build in (designs.random_design, designs.sobol_design):
        rows = build(ranges, 512)
        a, b, c = (np.array([row[name] for row in rows]) for name in "abc")
        np.testing.assert_allclose(np.median(np.log10(a)), -2.5, atol=0.2)
        assert a.min() >= 1e-4 and a.max() <= 1e-1
        np.testing.assert_allclose(b.mean(), 0.5, atol=0.15)
        np.testing.assert_allclose(np.bincount(c.astype(int))[2:] / 512, 0.25, atol=0.06)


def test_a_diverged_member_is_marked_and_loses_nothing(trainer):
    result = jaxrl.sweep(trainer, hyperparameters={"learning_rate": [1e-3, 1e30]}, **QUIET)
    assert result.table.groupby("member")["finite"].first().tolist() == [True, False]
    assert np.all(np.isfinite(result.final_returns()[0]))


@pytest.mark.slow  # Its design is tested by itself, and a sweep by the others.
def test_a_sobol_sweep_runs(trainer):
    ranges = {"learning_rate": jaxrl.LogUniform(1e-4, 1e-2)}
    result = jaxrl.sweep(trainer, hyperparameters=ranges, design="sobol", samples=4, **QUIET)
    assert result.table["learning_rate"].nunique() == 4


def test_a_member_can_be_taken_out_saved_evaluated_and_trained_on(swept, tmp_path):
    jaxrl.save_member(swept, 3, tmp_path)
    key, observation = jax.random.key(0), jnp.asarray([0.01, 0.02, 0.03, 0.04])
    loaded = jaxrl.load(tmp_path)
    assert int(loaded(key, observation)) == int(swept.policy(3)(key, observation))
    for one, two in zip(jax.tree.leaves(loaded.state), jax.tree.leaves(swept.policy(3).state)):
        np.testing.assert_array_equal(one, two)
    assert swept.evaluate(4).returns.shape == (12, 1)
    more = swept.train_on(3, total_steps=128)
    assert more.evaluation.returns.shape == (2, 1)


@pytest.mark.slow
def test_weights_make_a_front():
    environment = probes.choice([[3.0, 0.0], [2.0, 2.0], [0.0, 3.0], [1.0, 1.0]])
    environment = environment._replace(
        spec=environment.spec.__class__(
            "probe/choice", environment.spec.observation, environment.spec.action, 2, 1, reference_point=(-1.0, -1.0)
        )
    )
    trainer = jaxrl.trainer("ppo", environment, **{**SMALL, "total_steps": 12800, "learning_rate": 3e-3})
    found = front(jaxrl.sweep(trainer, seeds=2, weights=5, **QUIET), num_episodes=2)
    points = np.unique(found.points[found.members], axis=0)
    np.testing.assert_allclose(points, [[0.0, 3.0], [2.0, 2.0], [3.0, 0.0]])
    assert found.measures.set_index("seed").loc["all", "hypervolume"] == pytest.approx(11.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"hyperparameters": {"learning_rat": [1.0]}},
            "unknown hyperparameter 'learning_rat'. Did you mean 'learning_rate'",
        ),
        ({"hyperparameters": {"learning_rate": 0.1}}, "needs a list of values"),
        ({"hyperparameters": {"learning_rate": []}}, "needs a list of values"),
        ({"hyperparameters": {"discount": [2.0]}}, "'discount' must lie in"),
        ({"hyperparameters": {"learning_rate": [1e-3, 1e-3]}}, "equal values are equal runs"),
        (
            {"hyperparameters": {"clip_epsilon": [0.1, 0.2], "objective.clip_epsilon": [0.3]}},
            "'clip_epsilon' and 'objective.clip_epsilon' are the same hyperparameter",
        ),
        ({"weights": [[0.5, 0.5]]}, "weights need 1 entries"),
        ({"weights": 0}, "the number of weights must be at least 1, got 0"),
        ({"seeds": -1}, "seeds must be at least 1, got -1"),
        ({"seeds": [2**40]}, "a seed must be at most 4294967295"),
        ({"seeds": 0}, "at least one seed"),
        ({"seeds": [1, 1]}, "seeds must differ"),
        ({"design": "sobol"}, "needs samples="),
        ({"design": "latin"}, "unknown design 'latin'"),
        (
            {"design": "random", "samples": 2, "hyperparameters": {"discount": [0.9]}},
            "needs Uniform, LogUniform or Integer",
        ),
    ],
)
def test_bad_sweeps_raise(trainer, arguments, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.sweep(trainer, **arguments, **QUIET)


WORKER = """
import sys, json
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.config.update("jax_num_cpu_devices", 2)
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
import jaxrl
trainer = jaxrl.trainer("ppo", "gymnax/CartPole-v1", **json.loads(sys.argv[3]))
options = jaxrl.RunOptions(progress=False, num_chunks=2, checkpoint_seconds=0.0)
result = jaxrl.sweep(trainer, seeds=6, options=options, directory=sys.argv[4])
assert jax.device_count() == 4
print("RETURNS", json.dumps(result.final_returns().tolist()))
"""


@pytest.mark.slow  # Two processes that import and compile; devices and blocks are the quick test.
def test_two_processes_share_a_sweep(own_devices, trainer, tmp_path):
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        address = f"localhost:{listener.getsockname()[1]}"
    environment = {**own_devices, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # As this module is compiled.
    command = [sys.executable, "-c", WORKER, address]
    workers = [
        subprocess.Popen(
            [*command, str(i), json.dumps(SMALL), tmp_path], env=environment, stdout=subprocess.PIPE, text=True
        )
        for i in range(2)
    ]
    outputs = [worker.communicate(timeout=240)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    found = [json.loads(output.split("RETURNS")[1]) for output in outputs]
    np.testing.assert_allclose(found[0], found[1])
    alone = jaxrl.sweep(trainer, seeds=6, max_devices=1, **QUIET).final_returns()
    np.testing.assert_allclose(found[0], alone)
    # What two hosts of two devices wrote, one device reads.
    np.testing.assert_array_equal(
        jaxrl.sweep(trainer, seeds=6, max_devices=1, directory=tmp_path, **QUIET).final_returns(), found[0]
    )


def test_sparsity_is_measured_on_the_front_alone():
    from jaxrl.morl.problem import make_problem, measure

    environment = jaxrl.make("mo/deep-sea-treasure-concave")
    points = jnp.asarray([[1.0, -1.0], [124.0, -19.0], [0.0, -100.0], [1.0, -1.0]])
    found = measure(make_problem(environment), points)
    # Two distinct points: 123² + 18², whatever is dominated or repeated.
    assert found["sparsity"] == pytest.approx(123.0**2 + 18.0**2)
    assert found["cardinality"] == 2


def test_a_program_that_is_run_again_stays_compiled_whatever_shapes_its_leaves_have():
    trainer = jaxrl.trainer("ppo", "mo/deep-sea-treasure", total_steps=64, num_envs=2, num_steps=16, hidden_sizes=(4,))
    quiet = {"options": jaxrl.RunOptions(progress=False), "say": lambda _: None, "max_devices": 1}
    first, again = (jaxrl.sweep(trainer, seeds=[seed], **quiet).groups[0] for seed in (3, 4))
    assert first.timing.compile_seconds > 0.0 and again.timing.compile_seconds == 0.0
    alone = trainer.rebuild()
    assert jaxrl.sweep(alone, seeds=[4], **quiet).groups[0].timing.compile_seconds > 0.0
    one, each = ({"discount": [value]} for value in (0.9, [0.9, 0.8]))
    for values in (one, each, one):
        found = jaxrl.sweep(trainer, seeds=1, hyperparameters=values, **quiet).groups[0]
        assert found.hyperparameters.discount.shape == (1, *np.shape(values["discount"][0]))
    assert found.timing.compile_seconds == 0.0
