"""Self-tuning actor-critic: the meta-gradient, its bounds, and hyperparameters that find their way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.agents.stac import TUNABLE, outer_batch, outer_loss, tuned_hyperparameters
from jaxrl.errors import UnknownNameError

pytestmark = pytest.mark.quick_compilation


def trainer(environment="grid/tiny", **settings):
    shared = {"num_envs": 4, "num_steps": 8, "network": "table", "num_evaluations": 1, "evaluation_episodes": 2}
    return jaxrl.trainer("stac", environment, **{**shared, "total_steps": 320, **settings})


def test_everything_starts_at_its_fixed_value():
    built = trainer(discount=0.9, gae_lambda=0.8, entropy_coefficient=0.03, value_coefficient=0.4)
    state = built.init(jax.random.key(0), built.hyperparameters)
    inner = tuned_hyperparameters(state.agent.logits, built.hyperparameters)
    for name in TUNABLE:
        np.testing.assert_allclose(getattr(inner, name), getattr(built.hyperparameters, name), rtol=1e-5)


@pytest.mark.parametrize("name", [TUNABLE[0], *(pytest.param(name, marks=pytest.mark.slow) for name in TUNABLE[1:])])
def test_logits_follow_the_finite_difference_of_the_outer_loss(name):
    """Adam's first moment is a tenth of the gradient after one update."""
    with jax.enable_x64(True):
        built = trainer(num_steps=40, tuned=(name,), optimiser="sgd", learning_rate=2.0, normalise_rewards=False)
        double = lambda leaf: leaf.astype(jnp.float64) if leaf.dtype == jnp.float32 else leaf  # noqa: E731
        hp = jax.tree.map(double, built.hyperparameters)
        run = jax.jit(built.init)(jax.random.key(1), hp)
        # A first iteration makes values other than zero.
        run, _ = jax.jit(built.learn)(run, hp, 0, 10)
        base, parts = built.agent.update.args[0], built.agent.update.args[0].update.args[0]
        _, rollout, summary = jax.jit(built.collect)(jax.random.key(5), run, hp)
        progress, before = jaxrl.agents.Progress(jnp.asarray(0.1), jnp.asarray(10.0)), run.agent.agent

        def updated(logit):
            inner = tuned_hyperparameters({name: logit}, hp)
            return base.update(jax.random.key(2), before, rollout, summary, inner, progress)[0].params

        batch = outer_batch(parts, before, jax.jit(updated)(run.agent.logits[name]), rollout, hp, progress)

        @jax.jit
        def outer(logit):
            return outer_loss(parts, before, updated(logit), batch, rollout.memory, hp, progress)

        logit, step = run.agent.logits[name].astype(jnp.float64), 1e-5
        difference = (outer(logit + step) - outer(logit - step)) / (2 * step)
        fresh = run.agent._replace(optimiser=jax.tree.map(jnp.zeros_like, run.agent.optimiser))
        after, _ = jax.jit(built.agent.update)(jax.random.key(2), fresh, rollout, summary, hp, progress)
        found = 10.0 * after.optimiser.mu[name]
    assert abs(difference) > 1e-9
    np.testing.assert_allclose(found, difference, rtol=1e-3)


def test_tuned_hyperparameters_move_within_their_bounds():
    built = trainer(
        "bandit/bernoulli", num_steps=16, total_steps=60 * 64, tuned=("entropy_coefficient", "value_coefficient"),
        optimiser="adam", learning_rate=0.05, meta_learning_rate=1.0, entropy_coefficient=0.5,
    )  # fmt: skip
    metrics = jax.jit(built.run)(jax.random.key(0), built.hyperparameters).metrics
    for name in ("entropy_coefficient", "value_coefficient"):
        tuned = np.asarray(metrics[f"tuned_{name}"])
        assert (tuned >= 0.0).all() and (tuned <= 1.0).all() and np.ptp(tuned) > 0.2
    assert "tuned_discount" not in metrics


def test_it_is_swept_and_saved_like_any_agent(tmp_path):
    swept = jaxrl.sweep(
        trainer(), seeds=2, hyperparameters={"meta_learning_rate": [0.0, 0.1]}, directory=tmp_path,
        options=jaxrl.RunOptions(progress=False), say=lambda _: None,
    )  # fmt: skip
    tuned = np.asarray(swept.groups[0].result.metrics["tuned_discount"])
    np.testing.assert_allclose(tuned[:2], 0.99, rtol=1e-5)
    assert np.abs(tuned[2:, -1] - 0.99).min() > 1e-5


def test_what_cannot_be_tuned_is_named():
    with pytest.raises(UnknownNameError, match="gae_lambda"):
        trainer(tuned=("lambda",))
