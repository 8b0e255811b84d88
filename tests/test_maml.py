"""MAML: its gradient against differences of a NumPy copy in float64, the baseline, and what it learns."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest

import jaxrl
from jaxrl.agents.base import Rollout
from jaxrl.agents.minibatches import Batch
from jaxrl.cli import main
from jaxrl.environments import Box, Discrete, Environment, EnvironmentSpec, Timestep
from jaxrl.multitask import make_family, maml
from jaxrl.multitask.maml import program
from jaxrl.multitask.maml.adaptation import Experience, outer_loss
from jaxrl.multitask.maml.linear_baseline import baseline_advantage
from jaxrl.sweeps import running
from tests import environments as probes

pytestmark = pytest.mark.quick_compilation

STATES, ACTIONS, RATES = 3, 2, (7.0, 4.0)


def corridor():
    """Two tasks on a few states: task g pays action g; the state moves on."""

    def reset(key, params):
        return jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)

    def step(key, state, action, params):
        state = state + 1
        end = jnp.array(False)
        return state, Timestep(jnp.minimum(state, STATES - 1), params[action][None], end, state >= STATES, {})

    spec = EnvironmentSpec("corridor", Discrete(STATES), Discrete(ACTIONS), time_limit=STATES)
    return make_family(Environment(reset, step, jnp.zeros(ACTIONS), spec), jnp.eye(ACTIONS))


def draw_rollouts(seed, count=3, steps=4, envs=5):
    generator = np.random.default_rng(seed)
    shape = (steps, envs)
    return [
        {
            "state": generator.integers(STATES, size=shape),
            "action": generator.integers(ACTIONS, size=shape),
            # Some ratios are clipped.
            "log_prob": np.log(generator.uniform(0.2, 0.9, size=shape)),
            "advantage": generator.normal(size=shape),
        }
        for _ in range(count)
    ]


def as_experience(rollout):
    state = jnp.asarray(rollout["state"])
    zeros = jnp.zeros((*state.shape, 1))
    batch = Batch(
        state,
        jnp.asarray(rollout["action"]),
        jnp.asarray(rollout["log_prob"]),
        jnp.zeros((*state.shape, 0)),
        zeros,
        jnp.asarray(rollout["advantage"]),
        zeros,
        zeros + 1.0,
        jnp.zeros(state.shape, bool),
    )
    return Experience(batch, ())


def log_policy(table, rollout):
    logits = table[rollout["state"]]
    logits = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return np.take_along_axis(logits, rollout["action"][..., None], axis=-1)[..., 0], np.exp(logits)


def surrogate(table, rollout, kind):
    log_ratio = log_policy(table, rollout)[0] - rollout["log_prob"]
    if kind == "policy_gradient":
        return -np.mean(log_ratio * rollout["advantage"])
    ratio = np.exp(log_ratio)
    return -np.mean(np.minimum(ratio * rollout["advantage"], np.clip(ratio, 0.8, 1.2) * rollout["advantage"]))


def differences(function, table, step=1e-6):
    slope = np.zeros_like(table)
    for place in np.ndindex(table.shape):
        bump = np.zeros_like(table)
        bump[place] = step
        slope[place] = (function(table + bump) - function(table - bump)) / (2.0 * step)
    return slope


def inner_gradient(table, rollout, kind):
    """By hand: the surrogate's slope in log π, through the softmax."""
    log_prob, probabilities = log_policy(table, rollout)
    ratio, advantage = np.exp(log_prob - rollout["log_prob"]), rollout["advantage"]
    weight = advantage
    if kind == "clip":
        active = np.where(advantage > 0.0, ratio < 1.2, ratio > 0.8)
        weight = ratio * advantage * active
    slope = np.zeros_like(table)
    for place in np.ndindex(advantage.shape):
        score = np.eye(ACTIONS)[rollout["action"][place]] - probabilities[place]
        slope[rollout["state"][place]] -= weight[place] * score / advantage.size
    return slope


def adapted(table, rollouts, kind):
    for rollout, rate in zip(rollouts[:-1], RATES, strict=True):
        table = table - rate * inner_gradient(table, rollout, kind)
    return table


@pytest.mark.parametrize("kind", ["clip", "policy_gradient"])
@pytest.mark.parametrize("order", ["second", "first"])
def test_the_gradient_is_that_of_the_adapted_loss(kind, order):
    rollouts, table = draw_rollouts(0), np.random.default_rng(1).normal(size=(STATES, ACTIONS))
    if order == "second":
        expected = differences(lambda table: surrogate(adapted(table, rollouts, kind), rollouts[-1], "clip"), table)
    else:
        last = adapted(table, rollouts, kind)
        expected = differences(lambda table: surrogate(table, rollouts[-1], "clip"), last)
    with jax.enable_x64(True):
        built = maml(corridor(), order=order, inner_surrogate=kind, network="table", num_evaluations=1)
        adaptation = built.step.args[0].adaptation
        hp = adaptation.agent.hyperparameters._replace(
            value_coefficient=jnp.zeros(()),
            entropy_coefficient=jnp.zeros(()),
            objective={"clip_epsilon": jnp.asarray(0.2)},
        )
        params = {"actor": jnp.asarray(table), "critic": jnp.zeros((STATES, 1))}
        seen = [as_experience(rollout) for rollout in rollouts]
        state = adaptation.agent.init(jax.random.key(0), hp)
        loss = partial(outer_loss, adaptation)
        value, slope = jax.value_and_grad(loss)(params, seen[:-1], seen[-1], jnp.asarray(RATES), state, hp)
        np.testing.assert_allclose(value, surrogate(adapted(table, rollouts, kind), rollouts[-1], "clip"), rtol=1e-10)
        np.testing.assert_allclose(slope["actor"], expected, atol=1e-8)
    assert np.abs(expected).max() > 1e-2


def test_orders_differ():
    found = {}
    for order in ("second", "first"):
        rollouts, table = draw_rollouts(0), np.random.default_rng(1).normal(size=(STATES, ACTIONS))
        at = table if order == "second" else adapted(table, rollouts, "clip")
        through = partial(adapted, rollouts=rollouts, kind="clip") if order == "second" else lambda table: table
        found[order] = differences(lambda table, f=through, r=rollouts: surrogate(f(table), r[-1], "clip"), at)
    assert np.abs(found["second"] - found["first"]).max() > 1e-2


def test_the_baseline_knows_returns_that_its_features_span():
    # Reward 2 a step under a limit of 5: the return is 2 (5 - t), linear in t, and nothing is left for advantages.
    steps, envs = 12, 3
    clock = np.arange(steps) % 5
    end = np.broadcast_to((clock == 4)[:, None], (steps, envs))
    seen = jnp.zeros((steps, envs, 1))
    rollout = Rollout(
        seen,
        jnp.zeros((steps, envs)),
        jnp.full((steps, envs, 1), 2.0),
        jnp.zeros((steps, envs), bool),
        jnp.asarray(end),
        seen,
        jnp.asarray(np.broadcast_to((clock == 0)[:, None], (steps, envs))),
        (),
        jnp.ones((envs, 1)),
    )
    space = Box(-1.0, 1.0, (1,))
    advantage = baseline_advantage(space, rollout, jnp.asarray(1.0), jnp.asarray(1.0))
    # Two steps of the third episode are cut and completed by the baseline itself.
    np.testing.assert_allclose(advantage, 0.0, atol=0.15)
    better = rollout._replace(reward=rollout.reward.at[3, 1].add(3.0))
    moved = baseline_advantage(space, better, jnp.asarray(1.0), jnp.asarray(1.0)) - advantage
    assert float(moved[3, 1]) > 2.0 * float(jnp.abs(moved[3, 0]))
    assert float(moved[4, 1]) < 0.5


@pytest.mark.slow  # A learning run; its gradient is tested against the closed form.
def test_one_step_of_adaptation_suffices_after_meta_training():
    """Two arms: no policy does better than 1/2 on both tasks at once, an adapted one nearly 1 on each."""
    family = make_family(probes.choice([[0.0], [0.0]]), jnp.eye(2)[..., None])
    built = maml(
        family,
        num_envs=32,
        num_steps=4,
        num_iterations=60,
        num_evaluations=2,
        evaluation_adaptations=1,
        inner_learning_rate=1.0,
        learning_rate=2e-2,
        hidden_sizes=(8,),
    )
    result = jax.jit(built.run)(jax.random.key(0), built.hyperparameters)
    assert result.evaluation.returns.shape == (2, 2, 2)
    np.testing.assert_array_equal(result.evaluation.steps, np.array([30, 60]) * built.steps_per_iteration)
    assert built.steps_per_iteration == 2 * 2 * 32 * 4
    before, after = result.evaluation.returns[-1].mean(axis=-1)
    np.testing.assert_allclose(before, 0.5, atol=0.1)
    assert float(after) > 0.9
    assert float(result.metrics["non_finite"].sum()) == 0.0
    task = jax.tree.map(lambda leaf: leaf[1], family.params)
    params = jax.jit(built.adapt)(jax.random.key(2), result.state.params, task, built.hyperparameters)
    network = built.step.args[0].adaptation.parts.network
    logits, _ = network.act(params, jnp.zeros((1, 1)), jnp.ones((1, 1)), (), jnp.zeros(1, bool))
    assert float(jax.nn.softmax(logits)[0, 1]) > 0.85


@pytest.mark.slow  # A program of its own; the gradient of the adapted loss is the quick test.
def test_tasks_may_be_drawn_and_rates_given_one_by_one():
    built = maml(
        corridor(),
        network="table",
        tasks_per_iteration=1,
        adaptation_steps=2,
        num_iterations=2,
        num_evaluations=1,
        inner_learning_rate=jnp.asarray([0.1, 0.0]),
    )
    result = jax.eval_shape(built.run, jax.random.key(0), built.hyperparameters)
    assert result.metrics["episode_return"].shape == (2, 1)
    assert built.steps_per_iteration == 3 * 16 * STATES


def test_outer_steps_without_a_finite_gradient_are_left_out_and_counted():
    built = maml(corridor(), network="table", num_envs=4, num_iterations=1, num_evaluations=1)
    hp, parts = built.hyperparameters, built.step.args[0]
    state = built.init(jax.random.key(0), hp)

    @jax.jit
    def descend(first, second):
        collect = lambda key, task: program._explore(parts, key, state.params, task, hp, 1)[0]  # noqa: E731
        seen = jax.vmap(collect)(jax.random.split(jax.random.key(1), 2), hp.tasks)
        damage = jnp.stack([first, second])
        seen = jax.tree.map(
            lambda leaf: leaf * damage.reshape(2, *[1] * (leaf.ndim - 1)) if _floats(leaf) else leaf, seen
        )
        return program._descend(parts, state, hp.tasks, seen, hp)

    params, _, metrics = descend(1.0, 1.0)
    assert metrics["skipped_updates"] == metrics["diverged_tasks"] == metrics["non_finite"] == 0.0
    assert any(np.any(a != b) for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(state.params), strict=True))
    params, _, metrics = descend(1.0, jnp.nan)
    # Steps of adaptation that were left out are counted too.
    assert metrics["skipped_updates"] >= 1.0 and (metrics["diverged_tasks"], metrics["non_finite"]) == (1.0, 0.0)
    jax.tree.map(np.testing.assert_array_equal, params, state.params)
    assert descend(jnp.nan, jnp.nan)[2]["non_finite"] == 1.0


def _floats(leaf):
    return jnp.issubdtype(leaf.dtype, jnp.floating)


@pytest.mark.slow
def test_sweeps_drive_it_and_go_on_from_checkpoints(tmp_path, monkeypatch):
    built = maml(corridor(), network="table", num_envs=4, num_iterations=4, num_evaluations=2, learning_rate=0.1)
    values = {"inner_learning_rate": [0.1, 1.0]}
    whole = jaxrl.sweep(built, seeds=2, hyperparameters=values, say=lambda _: None)
    table = whole.table
    assert len(table) == 2 * 2 * 2 and set(table["steps"]) == {
        2 * built.steps_per_iteration,
        4 * built.steps_per_iteration,
    }
    alone = jax.jit(built.run)(jax.random.key(1), built.hyperparameters._replace(inner_learning_rate=jnp.asarray(1.0)))
    member = table[(table["seed"] == 1) & (table["inner_learning_rate"] == 1.0)]
    np.testing.assert_allclose(member["return_after_1"], alone.evaluation.returns[:, 1].mean(axis=-1), rtol=1e-5)
    np.testing.assert_allclose(whole.learned(3)["actor"], alone.state.params["actor"], rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="learned"):
        whole.policy(0)

    calls = []

    def stop(*_):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    options = jaxrl.RunOptions(progress=False, checkpoint_seconds=0.0, num_chunks=4)
    arguments = {"seeds": 2, "hyperparameters": values, "options": options, "directory": tmp_path}
    with monkeypatch.context() as patch:
        patch.setattr(running, "_advance_bar", stop)
        with pytest.raises(KeyboardInterrupt):
            jaxrl.sweep(built, **arguments, say=lambda _: None)
    resumed = jaxrl.sweep(built, **arguments, say=lambda _: None)
    for left, right in zip(jax.tree.leaves(resumed.learned(2)), jax.tree.leaves(whole.learned(2)), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.slow
def test_the_command_leaves_a_run_directory_that_resumes(tmp_path, capsys):
    words = "multitask maml multitask/cart-pole --environment-option num_tasks=2"
    words += " --seeds 2 --num-iterations 2 --num-evaluations 1 --num-envs 4 --hidden-sizes 4 --order first"
    assert main([*words.split(), "--sweep", "inner_learning_rate=0.1,0.3", "--out", str(tmp_path / "run")]) == 0
    table = pandas.read_csv(tmp_path / "run" / "metrics.csv")
    assert len(table) == 4 and {"return_after_0", "return_after_3", "inner_learning_rate"} <= set(table.columns)
    assert (tmp_path / "run" / "figures" / "curve_return_after_3.png").exists()
    shown = capsys.readouterr().out
    assert "return_after_3" in shown and main(["resume", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.strip() in shown
    assert main([*words.split(), "--order", "third"]) == 2
    assert "first, second" in capsys.readouterr().err
    assert main(["multitask", "maml", "multitask/cart-pol"]) == 2
    assert "cart-pole" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"order": "third"}, "first, second"),
        ({"adaption_steps": 2}, "adaptation_steps"),
        ({"tasks_per_iteration": 3}, "between 0 and 2"),
        ({"num_evaluations": 300}, "num_iterations"),
        ({"inner_surrogate": "clap"}, "clip"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        maml(corridor(), **settings)
