"""Beta and mixtures of Gaussians against scipy and numerical integration, in double precision where it is asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import jaxrl
from jaxrl.environments.spaces import Box
from jaxrl.numerics import distributions
from jaxrl.numerics.beta import beta, gamma_of_proposals
from jaxrl.numerics.distributions import FamilyOptions
from jaxrl.numerics.mixture import gaussian_mixture
from tests import short

pytestmark = pytest.mark.quick_compilation

BOUNDED = Box((-2.0, 0.0, 1.0), (2.0, 3.0, 11.0), (3,))
ONE = Box(-1.0, 1.0, (1,))
COMPONENTS = 3


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


def parameters(count, *batch, seed=0, scale=1.5):
    return np.random.default_rng(seed).normal(size=(*batch, count)) * scale


def oracle(flat):
    """scipy's Beta densities of parameters, over [0, 1]."""
    a, b = np.split(1.0 + np.logaddexp(0.0, flat), 2, axis=-1)
    return a, b, scipy.stats.beta(a, b)


# --- Beta ---


def test_beta_log_prob_and_entropy_are_scipy_own(double):
    family, p = beta(BOUNDED), parameters(6, 4, 7)
    raw = np.random.default_rng(1).uniform(0.02, 0.98, (4, 7, 3))
    _, _, density = oracle(p)
    # Over [-1, 1] a density is half of that over [0, 1].
    expected = (density.logpdf(raw) - np.log(2.0)).sum(-1)
    np.testing.assert_allclose(family.log_prob(jnp.asarray(p), jnp.asarray(raw)), expected, rtol=1e-10)
    expected = (density.entropy() + np.log(2.0)).sum(-1)
    np.testing.assert_allclose(family.entropy(jnp.asarray(p)), expected, rtol=1e-9, atol=1e-9)
    assert family.num_parameters == 6 and family.shared_parameters == 0


def test_beta_kl_is_the_integral(double):
    family, x = beta(ONE), np.linspace(1e-9, 1.0 - 1e-9, 200_001)
    for seed in range(3):
        p, q = parameters(2, seed=seed), parameters(2, seed=seed + 10)
        one, other = oracle(p)[2], oracle(q)[2]
        expected = np.trapezoid(one.pdf(x) * (one.logpdf(x) - other.logpdf(x)), x)
        np.testing.assert_allclose(family.kl(jnp.asarray(p), jnp.asarray(q)), expected, rtol=1e-5, atol=1e-7)
    assert abs(family.kl(jnp.asarray(p), jnp.asarray(p))) < 1e-12


def test_beta_is_exact_enough_in_single_precision():
    family, p = beta(ONE), parameters(2, 50, scale=8.0).astype(np.float32)
    raw = np.random.default_rng(1).uniform(0.05, 0.95, (50, 1)).astype(np.float32)
    _, _, density = oracle(p.astype(np.float64))
    p, raw = jnp.asarray(p), jnp.asarray(raw)
    np.testing.assert_allclose(family.log_prob(p, raw), (density.logpdf(raw) - np.log(2)).sum(-1), rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(family.entropy(p), (density.entropy() + np.log(2)).sum(-1), rtol=2e-5, atol=2e-5)


def test_beta_samples_follow_the_density():
    family, count = beta(BOUNDED), 20_000
    p = np.array([-6.0, 0.5, 9.0, 2.0, -6.0, 5.0], np.float32)
    noise = family.noise(jax.random.key(2), (count,))
    raw = np.asarray(jax.jit(family.sample)(jnp.broadcast_to(p, (count, 6)), noise))
    for i, density in enumerate(scipy.stats.beta(*pair) for pair in zip(*oracle(p.astype(np.float64))[:2])):
        assert scipy.stats.kstest(raw[:, i], density.cdf).pvalue > 1e-3
    assert raw.min() > 0.0 and raw.max() < 1.0
    action = np.asarray(family.action(raw))
    assert np.all(action >= np.asarray(BOUNDED.low)) and np.all(action <= np.asarray(BOUNDED.high))
    np.testing.assert_allclose(family.action(jnp.full(3, 0.5)), [0.0, 1.5, 6.0], atol=1e-6)


def test_gamma_variates_have_the_slopes_of_quantiles(double):
    noise = jnp.stack(
        [jax.random.normal(jax.random.key(0), (20, 6)), jax.random.uniform(jax.random.key(1), (20, 6))], -1
    )
    concentration = jnp.linspace(1.0, 12.0, 20)
    variate, slope = jax.jvp(lambda c: gamma_of_proposals(c, noise), (concentration,), (jnp.ones(20),))
    level = scipy.stats.gamma.cdf(variate, concentration)
    step = 1e-5
    up, down = (scipy.stats.gamma.ppf(level, np.asarray(concentration) + sign * step) for sign in (1, -1))
    np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-4)


def test_a_gamma_variate_is_the_first_proposal_that_is_accepted():
    refused, fine = [9.0, 1.0 - 1e-7], [0.1, 0.5]
    noise = jnp.asarray([[fine, refused], [refused, fine], [[-9.0, 0.5], fine]], jnp.float32)
    found = gamma_of_proposals(jnp.full(3, 2.0), noise)
    np.testing.assert_allclose(found, found[0], rtol=1e-6)


def test_beta_mode_is_the_top_of_the_density(double):
    family, p = beta(ONE), np.concatenate([parameters(2, 5), [[-40.0, -40.0]]])
    x = np.linspace(1e-6, 1.0 - 1e-6, 100_001)
    for row, mode in zip(p[:-1], family.mode(jnp.asarray(p))):
        np.testing.assert_allclose(mode[0], x[np.argmax(oracle(row)[2].pdf(x))], atol=2e-5)
    np.testing.assert_allclose(family.mode(jnp.asarray(p))[-1], 0.5)


# --- mixtures ---


def mixture_parts(flat):
    """Weights, means and deviations of a mixture over one action."""
    logits, means, log_std = flat.reshape(3, COMPONENTS)
    weights = np.exp(logits - np.logaddexp.reduce(logits))
    return weights, means + np.linspace(-0.5, 0.5, COMPONENTS), np.exp(log_std)


def mixture_parameters(seed, spread=0.8):
    rng = np.random.default_rng(seed)
    low, high = np.log(0.3) - spread / 2, np.log(0.3) + spread / 2
    return np.concatenate([rng.normal(size=3), rng.uniform(-1, 1, 3), rng.uniform(low, high, 3)])


def log_density(flat, x):
    weights, means, deviations = mixture_parts(flat)
    return np.log((weights * scipy.stats.norm.pdf(x[:, None], means, deviations)).sum(-1))


def test_mixture_log_prob_is_scipy_own_and_adds_over_actions(double):
    family = gaussian_mixture(BOUNDED, FamilyOptions(components=COMPONENTS))
    each = [mixture_parameters(seed) for seed in range(3)]
    flat = np.stack([part.reshape(3, COMPONENTS) for part in each], axis=1).reshape(-1)
    raw = np.random.default_rng(5).normal(size=(6, 3))
    expected = sum(log_density(part, raw[:, i]) for i, part in enumerate(each))
    found = family.log_prob(jnp.broadcast_to(flat, (6, 27)), jnp.asarray(raw))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (family.num_parameters, family.shared_parameters) == (27, 9)


def test_mixture_entropy_and_kl_are_the_integrals(double):
    family = gaussian_mixture(ONE, FamilyOptions(components=COMPONENTS))
    x = np.linspace(-4.0, 4.0, 40_001)
    entropy, kl = jax.jit(family.entropy), jax.jit(family.kl)
    for seed in range(6):
        p, q = mixture_parameters(seed), mixture_parameters(seed + 50)
        one, other = log_density(p, x), log_density(q, x)
        np.testing.assert_allclose(entropy(p), -np.trapezoid(np.exp(one) * one, x), atol=2e-3)
        np.testing.assert_allclose(kl(p, q), np.trapezoid(np.exp(one) * (one - other), x), rtol=1e-2, atol=2e-3)
        assert abs(kl(p, p)) < 1e-12


def test_one_component_is_the_gaussian(double):
    one, plain = gaussian_mixture(BOUNDED, FamilyOptions(components=1)), distributions.diagonal_gaussian(BOUNDED)
    flat = jnp.asarray(parameters(6, 5, scale=0.5))
    full = jnp.concatenate([jnp.zeros((5, 3)), flat], axis=-1)
    raw = jnp.asarray(np.random.default_rng(1).normal(size=(5, 3)))
    np.testing.assert_allclose(one.log_prob(full, raw), plain.log_prob(flat, raw), rtol=1e-6)
    np.testing.assert_allclose(one.entropy(full), plain.entropy(flat), rtol=1e-6)
    np.testing.assert_allclose(one.kl(full, full[::-1]), plain.kl(flat, flat[::-1]), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(one.mode(full), plain.mode(flat), rtol=1e-6)


def test_mixture_samples_follow_the_density():
    family, count = gaussian_mixture(ONE, FamilyOptions(components=COMPONENTS)), 20_000
    flat = np.array([0.5, 0.0, 1.0, -1.0, 0.0, 1.0, -2.0, -1.0, -1.5])
    noise = family.noise(jax.random.key(0), (count,))
    raw = np.asarray(family.sample(jnp.broadcast_to(jnp.asarray(flat, jnp.float32), (count, 9)), noise))[:, 0]
    weights, means, deviations = mixture_parts(flat)

    def cdf(x):
        return (weights * scipy.stats.norm.cdf(np.asarray(x)[:, None], means, deviations)).sum(-1)

    assert scipy.stats.kstest(raw, cdf).pvalue > 1e-3


def test_mixture_mode_is_the_top_of_the_density():
    family, x = gaussian_mixture(ONE, FamilyOptions(components=COMPONENTS)), np.linspace(-3.0, 3.0, 60_001)
    mode = jax.jit(family.mode)
    for seed in range(8):
        flat = mixture_parameters(seed, spread=2.0)
        density = log_density(flat, x)
        top = log_density(flat, np.asarray(mode(jnp.asarray(flat, jnp.float32)), np.float64))
        np.testing.assert_allclose(top, density.max(), atol=1e-3)


# --- both ---

FAMILIES = {"beta": beta(BOUNDED), "gaussian_mixture": gaussian_mixture(BOUNDED, FamilyOptions(components=2))}


@pytest.mark.parametrize("kind", list(FAMILIES))
@pytest.mark.parametrize("name", ["log_prob", "entropy", "kl"])
def test_slopes_are_finite_differences(double, kind, name):
    family = FAMILIES[kind]
    point, direction = (jnp.asarray(parameters(family.num_parameters, seed=seed, scale=0.7)) for seed in (0, 1))
    other = jnp.asarray(
        {"log_prob": [0.2, 0.5, 0.7], "entropy": 0.0, "kl": parameters(family.num_parameters, seed=2)}[name]
    )
    value = (lambda p: family.entropy(p)) if name == "entropy" else (lambda p: getattr(family, name)(p, other))
    found = jax.jvp(value, (point,), (direction,))[1]
    step = 1e-6
    expected = (value(point + step * direction) - value(point - step * direction)) / (2 * step)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", list(FAMILIES))
def test_values_and_slopes_are_finite_at_extreme_parameters(kind):
    family = distributions.for_space(BOUNDED, kind)
    for scale in (1e-3, 30.0, -30.0):
        flat = scale * jnp.ones(family.num_parameters)
        if kind == "gaussian_mixture":
            flat = flat.at[-family.shared_parameters :].set(jnp.clip(scale, -4.0, 4.0))
        noise = family.noise(jax.random.key(0), (200,))
        raw = family.sample(jnp.broadcast_to(flat, (200, flat.size)), noise)
        assert np.isfinite(raw).all() and BOUNDED.contains(family.action(raw))
        functions = (lambda p, r=raw: family.log_prob(p, r).sum(), family.entropy, lambda p: family.kl(p, 0.5 * p))
        for function in functions:
            value, slope = jax.value_and_grad(function)(flat)
            assert np.isfinite(value) and np.isfinite(slope).all(), (kind, scale)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"distribution": "beta", "initial_log_std": 0.5},
            "initial_log_std=0.5 would have no effect here: it needs an",
        ),
        (
            {"mixture_components": 5},
            "mixture_components=5 would have no effect here: it needs distribution='gaussian_m",
        ),
        ({"distribution": "gaussian_mixture", "mixture_components": 0}, "mixture_components must be at least 1, got 0"),
        ({"distribution": "betta"}, "unknown distribution 'betta'.* Did you mean 'beta'"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        jaxrl.trainer("ppo", "gymnax/Pendulum-v1", **settings)


def test_beta_needs_bounds():
    with pytest.raises(ValueError, match="beta needs a bounded Box"):
        distributions.for_space(Box(-np.inf, np.inf, (3,)), "beta")
    assert distributions.for_space(Box(-np.inf, np.inf, (3,)), "gaussian_mixture").num_parameters == 27


@pytest.mark.parametrize("settings", [{"distribution": "beta"}, {"distribution": "gaussian_mixture"}])
def test_agents_keep_the_contract(settings):
    trainer = jaxrl.trainer("mdpo", "gymnax/Pendulum-v1", **short.SETTINGS, **settings)
    jaxrl.agents.check(lambda spec: trainer.agent, trainer.environment)
