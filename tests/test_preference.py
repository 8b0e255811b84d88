"""Preference losses against closed forms written out in NumPy, and their minimisers on toy bandits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.errors import UnknownNameError
from jaxrl.objectives.preference import (
    PREFERENCE_LOSSES,
    Pairs,
    learned_preference,
    make_preference_loss,
    paired_sequence_loss,
)

pytestmark = pytest.mark.quick_compilation

BETA = 0.07


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def logistic(x):
    return np.log1p(np.exp(-x))


def hinge(x):
    return np.maximum(1.0 - x, 0.0)


def modulated(rho, beta):
    m = sigmoid(beta * rho / 0.05)
    return (1 - m) * logistic(beta * rho) + m * np.exp(-beta * rho)


def quantile(rho, beta):
    scaled = beta * rho / 0.05
    q = 0.5 + 0.01 * (sigmoid(scaled.mean()) - 0.5)
    w = sigmoid(-(scaled - q))
    return w * logistic(beta * rho) + (1 - w) * hinge(beta * rho)


def feedback(rho, beta):
    scaled = beta * rho / 0.05
    q = scaled.std(ddof=1) * sigmoid(-scaled).mean()
    q += 0.05 * (sigmoid(scaled.mean()) - q)
    w = sigmoid(0.1 * np.abs(scaled - q))
    return w * logistic(beta * rho) + (1 - w) * hinge(beta * rho)


def blended(rho, beta):
    b = sigmoid((beta * rho / 0.05).var(ddof=1))
    return b * logistic(beta * rho / 0.9) + (1 - b) * np.exp(-beta * rho * 0.9)


ORACLES = {
    "logistic": lambda rho, beta: logistic(beta * rho),
    "hinge": lambda rho, beta: hinge(beta * rho),
    "squared": lambda rho, beta: (rho - 1 / (2 * beta)) ** 2,
    "exponential": lambda rho, beta: np.exp(-beta * rho),
    "log_ratio_modulated": modulated,
    "performance_adaptive_decay": lambda rho, beta: 0.9 * np.where(rho < 0, 0.5, 1.0) * logistic(beta * rho),
    "combined_exponential_logistic": lambda rho, beta: 0.5 * (np.exp(-beta * rho) + logistic(beta * rho)),
    "adaptive_quantile": quantile,
    "adaptive_quantile_feedback": feedback,
    "dynamic_blended": blended,
    "learned_preference": lambda rho, beta: logistic(beta * rho),
}


def pairs(seed=0, count=23, spread=1.0):
    rng = np.random.default_rng(seed)
    return [spread * rng.normal(size=count) - 1.0 for _ in range(4)]


def gap(chosen, rejected, reference_chosen, reference_rejected):
    return (chosen - reference_chosen) - (rejected - reference_rejected)


def exact(name):
    loss = make_preference_loss(name)
    return loss, {key: jnp.asarray(np.float64(f"{float(leaf):.7g}")) for key, leaf in loss.init(None).items()}


@pytest.mark.parametrize("name", [name for name in ORACLES if name != "learned_preference"])
def test_values_and_gradients_are_the_closed_forms(name):
    with jax.enable_x64(True):
        loss, parameters = exact(name)

        def total(*values):
            value = loss.apply(Pairs(*values), BETA, parameters)
            return value.sum(), value

        both = jax.jit(jax.value_and_grad(total, range(4), has_aux=True))
        for spread in (0.2, 15.0):
            given = pairs(spread=spread)
            (_, value), gradients = both(*given)
            rho = gap(*given)
            np.testing.assert_allclose(value, ORACLES[name](rho, BETA), rtol=1e-6, atol=1e-9)
            # The slope by central differences of the oracle's sum, one pair at a time.
            step = 1e-6 * np.eye(len(rho))
            slope = [(ORACLES[name](rho + d, BETA).sum() - ORACLES[name](rho - d, BETA).sum()) / 2e-6 for d in step]
            for gradient, sign in zip(gradients, (1, -1, -1, 1), strict=True):
                np.testing.assert_allclose(gradient, sign * np.array(slope), rtol=1e-5, atol=1e-6)


def test_policy_focused_asks_the_policy_and_not_the_ratio():
    chosen, rejected, *reference = pairs(1, spread=4.0)
    loss = make_preference_loss("policy_focused")
    value = loss.apply(Pairs(*map(jnp.asarray, (chosen, rejected, *reference))), BETA, loss.init(None))
    rho = gap(chosen, rejected, *reference)
    right = chosen > rejected
    assert np.any(right != (rho > 0))
    np.testing.assert_allclose(value, np.where(right, logistic(BETA * rho) / 2, 2 * hinge(BETA * rho)), rtol=1e-5)


def descend(loss, reference, firsts, seconds, shares, beta, steps, rate):
    """Logits of a bandit's policy that minimise the loss over pairs of arms, of which shares prefer the first."""
    parameters = loss.init(None)
    log_reference = jnp.asarray(np.log(reference))

    def total(logits):
        log_policy = jax.nn.log_softmax(logits)
        one = Pairs(log_policy[firsts], log_policy[seconds], log_reference[firsts], log_reference[seconds])
        other = Pairs(one.policy_rejected, one.policy_chosen, one.reference_rejected, one.reference_chosen)
        both = shares * loss.apply(one, beta, parameters) + (1 - shares) * loss.apply(other, beta, parameters)
        return both.mean()

    move = lambda _, logits: logits - rate * jax.grad(total)(logits)  # noqa: E731
    return jax.jit(lambda logits: jax.lax.fori_loop(0, steps, move, logits))(jnp.zeros(len(reference)))


def test_the_logistic_minimiser_is_the_optimal_regularised_policy():
    # Bradley-Terry preferences of rewards: the optimum is π_ref exp(r/β) / Z.
    reward, reference, beta = np.array([0.5, -0.2, 0.1]), np.array([0.2, 0.5, 0.3]), 0.5
    firsts, seconds = np.array([0, 0, 1]), np.array([1, 2, 2])
    shares = sigmoid(reward[firsts] - reward[seconds])
    logits = descend(make_preference_loss("dpo"), reference, firsts, seconds, shares, beta, 3000, 5.0)
    expected = reference * np.exp(reward / beta)
    np.testing.assert_allclose(jax.nn.softmax(logits), expected / expected.sum(), atol=1e-4)


@pytest.mark.parametrize("share", [1.0, 0.8])
def test_the_squared_minimiser_is_a_bounded_gap(share):
    # Even where one arm always wins: ρ = (2p - 1)/(2β), 1/(2β) at most.
    beta, reference = 0.25, np.array([0.3, 0.7])
    logits = descend(make_preference_loss("ipo"), reference, np.array([0]), np.array([1]), share, beta, 500, 0.1)
    rho = float(logits[0] - logits[1]) - np.log(0.3 / 0.7)
    np.testing.assert_allclose(rho, (2 * share - 1) / (2 * beta), rtol=1e-4)


def test_discopop_is_not_convex_and_rises_between_its_published_extremes():
    loss = make_preference_loss("discopop")
    zero = jnp.zeros(())

    def slope(rho, beta=0.05):
        return jax.grad(lambda x: loss.apply(Pairs(x, zero, zero, zero), beta, loss.init(None)))(rho)

    rho = jnp.linspace(-6.0, 6.0, 120_001)
    signs = np.sign(np.asarray(jax.jit(jax.vmap(slope))(rho)))
    turns = np.asarray(rho)[np.flatnonzero(np.diff(signs))]
    # A minimum at -2.3714 and a maximum at 1.4401 (β = 0.05), so that at ρ = 0 a step makes the gap smaller.
    np.testing.assert_allclose(turns, [-2.3714, 1.4401], atol=5e-4)
    assert float(slope(zero)) > 0.0
    # Nothing of the kind at the extremes, where it is the logistic and the exponential loss.
    np.testing.assert_allclose(slope(jnp.asarray(-400.0)), -0.05 * sigmoid(20.0), rtol=1e-4)
    np.testing.assert_allclose(slope(jnp.asarray(60.0)), -0.05 * np.exp(-3.0), rtol=1e-4)


def test_the_learned_loss_starts_as_the_logistic_and_can_become_discopop():
    loss, target = learned_preference(8), make_preference_loss("discopop")
    start = loss.init(jax.random.key(0))
    rho = jnp.linspace(-8.0, 8.0, 65)
    zeros = jnp.zeros_like(rho)
    given = Pairs(rho, zeros, zeros, zeros)
    np.testing.assert_allclose(loss.apply(given, 0.05, start), logistic(0.05 * np.asarray(rho)), rtol=1e-5)
    wanted = target.apply(given, 0.05, target.init(None))
    wanted = wanted - wanted[32] + np.log(2.0)

    def error(parameters):
        return jnp.mean((loss.apply(given, 0.05, parameters) - wanted) ** 2)

    move = lambda _, p: jax.tree.map(lambda leaf, g: leaf - 0.3 * g, p, jax.grad(error)(p))  # noqa: E731
    fitted = jax.jit(lambda p: jax.lax.fori_loop(0, 3000, move, p))(start)
    assert float(error(fitted)) < 0.02 * float(error(start))
    slopes = np.diff(np.asarray(loss.apply(given, 0.05, fitted)))
    assert slopes[32] > 0.0 > slopes[0] and slopes[-1] < 0.0


def test_width_does_not_change_the_scale_of_a_learned_correction():
    zero = jnp.zeros(200)
    given = Pairs(jnp.linspace(-10.0, 10.0, 200), zero, zero, zero)

    def correction(width):
        loss = learned_preference(width)
        start = loss.init(None)
        # Linear in its output: units of independent output weights add up in squares.
        units = jax.jit(jax.jacobian(lambda output: loss.apply(given, 0.1, {**start, "output": output})))(
            start["output"]
        )
        return float(np.sqrt(np.mean(np.sum(np.asarray(units) ** 2, axis=1))))

    narrow, wide = correction(4), correction(64)
    assert 0.5 < narrow < 2.0 and abs(np.log(wide / narrow)) < 0.3


def test_sequences_are_sums_of_the_tokens_that_count():
    rng = np.random.default_rng(0)
    chosen, reference_chosen = -rng.exponential(size=(2, 3, 5))
    rejected, reference_rejected = -rng.exponential(size=(2, 3, 4))
    chosen_mask, rejected_mask = rng.random((3, 5)) < 0.6, rng.random((3, 4)) < 0.6
    chosen_mask[:, 1] = rejected_mask[:, 0] = True
    chosen_mask[:, 2] = False
    chosen[:, 2] = -np.inf
    loss = make_preference_loss("dpo")
    for average in (False, True):
        rho = np.zeros(3)
        for i in range(3):
            up, down = chosen_mask[i], rejected_mask[i]
            reduce = np.mean if average else np.sum
            rho[i] = reduce((chosen - reference_chosen)[i][up]) - reduce((rejected - reference_rejected)[i][down])

        def total(policy, average=average):
            return paired_sequence_loss(
                loss,
                (policy, jnp.asarray(rejected)),
                (jnp.asarray(reference_chosen), jnp.asarray(reference_rejected)),
                (jnp.asarray(chosen_mask), jnp.asarray(rejected_mask)),
                0.3,
                loss.init(None),
                average,
            )

        (value, metrics), gradient = jax.value_and_grad(total, has_aux=True)(jnp.asarray(chosen))
        np.testing.assert_allclose(value, logistic(0.3 * rho).mean(), rtol=1e-5)
        np.testing.assert_allclose(metrics["gap"], rho.mean(), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(metrics["accuracy"], (rho > 0).mean(), rtol=1e-6)
        share = chosen_mask / chosen_mask.sum(axis=1, keepdims=True) if average else chosen_mask
        expected = (-0.3 * sigmoid(-0.3 * rho) / 3)[:, None] * share
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-7)


def test_losses_are_found_by_name():
    assert set(ORACLES) | {"policy_focused"} == set(PREFERENCE_LOSSES)
    loss = make_preference_loss("ipo")
    assert make_preference_loss(loss) is loss
    with pytest.raises(UnknownNameError, match="Did you mean 'discopop'"):
        make_preference_loss("discopp")
    with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
        learned_preference(0)
    spread, zero = make_preference_loss("aqfl"), jnp.zeros(1)
    with pytest.raises(ValueError, match="at least 2 pairs, got 1"):
        spread.apply(Pairs(zero, zero, zero, zero), 0.1, spread.init(None))


def test_equal_gaps_have_a_finite_gradient():
    loss, zero = make_preference_loss("aqfl"), jnp.zeros(4)
    parameters = loss.init(None)
    gradient = jax.jit(jax.grad(lambda x: loss.apply(Pairs(x, zero, zero, zero), 0.1, parameters).sum()))(zero)
    assert np.all(np.isfinite(gradient))
