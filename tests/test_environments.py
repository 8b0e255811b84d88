"""The environment contract: its checker, automatic restarts, transforms and names."""

import copy
import doctest
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

import jaxrl
from jaxrl import environments
from jaxrl.environments import (
    Box,
    Discrete,
    Environment,
    EnvironmentContractError,
    EnvironmentSpec,
    MultiDiscrete,
    Timestep,
    base,
    registry,
    transforms,
)
from jaxrl.errors import UnknownNameError

pytestmark = pytest.mark.quick_compilation

NUM_ENVS, NUM_STEPS = 6, 23


class CounterParams(NamedTuple):
    length: jax.Array
    bonus: jax.Array


class CounterState(NamedTuple):
    steps: jax.Array
    start: jax.Array
    noise: jax.Array


def counter(action_space=None, time_limit=None, shape=(3,)):
    """Ends after `length` steps; observes (steps, a random start, the last action)."""
    action_space = Discrete(4) if action_space is None else action_space

    def observe(state, action):
        parts = jnp.stack([state.steps.astype(jnp.float32), state.start, action.astype(jnp.float32)])
        return jnp.resize(parts, shape)

    def reset(key, params):
        state = CounterState(jnp.zeros((), jnp.int32), jax.random.uniform(key), jax.random.key(0))
        return state, observe(state, jnp.zeros(()))

    def step(key, state, action, params):
        state = CounterState(state.steps + 1, state.start, key)
        reward = jnp.stack([params.bonus, state.start])
        first = jnp.ravel(action)[0]
        return state, Timestep(observe(state, first), reward, state.steps >= params.length, jnp.array(False), {})

    params = CounterParams(jnp.asarray(5, jnp.int32), jnp.asarray(1.0))
    spec = EnvironmentSpec("probe/counter", Box(-np.inf, np.inf, shape), action_space, 2, time_limit)
    return Environment(reset, step, params, spec)


def roll(environment, actions, params=None, seed=0):
    """Timesteps of one copy, never reset, and the first observation."""
    params = environment.params if params is None else params
    state, first = environment.reset(jax.random.key(seed), params)

    def body(state, inputs):
        return environment.step(inputs[0], state, inputs[1], params)

    keys = jax.random.split(jax.random.key(seed + 1), len(actions))
    return first, jax.lax.scan(body, state, (keys, jnp.asarray(actions)))[1]


def roll_batch(batched, num_steps=NUM_STEPS, params=None, seed=0):
    """First observations, draws and timesteps of a batched rollout with random actions."""
    params = batched.params if params is None else params
    reset_key, draw_key, action_key = jax.random.split(jax.random.key(seed), 3)
    state, first = batched.reset(reset_key, params)
    draws = batched.draw(draw_key, num_steps, params)
    sample = jax.vmap(jax.vmap(batched.spec.action.sample))
    actions = sample(jax.random.split(action_key, (num_steps, batched.num_envs)))

    def body(state, inputs):
        return batched.step(inputs[0], state, inputs[1], params)

    return first, draws, jax.lax.scan(body, state, (draws, actions))[1]


# --- batching and automatic restarts -------------------------------------------------------------


@pytest.mark.parametrize(("mode", "pool"), [("fresh", None), ("pool", 4)])
def test_restarts_return_a_new_start_and_keep_the_true_last_observation(mode, pool):
    first, _, timesteps = roll_batch(environments.vectorise(counter(), NUM_ENVS, mode, pool))
    done = np.asarray(timesteps.terminated)
    assert np.all(done == (np.arange(NUM_STEPS) % 5 == 4)[:, None])
    seen = np.asarray(timesteps.observation)
    final = np.asarray(timesteps.info["final_observation"])
    starts = np.asarray(first)[:, 1]
    for t in range(NUM_STEPS):
        np.testing.assert_array_equal(final[t, :, 0], t % 5 + 1)
        np.testing.assert_array_equal(final[t, :, 1], starts)
        if t % 5 == 4:
            np.testing.assert_array_equal(seen[t, :, 0], 0.0)
            starts = seen[t, :, 1]
        else:
            np.testing.assert_array_equal(seen[t], final[t])


@pytest.mark.parametrize(("mode", "pool"), [("fresh", None), ("pool", 1), ("pool", 4), ("pool", None)])
def test_no_slot_restarts_twice_from_the_same_state(mode, pool):
    first, _, timesteps = roll_batch(environments.vectorise(counter(), NUM_ENVS, mode, pool))
    starts = np.concatenate([np.asarray(first)[None, :, 1], np.asarray(timesteps.observation)[4::5, :, 1]])
    for slot in range(NUM_ENVS):
        assert len(np.unique(starts[:, slot])) == len(starts) == 5
    distinct = {"fresh": NUM_ENVS, "pool": pool or 1}[mode]
    assert all(len(np.unique(row)) == distinct for row in starts[1:])


def test_a_pool_shares_its_starts_by_index():
    _, draws, timesteps = roll_batch(environments.vectorise(counter(), NUM_ENVS, "pool", 4))
    pool = np.asarray(draws.resets[1])
    assert pool.shape == (NUM_STEPS, 4, 3)
    for t in range(4, NUM_STEPS, 5):
        np.testing.assert_array_equal(timesteps.observation[t], pool[t][[0, 1, 2, 3, 0, 1]])


def test_evaluations_never_share_a_start():
    starts, inner = [], counter(Discrete(2), time_limit=5)

    def reset(key, params):
        state, observation = inner.reset(key, params)
        jax.debug.callback(lambda start: starts.append(float(start)), state.start)
        return state, observation

    spec = replace(inner.spec, costly_reset=True)
    trainer = jaxrl.trainer(
        "ppo", inner._replace(reset=reset, spec=spec), auto_reset="pool", pool_size=1, evaluation_episodes=24,
        num_envs=4, num_steps=8, num_evaluations=1, total_steps=32, hidden_sizes=(4,),
    )  # fmt: skip
    state = jax.jit(trainer.init)(jax.random.key(0), trainer.hyperparameters)
    jax.effects_barrier()
    starts.clear()
    jax.block_until_ready(jax.jit(trainer.evaluate)(jax.random.key(1), state.agent, trainer.hyperparameters))
    jax.effects_barrier()
    assert len(starts) == len(set(starts)) == 24


def test_without_automatic_reset_nothing_ever_restarts():
    _, draws, timesteps = roll_batch(environments.vectorise(counter(), NUM_ENVS, "none"))
    assert draws.resets is None
    np.testing.assert_array_equal(timesteps.observation[..., 0], np.tile(np.arange(1, 24)[:, None], NUM_ENVS))
    np.testing.assert_array_equal(timesteps.observation, timesteps.info["final_observation"])


@pytest.mark.parametrize("mode", ["fresh", "pool", "none"])
def test_a_batch_steps_as_its_copies_would(mode):
    environment = counter()
    batched = environments.vectorise(environment, NUM_ENVS, mode)
    state, _ = batched.reset(jax.random.key(0), batched.params)
    draws = jax.tree.map(lambda leaf: leaf[0], batched.draw(jax.random.key(1), 1, batched.params))
    actions = jnp.asarray([0, 1, 2, 3, 0, 1])
    after, timestep = batched.step(draws, state, actions, batched.params)
    for i in range(NUM_ENVS):
        alone = jax.tree.map(lambda leaf, i=i: leaf[i], state)
        expected_state, expected = environment.step(draws.keys[i], alone, actions[i], environment.params)
        np.testing.assert_array_equal(timestep.observation[i], expected.observation)
        np.testing.assert_array_equal(timestep.reward[i], expected.reward)
        assert after.noise[i] == expected_state.noise


@pytest.mark.parametrize(("mode", "pool"), [("fresh", None), pytest.param("pool", 2, marks=pytest.mark.slow)])
def test_the_callers_parameters_outlive_a_restart(mode, pool):
    environment = environments.make("gymnax/CartPole-v1")
    params = environment.params.replace(max_steps_in_episode=4, gravity=jnp.asarray(1e-3))
    batched = environments.vectorise(environment, NUM_ENVS, mode, pool)
    _, _, timesteps = roll_batch(batched, params=params)
    np.testing.assert_array_equal(timesteps.truncated, np.tile((np.arange(NUM_STEPS) % 4 == 3)[:, None], NUM_ENVS))
    assert not timesteps.terminated.any()

    # The restarts themselves read the parameters, too.
    counting = counter()

    def reset(key, params):
        return counting.reset(key, params)[0], jnp.full(3, params.bonus)

    bonus = counting.params._replace(bonus=jnp.asarray(7.0))
    _, _, timesteps = roll_batch(environments.vectorise(counting._replace(reset=reset), NUM_ENVS, mode, pool), 5, bonus)
    np.testing.assert_array_equal(timesteps.observation[4], 7.0)
    np.testing.assert_array_equal(timesteps.reward[..., 0], 7.0)


def test_a_rollout_uses_no_key_twice():
    batched = environments.vectorise(counter(), NUM_ENVS)
    draws = batched.draw(jax.random.key(0), NUM_STEPS, batched.params)
    keys = np.asarray(jax.random.key_data(draws.keys)).reshape(NUM_STEPS * NUM_ENVS, -1)
    assert len(np.unique(keys, axis=0)) == len(keys)
    starts = np.asarray(draws.resets[1])[..., 1]
    assert len(np.unique(starts)) == starts.size


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ((0,), "num_envs must be at least 1, got 0"),
        ((4, "fresh", 2), "needs auto_reset='pool'"),
        ((4, "pool", 5), "between 1 and num_envs=4, got 5"),
        ((4, "pool", -1), "between 1 and num_envs=4, got -1"),
        ((4, "frsh"), "Did you mean 'fresh'"),
    ],
)
def test_impossible_batches_are_refused(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        environments.vectorise(counter(), *arguments)


# --- transforms ----------------------------------------------------------------------------------


def test_a_time_limit_truncates_but_leaves_termination_alone():
    _, before = roll(transforms.time_limit(counter(), 3), [0] * 4)
    np.testing.assert_array_equal(before.truncated, [False, False, True, True])
    assert not before.terminated.any()
    _, together = roll(transforms.time_limit(counter(), 5), [0] * 5)
    np.testing.assert_array_equal(together.terminated, [False] * 4 + [True])
    assert not together.truncated.any()
    assert transforms.time_limit(counter(time_limit=9), 12).spec.time_limit == 9
    assert transforms.time_limit(counter(), 12).spec.time_limit == 12
    with pytest.raises(ValueError, match="at least 1, got 0"):
        transforms.time_limit(counter(), 0)


def test_a_time_limit_counts_anew_after_a_restart():
    batched = environments.vectorise(transforms.time_limit(counter(), 3), NUM_ENVS)
    _, _, timesteps = roll_batch(batched)
    np.testing.assert_array_equal(timesteps.truncated, np.tile((np.arange(NUM_STEPS) % 3 == 2)[:, None], NUM_ENVS))


def test_observations_are_flattened_with_their_bounds():
    environment = counter(shape=(2, 3))
    space = Box(((-1.0, -2.0, -3.0), (-4.0, -5.0, -6.0)), 100.0, (2, 3))
    bounded = environment._replace(spec=EnvironmentSpec("probe/flat", space, Discrete(4), 2))
    flat = transforms.flatten_observation(bounded)
    assert flat.spec.observation.shape == (6,) and flat.spec.observation.low == (-1.0, -2.0, -3.0, -4.0, -5.0, -6.0)
    (first, one), (expected, other) = roll(flat, [1, 2]), roll(environment, [1, 2])
    np.testing.assert_array_equal(first, np.ravel(expected))
    np.testing.assert_array_equal(one.observation, np.reshape(other.observation, (2, 6)))
    environments.check(flat)
    environments.check(transforms.flatten_observation(environments.make("gymnax/Catch-bsuite")), num_steps=20)


def test_observations_can_be_mapped():
    mapped = transforms.map_observation(counter(), lambda x: -x[:2], Box(-np.inf, np.inf, (2,)))
    (first, one), (expected, other) = roll(mapped, [3, 1]), roll(counter(), [3, 1])
    np.testing.assert_array_equal(first, -expected[:2])
    np.testing.assert_array_equal(one.observation, -other.observation[:, :2])
    assert mapped.spec.observation.shape == (2,)


ACTIONS = Box((-2.0, 1.0), (4.0, 3.0), (2,))


def test_actions_are_clipped_to_the_bounds():
    _, timesteps = roll(transforms.clip_action(counter(ACTIONS)), [[-9.0, 0.0], [1.0, 2.0], [9.0, 9.0]])
    np.testing.assert_array_equal(timesteps.observation[:, 2], [-2.0, 1.0, 4.0])


def test_actions_are_scaled_from_the_unit_box():
    scaled = transforms.scale_action(counter(ACTIONS))
    assert scaled.spec.action == Box(-1.0, 1.0, (2,))
    _, timesteps = roll(scaled, [[-1.0, 0.0], [0.0, 0.0], [0.5, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(timesteps.observation[:, 2], [-2.0, 1.0, 2.5, 4.0])


@pytest.mark.parametrize("transform", [transforms.clip_action, transforms.scale_action])
@pytest.mark.parametrize("space", [Discrete(3), Box(0.0, np.inf, (2,))])
def test_action_transforms_need_bounds(transform, space):
    with pytest.raises(ValueError, match=rf"{transform.__name__} needs a bounded Box"):
        transform(counter(space))


def test_frames_are_stacked_oldest_first_after_zeros():
    stacked = transforms.frame_stack(counter(), 4)
    first, timesteps = roll(stacked, [1, 2, 3, 1, 2])
    _, plain = roll(counter(), [1, 2, 3, 1, 2])
    assert stacked.spec.observation.shape == (3, 4) == first.shape
    np.testing.assert_array_equal(first[:, :3], 0.0)
    start = first[1, 3]
    for t, window in enumerate(np.asarray(timesteps.observation)):
        frames = [np.zeros(3)] * 3 + [np.array([0.0, start, 0.0]), *np.asarray(plain.observation)]
        np.testing.assert_array_equal(window, np.stack(frames[t + 1 : t + 5], axis=-1))
    environments.check(transforms.frame_stack(environments.make("gymnax/Catch-bsuite"), 2), num_steps=20)


def test_frames_forget_the_last_episode():
    batched = environments.vectorise(transforms.frame_stack(counter(), 3), NUM_ENVS)
    _, _, timesteps = roll_batch(batched)
    np.testing.assert_array_equal(timesteps.observation[4::5, :, :, :2], 0.0)
    final = timesteps.info["final_observation"][4::5, :, 0]
    np.testing.assert_array_equal(final, np.broadcast_to([3.0, 4.0, 5.0], final.shape))


@pytest.mark.parametrize(("num_frames", "space"), [(0, None), (2, Discrete(3))])
def test_frame_stack_refuses_what_it_cannot_stack(num_frames, space):
    environment = counter()
    if space is not None:
        environment = environment._replace(spec=EnvironmentSpec("probe/integer", space, Discrete(4), 2))
    with pytest.raises(ValueError, match=r"num_frames must be at least 1|needs a Box observation"):
        transforms.frame_stack(environment, num_frames)


def test_sticky_actions_repeat_the_last_action_as_often_as_asked():
    count, probability = 4_000, 0.25
    actions = np.arange(count) % 4
    _, timesteps = roll(transforms.sticky_actions(counter(), probability), actions)
    taken = np.asarray(timesteps.observation)[:, 2]
    repeated = taken != actions
    # Consecutive actions all differ, so a mismatch is a repeat of what was taken before.
    np.testing.assert_array_equal(taken[1:][repeated[1:]], taken[:-1][repeated[1:]])
    # Four repeats in a row come back to the right action by chance: p⁴ of them look fresh.
    rate = probability * (1 - probability**3) / (1 - probability**4)
    assert abs(repeated.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / count)


def test_whether_an_action_sticks_is_independent_of_the_randomness_of_the_step():
    environment, count = transforms.sticky_actions(counter(), 0.5), 400
    keys = jax.random.split(jax.random.key(0), count)
    state, _ = environment.reset(jax.random.key(1), environment.params)
    after, timestep = jax.vmap(environment.step, in_axes=(0, None, None, None))(
        keys, state, jnp.asarray(3), environment.params
    )
    stuck = np.asarray(timestep.observation)[:, 2] == 0.0
    for used in (keys, after.inner.noise):
        low = np.asarray(jax.vmap(jax.random.uniform)(used)) < 0.5
        assert abs(np.mean(low == stuck) - 0.5) < 0.1


def test_sticky_actions_without_stickiness_change_nothing_and_reject_bad_probabilities():
    actions = np.arange(9) % 4
    _, timesteps = roll(transforms.sticky_actions(counter(), 0.0), actions)
    np.testing.assert_array_equal(timesteps.observation[:, 2], actions)
    for probability in (-0.1, 1.0):
        with pytest.raises(ValueError, match=r"\[0, 1\)"):
            transforms.sticky_actions(counter(), probability)


def broken(**changes):
    """A counter whose `reset` or `step` returns something else; `spec` replaces entries of the spec."""
    environment = counter(time_limit=5)
    reset, step = changes.get("reset", lambda r: r), changes.get("step", lambda s, t: (s, t))
    spec = {**vars(environment.spec), **changes.get("spec", {})}
    return environment._replace(
        reset=lambda key, params: reset(environment.reset(key, params)),
        step=lambda key, state, action, params: step(*environment.step(key, state, action, params)),
        spec=EnvironmentSpec(**spec),
        params=changes.get("params", environment.params),
    )


ONE_OBJECTIVE = {"num_objectives": 1, "objective_names": ()}


def test_a_scalar_reward_becomes_a_vector():
    scalar = broken(spec=ONE_OBJECTIVE, step=lambda s, t: (s, t._replace(reward=t.reward.sum())))
    with pytest.raises(EnvironmentContractError, match=r"transforms\.vector_reward"):
        environments.check(scalar)
    environments.check(transforms.vector_reward(scalar))
    np.testing.assert_allclose(
        roll(transforms.vector_reward(scalar), [0, 0])[1].reward, roll(counter(), [0, 0])[1].reward.sum(-1)[:, None]
    )


def test_episode_statistics_sum_the_episode_so_far():
    discount = 0.5
    tracked = transforms.episode_statistics(counter(), discount)
    _, _, timesteps = roll_batch(environments.vectorise(tracked, NUM_ENVS), 9)
    episode, reward = timesteps.info["episode"], np.asarray(timesteps.reward)
    for t in range(9):
        begin = t - t % 5
        power = discount ** np.arange(t - begin + 1)
        np.testing.assert_allclose(episode.returns[t], reward[begin : t + 1].sum(0), rtol=1e-6)
        np.testing.assert_allclose(
            episode.discounted_returns[t], np.einsum("t,teo->eo", power, reward[begin : t + 1]), rtol=1e-6
        )
        np.testing.assert_array_equal(episode.length[t], t % 5 + 1)


def test_transforms_compose_and_pass_the_check():
    environment = environments.make("gymnax/Pendulum-v1")
    for transform in (transforms.scale_action, transforms.clip_action, transforms.flatten_observation):
        environment = transform(environment)
    environment = transforms.sticky_actions(transforms.frame_stack(environment, 2), 0.25)
    environment = transforms.episode_statistics(transforms.time_limit(environment, 17))
    assert environment.spec.time_limit == 17
    environments.check(environment, num_steps=20)


# --- the checker ---------------------------------------------------------------------------------


def grow(state, timestep):
    return state._replace(start=jnp.stack([state.start, state.start])), timestep


def both(state, timestep):
    return state, timestep._replace(truncated=timestep.terminated)


def never(state, timestep):
    return state, timestep._replace(terminated=jnp.array(False))


def branch_in_reset(started):
    return (started[0], -started[1]) if started[1][1] > 0.5 else started


def branch_in_step(state, timestep):
    return (state, timestep._replace(info={"end": 1.0})) if timestep.terminated else (state, timestep)


FAULTS = {
    "scalar reward": ({"step": lambda s, t: (s, t._replace(reward=t.reward[0]))}, "reward is float32.*vector_reward"),
    "wrong length": ({"step": lambda s, t: (s, t._replace(reward=t.reward[:1]))}, r"reward is .*of shape \[2\]"),
    "integer reward": ({"step": lambda s, t: (s, t._replace(reward=t.reward.astype(int)))}, "reward is int32"),
    "integer flag": (
        {"step": lambda s, t: (s, t._replace(terminated=t.terminated.astype(int)))},
        "terminated is int32.*must be a scalar bool",
    ),
    "vector flag": ({"step": lambda s, t: (s, t._replace(truncated=t.truncated[None]))}, r"truncated is bool\[1\]"),
    "state shape": ({"step": grow}, "state changes between reset and step"),
    "state structure": ({"step": lambda s, t: ((s, s), t)}, "state changes between reset and step"),
    "observation type": (
        {"step": lambda s, t: (s, t._replace(observation=t.observation.astype(int)))},
        "observation changes between reset and step",
    ),
    "wrong space": ({"spec": {"observation": Box(0.0, 1.0, (4,))}}, r"spec.observation says float32\[4\]"),
    "info": ({"step": lambda s, t: (s, t._replace(info=()))}, "info must be a dict, it is tuple"),
    "not a pair": ({"reset": lambda r: (*r, None)}, "reset must return \\(state, observation\\)"),
    "not a timestep": ({"step": lambda s, t: (s, tuple(t))}, "step must return \\(state, Timestep\\)"),
    "both flags": ({"step": both}, "both terminated and truncated"),
    "vector success": (
        {"step": lambda s, t: (s, t._replace(info={"success": jnp.zeros(2)}))},
        r"info\['success'\] is float32\[2\]",
    ),
    "no reward": ({"step": lambda s, t: (s, t._replace(reward=None))}, "reward is NoneType.*shape"),
    "no flag": ({"step": lambda s, t: (s, t._replace(truncated=None))}, "truncated is NoneType"),
    "several observations": (
        {
            "reset": lambda r: (r[0], {"eye": r[1]}),
            "step": lambda s, t: (s, t._replace(observation={"eye": t.observation})),
        },
        r"an observation is a dict of \['eye'\]: float32\[3\], spec.observation says float32\[3\]; a Dict",
    ),
    "undefined state": (
        {
            "step": lambda s, t: (
                s._replace(start=jnp.where(s.steps > 2, jnp.nan, s.start)),
                t._replace(observation=jnp.zeros(3), reward=jnp.zeros(2)),
            )
        },
        "part of the state turns into NaN",
    ),
    "no end": ({"step": never}, "time_limit is 5, yet an episode has not ended.*transforms.time_limit"),
    "infinite reward": ({"step": lambda s, t: (s, t._replace(reward=t.reward / 0.0))}, "a reward is not finite"),
    "undefined observation": (
        {"step": lambda s, t: (s, t._replace(observation=t.observation * jnp.nan))},
        "an observation is not finite",
    ),
    "out of bounds": ({"spec": {"observation": Box(0.0, 3.5, (3,))}}, "from step lies outside.*max 5"),
    "branch in reset": ({"reset": branch_in_reset}, "reset.*fails when traced: Tracer"),
    "branch in step": ({"step": branch_in_step}, "step.*fails when traced: Tracer"),
    "text in params": (
        {"params": CounterParams(jnp.asarray(5), "large")},
        "params holds str, which cannot be traced; move it into the builder",
    ),
}


def forced(instance, **changes):
    """A copy with fields of any type: the type checker of these tests, which users do not have, would refuse them."""
    instance = copy.copy(instance)
    for name, value in changes.items():
        object.__setattr__(instance, name, value)
    return instance


# Each would pass the shapes and then fail in a trainer, or in `check` itself.
SPECS = {
    "no observation": ({"observation": Box(-1.0, 1.0, (3, 0))}, r"spec.observation has no entries: .* it has \(3, 0\)"),
    "no observed value": ({"observation": Discrete(0)}, "spec.observation has no values: Discrete .* it has n=0"),
    "a dict of spaces": ({"observation": {"eye": Box(-1.0, 1.0, (3,))}}, "spec.observation is of type dict; allowed"),
    "a crossed bound": ({"observation": Box(1.0, -1.0, (3,))}, "a bound low that is not at most high"),
    "an undefined bound": ({"action": Box(np.nan, 1.0, (2,))}, "spec.action has a bound low"),
    "a bound too long": ({"action": Box((0.0,) * 3, 1.0, (2,))}, r"bound low of shape \(3,\): .* shape \(2,\)"),
    "arrays for bounds": ({"action": forced(ACTIONS, low=np.zeros(2))}, "spec must be hashable .* Box.from_arrays"),
    "an unknown type": ({"observation": Box(-1.0, 1.0, (3,), "float23")}, "Box has dtype='float23'"),
    "no action": ({"action": Discrete(0)}, "spec.action has no values: Discrete needs .* it has n=0"),
    "no number": ({"action": Box(-1.0, 1.0, (0,))}, r"spec.action has no entries: .* it has \(0,\)"),
    "no choice": ({"action": MultiDiscrete(())}, r"MultiDiscrete needs .* it has sizes=\(\)"),
    "an empty choice": ({"action": MultiDiscrete((2, 0))}, r"MultiDiscrete needs .* it has sizes=\(2, 0\)"),
    "a scalar action": ({"action": Box(-1.0, 1.0, ())}, r"spec.action is a Box of shape \(\), agents act in vectors"),
    "no objective": ({"num_objectives": 0, "objective_names": ()}, "num_objectives must be an integer .* it is 0"),
    "a name twice": ({"objective_names": ("fuel", "fuel")}, "objective_names must differ"),
    "no time": ({"time_limit": 0}, "time_limit must be None or an integer of at least 1, it is 0"),
    "a discount above 1": ({"discount": 1.5}, r"discount must lie in \[0, 1\], it is 1.5"),
    "an undefined reference": ({"reference_point": (0.0, np.nan)}, "reference_point must hold numbers"),
    "no name": ({"name": ""}, "spec.name must be a text"),
    "tasks without a name": (
        {"observation": Discrete(3), "num_tasks": 2}, "num_tasks is 2, yet observations do not name the task"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), SPECS.values(), ids=SPECS.keys())
def test_a_spec_that_no_agent_could_learn_is_refused_in_one_sentence(changes, message):
    environment = counter(time_limit=5)
    environment = environment._replace(spec=forced(environment.spec, **changes))
    with pytest.raises(EnvironmentContractError, match=message) as error:
        environments.check(environment)
    assert str(error.value).count("\n  - ") == 1
    if "act in vectors" not in message:
        with pytest.raises(EnvironmentContractError, match=message):
            jaxrl.trainer("ppo", environment)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ("gymnax/CartPole-v1", "an Environment is expected, got str"),
        (counter()._replace(spec={}), "spec must be an EnvironmentSpec, it is dict"),
        (counter()._replace(step=None), "step must be a function"),
    ],
)
def test_what_is_no_environment_is_refused_in_one_sentence(environment, message):
    with pytest.raises(EnvironmentContractError, match=message):
        environments.check(environment)


def test_states_may_compare_in_their_own_way():
    @jax.tree_util.register_dataclass
    @dataclass(eq=False)
    class Own:
        inner: CounterState

        def __eq__(self, other):
            return bool(jnp.array_equal(self.inner.start, other.inner.start))

    inner = counter(time_limit=5)

    def reset(key, params):
        state, observation = inner.reset(key, params)
        return Own(state), observation

    def step(key, state, action, params):
        following, timestep = inner.step(key, state.inner, action, params)
        return Own(following), timestep

    environments.check(inner._replace(reset=reset, step=step), num_steps=6)

    def longer(key, state, action, params):
        following, timestep = step(key, state, action, params)
        return Own(following.inner._replace(start=jnp.zeros(2))), timestep

    with pytest.raises(EnvironmentContractError, match=r"state changes .*start: float32\[\] became float32\[2\]"):
        environments.check(inner._replace(reset=reset, step=longer))


def odd(observation, action=None, params=()):
    """One constant observation of a space, for four steps."""
    spec = EnvironmentSpec("probe/odd", observation, action or Discrete(2), time_limit=4)

    def reset(key, params):
        return jnp.zeros((), jnp.int32), jnp.zeros(observation.shape, observation.dtype)

    def step(key, state, action, params):
        state = state + 1
        shown = jnp.zeros(observation.shape, observation.dtype)
        return state, Timestep(shown, jnp.ones(1), jnp.array(False), state >= 4, {})

    return Environment(reset, step, params, spec)


ODD = {
    "one number": odd(Box(-1.0, 1.0, ())),
    "an image too small to convolve": odd(Box(0.0, 1.0, (2, 2, 1))),
    "short floats": odd(Box(-1.0, 1.0, (3,), "bfloat16"), Box(0.0, np.inf, (2,))),
    "truth values": odd(Box(0.0, 1.0, (3,), "bool"), MultiDiscrete((1, 3))),
    "one value and one action": odd(Discrete(1), Discrete(1)),
    "whole numbers": odd(MultiDiscrete((2, 3)), Box(0.0, 3.0, (2,), "int32"), params={"a": 1, "b": None}),
}


@pytest.mark.parametrize("environment", ODD.values(), ids=ODD.keys())
def test_what_passes_the_check_trains(environment):
    environments.check(environment, num_steps=5)
    trainer = jaxrl.trainer(
        "ppo", environment, num_envs=2, num_steps=6, num_epochs=1, num_minibatches=2, total_steps=12,
        num_evaluations=1, evaluation_episodes=2, hidden_sizes=(4,),
    )  # fmt: skip
    result = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters)
    assert np.isfinite(result.metrics["value_loss"]).all() and float(result.evaluation.returns[0, 0]) == 4.0


def test_the_example_of_the_documentation_runs(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTERED", {})
    assert doctest.testmod(base) == (0, 10)


@pytest.mark.parametrize(("changes", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_the_checker_names_the_fault(changes, message):
    with pytest.raises(EnvironmentContractError, match=message) as error:
        environments.check(broken(**changes), num_steps=12)
    assert str(error.value).startswith("probe/counter breaks the environment contract")


def test_the_checker_lists_every_structural_fault_at_once():
    def worse(state, timestep):
        return state, timestep._replace(reward=timestep.reward[0], terminated=jnp.asarray(0), info=())

    with pytest.raises(EnvironmentContractError) as error:
        environments.check(broken(step=worse))
    assert str(error.value).count("\n  - ") == 3


def test_an_impure_step_is_found():
    calls = []

    def impure(state, timestep):
        def draw(reward):
            calls.append(0)
            return reward + np.float32(len(calls))

        reward = jax.pure_callback(draw, timestep.reward, timestep.reward, vmap_method="sequential")
        return state, timestep._replace(reward=reward)

    with pytest.raises(EnvironmentContractError, match="same key gives different rewards"):
        environments.check(broken(step=impure), num_steps=3)


def test_a_sound_environment_passes():
    environments.check(counter(time_limit=5))


# --- names and specs -----------------------------------------------------------------------------


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'gymnax/CartPole-v1'"):
        environments.make("gymnax/cartpole-v1")
    with pytest.raises(UnknownNameError, match="Did you mean 'gymnax/CartPole-v1'"):
        environments.make("CartPole-v1")
    with pytest.raises(UnknownNameError, match="Did you mean 'gymnax/Pendulum-v1'"):
        environments.make("gymnx/Pendulum-v1")


def test_registered_environments_are_built_by_name_with_their_options(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTERED", {})
    environments.register("mine/counter", lambda limit=7: transforms.time_limit(counter(), limit))
    assert environments.make("mine/counter", limit=3).spec.time_limit == 3
    assert environments.list_environments("mine") == ["mine/counter"]
    assert "mine/counter" in environments.list_environments()
    with pytest.raises(UnknownNameError, match="Did you mean 'mine/counter'"):
        environments.make("mine/countr")
    with pytest.raises(ValueError, match="already registered"):
        environments.register("mine/counter", counter)


def test_a_cell_that_registers_an_environment_may_be_run_again(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTERED", {})
    cell = "def counted(limit=2):\n    return transforms.time_limit(counter(), limit)\n"
    for default in (2, 5):
        names = {"transforms": transforms, "counter": counter, "__name__": "__main__"}
        exec(cell.replace("2", str(default)), names)
        environments.register("mine/counted", names["counted"])
    assert environments.make("mine/counted").spec.time_limit == 5


def test_what_is_no_builder_is_not_registered(monkeypatch):
    # As users have it, without the checker of types.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    monkeypatch.setattr(registry, "_REGISTERED", {})
    with pytest.raises(ValueError, match="registered with a builder, a function that returns an Environment"):
        environments.register("mine/counter", counter())
    assert not registry._REGISTERED


@pytest.mark.parametrize("name", ["counter", "/counter", "mine/", "gymnax/Mine-v0"])
def test_names_without_a_suite_or_in_a_built_in_one_cannot_be_registered(name):
    with pytest.raises(ValueError, match="suite"):
        environments.register(name, counter)


def test_a_spec_names_its_objectives_and_counts_them():
    assert EnvironmentSpec("a/b", Discrete(2), Discrete(2)).objective_names == ("reward",)
    assert counter().spec.objective_names == ("objective_0", "objective_1")
    for entry in ({"objective_names": ("speed",)}, {"reference_point": (0.0, 0.0, 0.0)}):
        with pytest.raises(ValueError, match="entries for 2 objectives"):
            EnvironmentSpec("a/b", Discrete(2), Discrete(2), num_objectives=2, **entry)
    assert hash(counter().spec) == hash(counter().spec)


def test_options_that_a_builder_does_not_have_are_named(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTERED", {})
    environments.register("mine/sized", lambda size=3: environments.make("bandit/bernoulli", num_arms=size))
    with pytest.raises(UnknownNameError, match="unknown option of mine/sized 'sise'"):
        environments.make("mine/sized", sise=2)
    with pytest.raises(UnknownNameError, match="unknown option of mo/minecart 'capasity'"):
        environments.make("mo/minecart", capasity=2)
