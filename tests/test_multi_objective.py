"""Our multi-objective environments against MO-Gymnasium, step by step, and their exact fronts."""

import jax
import jax.numpy as jnp
import mo_gymnasium
import numpy as np
import pytest

from jaxrl.environments import check, make
from jaxrl.environments.multi_objective import fronts, names
from jaxrl.environments.multi_objective.locomotion import TASKS as LOCOMOTION
from jaxrl.environments.multi_objective.minecart import MinecartState
from jaxrl.morl.pareto import hypervolume
from tests.peers import NUM_STEPS, peer_rollout, rollout, uniform_actions

pytestmark = pytest.mark.quick_compilation

MINE, LEFT, RIGHT, ACCELERATE, BRAKE, NOTHING = range(6)

PEERS = {
    "deep-sea-treasure": ("deep-sea-treasure-v0", {}),
    "deep-sea-treasure-concave": ("deep-sea-treasure-concave-v0", {}),
    "deep-sea-treasure-mirrored": ("deep-sea-treasure-mirrored-v0", {}),
    "fruit-tree-5": ("fruit-tree-v0", {"depth": 5}),
    "fruit-tree-6": ("fruit-tree-v0", {"depth": 6}),
    "fruit-tree-7": ("fruit-tree-v0", {"depth": 7}),
    "minecart-deterministic": ("minecart-deterministic-v0", {}),
    # With its noise set to zero the stochastic one must follow the deterministic peer.
    "minecart": ("minecart-deterministic-v0", {}),
}


def minecart_actions():
    """Random stretches of driving, braking and mining: uniform actions never reach a mine."""
    generator, actions = np.random.default_rng(3), []
    while len(actions) < NUM_STEPS:
        actions += [generator.choice([LEFT, RIGHT])] * generator.integers(0, 4)
        actions += [ACCELERATE] * generator.integers(1, 4) + [NOTHING] * generator.integers(0, 5)
        actions += [BRAKE] + [MINE] * generator.integers(0, 4)
        actions += list(generator.integers(6, size=generator.integers(0, 3)))
    return np.array(actions[:NUM_STEPS])


@pytest.mark.parametrize("name", PEERS)
def test_every_step_equals_the_peer(name):
    environment = make(f"mo/{name}")
    params = environment.params
    if name == "minecart":
        params = params._replace(ore_deviation=jnp.zeros_like(params.ore_deviation))
    actions = minecart_actions() if "minecart" in name else uniform_actions(environment.spec.action.n)
    peer_id, options = PEERS[name]
    first, (observations, rewards, terminated, truncated) = peer_rollout(mo_gymnasium.make(peer_id, **options), actions)
    ours = rollout(environment, params, actions)
    tolerance = 5e-5 if "minecart" in name else 0.0
    np.testing.assert_allclose(environment.reset(jax.random.key(0), params)[1], first, atol=tolerance)
    np.testing.assert_array_equal(ours.terminated, terminated)
    np.testing.assert_array_equal(ours.truncated, truncated)
    np.testing.assert_allclose(ours.observation, observations, atol=tolerance)
    np.testing.assert_allclose(ours.reward, rewards, atol=tolerance)
    assert terminated.sum() > 3
    if "minecart" in name:
        assert (rewards[:, 0] > 0).any() and (rewards[:, 1] > 0).any(), "the actions never sold both ores"
        at_wall = ((observations[:, :2] == 0) | (observations[:, :2] == 1)).any(axis=1)
        assert at_wall.sum() > 100, "the actions hardly touched a wall"


@pytest.mark.parametrize("name", ["deep-sea-treasure-mirrored", "minecart-deterministic"])
def test_time_limit_truncates_and_does_not_terminate(name):
    environment = make(f"mo/{name}")
    limit = environment.spec.time_limit
    ours = rollout(environment, environment.params, np.zeros(limit + 13, int))
    assert np.flatnonzero(ours.truncated).tolist() == [limit - 1]
    assert not ours.terminated.any()


def test_mining_noise_has_the_mean_and_deviation_of_the_peer():
    environment = make("mo/minecart")
    start = environment.reset(jax.random.key(0), environment.params)[0]
    at_mine = MinecartState(jnp.array([0.5, 0.84]), jnp.zeros(()), jnp.float32(45.0), jnp.zeros(2), jnp.array(True))

    def mined(key):
        state, _ = environment.step(key, start._replace(inner=at_mine), jnp.int32(MINE), environment.params)
        return state.inner.content

    ours = np.asarray(jax.vmap(mined)(jax.random.split(jax.random.key(5), 20011)))
    peer = mo_gymnasium.make("minecart-v0").unwrapped
    np.random.seed(0)
    theirs = np.array([np.sum([peer.mines[1].mine() for _ in range(4)], axis=0) for _ in range(607)])
    error = 5 * theirs.std(axis=0) / np.sqrt(len(theirs))
    assert np.all(np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < error)
    np.testing.assert_allclose(ours.std(axis=0), theirs.std(axis=0), rtol=0.15)
    np.testing.assert_allclose(np.corrcoef(ours.T)[0, 1], 0.0, atol=0.03)


def test_cart_holds_no_more_than_its_capacity():
    environment = make("mo/minecart")
    state = environment.reset(jax.random.key(0), environment.params)[0]
    state = state._replace(inner=state.inner._replace(position=jnp.array([0.84, 0.84])))
    for key in jax.random.split(jax.random.key(2), 9):
        state, _ = environment.step(key, state, jnp.int32(MINE), environment.params)
    np.testing.assert_allclose(state.inner.content.sum(), 1.5, rtol=1e-6)


# Long to compile, each beside a variant that is quicker.
LONG = {"highway", "highway-fast", "lunar-lander", "lunar-lander-continuous"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in LONG else name
        for name in sorted(set(names()) - {"fruit-tree", *LOCOMOTION})
    ],
)
def test_contract(name):
    check(make(f"mo/{name}"))


def test_params_are_traced():
    environment = make("mo/deep-sea-treasure")
    doubled = environment.params._replace(treasure=2.0 * environment.params.treasure)
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), environment.params, doubled)
    state, _ = environment.reset(jax.random.key(0), environment.params)
    step = jax.vmap(environment.step, in_axes=(None, None, None, 0))
    reward = step(jax.random.key(1), state, jnp.int32(1), batch)[1].reward
    np.testing.assert_allclose(reward, [[0.7, -1.0], [1.4, -1.0]], rtol=1e-6)


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="convxe"):
        make("mo/deep-sea-treasure", variant="convxe")
    with pytest.raises(ValueError, match="got 4"):
        make("mo/fruit-tree", depth=4)
    with pytest.raises(ValueError, match="got 0"):
        make("mo/minecart", frame_skip=0)


@pytest.mark.parametrize("discount", [1.0, 0.99, pytest.param(0.9, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [name for name in PEERS if "minecart" not in name])
def test_exact_front_equals_the_published_one(name, discount):
    peer_id, options = PEERS[name]
    published = np.array(mo_gymnasium.make(peer_id, **options).unwrapped.pareto_front(discount))
    published = published[np.lexsort(published.T[::-1])]
    keep = [not any(np.all(q >= p) and np.any(q > p) for q in published) for p in published]
    np.testing.assert_allclose(fronts.front(name, discount), published[keep], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "discount", "expected"),
    [
        ("deep-sea-treasure", 1.0, 994.3),
        ("deep-sea-treasure", 0.99, 854.850),
        ("deep-sea-treasure-concave", 1.0, 4255.0),
        ("deep-sea-treasure-mirrored", 0.99, 3688.377),
        ("fruit-tree-5", 1.0, 44346.885),
        ("fruit-tree-6", 1.0, 58271.258),
        ("fruit-tree", 0.99, 46034.802),
        ("fruit-tree-7", 1.0, 75470.678),
    ],
)
def test_hypervolume_of_exact_fronts(name, discount, expected):
    reference = make(f"mo/{name}").spec.reference_point
    np.testing.assert_allclose(hypervolume(fronts.front(name, discount), reference), expected, rtol=2e-6)


@pytest.mark.parametrize(
    ("name", "discount", "expected"),
    [
        ("deep-sea-treasure", 1.0, 9),
        ("deep-sea-treasure", 0.99, 10),
        ("deep-sea-treasure-concave", 1.0, 2),
        ("deep-sea-treasure-mirrored", 0.99, 2),
        ("fruit-tree-5", 0.99, 32),
        ("fruit-tree-7", 1.0, 128),
    ],
)
def test_size_of_convex_coverage_sets(name, discount, expected):
    assert len(fronts.convex_coverage_set(fronts.front(name, discount))) == expected


def test_convex_coverage_set_drops_what_no_weights_prefer():
    points = np.array([[0.0, 3.0], [3.0, 0.0], [1.0, 1.0], [3.0, -1.0], [0.0, 3.0]])
    assert fronts.convex_coverage_set(points).tolist() == [[0.0, 3.0], [3.0, 0.0]]
    on_the_line = np.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]])
    assert len(fronts.convex_coverage_set(on_the_line)) == 2
    assert len(fronts.convex_coverage_set(on_the_line, keep_ties=True)) == 3


def test_fronts_that_do_not_exist_say_why():
    with pytest.raises(ValueError, match="unattainable"):
        fronts.front("minecart", 0.98)
    with pytest.raises(ValueError, match="deep-sea-treasure"):
        fronts.front("deep-sea-tresure", 0.98)
