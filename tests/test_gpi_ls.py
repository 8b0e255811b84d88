"""GPI-LS: which preferences are learned under next, and a front of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.morl.algorithms.gpi_ls import following_support
from tests import environments as probes

pytestmark = pytest.mark.quick_compilation

POINTS = jnp.asarray([[1.0, 0.0], [0.0, 1.0], [0.7, 0.7]])
CORNERS = jnp.eye(2)


def optimal(points):
    """Returns of the best of some policies, the first of those that are equally good."""
    return lambda weights: points[jnp.argmax(weights @ points.T, axis=-1)]


def distinct(rows):
    return {tuple(row) for row in np.round(np.asarray(rows, float), 3).tolist()}


def start(places, num_objectives=2):
    return jnp.resize(jnp.eye(num_objectives), (places, num_objectives))


def test_the_corner_weight_where_the_policy_gains_most_is_next():
    support, gain = following_support(optimal(POINTS), jax.random.key(0), start(5), 8, 2)
    assert float(gain) == pytest.approx(0.7 - 0.5), "(1, 0) and (0, 1) are worth 0.5 at (0.5, 0.5)"
    assert distinct(support) == {(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)}
    assert support.shape == (5, 2)


def test_nothing_is_gained_once_every_policy_of_the_coverage_set_is_found():
    support, _ = following_support(optimal(POINTS), jax.random.key(0), start(5), 8, 2)
    support, gain = following_support(optimal(POINTS), jax.random.key(1), support, 8, 2)
    assert float(gain) == pytest.approx(0.0, abs=1e-6)
    # The corner weights of all three: 0.7 = w and 0.7 = 1 - w.
    assert distinct(support) == {(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (0.7, 0.3), (0.3, 0.7)}


def test_places_for_corner_weights_are_kept_when_the_front_fills_the_support():
    angle = jnp.linspace(0.0, jnp.pi / 2, 40)
    circle = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    support = jnp.stack([jnp.linspace(0.0, 1.0, 6), 1.0 - jnp.linspace(0.0, 1.0, 6)], axis=-1)
    following, gain = following_support(optimal(circle), jax.random.key(0), support, 16, 2)
    new = distinct(following) - distinct(support)
    assert len(new) == 2 and float(gain) > 0.0


def test_three_objectives():
    points = jnp.concatenate([jnp.eye(3), jnp.full((1, 3), 0.6)])
    support, gain = following_support(optimal(points), jax.random.key(0), start(6, 3), 16, 3)
    assert float(gain) == pytest.approx(0.6 - 1 / 3, abs=1e-5)
    assert (0.333, 0.333, 0.333) in distinct(support)


def test_returns_that_are_not_finite_are_no_part_of_the_front():
    broken = lambda weights: jnp.where(weights[:, :1] > 0.9, jnp.nan, optimal(POINTS)(weights))  # noqa: E731
    support, _ = following_support(broken, jax.random.key(0), start(5), 8, 2)
    assert np.all(np.isfinite(support))


def test_a_study_finds_every_policy_of_a_bandit():
    study = jaxrl.study(
        "gpi_ls",
        probes.choice(POINTS.tolist()),
        reference_point=(-0.1, -0.1),
        num_policies=11,
        num_evaluation_weights=11,
        num_candidates=6,
        num_sought=2,
        num_evaluations=4,
        num_critics=1,
        hidden_sizes=(32,),
        total_steps=8_000,
        buffer_size=4_000,
        learning_rate=2e-3,
        target_rate=0.1,
        evaluation_episodes=1,
    )
    result = jax.jit(study.run)(jax.random.key(0), study.hyperparameters)
    points, mask, _ = study.evaluate(jax.random.key(1), result.state, study.hyperparameters, 2)
    assert np.all(mask) and distinct(points) == {(1.0, 0.0), (0.0, 1.0), (0.7, 0.7)}
    assert (0.5, 0.5) in distinct(result.state.support)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"member_agent": "dqn"}, "support"),
        ({"num_sought": 7}, "num_sought=7"),
    ],
)
def test_what_does_not_fit_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.study("gpi_ls", "mo/deep-sea-treasure", total_steps=1_000, **settings)
