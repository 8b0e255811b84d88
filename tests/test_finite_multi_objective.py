"""The finite multi-objective environments against MO-Gymnasium, and their outcomes against their steps."""

import jax
import jax.numpy as jnp
import mo_gymnasium
import numpy as np
import pytest

from jaxrl.environments import Outcomes, Timestep, make, transforms
from jaxrl.environments.outcomes import sampled_step
from tests.peers import NUM_STEPS, peer_rollout, rollout

pytestmark = pytest.mark.quick_compilation


class Constant:
    """A generator whose uniform draws are all the same: 0 makes every event happen, 0.99 none."""

    def __init__(self, value):
        self.value = value

    def random(self):
        return self.value


def bottles(observation):
    """The peer counts bottles on the ground beyond its declared flags."""
    flags = np.minimum(observation["bottles_dropped"], 1)
    carrier = [observation[name] for name in ("location", "bottles_carrying", "bottles_delivered")]
    return np.concatenate([carrier, flags])


def identity(observation):
    return np.array(observation)


# Our name and options, the peer's, its observations as ours, and the parameters that are chances.
CASES = {
    "resource-gathering": ({}, "resource-gathering-v0", {}, identity, ("death_probability",)),
    "fishwood": ({}, "fishwood-v0", {}, identity, ("fish_probability", "wood_probability")),
    "breakable-bottles": ({}, "breakable-bottles-v0", {}, bottles, ("drop_probability",)),
    "unbreakable-bottles": (
        {"unbreakable": True},
        "breakable-bottles-v0",
        {"unbreakable_bottles": True},
        bottles,
        ("drop_probability",),
    ),
    "four-room": ({}, "four-room-v0", {}, identity, ()),
}


def build(name):
    options, peer_id, peer_options, observe, chances = CASES[name]
    environment = make(f"mo/{name.replace('unbreakable', 'breakable')}", **options)
    return environment, mo_gymnasium.make(peer_id, **peer_options), observe, chances


def biased_actions(name, num_actions):
    """Actions that get somewhere: uniform ones hardly ever deliver, gather or reach the goal."""
    generator = np.random.default_rng(5)
    if "bottles" in name:
        # Runs to either end, with attempts to pick up in between.
        runs = [[*[generator.integers(2)] * generator.integers(1, 5), 2] for _ in range(NUM_STEPS // 2)]
        return np.array([action for run in runs for action in run])[:NUM_STEPS]
    chances = {
        "four-room": [[0.2, 0.3, 0.3, 0.2]],
        "resource-gathering": [[0.45, 0.1, 0.2, 0.25], [0.15, 0.45, 0.25, 0.15]],
    }.get(name, [np.full(num_actions, 1 / num_actions)])
    blocks = [generator.choice(num_actions, size=23, p=chances[i % len(chances)]) for i in range(NUM_STEPS // 23)]
    return np.concatenate(blocks)


@pytest.mark.parametrize("happens", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_every_step_equals_the_peer_when_chance_is_certain(name, happens):
    environment, peer, observe, chances = build(name)
    certain = {chance: jnp.full_like(getattr(environment.params, chance), float(happens)) for chance in chances}
    params = environment.params._replace(**certain)
    actions = biased_actions(name, environment.spec.action.n)
    generator = Constant(0.0 if happens else 0.99)
    first, (observations, rewards, terminated, truncated) = peer_rollout(peer, actions, observe, generator)
    ours = rollout(environment, params, actions)
    np.testing.assert_array_equal(environment.reset(jax.random.key(0), params)[1], first)
    if name == "fishwood":
        # The peer also calls its time limit a termination.
        terminated, truncated = truncated, terminated
    np.testing.assert_array_equal(ours.terminated, terminated)
    np.testing.assert_array_equal(ours.truncated, truncated)
    np.testing.assert_array_equal(ours.observation, observations)
    np.testing.assert_array_equal(ours.reward, rewards)
    assert (terminated | truncated).sum() > 3
    reached = np.abs(rewards).max(axis=0) > 0
    if name == "fishwood" and not happens:
        assert not reached.any()
    elif name == "resource-gathering":
        # Certain death guards the gold from one side only.
        assert reached[0] == happens and reached[1:].all()
    elif "bottles" in name:
        assert reached[1] and reached[2] == happens
    else:
        assert reached.all()


@pytest.mark.parametrize("unbreakable", [False, True])
def test_only_unbreakable_bottles_can_be_picked_up_again(unbreakable):
    environment = make("mo/breakable-bottles", unbreakable=unbreakable)
    params = environment.params._replace(drop_probability=jnp.ones(()))
    to_the_store, fetch_two, out_and_back = [0] * 4, [2, 2], [1, 1, 0]
    ours = rollout(environment, params, np.array([*to_the_store, *fetch_two, *out_and_back, 2]))
    # Leaving tile 1 with two bottles drops one there.
    assert ours.observation[7].tolist() == [2, 1, 0, 1, 0, 0]
    assert ours.reward[7].tolist() == [-1.0, 0.0, -1.0]
    assert ours.observation[9].tolist() == ([1, 2, 0, 0, 0, 0] if unbreakable else [1, 1, 0, 1, 0, 0])
    assert ours.reward[9].tolist() == [-1.0, 0.0, float(unbreakable)]


@pytest.mark.parametrize(
    ("name", "actions", "objective", "value"),
    [
        ("resource-gathering", [0, 0, 0], 0, -1.0),
        ("fishwood", [0, 0], 0, 1.0),
        ("fishwood", [1, 0], 1, 1.0),
        ("breakable-bottles", [0, 0, 0, 0, 2, 2, 1, 1], 2, -1.0),
    ],
)
def test_chances_have_the_frequencies_of_the_peer(name, actions, objective, value):
    environment, peer, *_ = build(name)

    def event(key):
        state, _ = environment.reset(key, environment.params)
        for action in actions:
            key, step_key = jax.random.split(key)
            state, timestep = environment.step(step_key, state, jnp.int32(action), environment.params)
        return timestep.reward[objective] == value

    ours = np.asarray(jax.jit(jax.vmap(event))(jax.random.split(jax.random.key(3), 40009))).mean()
    peer.reset(seed=11)
    theirs = []
    for _ in range(4001):
        peer.reset()
        theirs.append([peer.step(action)[1][objective] for action in actions][-1] == value)
    deviation = np.sqrt(np.var(theirs) * (1 / 40009 + 1 / 4001))
    assert 0.05 < ours < 0.95
    assert abs(ours - np.mean(theirs)) < 4 * deviation


@pytest.mark.parametrize("name", [name for name in CASES if name != "four-room"])
def test_outcomes_are_what_step_draws_from(name):
    environment, *_ = build(name)
    actions = biased_actions(name, environment.spec.action.n)[:400]
    keys = jax.random.split(jax.random.key(2), len(actions))

    def body(state, inputs):
        key, action = inputs
        probabilities, states, timesteps = environment.outcomes(state, action, environment.params)
        after, timestep = environment.step(key, state, action, environment.params)
        same = [
            jnp.all(jnp.reshape(many == one, (many.shape[0], -1)), axis=1)
            for many, one in zip(jax.tree.leaves((states, timesteps)), jax.tree.leaves((after, timestep)))
        ]
        likely = jnp.any(jnp.all(jnp.stack(same), axis=0) & (probabilities > 0))
        start = environment.reset(key, environment.params)[0]
        done = timestep.terminated | timestep.truncated
        return jax.tree.map(lambda a, b: jnp.where(done, a, b), start, after), (likely, probabilities)

    start = environment.reset(keys[0], environment.params)[0]
    likely, probabilities = jax.lax.scan(body, start, (keys, jnp.asarray(actions, jnp.int32)))[1]
    assert likely.all()
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1.0, rtol=1e-6)
    assert ((probabilities > 0).sum(axis=-1) > 1).any()


def test_a_sampled_step_draws_every_outcome_with_its_probability():
    chances = np.array([0.0, 0.5, 0.0, 0.2, 0.3, 0.0], np.float32)

    def outcomes(state, action, params):
        numbers = jnp.arange(6)
        never = jnp.zeros(6, bool)
        return Outcomes(params, numbers, Timestep(numbers, -1.0 * numbers[:, None], never, never, {}))

    keys, zero = jax.random.split(jax.random.key(0), 20011), jnp.int32(0)
    step = jax.vmap(sampled_step(outcomes), in_axes=(0, None, None, None))
    state, timestep = step(keys, zero, zero, jnp.asarray(chances))
    frequencies = np.bincount(state, minlength=6) / len(keys)
    np.testing.assert_allclose(frequencies, chances, atol=0.015)
    assert (frequencies[chances == 0] == 0).all()
    np.testing.assert_array_equal(timestep.observation, state)
    np.testing.assert_array_equal(timestep.reward[:, 0], -state)


def test_transforms_keep_outcomes_only_where_they_are_still_true():
    environment = make("mo/fishwood")
    assert transforms.sticky_actions(environment, 0.1).outcomes is None
    limited = transforms.time_limit(environment, 2)
    state = limited.reset(jax.random.key(0), limited.params)[0]
    for truncated in (False, True):
        drawn = limited.outcomes(state, jnp.int32(0), limited.params)
        assert drawn.timesteps.truncated.tolist() == [truncated] * 2
        state = jax.tree.map(lambda leaf: leaf[0], drawn.states)


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="got 2"):
        make("mo/breakable-bottles", size=2)
    with pytest.raises(ValueError, match="got 2, 1 and 1"):
        make("mo/four-room", maze=("__", "G1"))
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        make("mo/four-room", maze=("_1", "G  "))
