"""Self-tuning actor-critic: the meta-gradient, its bounds, and hyperparameters that find their way."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.agents.auxiliary_heads import auxiliary_loss
from jaxrl.agents.on_policy_loss import loss
from jaxrl.agents.on_policy_update import prepare, scalarise
from jaxrl.agents.stac import TUNABLE, outer_batch, outer_loss, tuned_heads, tuned_hyperparameters
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


@pytest.mark.slow
def test_it_is_swept_and_saved_like_any_agent(tmp_path):
    swept = jaxrl.sweep(
        trainer(), seeds=2, hyperparameters={"meta_learning_rate": [0.0, 0.1]}, directory=tmp_path,
        options=jaxrl.RunOptions(progress=False), say=lambda _: None,
    )  # fmt: skip
    tuned = np.asarray(swept.groups[0].result.metrics["tuned_discount"])
    np.testing.assert_allclose(tuned[:2], 0.99, rtol=1e-5)
    assert np.abs(tuned[2:, -1] - 0.99).min() > 1e-5


# --- auxiliary heads ---


def with_heads(environment="gymnax/CartPole-v1", **settings):
    shared = {"num_envs": 4, "num_steps": 8, "hidden_sizes": (6,), "num_evaluations": 1, "evaluation_episodes": 2}
    return jaxrl.trainer("stacx", environment, **{**shared, "total_steps": 320, **settings})


@pytest.fixture(scope="module")
def lived():
    return after_updates("gymnax/CartPole-v1")


@cache
def after_updates(environment):
    """An agent with two auxiliary heads after some updates, its hyperparameters and a rollout."""
    built = with_heads(environment, gae_lambda=1.0, entropy_coefficient=0.1, learning_rate=0.05)
    hp, collected = built.hyperparameters, jax.jit(built.collect)
    run = jax.jit(built.init)(jax.random.key(1), hp)
    learn = jax.jit(built.learn)
    for index in range(3):
        run, _ = learn(run, hp, index, 10)
    _, rollout, summary = collected(jax.random.key(5), run, hp)
    base = built.agent.update.args[0]
    return built, base.update.args[0], run.agent, rollout, summary, hp


def copied(params, head, heads=3):
    """The parameters with the first head's in the place of another's."""
    copy = jax.tree.map(np.array, params)
    for name in ("actor_head", "critic_head"):
        for leaf in copy[name].values():
            width = leaf.shape[-1] // heads
            leaf[..., head * width : (head + 1) * width] = leaf[..., :width]
    return copy


@pytest.mark.slow  # The loss of heads is compared with a slow loop.
@pytest.mark.parametrize(
    "environment",
    [
        lambda: jaxrl.make("multitask/cart-pole", num_tasks=2),
        lambda: "gymnax/CartPole-v1",
        lambda: "gymnax/Pendulum-v1",
        lambda: "mo/deep-sea-treasure",
    ],
    ids=["tasks", "discrete", "continuous", "objectives"],
)
def test_a_head_like_the_one_that_acts_moves_what_they_share_as_it_does(environment):
    """With λ = 1, where V-trace on policy is what generalised advantages are; weights 1, 0.5 and 0.1."""
    _, parts, state, rollout, _, hp = after_updates(environment())
    agent = state.agent._replace(params=copied(state.agent.params, 2))
    settings = tuned_heads(state.logits["auxiliary"], hp)
    second = jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.37), settings)._replace(
        policy_coefficient=jnp.array([0.0, 1.0]),
        value_coefficient=jnp.array([0.0, 1.0]) * hp.value_coefficient,
        entropy_coefficient=jnp.array([0.0, 1.0]) * hp.entropy_coefficient,
        discount=jnp.full(2, hp.discount),
        trace=jnp.ones(2),
    )
    found = jax.jit(jax.grad(auxiliary_loss(parts, agent, rollout, second, hp)))(agent.params)
    batch, _ = prepare(parts, agent, rollout, hp)
    progress = jaxrl.agents.Progress(jnp.asarray(0.1), jnp.asarray(10.0))
    batch = batch._replace(advantage=scalarise(parts, agent, batch, hp, progress))
    expected = jax.jit(jax.grad(lambda params: loss(parts, params, batch, (), agent, hp, progress)[0]))(agent.params)
    for torso in ("actor_torso", "critic_torso"):
        for left, right in zip(jax.tree.leaves(found[torso]), jax.tree.leaves(expected[torso]), strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-6)
            assert np.abs(right).max() > 1e-3
    assert not np.any(found.get("log_std", 0.0))


def test_heads_learn_off_the_policy_that_acts(lived):
    """Against a slow loop: advantages and targets of another policy's ratios, and the loss that they make."""
    from scipy.special import log_softmax

    _, parts, state, rollout, _, hp = lived
    settings = tuned_heads(state.logits["auxiliary"], hp)._replace(
        discount=jnp.array([0.9, 0.7]), trace=jnp.array([0.8, 0.5]), clipping=jnp.array([1.0, 0.4]),
    )  # fmt: skip
    found = auxiliary_loss(parts, state.agent, rollout, settings, hp)(state.agent.params)
    weights = jnp.ones((*rollout.reward.shape[:2], 1))
    params, observation = state.agent.params, rollout.observation
    logits, values, _ = parts.heads.sequence(params, observation, weights, (), rollout.start)
    following = np.asarray(parts.heads.value(params, rollout.final_observation, weights, ()))[..., 0]
    log_pi, values = log_softmax(np.asarray(logits, float), axis=-1), np.asarray(values)[..., 0]
    action, reward = np.asarray(rollout.raw_action), np.asarray(rollout.reward)[..., 0]
    terminated, truncated = np.asarray(rollout.terminated), np.asarray(rollout.truncated)
    taken = np.take_along_axis(log_pi, action[..., None, None], axis=-1)[..., 0]
    expected = 0.0
    for i in (1, 2):
        discount, trace, clipping, policy, value, entropy = (float(leaf[i - 1]) for leaf in settings)
        ratio = np.exp(taken[..., i] - taken[..., 0])
        leaky = clipping * np.minimum(1.0, ratio) + (1 - clipping) * ratio
        for env in range(action.shape[1]):
            target = following[-1, env, i] * (not terminated[-1, env])
            carry = 0.0
            for t in reversed(range(action.shape[0])):
                bootstrap = following[t, env, i] * (not terminated[t, env])
                if terminated[t, env] or truncated[t, env]:
                    carry, target = 0.0, bootstrap
                advantage = leaky[t, env] * (reward[t, env] + discount * target - values[t, env, i])
                error = leaky[t, env] * (reward[t, env] + discount * bootstrap - values[t, env, i])
                carry = error + discount * trace * leaky[t, env] * carry
                target = values[t, env, i] + carry
                spread = -(np.exp(log_pi[t, env, i]) * log_pi[t, env, i]).sum()
                expected += -policy * advantage * taken[t, env, i] + value * 0.5 * carry**2 - entropy * spread
    np.testing.assert_allclose(found, expected / action.size, rtol=1e-4)


def test_heads_reach_what_they_share_and_nothing_at_weight_zero(lived):
    built, _, state, rollout, summary, hp = lived
    update = jax.jit(built.agent.update)
    progress = jaxrl.agents.Progress(jnp.asarray(0.1), jnp.asarray(10.0))

    def after(weight):
        weighted = hp._replace(objective={**hp.objective, "auxiliary_coefficient": jnp.asarray(weight)})
        return update(jax.random.key(2), state, rollout, summary, weighted, progress)[0].agent.params

    none, some = after(0.0), after(1.0)
    before, own = state.agent.params, built.environment.spec.action.n
    for head in (none, some):
        assert np.any(np.asarray(head["actor_head"]["kernel"] != before["actor_head"]["kernel"])[:, :own])
    np.testing.assert_array_equal(none["actor_head"]["kernel"][:, own:], before["actor_head"]["kernel"][:, own:])
    assert np.all(np.any(np.asarray(some["actor_head"]["kernel"] != before["actor_head"]["kernel"]), axis=0))
    differ = lambda name: jax.tree.leaves(jax.tree.map(lambda a, b: np.any(a != b), none[name], some[name]))  # noqa: E731
    assert all(differ("actor_torso")) and all(differ("critic_torso"))


@pytest.mark.slow
def test_settings_of_heads_follow_the_finite_difference_of_the_outer_loss():
    with jax.enable_x64(True):
        built = with_heads(optimiser="sgd", learning_rate=0.5, tuned=(), num_steps=20)
        double = lambda leaf: leaf.astype(jnp.float64) if leaf.dtype == jnp.float32 else leaf  # noqa: E731
        hp = jax.tree.map(double, built.hyperparameters)
        run = jax.jit(built.init)(jax.random.key(1), hp)
        run, _ = jax.jit(built.learn)(run, hp, 0, 10)
        run = run._replace(agent=jax.tree.map(double, run.agent))
        base, parts = built.agent.update.args[0], built.agent.update.args[0].update.args[0]
        _, rollout, summary = jax.jit(built.collect)(jax.random.key(5), run, hp)
        progress, before = jaxrl.agents.Progress(jnp.asarray(0.1), jnp.asarray(10.0)), run.agent.agent
        flat, unravel = jax.flatten_util.ravel_pytree(run.agent.logits["auxiliary"])

        @jax.jit
        def updated(flat):
            extra = auxiliary_loss(parts, before, rollout, tuned_heads(unravel(flat), hp), hp)
            return base.update(jax.random.key(2), before, rollout, summary, hp, progress, extra)[0].params

        batch = outer_batch(parts, before, updated(flat), rollout, hp, progress)
        outer = jax.jit(lambda flat: outer_loss(parts, before, updated(flat), batch, rollout.memory, hp, progress))
        steps = 1e-4 * jnp.eye(flat.size)
        difference = jnp.stack([(outer(flat + step) - outer(flat - step)) / 2e-4 for step in steps])
        fresh = run.agent._replace(optimiser=jax.tree.map(jnp.zeros_like, run.agent.optimiser))
        after, _ = jax.jit(built.agent.update)(jax.random.key(2), fresh, rollout, summary, hp, progress)
        found = 10.0 * jax.flatten_util.ravel_pytree(after.optimiser.mu["auxiliary"])[0]
    assert np.all(np.abs(np.asarray(difference)) > 1e-8)
    np.testing.assert_allclose(found, difference, rtol=1e-3, atol=1e-10)


def test_what_cannot_be_tuned_is_named():
    with pytest.raises(UnknownNameError, match="gae_lambda"):
        trainer(tuned=("lambda",))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"auxiliary_heads": -1}, "at least 0, got -1"),
        ({"network": "table"}, "layers that heads share"),
        ({"network": "mlp", "hidden_sizes": ()}, "layers that heads share"),
        ({"network": "mlp", "optimiser": "natural"}, "optimiser='natural'"),
    ],
)
def test_heads_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        trainer(**{"auxiliary_heads": 1, **settings})


def test_heads_of_families_are_refused_beside_heads_of_tasks():
    with pytest.raises(ValueError, match="multi_head=True"):
        with_heads(jaxrl.make("multitask/cart-pole", num_tasks=2), multi_head=True)
