"""The objective microscope against closed forms, and learned drifts distilled."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest

import jaxrl
from jaxrl.environments.grid import grid, random_levels
from jaxrl.errors import UnknownNameError
from jaxrl.meta import evolve, make_tasks, pictures
from jaxrl.meta.distillation import (
    Points,
    agreement,
    beyond,
    closed_form,
    distil,
    normal_points,
    tabulate,
)
from jaxrl.meta.examination import examine
from jaxrl.meta.microscope import (
    drift_of,
    mirror_conditions,
    response_table,
    slopes_table,
    surrogate_slopes,
    target_response,
)
from jaxrl.objectives.lpg import learned_policy_gradient
from jaxrl.objectives.surrogate import make_surrogate
from jaxrl.objectives.table_drift import table_drift
from jaxrl.objectives.trajectory import Trajectory, advantage_actor_critic
from jaxrl.sweeps.program import Timing
from jaxrl.sweeps.result import Group
from jaxrl.training.loop import Result

pytestmark = pytest.mark.quick_compilation

RICH = grid(random_levels("rich", (3, 3), (3, 3), (8, 8)))
SMALL = {"num_envs": 4, "num_steps": 6, "num_evaluations": 1, "evaluation_episodes": 2, "network": "table"}
RATIOS, ADVANTAGES = (0.5, 0.9, 1.3, 2.5), (-2.0, 0.5, 1.5)


def learned(name="learned_drift", seed=0, scale=1.0):
    surrogate = make_surrogate(name)
    value = surrogate.init(None)
    keys = jax.random.split(jax.random.key(seed), len(value))
    return surrogate, {k: scale * jax.random.normal(key, v.shape) for key, (k, v) in zip(keys, value.items())}


# --- surrogates ---


def test_the_slopes_of_clip_by_hand():
    clip = make_surrogate("clip")
    found = surrogate_slopes(clip, clip.init(None), RATIOS, ADVANTAGES, progress=(0.0, 0.7))
    assert found.loss.shape == (2, 3, 4)
    for i, advantage in enumerate(ADVANTAGES):
        for j, ratio in enumerate(RATIOS):
            held = (advantage > 0 and ratio > 1.2) or (advantage < 0 and ratio < 0.8)
            loss = -np.clip(ratio, 0.8, 1.2) * advantage if held else -ratio * advantage
            np.testing.assert_allclose(found.loss[:, i, j], loss, rtol=1e-5)
            np.testing.assert_allclose(found.drift[:, i, j], loss + ratio * advantage, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(found.gradient[:, i, j], 0.0 if held else -advantage, rtol=1e-5, atol=1e-6)
    rows = slopes_table(found)
    row = rows[np.isclose(rows["ratio"], 1.3) & (rows["advantage"] == 0.5) & np.isclose(rows["progress"], 0.7)]
    np.testing.assert_allclose(row[["loss", "drift", "gradient"]], [[-0.6, 0.05, 0.0]], atol=1e-6)


def test_gradients_of_a_learned_drift_are_differences_and_change_with_progress():
    surrogate, value = learned("time_aware_drift")
    step = 1e-2
    found = surrogate_slopes(surrogate, value, RATIOS, ADVANTAGES, progress=(0.0, 0.9), horizon=50.0)
    up, down = (
        surrogate_slopes(surrogate, value, np.array(RATIOS) + sign * step, ADVANTAGES, (0.0, 0.9), 50.0).loss
        for sign in (1, -1)
    )
    np.testing.assert_allclose(found.gradient, (up - down) / (2 * step), rtol=2e-2, atol=2e-2)
    assert np.abs(found.loss[0] - found.loss[1]).max() > 0.1


def test_what_cannot_be_drawn_is_said():
    mirror = make_surrogate("mirror_descent")
    with pytest.raises(ValueError, match="reads divergences"):
        surrogate_slopes(mirror, mirror.init(None), RATIOS, ADVANTAGES)
    with pytest.raises(ValueError, match=r"must be positive, got 0\.0"):
        surrogate_slopes(make_surrogate("clip"), {}, (0.0, 1.0), ADVANTAGES)


def test_mirror_learning_conditions_tell_drifts_from_others():
    for name in ("drift", "clip"):
        surrogate = make_surrogate(name)
        found = mirror_conditions(surrogate, surrogate.init(None))
        assert found["least"] >= -1e-5 and found["at_one"] <= 1e-6 and found["slope_at_one"] <= 1e-6
    # By hand at A = 4, the more so for A < 0: x - β tanh(x/β) with x = A log r.
    dpo = make_surrogate("drift")
    expected = 4.0 * np.tanh(0.04 / 0.6) ** 2 / np.exp(-0.01)
    np.testing.assert_allclose(mirror_conditions(dpo, dpo.init(None))["slope_near_one"], expected, rtol=1e-3)
    # A learned drift rises in a kink beside r = 1.
    assert mirror_conditions(*learned(seed=1))["slope_near_one"] > 1.0
    gradient = make_surrogate("policy_gradient")
    # -A log r + r A: A at r = 1 and negative elsewhere.
    found = mirror_conditions(gradient, {})
    assert found["least"] < -1.0 and found["at_one"] > 3.9


# --- trajectory objectives ---


def test_the_response_of_a2c_is_the_closed_form():
    a2c = advantage_actor_critic()
    delays, discounts = (0, 1, 3, 8), (0.9, 0.99)
    found = target_response(a2c, {**a2c.init(None), "gae_lambda": jnp.asarray(0.8)}, delays, (0.3, 0.6), discounts)
    assert found.policy.shape == (1, 1, 2, 2, 4) and found.output.shape == (1, 1, 2, 2, 4, 1)
    expected = np.array([[(0.8 * discount) ** delay for delay in delays] for discount in discounts])
    for k in range(2):
        np.testing.assert_allclose(found.policy[0, 0, :, k], expected, rtol=1e-5)
        # Values are zero: the target of the value is the advantage.
        np.testing.assert_allclose(found.output[0, 0, :, k, :, 0], expected, rtol=1e-5)
    rows = response_table(found)
    row = rows[(rows["delay"] == 3) & np.isclose(rows["discount"], 0.9) & np.isclose(rows["probability"], 0.6)]
    np.testing.assert_allclose(row[["policy", "output_0"]], [[0.72**3] * 2], rtol=1e-5)


def test_the_response_of_lpg_is_that_of_its_targets():
    rule = learned_policy_gradient(3, 4, time_aware=True)
    noise = lambda leaf: 0.1 * jax.random.normal(jax.random.key(3), leaf.shape)  # noqa: E731
    value = jax.tree.map(lambda leaf: leaf + noise(leaf), rule.init(jax.random.key(2)))
    y = jnp.asarray([0.3, -0.5, 0.1])
    found = target_response(rule, value, (0, 2), (0.25,), (0.9,), (0.0, 0.5), (10.0, 40.0), y, ends=True)

    @jax.jit
    def targets(delay, reward, fraction, horizon):
        shape = (3, 1)
        outputs = jnp.broadcast_to(y, (*shape, 3))
        there = jnp.zeros(shape).at[delay].set(1.0)
        given = Trajectory(
            reward * there, jnp.full(shape, 0.25), outputs, outputs, there > 0, jnp.zeros(shape, bool),
            jnp.asarray(0.9), jaxrl.agents.Progress(jnp.asarray(fraction), jnp.asarray(horizon)),
        )  # fmt: skip
        policy, log_output = rule.targets(given, value)
        return policy[0, 0], jnp.exp(log_output[0, 0])

    for j, fraction in enumerate((0.0, 0.5)):
        for k, delay in enumerate((0, 2)):
            with_it, without = targets(delay, 1.0, fraction, 40.0), targets(delay, 0.0, fraction, 40.0)
            np.testing.assert_allclose(found.policy[1, j, 0, 0, k], with_it[0] - without[0], atol=1e-6)
            np.testing.assert_allclose(found.output[1, j, 0, 0, k], with_it[1] - without[1], atol=1e-6)
    assert np.abs(found.policy[0, 0] - found.policy[1, 1]).max() > 1e-4


def test_bad_responses_are_named():
    a2c = advantage_actor_critic()
    with pytest.raises(ValueError, match=r"from 0 on, got \[2, -1\]"):
        target_response(a2c, a2c.init(None), (2, -1))
    with pytest.raises(ValueError, match=r"\(0, 1\], got \[0\.0\]"):
        target_response(a2c, a2c.init(None), (2,), probabilities=(0.0,))
    other = a2c._replace(targets=lambda trajectory, parameters: trajectory.reward)
    with pytest.raises(ValueError, match="not policy"):
        target_response(other, a2c.init(None), (2,))


# --- distillation ---


def test_the_closed_form_recovers_itself():
    form = make_surrogate("drift")
    for alpha, beta in ((2.0, 0.6), (0.4, 3.0)):
        found = distil(form, {"alpha": jnp.asarray(alpha), "beta": jnp.asarray(beta)})
        np.testing.assert_allclose([found.parameters["alpha"], found.parameters["beta"]], [alpha, beta], atol=1e-3)
        for where in ("within", "beyond"):
            assert found.report["closed_form"][where]["rmse"] < 2e-3


def test_the_closed_form_is_the_best_of_a_fine_grid_and_weights_count():
    surrogate, value = learned("learned_drift_from_clip", scale=0.05)
    rng = np.random.default_rng(0)
    log_ratio, advantage = jnp.asarray(0.25 * rng.normal(size=300)), jnp.asarray(rng.normal(size=300))
    drift = np.asarray(drift_of(surrogate, value, log_ratio, advantage), np.float64)
    ratio, a = np.exp(np.asarray(log_ratio, np.float64)), np.asarray(advantage, np.float64)
    x = np.where(a >= 0, (ratio - 1) * a, np.log(ratio) * a)
    grid = np.geomspace(0.02, 50.0, 4000)
    fitted = np.maximum(x - grid[:, None] * np.tanh(x / grid[:, None]), 0.0)
    fit = jax.jit(closed_form)
    for weight in (np.ones(300), rng.exponential(size=300)):
        points = Points(log_ratio, advantage, jnp.asarray(weight / weight.sum(), jnp.float32))
        found = fit(jnp.asarray(drift, jnp.float32), points)
        for name, side in (("alpha", a >= 0), ("beta", a < 0)):
            best = grid[np.argmin(((fitted - drift) ** 2 * weight * side).sum(axis=1))]
            np.testing.assert_allclose(getattr(found, name), best, rtol=1e-2)


def test_a_table_is_close_to_its_source_and_a_drift_whatever_it_holds():
    surrogate, value = learned(scale=0.3)
    found = distil(surrogate, value)
    table = found.report["table"]
    assert table["within"]["r2"] > 0.99 > found.report["closed_form"]["within"]["r2"]
    assert table["beyond"]["rmse"] > table["within"]["rmse"]
    other = table_drift(jnp.asarray(np.random.default_rng(0).normal(size=(4, 3))), 1.0, 2.0)
    for one in (found.table, other):
        conditions = mirror_conditions(one, one.init(None))
        assert conditions["least"] >= -1e-5 and max(conditions["at_one"], conditions["slope_at_one"]) <= 1e-6


def test_tables_are_bilinear_between_knots_and_held_beyond():
    values = np.array([[1.0, 2.0, 4.0], [3.0, 5.0, 0.5]])
    table = table_drift(jnp.asarray(values), 1.0, 2.0)
    log_ratios, advantages = np.array([0.5, -0.2, 3.0, -0.1]), np.array([1.0, -0.5, 9.0, 0.0])
    drift = drift_of(table, table.init(None), jnp.asarray(log_ratios), jnp.asarray(advantages))
    expected = []
    for log_ratio, advantage in zip(np.clip(log_ratios, -1, 1), np.clip(advantages, -2, 2), strict=True):
        up, column = (log_ratio + 1) / 2, np.interp(advantage, [-2, 0, 2], [0, 1, 2])
        rows = [np.interp(column, [0, 1, 2], row) for row in values]
        expected.append((1 - up) * rows[0] + up * rows[1])
    np.testing.assert_allclose(drift, log_ratios**2 * np.array(expected), rtol=1e-4, atol=1e-5)


def test_agreement_and_what_lies_beyond():
    found = agreement(jnp.asarray([0.0, 2.0]), jnp.asarray([1.0, 2.0]), jnp.asarray([0.5, 0.5]))
    np.testing.assert_allclose([found["rmse"], found["r2"]], [0.5**0.5, 0.5])
    assert np.isnan(agreement(jnp.ones(2), jnp.ones(2), jnp.full(2, 0.5))["r2"])
    points = normal_points()
    outside = beyond(points)
    counted = np.asarray(outside.weight) > 0
    inner = (np.abs(outside.log_ratio) <= 0.6) & (np.abs(outside.advantage) <= 3.0)
    np.testing.assert_array_equal(counted, ~inner)
    np.testing.assert_allclose(np.abs(np.asarray(outside.log_ratio)).max(), np.log(3.0), rtol=1e-5)
    wide = points._replace(log_ratio=10.0 * points.log_ratio, advantage=10.0 * points.advantage)
    with pytest.raises(ValueError, match="lies beyond"):
        beyond(wide)
    with pytest.raises(ValueError, match="must be even, got 5; nearest: 6"):
        tabulate(make_surrogate("clip"), make_surrogate("clip").init(None), points, (5, 4))
    with pytest.raises(ValueError, match="at least 2 knots"):
        table_drift(jnp.ones((1, 4)), 1.0, 1.0)


def test_a_distilled_table_trains_ppo():
    clip = make_surrogate("clip")
    table = tabulate(clip, clip.init(None), normal_points())
    settings = {**SMALL, "num_epochs": 4, "num_minibatches": 1, "learning_rate": 0.3, "total_steps": 20 * 24}
    trainer = jaxrl.trainer("ppo", RICH, surrogate=table, **settings)
    assert trainer.hyperparameters.objective["table"].shape == (24, 25)
    result = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters)
    learnt = np.asarray(result.state.agent.params["actor"])
    assert np.all(np.isfinite(learnt)) and np.abs(learnt).max() > 0.3
    assert not np.any(result.metrics["non_finite"])


# --- whole studies ---


@pytest.fixture(scope="module")
def studies():
    """Studies that were never trained: what members hold need not be good, and is their whole state."""

    def study(agent, members, **settings):
        trainer = jaxrl.trainer(agent, RICH, total_steps=48, **SMALL, **settings)
        outer = {"population_size": 2, "num_generations": 1, "num_evaluations": 1, "evaluation_tasks": 2}
        built = evolve(trainer, make_tasks(RICH, 2), **outer)
        built = built._replace(value=lambda state: state)
        state = jax.jit(jax.vmap(trainer.agent.initialisers["objective"]))(jax.random.split(jax.random.key(0), members))
        axes = jax.tree.map(lambda leaf: None, built.hyperparameters)
        settings, seeds = [{}] * members, list(range(members))
        result = Result(state, None, None)
        group = Group(built, {}, settings, None, seeds, built.hyperparameters, axes, result, Timing())
        return jaxrl.Sweep([group], [])

    drift = {"num_epochs": 1, "num_minibatches": 1, "surrogate": "time_aware_drift"}
    return {"surrogate": study("ppo", 1, **drift), "rule": study("lpg", 2, num_outputs=3, objective_size=4)}


def test_examining_a_study_of_drifts(studies, tmp_path):
    tables = examine(studies["surrogate"], tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"slopes.png", "slopes.csv", "distilled.csv"}
    rows = pandas.read_csv(tmp_path / "new" / "slopes.csv")
    value = studies["surrogate"].learned(0)
    row = rows[(rows["member"] == 0) & np.isclose(rows["progress"], 0.5)].iloc[300]
    expected = drift_of(
        make_surrogate("time_aware_drift"), value, jnp.log(row["ratio"]), jnp.asarray(row["advantage"]), 0.5
    )
    np.testing.assert_allclose(row["drift"], expected, rtol=1e-3, atol=1e-4)
    assert len(tables["distilled"]) == 3 and tables["distilled"]["table_within_r2"].min() > 0.9


@pytest.mark.slow  # A study of its own; one of drifts is the quick test.
def test_examining_a_study_of_rules(studies, tmp_path):
    rows = examine(studies["rule"], tmp_path)["response"]
    assert {path.name for path in tmp_path.iterdir()} == {"response.png", "prediction.png", "response.csv"}
    # Neither progress nor horizon is read: one slice each.
    assert len(rows) == 2 * len(set(rows["delay"])) * len(set(rows["discount"])) * len(set(rows["probability"]))
    found = target_response(learned_policy_gradient(3, 4), studies["rule"].learned(0), (5,), (0.2,), (0.9,))
    row = rows[(rows["member"] == 0) & (rows["delay"] == 5) & np.isclose(rows["discount"], 0.9)].iloc[0]
    # The longer rollout has more steps after the reward.
    assert row["policy"] != 0.0 and found.policy.shape == (1, 1, 1, 1, 1)


def test_other_leaves_and_runs_are_refused(studies, tmp_path):
    swept = studies["surrogate"]
    group = swept.groups[0]
    trainer = group.trainer._replace(leaf="discount")
    other = jaxrl.Sweep([replace(group, trainer=trainer)], [])
    with pytest.raises(ValueError, match="learned the leaf 'discount'"):
        examine(other, tmp_path)
    plain = jaxrl.Sweep([replace(group, trainer=trainer.trainer)], [])
    with pytest.raises(ValueError, match="only a meta-study"):
        examine(plain, tmp_path)


def test_figures_name_what_they_cannot_draw():
    clip, a2c = make_surrogate("clip"), advantage_actor_critic()
    drawn = surrogate_slopes(clip, clip.init(None), RATIOS, ADVANTAGES)
    with pytest.raises(UnknownNameError, match="gradient"):
        pictures.slopes({"clip": drawn}, ("gradients",))
    with pytest.raises(ValueError, match="nothing to draw"):
        pictures.slopes({})
    one = target_response(a2c, a2c.init(None), (1, 2))
    with pytest.raises(ValueError, match="has one output"):
        pictures.predictions({"A2C": one})
    with pytest.raises(ValueError, match="the same discounts"):
        pictures.responses({"A2C": one, "other": one._replace(discounts=jnp.asarray([0.5]))})
