"""Densities against scipy, sampling frequencies, entropies and divergences by numerical integration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from jaxrl.environments.spaces import Box, Discrete, MultiDiscrete
from jaxrl.errors import UnknownNameError
from jaxrl.numerics import distributions

pytestmark = pytest.mark.quick_compilation

BOUNDED = Box((-2.0, 0.0, 1.0), (2.0, 3.0, 11.0), (3,))
UNBOUNDED = Box(-np.inf, np.inf, (3,))


def random_array(shape, seed=0, scale=1.0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape) * scale, jnp.float32)


def gaussian_parameters(batch, size, seed=0, low=-1.2, high=0.6):
    rng = np.random.default_rng(seed)
    mean, log_std = rng.normal(size=(*batch, size)), rng.uniform(low, high, size=(*batch, size))
    return mean, log_std, jnp.asarray(np.concatenate([mean, log_std], axis=-1), jnp.float32)


# --- categorical ---------------------------------------------------------------------------------


def test_categorical_log_prob_is_log_softmax_at_the_action():
    logits = random_array((4, 7, 5), scale=3.0)
    raw = jnp.asarray(np.random.default_rng(1).integers(0, 5, (4, 7)), jnp.int32)
    expected = np.take_along_axis(scipy.special.log_softmax(np.asarray(logits, np.float64), -1), raw[..., None], -1)
    np.testing.assert_allclose(distributions.categorical(5).log_prob(logits, raw), expected[..., 0], atol=2e-6)


def test_categorical_entropy_and_kl_match_scipy():
    family = distributions.categorical(6)
    p_logits, q_logits = random_array((11, 6), 2, 2.0), random_array((11, 6), 3, 2.0)
    p, q = (scipy.special.softmax(np.asarray(x, np.float64), -1) for x in (p_logits, q_logits))
    np.testing.assert_allclose(family.entropy(p_logits), scipy.stats.entropy(p, axis=-1), atol=1e-6)
    np.testing.assert_allclose(family.kl(p_logits, q_logits), scipy.stats.entropy(p, q, axis=-1), atol=3e-6)
    np.testing.assert_allclose(family.kl(p_logits, p_logits), 0.0, atol=1e-7)


def test_categorical_samples_have_the_right_frequencies():
    family, count = distributions.categorical(5), 60_000
    logits = jnp.asarray([0.3, -1.0, 1.4, -4.0, 0.0])
    noise = family.noise(jax.random.key(0), (count,))
    assert noise.shape == (count,)
    raw = np.asarray(family.sample(jnp.broadcast_to(logits, (count, 5)), noise))
    observed = np.bincount(raw, minlength=5)
    assert scipy.stats.chisquare(observed, scipy.special.softmax(np.asarray(logits, np.float64)) * count).pvalue > 1e-3


def test_categorical_sampling_inverts_the_cumulative_distribution():
    family, p = distributions.categorical(4), np.array([0.1, 0.2, 0.3, 0.4])
    uniform = jnp.asarray([0.0, 0.05, 0.15, 0.29, 0.31, 0.59, 0.61, 1.0 - 2.0**-23])
    raw = family.sample(jnp.broadcast_to(jnp.log(jnp.asarray(p)), (8, 4)), uniform)
    np.testing.assert_array_equal(raw, [0, 0, 1, 1, 2, 2, 3, 3])


@pytest.mark.parametrize("masked", [(0,), (6,), (0, 1, 2, 3), (2, 4, 6), (0, 1, 2, 3, 4, 5)])
@pytest.mark.parametrize("uniform", [0.0, 0.4, 1.0 - 2.0**-23])
def test_masked_actions_are_never_sampled(masked, uniform):
    logits = np.array(random_array((2_000, 7), 5))
    logits[:, masked] = -np.inf
    raw = np.asarray(distributions.categorical(7).sample(jnp.asarray(logits), jnp.full(2_000, uniform)))
    assert not np.isin(raw, masked).any()
    assert np.all((raw >= 0) & (raw < 7))


def test_masked_logits_give_finite_entropy_log_prob_and_gradients():
    family = distributions.categorical(5)
    logits = jnp.asarray([0.2, -jnp.inf, 1.0, -jnp.inf, -0.5])
    allowed = np.array([0, 2, 4])
    p = scipy.special.softmax(np.asarray(logits, np.float64)[allowed])
    entropy, gradient = jax.value_and_grad(lambda x: family.entropy(x))(logits)
    np.testing.assert_allclose(entropy, -np.sum(p * np.log(p)), atol=1e-6)
    expected = np.zeros(5)
    expected[allowed] = -p * (np.log(p) + entropy)
    np.testing.assert_allclose(gradient, expected, atol=1e-6)

    score = jax.grad(lambda x: family.log_prob(x, jnp.asarray(2)))(logits)
    expected[allowed] = np.array([0.0, 1.0, 0.0]) - p
    np.testing.assert_allclose(score, expected, atol=1e-6)

    other = jnp.asarray([1.0, -jnp.inf, 0.0, -jnp.inf, 0.0])
    kl, gradient = jax.value_and_grad(lambda x: family.kl(logits, x))(other)
    q = scipy.special.softmax(np.asarray(other, np.float64)[allowed])
    np.testing.assert_allclose(kl, np.sum(p * np.log(p / q)), atol=1e-6)
    assert np.all(np.isfinite(gradient))


def test_kl_is_infinite_where_the_second_policy_forbids_what_the_first_allows():
    family = distributions.categorical(3)
    assert family.kl(jnp.zeros(3), jnp.asarray([0.0, 0.0, -jnp.inf])) == jnp.inf


def test_categorical_mode_is_the_likeliest_action():
    mode = distributions.categorical(3).mode(jnp.asarray([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]]))
    np.testing.assert_array_equal(mode, [1, 0])
    assert mode.dtype == jnp.int32


# --- multi-categorical ---------------------------------------------------------------------------


def test_multi_categorical_factorises_over_its_parts():
    sizes, batch = (3, 2, 5), (4, 6)
    family = distributions.multi_categorical(sizes)
    assert family.num_parameters == 10
    p_logits, q_logits = random_array((*batch, 10), 7), random_array((*batch, 10), 8)
    raw = np.stack([np.random.default_rng(n).integers(0, n, batch) for n in sizes], -1).astype(np.int32)
    log_prob = entropy = kl = 0.0
    for i, (low, high) in enumerate([(0, 3), (3, 5), (5, 10)]):
        log_p, log_q = (
            scipy.special.log_softmax(np.asarray(x, np.float64)[..., low:high], -1) for x in (p_logits, q_logits)
        )
        log_prob += np.take_along_axis(log_p, raw[..., i : i + 1], -1)[..., 0]
        entropy -= np.sum(np.exp(log_p) * log_p, -1)
        kl += np.sum(np.exp(log_p) * (log_p - log_q), -1)
    np.testing.assert_allclose(family.log_prob(p_logits, jnp.asarray(raw)), log_prob, atol=3e-6)
    np.testing.assert_allclose(family.entropy(p_logits), entropy, atol=3e-6)
    np.testing.assert_allclose(family.kl(p_logits, q_logits), kl, atol=5e-6)


def test_multi_categorical_probabilities_sum_to_one_over_all_joint_actions():
    family, logits = distributions.multi_categorical((3, 2, 4)), random_array((9,), 4)
    joint = jnp.asarray(np.indices((3, 2, 4)).reshape(3, -1).T, jnp.int32)
    log_prob = family.log_prob(jnp.broadcast_to(logits, (len(joint), 9)), joint)
    np.testing.assert_allclose(jnp.exp(log_prob).sum(), 1.0, atol=1e-6)


def test_multi_categorical_samples_each_part_independently():
    family, count = distributions.multi_categorical((3, 2)), 40_000
    logits = jnp.asarray([0.0, 1.0, -1.0, 0.5, -0.5])
    noise = family.noise(jax.random.key(3), (count,))
    assert noise.shape == (count, 2)
    raw = np.asarray(family.sample(jnp.broadcast_to(logits, (count, 5)), noise))
    expected = np.outer(scipy.special.softmax([0.0, 1.0, -1.0]), scipy.special.softmax([0.5, -0.5])) * count
    observed = np.zeros((3, 2))
    np.add.at(observed, (raw[:, 0], raw[:, 1]), 1)
    assert scipy.stats.chisquare(observed.ravel(), expected.ravel()).pvalue > 1e-3
    np.testing.assert_array_equal(family.mode(logits), [1, 0])


# --- Gaussians -----------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [BOUNDED, UNBOUNDED])
def test_gaussian_log_prob_and_entropy_match_scipy(space):
    family = distributions.diagonal_gaussian(space)
    mean, log_std, parameters = gaussian_parameters((4, 7), 3)
    raw = random_array((4, 7, 3), 9)
    reference = scipy.stats.norm(mean, np.exp(log_std))
    np.testing.assert_allclose(
        family.log_prob(parameters, raw), reference.logpdf(np.asarray(raw)).sum(-1), rtol=1e-5, atol=1e-4
    )
    np.testing.assert_allclose(family.entropy(parameters), reference.entropy().sum(-1), atol=1e-5)
    np.testing.assert_allclose(family.mode(parameters), mean, atol=1e-6)
    assert (family.num_parameters, family.shared_parameters) == (6, 3)


@pytest.mark.parametrize("build", [distributions.diagonal_gaussian, distributions.tanh_gaussian])
def test_gaussian_kl_matches_numerical_integration(build):
    family = build(Box(-1.0, 1.0, (1,)))
    (m, s), (n, t) = (0.3, 0.7), (-0.4, 1.3)
    x = np.linspace(m - 12 * s, m + 12 * s, 200_001)
    p, q = scipy.stats.norm(m, s), scipy.stats.norm(n, t)
    expected = np.trapezoid(p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), x)
    kl = family.kl(jnp.asarray([m, np.log(s)]), jnp.asarray([n, np.log(t)]))
    np.testing.assert_allclose(kl, expected, atol=1e-6)


def test_gaussian_kl_adds_over_dimensions():
    family = distributions.diagonal_gaussian(UNBOUNDED)
    m, s, p = gaussian_parameters((5,), 3, 1)
    n, t, q = gaussian_parameters((5,), 3, 2)
    expected = (t - s + (np.exp(2 * s) + (m - n) ** 2) / (2 * np.exp(2 * t)) - 0.5).sum(-1)
    np.testing.assert_allclose(family.kl(p, q), expected, rtol=1e-5, atol=1e-5)


def test_gaussian_samples_follow_the_density():
    family, count = distributions.diagonal_gaussian(UNBOUNDED), 20_000
    mean, log_std, parameters = gaussian_parameters((), 3, 5)
    noise = family.noise(jax.random.key(2), (count,))
    raw = np.asarray(family.sample(jnp.broadcast_to(parameters, (count, 6)), noise))
    for i in range(3):
        assert scipy.stats.kstest(raw[:, i], scipy.stats.norm(mean[i], np.exp(log_std[i])).cdf).pvalue > 1e-3


def test_gaussian_actions_are_clipped_to_the_bounds_and_linear_inside():
    family = distributions.diagonal_gaussian(BOUNDED)
    raw = jnp.asarray([[-9.0, -9.0, -9.0], [0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [9.0, 9.0, 9.0]])
    expected = [[-2.0, 0.0, 1.0], [0.0, 1.5, 6.0], [1.0, 2.25, 8.5], [2.0, 3.0, 11.0]]
    np.testing.assert_allclose(family.action(raw), expected, atol=1e-6)


def test_unbounded_gaussian_actions_are_the_raw_samples():
    raw = random_array((5, 3), 3, 30.0)
    np.testing.assert_array_equal(distributions.diagonal_gaussian(UNBOUNDED).action(raw), raw)


def test_tanh_gaussian_log_prob_is_the_change_of_variables():
    family = distributions.tanh_gaussian(BOUNDED)
    mean, log_std, parameters = gaussian_parameters((4, 5), 3, 11)
    raw = np.random.default_rng(1).uniform(-3.0, 3.0, (4, 5, 3))
    density = scipy.stats.norm(mean, np.exp(log_std)).logpdf(raw)
    expected = (density - np.log(1.0 - np.tanh(raw) ** 2)).sum(-1)
    np.testing.assert_allclose(family.log_prob(parameters, jnp.asarray(raw)), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.8, 0.3), (-2.0, 0.5)])
def test_tanh_gaussian_density_over_squashed_actions_integrates_to_one(mean, std):
    family = distributions.tanh_gaussian(Box(-1.0, 1.0, (1,)))
    x = np.linspace(mean - 10 * std, mean + 10 * std, 20_001)
    parameters = jnp.broadcast_to(jnp.asarray([mean, np.log(std)]), (len(x), 2))
    log_prob = np.asarray(family.log_prob(parameters, jnp.asarray(x)[:, None]), np.float64)
    np.testing.assert_allclose(np.trapezoid(np.exp(log_prob), np.tanh(x)), 1.0, atol=2e-4)


def test_tanh_gaussian_log_prob_and_gradient_stay_finite_far_in_the_tails():
    family = distributions.tanh_gaussian(Box(-1.0, 1.0, (1,)))
    for raw in (-40.0, 40.0):
        value, gradient = jax.value_and_grad(lambda p, raw=raw: family.log_prob(p, jnp.asarray([raw])))(jnp.zeros(2))
        expected = scipy.stats.norm.logpdf(raw) - 2.0 * (np.log(2.0) - abs(raw))
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize(
    ("mean", "std", "accuracy"),
    [(0.0, 1.0, 2e-5), (1.5, 0.4, 2e-5), (3.0, 0.05, 2e-5), (-0.7, 2.0, 3e-4), (0.0, 3.0, 4e-3)],
)
def test_tanh_gaussian_entropy_matches_numerical_integration(mean, std, accuracy):
    family = distributions.tanh_gaussian(Box(-1.0, 1.0, (1,)))
    x = np.linspace(mean - 12 * std, mean + 12 * std, 400_001)
    density = scipy.stats.norm(mean, std)
    log_jacobian = 2.0 * (np.log(2.0) - x - np.logaddexp(0.0, -2.0 * x))
    expected = -np.trapezoid(density.pdf(x) * (density.logpdf(x) - log_jacobian), x)
    np.testing.assert_allclose(family.entropy(jnp.asarray([mean, np.log(std)])), expected, atol=accuracy)


def test_tanh_gaussian_entropy_gradient_matches_finite_differences():
    family = distributions.tanh_gaussian(Box(-1.0, 1.0, (2,)))
    point = np.array([0.4, -0.6, -0.5, 0.1])
    gradient = jax.grad(lambda p: family.entropy(p))(jnp.asarray(point, jnp.float32))
    for i, step in enumerate(np.eye(4) * 1e-2):
        up, down = family.entropy(jnp.asarray(point + step)), family.entropy(jnp.asarray(point - step))
        np.testing.assert_allclose(gradient[i], (up - down) / 2e-2, atol=2e-3)


def test_tanh_gaussian_actions_lie_within_the_bounds():
    family = distributions.tanh_gaussian(BOUNDED)
    action = np.asarray(family.action(random_array((1_000, 3), 3, 20.0)))
    low, high = np.asarray(BOUNDED.low), np.asarray(BOUNDED.high)
    assert np.all((action >= low) & (action <= high))
    np.testing.assert_allclose(family.action(jnp.zeros(3)), (low + high) / 2, atol=1e-6)


# --- choosing a family ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "kind", "num_parameters"),
    [
        (Discrete(4), "auto", 4),
        (Discrete(4), "categorical", 4),
        (MultiDiscrete((3, 2)), "auto", 5),
        (MultiDiscrete((3, 2)), "categorical", 5),
        (BOUNDED, "auto", 6),
        (UNBOUNDED, "gaussian", 6),
        (BOUNDED, "tanh_gaussian", 6),
    ],
)
def test_a_family_fits_its_space(space, kind, num_parameters):
    family = distributions.for_space(space, kind)
    assert family.num_parameters == num_parameters
    parameters = random_array((7, num_parameters), 1)
    action = family.action(family.sample(parameters, family.noise(jax.random.key(0), (7,))))
    assert action.shape == (7, *space.shape) and action.dtype == jnp.dtype(space.dtype)
    assert space.contains(action)


def test_initial_standard_deviation_reaches_the_family():
    assert distributions.for_space(BOUNDED, "tanh_gaussian", -0.7).initial_shared == -0.7
    assert distributions.for_space(BOUNDED, "gaussian", -0.3).initial_shared == -0.3


@pytest.mark.parametrize(
    ("space", "kind", "fragment"),
    [
        (Discrete(4), "gaussian", "allowed: auto, categorical"),
        (MultiDiscrete((3, 2)), "tanh_gaussian", "allowed: auto, categorical"),
        (BOUNDED, "categorical", "allowed: auto, gaussian, tanh_gaussian, beta, gaussian_mixture"),
        (UNBOUNDED, "tanh_gaussian", "needs a bounded Box"),
        (Box(-1.0, 1.0, (2, 3)), "gaussian", "must be vectors"),
    ],
)
def test_a_kind_that_does_not_fit_is_refused(space, kind, fragment):
    with pytest.raises(ValueError, match=fragment):
        distributions.for_space(space, kind)


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'gaussian'"):
        distributions.for_space(BOUNDED, "gausian")
