"""Exact returns of grid-worlds against explicit recursion, simulation and cases known by hand."""

from functools import cache
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments.grid import LEVELS, GridParams, grid, optimal_return, policy_return, uniform_return

pytestmark = pytest.mark.quick_compilation

MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1), (0, 0))
HORIZON = 7


def random_level(seed, max_size, num_objects, **fields):
    """A level with chances away from 0 and 1, so that every outcome counts."""
    generator = np.random.default_rng(seed)
    size = max_size - seed % 2
    cells = [divmod(int(cell), size) for cell in generator.permutation(size * size)]
    walls = np.zeros((max_size, max_size), bool)
    walls[cells[-1]] = size > 2
    chances = generator.uniform(0.1, 0.9, (2, num_objects)).astype(np.float32)
    leaves = {
        "size": np.int32(size),
        "walls": walls,
        "start": np.array(cells[0], np.int32),
        "objects": np.array(cells[1 : num_objects + 1], np.int32),
        "active": np.arange(num_objects) < max(1, num_objects - seed // 2 % 2),
        "reward": generator.uniform(-1, 1, num_objects).astype(np.float32),
        "termination": chances[0],
        "respawn": chances[1],
        "max_steps": np.int32(HORIZON - seed % 3),
    }
    return GridParams(**{name: jnp.asarray(leaf) for name, leaf in {**leaves, **fields}.items()})


def brute_force(level, limit, choose):
    """Expected return by recursion over every outcome; `choose` turns five values in a state into one."""
    level = jax.tree.map(np.asarray, level)
    indices = range(len(level.active))
    width = len(level.walls)

    @cache
    def value(row, column, flags, steps):
        if steps == 0:
            return 0.0
        state = row * width + column + width * width * sum(2**i for i in indices if flags[i])
        return choose([after(row + down, column + right, row, column, flags, steps) for down, right in MOVES], state)

    def after(row, column, old_row, old_column, flags, steps):
        if not (0 <= row < level.size and 0 <= column < level.size) or level.walls[row, column]:
            row, column = old_row, old_column
        found = [bool(flags[i]) and tuple(level.objects[i]) == (row, column) for i in indices]
        reward = sum(float(level.reward[i]) for i in indices if found[i])
        going_on = 1.0 - min(1.0, sum(float(level.termination[i]) for i in indices if found[i]))
        total = 0.0
        for new in product((False, True), repeat=len(indices)):
            chance = 1.0
            for i in indices:
                if flags[i]:
                    chance *= new[i] != found[i]
                else:
                    again = float(level.respawn[i]) if level.active[i] else 0.0
                    chance *= again if new[i] else 1.0 - again
            total += chance * value(row, column, new, steps - 1) if chance else 0.0
        return reward + going_on * total

    flags = tuple(bool(flag) for flag in level.active)
    return value(int(level.start[0]), int(level.start[1]), flags, min(int(level.max_steps), limit))


@pytest.mark.parametrize(("max_size", "num_objects"), [(2, 1), (3, 1), (3, 2), (4, 3)])
def test_returns_equal_explicit_recursion(max_size, num_objects):
    levels = [
        random_level(seed, max_size, num_objects) for seed in range(0 if max_size > 2 else 2, 8, 1 + (max_size < 3))
    ]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *levels)
    shape = (max_size**2 * 2**num_objects, 5)
    policy = np.random.default_rng(1).dirichlet(np.ones(5), shape[0]).astype(np.float32)

    @jax.jit
    @jax.vmap
    def returns(level):
        limit = HORIZON - 1
        return (
            optimal_return(level, limit),
            policy_return(level, jnp.asarray(policy), limit),
            uniform_return(level, limit),
        )

    chosen = (
        lambda values, state: max(values),
        lambda values, state: float(np.dot(policy[state], values)),
        lambda values, state: float(np.mean(values)),
    )
    for ours, choose in zip(returns(stacked), chosen):
        expected = [brute_force(level, HORIZON - 1, choose) for level in levels]
        assert np.std(expected) > 0.01
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_a_policy_returns_what_it_earns_in_simulation():
    environment = grid("small")
    params = environment.params._replace(
        size=jnp.int32(4),
        walls=jnp.zeros((6, 6), bool),
        start=jnp.array([1, 1]),
        objects=jnp.array([[0, 1], [2, 2], [3, 3]]),
        active=jnp.array([True, True, False]),
        reward=jnp.array([1.0, -0.5, 9.0]),
        termination=jnp.array([0.2, 0.3, 0.0]),
        respawn=jnp.array([0.3, 0.1, 1.0]),
        max_steps=jnp.int32(23),
    )
    policy = np.random.default_rng(0).dirichlet(np.ones(5), environment.spec.observation.n).astype(np.float32)
    policy = jnp.asarray(policy)

    @jax.jit
    @jax.vmap
    def episode(key):
        reset_key, key = jax.random.split(key)

        def body(carry, key):
            state, observation, alive = carry
            action_key, step_key = jax.random.split(key)
            action = jax.random.categorical(action_key, jnp.log(policy[observation]))
            state, timestep = environment.step(step_key, state, action, params)
            earned = jnp.where(alive, timestep.reward[0], 0.0)
            return (state, timestep.observation, alive & ~(timestep.terminated | timestep.truncated)), earned

        start = *environment.reset(reset_key, params), jnp.array(True)
        return jnp.sum(jax.lax.scan(body, start, jax.random.split(key, 30))[1])

    earned = np.asarray(episode(jax.random.split(jax.random.key(1), 8009)))
    expected = jax.jit(lambda params: policy_return(params, policy, 100))(params)
    assert abs(expected) > 0.05
    assert abs(earned.mean() - expected) < 4 * earned.std() / np.sqrt(len(earned))


def test_more_time_is_never_worse_and_the_best_is_never_below_chance():
    levels = jax.jit(jax.vmap(LEVELS["tiny"].sample))(jax.random.split(jax.random.key(0), 32))
    horizons = jnp.array([1, 2, 3, 5, 9, 17, 33, 50])

    @jax.jit
    def returns(steps):
        long = levels._replace(max_steps=jnp.full(32, steps))
        return jax.vmap(lambda level: (optimal_return(level, 50), uniform_return(level, 50)))(long)

    best, chance = map(np.asarray, jax.vmap(returns)(horizons))
    # One harmful object at most can always be kept away from.
    assert (np.diff(best, axis=0) >= -1e-6).all() and (best >= 0).all()
    assert (best >= chance - 1e-6).all() and best[-1].mean() > 2 * chance[-1].mean()


def test_known_returns():
    sparse = jax.jit(jax.vmap(LEVELS["sparse"].sample))(jax.random.split(jax.random.key(2), 16))
    best = jax.jit(jax.vmap(lambda level: optimal_return(level, 50)))
    np.testing.assert_allclose(best(sparse), 1.0)
    distance = np.abs(sparse.start - sparse.objects[:, 0]).sum(axis=-1)
    away = sparse._replace(max_steps=jnp.asarray(distance - 1, jnp.int32), reward=jnp.array([[1.0, 0.0]] * 16))
    np.testing.assert_allclose(best(away), 0.0)
    np.testing.assert_allclose(best(away._replace(max_steps=away.max_steps + 1)), 1.0)


def test_a_policys_return_can_be_differentiated():
    level = random_level(4, 3, 2)
    logits = jax.random.normal(jax.random.key(0), (36, 5))

    @jax.jit
    def value(scale):
        return policy_return(level, jax.nn.softmax(logits * scale), HORIZON)

    slope = jax.grad(value)(1.0)
    difference = (value(1.02) - value(0.98)) / 0.04
    assert abs(slope) > 1e-3
    np.testing.assert_allclose(slope, difference, rtol=0.02)


def test_a_limit_below_one_is_named():
    with pytest.raises(ValueError, match="got 0"):
        optimal_return(random_level(0, 3, 1), 0)
