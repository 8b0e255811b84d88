"""An iteration that stops at a target divergence takes the steps of one that has fewer, and no others."""

from operator import itemgetter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.agents.kl_stopping import mean_of_seen, until_too_far
from jaxrl.cli import main
from tests import short

pytestmark = pytest.mark.quick_compilation

SETTINGS = {**short.SETTINGS, "num_epochs": 6, "num_minibatches": 1, "learning_rate": 0.02}


def step(carry, inputs):
    """A step whose divergence is known: how far it has come."""
    return carry + inputs, {"kl": jnp.abs(carry), "loss": 10.0 * carry, "non_finite": jnp.zeros(())}


def by_hand(inputs, target, num_minibatches):
    """The same in a plain loop that breaks."""
    carry, seen, taken = 0.0, [], 0
    for number in inputs:
        seen.append(abs(carry))
        if abs(carry) > 1.5 * target:
            break
        carry, taken = carry + number, taken + 1
    means = {"kl": np.mean(seen), "loss": 10.0 * np.mean(seen), "epochs": taken / num_minibatches, "non_finite": 0.0}
    return carry, means, np.mean(seen[-num_minibatches:])


@pytest.mark.parametrize("num_minibatches", [1, 3])
def test_steps_end_as_in_a_loop_that_breaks(num_minibatches):
    inputs = np.random.default_rng(0).uniform(0.5, 1.5, 12).astype(np.float32)
    targets = np.array([1e-3, 1.0, 2.3, 4.0, np.inf], np.float32)

    def run(target):
        carry, metrics = until_too_far(step, jnp.zeros(()), jnp.asarray(inputs), target)
        return carry, *mean_of_seen(metrics, num_minibatches)

    together = jax.jit(jax.vmap(run))(jnp.asarray(targets))
    for member, target in enumerate(targets):
        carry, means, last = jax.tree.map(itemgetter(member), together)
        expected = by_hand(inputs, target, num_minibatches)
        np.testing.assert_allclose(carry, expected[0], rtol=1e-6)
        np.testing.assert_allclose(last, expected[2], rtol=1e-6)
        assert set(means) == set(expected[1])
        for name, value in expected[1].items():
            np.testing.assert_allclose(means[name], value, rtol=1e-6, atol=1e-7)
    # A run alone does not compute what it leaves out.
    assert " cond[" in str(jax.make_jaxpr(run)(1.0)) and " cond[" not in str(jax.make_jaxpr(jax.vmap(run))(targets))


def test_gradients_go_through_a_descent_that_stops():
    slope = jax.grad(lambda scale: until_too_far(step, jnp.zeros(()), scale * jnp.ones(6), jnp.asarray(2.0))[0])(1.0)
    np.testing.assert_allclose(slope, 4.0)


def iteration(trainer):
    """Parameters and metrics of a first iteration, as a function of the limits."""

    def learn(limits):
        chosen, end = trainer.hyperparameters._replace(limits=limits), trainer.num_iterations
        state, metrics = trainer.learn(trainer.init(jax.random.key(2), chosen), chosen, jnp.asarray(0), end)
        return state.agent.params, metrics

    return learn


def test_members_of_a_vmapped_run_stop_by_themselves_and_one_that_never_does_is_as_without_a_target():
    trainer = jaxrl.trainer("ppo", "gymnax/CartPole-v1", stop_at_kl=True, **SETTINGS)
    params, metrics = jax.jit(jax.vmap(iteration(trainer)))({"target_kl": jnp.asarray([1e-5, 5e-3, np.inf])})
    assert metrics["epochs"][0] == 1.0 and 1.0 < metrics["epochs"][1] < 6.0 and metrics["epochs"][2] == 6.0
    assert metrics["kl"][0] < metrics["kl"][1] < metrics["kl"][2] and not np.any(metrics["skipped_updates"])
    plain, alone = jax.jit(iteration(trainer.rebuild(stop_at_kl=False)))({})
    assert "epochs" not in alone
    for name, value in alone.items():
        np.testing.assert_allclose(metrics[name][2], value, rtol=2e-4, atol=1e-6)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one[2], other, atol=1e-5), params, plain)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"target_kl": 0.01}, "target_kl would have no effect here: it needs stop_at_kl=True"),
        ({"limits.target_kl": 0.01}, "target_kl would have no effect here: it needs stop_at_kl=True"),
        ({"stop_at_kl": True, "target_kl": 0.0}, "'limits.target_kl' must be above 0, got 0"),
        ({"stop_at_kl": True, "num_epochs": 1}, "it needs num_epochs or num_minibatches above 1"),
        ({"stop_at_kl": 1}, "stop_at_kl takes True or False, got 1"),
    ],
)
def test_what_has_no_effect_is_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        jaxrl.trainer("ppo", "gymnax/CartPole-v1", **{**SETTINGS, **settings})


def test_the_shell_knows_the_target_where_it_has_an_effect(capsys):
    assert main(["train", "ppo", "gymnax/CartPole-v1", "--target-kl", "0.1"]) == 2
    assert "target_kl would have no effect here: it needs stop_at_kl=True" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["train", "ppo", "gymnax/CartPole-v1", "--stop-at-kl", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--target-kl NUMBER limits.target_kl. [above 0; default 0.02]" in text
    trainer = jaxrl.trainer("ppo", "gymnax/CartPole-v1", **SETTINGS)
    with pytest.raises(ValueError, match="it needs stop_at_kl=True"):
        jaxrl.sweep(trainer, hyperparameters={"target_kl": [0.1, 0.2]})
