"""Replay: what is drawn is what was written, in the proportions that were asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxrl.replay import Layout, make_replay, sum_tree

KEY = jax.random.key(0)


def _example():
    return {
        "image": jax.ShapeDtypeStruct((3, 2), jnp.uint8),
        "number": jax.ShapeDtypeStruct((), jnp.float32),
        "count": jax.ShapeDtypeStruct((2,), jnp.int32),
        "flag": jax.ShapeDtypeStruct((), bool),
    }


def _steps(first: int, num_steps: int, num_envs: int) -> dict:
    """Every number of a step says when and where it was."""
    when = first + jnp.arange(num_steps)[:, None] * jnp.ones(num_envs, jnp.int32)
    where = jnp.arange(num_envs) * jnp.ones((num_steps, 1), jnp.int32)
    return {
        "all": {
            "image": jnp.broadcast_to(when[..., None, None] % 256, (num_steps, num_envs, 3, 2)).astype(jnp.uint8),
            "number": when + where / 100.0,
            "count": jnp.stack([when, where], axis=-1).astype(jnp.int32),
            "flag": when % 2 == 0,
        }
    }


def test_rows_keep_every_bit_and_images_stay_bytes():
    layout = Layout.of(_example())
    tree = _steps(250, 5, 3)["all"]
    tree["number"] = tree["number"].at[0, 0].set(jnp.float32(1e-42)).at[1, 1].set(-0.0)
    rows = layout.pack(tree)
    assert {name: matrix.dtype.name for name, matrix in rows.items()} == {
        "uint8": "uint8",
        "float32": "float32",
        "int32": "int32",
    }
    assert layout.num_bytes == 6 + 1 + 4 + 8
    for before, after in zip(jax.tree.leaves(tree), jax.tree.leaves(layout.unpack(rows)), strict=True):
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(np.asarray(before).view(np.uint8), np.asarray(after).view(np.uint8))


@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize("prioritised", [False, True])
def test_windows_are_consecutive_steps_of_one_copy_and_all_are_drawn(window, prioritised):
    num_envs, num_steps, slots = 3, 2, 10
    replay = make_replay({"all": _example()}, slots * num_envs, num_envs, num_steps, window, prioritised)
    assert replay.capacity == slots * num_envs
    buffer = replay.init()
    for iteration in range(9):
        buffer = replay.add(buffer, _steps(iteration * num_steps, num_steps, num_envs))
        written = (iteration + 1) * num_steps
        oldest, newest = max(0, written - slots), written - window
        if newest < 0:
            continue
        drawn = replay.draw(jax.random.fold_in(KEY, iteration), buffer, (8, 64))
        found = replay.take(buffer, "all", drawn.indices[..., None], jnp.arange(window))
        begins, where = found["count"][..., 0, 0], found["count"][..., 0, 1]
        np.testing.assert_array_equal(found["count"][..., 0], begins[..., None] + jnp.arange(window))
        np.testing.assert_array_equal(found["count"][..., 1], jnp.broadcast_to(where[..., None], (8, 64, window)))
        np.testing.assert_array_equal(found["flag"], found["count"][..., 0] % 2 == 0)
        assert set(np.unique(begins)) == set(range(oldest, newest + 1))
        assert set(np.unique(where)) == set(range(num_envs))
        assert int(drawn.size) == (newest - oldest + 1) * num_envs
        np.testing.assert_allclose(drawn.probabilities, 1.0 / float(drawn.size), rtol=1e-5)


@pytest.mark.parametrize("size", [5, 33, 2000])
def test_sum_tree_finds_what_a_slow_loop_finds(size):
    rng = np.random.default_rng(size)
    values = rng.exponential(size=size).astype(np.float32) * (rng.random(size) < 0.7)
    tree = sum_tree.update(sum_tree.empty(size), jnp.arange(size), jnp.asarray(values))
    again = rng.choice(size, size // 2, replace=False)
    values[again] = rng.exponential(size=len(again))
    tree = sum_tree.update(tree, jnp.asarray(again), jnp.asarray(values[again]))
    np.testing.assert_allclose(sum_tree.total(tree), values.sum(dtype=np.float64), rtol=1e-5)
    ends = np.cumsum(values.astype(np.float64))
    mass = (np.arange(500) + 0.5) / 500 * ends[-1]
    found = np.asarray(sum_tree.find(tree, jnp.asarray(mass, jnp.float32)))
    expected = np.searchsorted(ends, mass, side="right")
    # Where a mass lies within rounding of an edge, the neighbour is as good.
    near = np.min(np.abs(mass[:, None] - ends), axis=1) < 1e-5 * ends[-1]
    assert np.all((found == expected) | near)
    assert np.all(values[found] > 0.0)
    edge = sum_tree.find(tree, jnp.asarray([0.0, sum_tree.total(tree), 2.0 * sum_tree.total(tree)]))
    assert np.all(values[np.asarray(edge)] > 0.0)


def test_draws_follow_priorities_and_new_steps_the_largest():
    num_envs, slots = 2, 20
    replay = make_replay({"all": _example()}, slots * num_envs, num_envs, 1, 1, True)
    buffer = replay.init()
    for step in range(slots - 1):
        buffer = replay.add(buffer, _steps(step, 1, num_envs))
    priorities = np.linspace(0.1, 1.9, (slots - 1) * num_envs).astype(np.float32)
    buffer = replay.prioritise(buffer, jnp.arange(len(priorities)), jnp.asarray(priorities))
    # Not cut to a whole number: 1.9 stays 1.9.
    buffer = replay.add(buffer, _steps(slots - 1, 1, num_envs))
    priorities = np.append(priorities, [1.9, 1.9])
    drawn = replay.draw(KEY, buffer, (4000, 1))
    counts = np.bincount(np.asarray(drawn.indices).ravel(), minlength=len(priorities))
    assert stats.chisquare(counts, priorities / priorities.sum() * counts.sum()).pvalue > 1e-3
    share = (priorities / priorities.sum())[np.asarray(drawn.indices)]
    np.testing.assert_allclose(drawn.probabilities, share, rtol=1e-5)
    # Within a minibatch draws are spread out: every tenth of the mass is met once.
    spread = replay.draw(KEY, buffer, (10,))
    ends = np.cumsum(priorities) / priorities.sum()
    tenth = np.arange(10) / 10
    assert np.all(ends[np.asarray(spread.indices)] >= tenth - 1e-5)
    assert np.all(np.append(0.0, ends)[np.asarray(spread.indices)] <= tenth + 0.1 + 1e-5)


def test_overwritten_windows_are_never_drawn():
    replay = make_replay({"all": _example()}, 8, 1, 2, 3, True)
    buffer = replay.init()
    for iteration in range(4):
        buffer = replay.add(buffer, _steps(iteration * 2, 2, 1))
    # What is about to be overwritten has by far the largest priority.
    buffer = replay.prioritise(buffer, jnp.arange(2), jnp.full(2, 1e6))
    buffer = replay.add(buffer, _steps(8, 2, 1))
    drawn = replay.draw(KEY, buffer, (500,))
    found = replay.take(buffer, "all", drawn.indices[..., None], jnp.arange(3))["count"][..., 0]
    np.testing.assert_array_equal(found - found[:, :1], jnp.broadcast_to(jnp.arange(3), found.shape))
    assert set(np.unique(found[:, 0])) <= set(range(2, 8))


def test_members_of_a_vmapped_buffer_are_as_if_alone():
    replay = make_replay({"all": _example()}, 24, 2, 3, 2, True)

    def run(key, priority):
        buffer = replay.init()
        for iteration in range(6):
            buffer = replay.add(buffer, _steps(iteration * 3, 3, 2))
            drawn = replay.draw(jax.random.fold_in(key, iteration), buffer, (4,))
            buffer = replay.prioritise(buffer, drawn.indices, priority * (1.0 + jnp.arange(4.0)))
        return buffer, drawn

    keys, priorities = jax.random.split(KEY, 3), jnp.asarray([0.5, 1.0, 3.0])
    together = jax.vmap(run)(keys, priorities)
    for member in range(3):
        alone = run(keys[member], priorities[member])
        for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            np.testing.assert_array_equal(one, other[member])


def test_a_buffer_that_holds_no_window_is_refused():
    with pytest.raises(ValueError, match="holds 4 of each of 2 copies, fewer than the 5"):
        make_replay({"all": _example()}, 8, 2, 2, 5)
