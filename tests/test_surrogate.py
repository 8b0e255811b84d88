"""Losses and their gradients against closed forms written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.errors import UnknownNameError
from jaxrl.objectives import surrogate as surrogates
from jaxrl.objectives import value as value_losses
from jaxrl.objectives.surrogate import SurrogateInputs, make_surrogate

COUNT = 10_000


def samples(seed=0, count=COUNT, log_ratio_scale=0.7):
    rng = np.random.default_rng(seed)
    log_ratio, advantage = rng.normal(size=count) * log_ratio_scale, rng.normal(size=count) * 3.0
    return log_ratio.astype(np.float32), advantage.astype(np.float32)


def inputs(log_ratio, advantage, kl_from_old=0.0, kl_to_old=0.0, progress=0.0):
    log_ratio = jnp.asarray(log_ratio, jnp.float32)
    kl = [jnp.broadcast_to(jnp.asarray(x, jnp.float32), log_ratio.shape) for x in (kl_from_old, kl_to_old)]
    return SurrogateInputs(log_ratio, jnp.asarray(advantage, jnp.float32), *kl, jnp.asarray(progress, jnp.float32))


def loss_and_gradient(name, given, changes=None, state=None):
    """The loss of every sample and its derivative with respect to log r."""
    surrogate = make_surrogate(name)
    parameters = {**surrogate.init(None), **{k: jnp.asarray(v) for k, v in (changes or {}).items()}}
    state = surrogate.init_state(parameters) if state is None else state
    value, vjp = jax.vjp(lambda x: surrogate.apply(given._replace(log_ratio=x), parameters, state), given.log_ratio)
    return np.asarray(value), np.asarray(vjp(jnp.ones_like(value))[0])


@pytest.mark.parametrize("epsilon", [0.1, 0.2])
def test_clip_matches_its_definition(epsilon):
    log_ratio, advantage = samples()
    value, gradient = loss_and_gradient("clip", inputs(log_ratio, advantage), {"clip_epsilon": epsilon})
    ratio = np.exp(log_ratio.astype(np.float64))
    clipped = np.where(ratio > 1 + epsilon, 1 + epsilon, np.where(ratio < 1 - epsilon, 1 - epsilon, ratio))
    np.testing.assert_allclose(value, -np.minimum(ratio * advantage, clipped * advantage), rtol=2e-5, atol=1e-5)
    # A step is refused only where it would go further in the direction that already went too far.
    refused = ((advantage > 0) & (ratio > 1 + epsilon)) | ((advantage < 0) & (ratio < 1 - epsilon))
    assert 0.1 < refused.mean() < 0.6
    np.testing.assert_array_equal(gradient[refused], 0.0)
    np.testing.assert_allclose(gradient[~refused], -(ratio * advantage)[~refused], rtol=2e-5, atol=1e-6)


def test_clip_keeps_the_gradient_that_leads_back():
    given = inputs(np.log([2.0, 0.5, 2.0, 0.5]), [-1.0, 1.0, 1.0, -1.0])
    _, gradient = loss_and_gradient("clip", given)
    np.testing.assert_allclose(gradient, [2.0, -0.5, 0.0, 0.0], rtol=1e-6)


@pytest.mark.parametrize("name", surrogates.SURROGATES)
def test_every_surrogate_starts_with_the_policy_gradient(name):
    _, advantage = samples(1)
    _, gradient = loss_and_gradient(name, inputs(np.zeros(COUNT), advantage))
    np.testing.assert_allclose(gradient, -advantage, rtol=1e-5, atol=1e-5)


def test_policy_gradient_is_linear_in_the_log_ratio():
    log_ratio, advantage = samples(2)
    value, gradient = loss_and_gradient("policy_gradient", inputs(log_ratio, advantage))
    np.testing.assert_allclose(value, -log_ratio * advantage, rtol=1e-6)
    np.testing.assert_allclose(gradient, -advantage, rtol=1e-6)


def test_kl_penalty_adds_the_divergence_from_the_old_policy():
    log_ratio, advantage = samples(3)
    kl = np.abs(samples(4)[0])
    given = inputs(log_ratio, advantage, kl_from_old=kl, kl_to_old=100.0)
    value, gradient = loss_and_gradient("kl_penalty", given, {"kl_coefficient": 2.5})
    np.testing.assert_allclose(value, 2.5 * kl - np.exp(log_ratio) * advantage, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient, -np.exp(log_ratio) * advantage, rtol=1e-5)
    apply, parameters = make_surrogate("kl_penalty").apply, {"kl_coefficient": jnp.asarray(2.5)}
    slope = jax.grad(lambda kl: apply(given._replace(kl_from_old=kl), parameters, ()).sum())(given.kl_from_old)
    np.testing.assert_allclose(slope, 2.5)


def test_adaptive_kl_coefficient_halves_doubles_and_rests():
    surrogate = make_surrogate("adaptive_kl_penalty")
    parameters = {"kl_coefficient": jnp.asarray(0.8), "kl_target": jnp.asarray(0.03)}
    state = surrogate.init_state(parameters)
    np.testing.assert_allclose(state, 0.8)
    for kl, factor in ((0.0199, 0.5), (0.0201, 1.0), (0.03, 1.0), (0.0449, 1.0), (0.0451, 2.0), (0.0, 0.5)):
        np.testing.assert_allclose(surrogate.update(state, jnp.asarray(kl), parameters), 0.8 * factor, rtol=1e-6)


def test_adaptive_kl_coefficient_is_what_the_loss_uses_and_stays_bounded():
    surrogate = make_surrogate("adaptive_kl_penalty")
    parameters = surrogate.init(None)
    value, _ = loss_and_gradient("adaptive_kl_penalty", inputs([0.0], [2.0], kl_from_old=0.5), state=jnp.asarray(3.0))
    np.testing.assert_allclose(value, 3.0 * 0.5 - 2.0)
    state = surrogate.init_state(parameters)
    for kl, bound in ((1.0, 1e6), (0.0, 1e-6)):
        for _ in range(60):
            state = surrogate.update(state, jnp.asarray(kl), parameters)
        np.testing.assert_allclose(state, bound, rtol=1e-6)


@pytest.mark.parametrize(("progress", "coefficient"), [(0.0, 1.0), (0.5, 2.0), (0.75, 4.0)])
@pytest.mark.parametrize("step_size", [1.0, 0.25])
def test_mirror_descent_divides_by_an_annealed_step_size(progress, coefficient, step_size):
    log_ratio, advantage = samples(5)
    kl = np.abs(samples(6)[0])
    given = inputs(log_ratio, advantage, kl_from_old=100.0, kl_to_old=kl, progress=progress)
    value, _ = loss_and_gradient("mirror_descent", given, {"step_size": step_size})
    expected = coefficient / step_size * kl - np.exp(log_ratio) * advantage
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)


def test_mirror_descent_stays_finite_at_the_end_of_a_run():
    value, gradient = loss_and_gradient("mirror_descent", inputs([0.1], [1.0], kl_to_old=0.1, progress=1.0))
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(gradient))


def drift_reference(log_ratio, advantage, alpha, beta):
    """Equation 9 of arXiv 2210.05639 and its derivative with respect to log r."""
    log_ratio, advantage = log_ratio.astype(np.float64), advantage.astype(np.float64)
    ratio, penalty, slope = np.exp(log_ratio), np.zeros(len(advantage)), np.zeros(len(advantage))
    for i in range(len(advantage)):
        if advantage[i] >= 0:
            x, scale, dx = (ratio[i] - 1) * advantage[i], alpha, ratio[i] * advantage[i]
        else:
            x, scale, dx = log_ratio[i] * advantage[i], beta, advantage[i]
        inner = x - scale * np.tanh(x / scale)
        penalty[i] = max(inner, 0.0)
        slope[i] = np.tanh(x / scale) ** 2 * dx if inner > 0 else 0.0
    return penalty, slope


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 0.6), (0.5, 1.5)])
def test_drift_matches_its_definition(alpha, beta):
    log_ratio, advantage = samples(7)
    value, gradient = loss_and_gradient("drift", inputs(log_ratio, advantage), {"alpha": alpha, "beta": beta})
    penalty, slope = drift_reference(log_ratio, advantage, alpha, beta)
    gain = np.exp(log_ratio.astype(np.float64)) * advantage
    np.testing.assert_allclose(value, penalty - gain, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradient, slope - gain, rtol=1e-4, atol=1e-4)


def test_drift_is_never_negative():
    log_ratio, advantage = samples(8)
    value, _ = loss_and_gradient("drift", inputs(log_ratio, advantage))
    gain = np.exp(log_ratio) * advantage
    assert np.all(value + gain >= -1e-6 * np.maximum(1.0, np.abs(gain)))
    assert np.mean(value + gain > 1e-3) > 0.3


@pytest.mark.parametrize("advantage", [-7.0, -1e-3, 0.0, 1e-3, 7.0])
def test_drift_and_its_gradient_vanish_at_the_old_policy(advantage):
    value, gradient = loss_and_gradient("drift", inputs([0.0], [advantage]))
    np.testing.assert_allclose(value + advantage, 0.0, atol=1e-6)
    np.testing.assert_allclose(gradient + advantage, 0.0, atol=1e-6)


def test_parameters_are_traced():
    given = inputs(*samples(9, count=17))
    for name in ("clip", "drift", "mirror_descent", "kl_penalty"):
        surrogate = make_surrogate(name)
        parameters = surrogate.init(None)
        gradient = jax.grad(lambda p, s=surrogate: s.apply(given._replace(kl_to_old=given.log_ratio**2), p, ()).sum())(
            parameters
        )
        assert set(gradient) == set(parameters) and all(np.isfinite(leaf) for leaf in gradient.values())


def test_surrogates_are_found_by_name_and_pass_through():
    custom = surrogates.clip()
    assert make_surrogate(custom) is custom
    with pytest.raises(UnknownNameError, match="Did you mean 'mirror_descent'"):
        make_surrogate("mirror_decent")


# --- value losses --------------------------------------------------------------------------------


def test_squared_error_and_its_gradient_keep_the_objectives_apart():
    values, targets = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 7, 3)), jnp.float32)
    np.testing.assert_allclose(value_losses.squared_error(values, targets), (values - targets) ** 2 / 2, rtol=1e-6)
    gradient = jax.grad(lambda v: value_losses.squared_error(v, targets).sum())(values)
    np.testing.assert_allclose(gradient, values - targets, rtol=1e-6)


def test_clipped_squared_error_takes_the_larger_of_both():
    values, targets, old = np.random.default_rng(1).normal(size=(3, 5, 7, 3)).astype(np.float32)
    actual = value_losses.clipped_squared_error(*map(jnp.asarray, (values, targets, old)), jnp.asarray(0.3))
    expected = np.zeros_like(values)
    for i in np.ndindex(values.shape):
        near = min(max(values[i], old[i] - 0.3), old[i] + 0.3)
        expected[i] = max((values[i] - targets[i]) ** 2, (near - targets[i]) ** 2) / 2
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_clipped_squared_error_has_no_gradient_beyond_the_clip_towards_the_target():
    # Old 0, target 2, clip 0.5: at v = 1 the clipped error is larger and flat; at v = -1 the plain one is.
    loss = jax.grad(
        lambda v: value_losses.clipped_squared_error(v, jnp.full(3, 2.0), jnp.zeros(3), jnp.asarray(0.5)).sum()
    )
    np.testing.assert_allclose(loss(jnp.asarray([1.0, -1.0, 0.25])), [0.0, -3.0, -1.75])
