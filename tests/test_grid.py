"""Grid-world dynamics against a slow independent implementation, and their rules one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environments import check
from jaxrl.environments.grid import LEVELS, GridParams, grid
from jaxrl.errors import UnknownNameError
from tests.grids import pick

pytestmark = pytest.mark.quick_compilation

NUM_STEPS = 233
UP, DOWN, LEFT, RIGHT, STAY = range(5)


def level(objects, reward, termination, respawn, start=(0, 0), size=4, max_size=4, walls=(), max_steps=50):
    """A level by hand; `walls` are cells."""
    blocked = np.zeros((max_size, max_size), bool)
    for cell in walls:
        blocked[cell] = True
    numbers = (jnp.asarray(values, jnp.float32) for values in (reward, termination, respawn))
    cells = jnp.asarray(objects, jnp.int32)
    active = jnp.ones(len(objects), bool)
    start = jnp.asarray(start, jnp.int32)
    return GridParams(jnp.int32(size), jnp.asarray(blocked), start, cells, active, *numbers, jnp.int32(max_steps))


def roll(environment, params, actions, seed=0, restart=True):
    """First observation, timesteps before any restart and states of one stream of episodes."""

    @jax.jit
    def run(key, params, actions):
        start, first = environment.reset(key, params)

        def body(state, inputs):
            action, key = inputs
            state, timestep = environment.step(key, state, action, params)
            done = restart & (timestep.terminated | timestep.truncated)
            return jax.tree.map(lambda first, last: jnp.where(done, first, last), start, state), (timestep, state)

        return first, *jax.lax.scan(body, start, (actions, jax.random.split(key, len(actions))))[1]

    return run(jax.random.key(seed), params, jnp.asarray(actions, jnp.int32))


class SlowGrid:
    """One episode at a time with sets of names; chances must be 0 or 1."""

    def __init__(self, params, limit):
        self.level, self.limit = params, limit
        self.walls = {tuple(cell) for cell in np.argwhere(params.walls)}
        self.cells = {i: tuple(params.objects[i]) for i in np.flatnonzero(params.active)}
        self.reset()

    def reset(self):
        self.agent, self.present, self.time = tuple(self.level.start), set(self.cells), 0
        return self.observe()

    def observe(self):
        width = len(self.level.walls)
        return self.agent[0] * width + self.agent[1] + width * width * sum(2**i for i in self.present)

    def step(self, action):
        row, column = self.agent
        neighbours = {UP: (row - 1, column), DOWN: (row + 1, column), LEFT: (row, column - 1), RIGHT: (row, column + 1)}
        target = neighbours.get(action, self.agent)
        if all(0 <= entry < self.level.size for entry in target) and target not in self.walls:
            self.agent = target
        found = {i for i in self.present if self.cells[i] == self.agent}
        returning = {i for i in set(self.cells) - self.present if self.level.respawn[i] == 1.0}
        self.present = (self.present - found) | returning
        self.time += 1
        ended = any(self.level.termination[i] == 1.0 for i in found)
        cut = not ended and self.time >= min(self.level.max_steps, self.limit)
        row = self.observe(), sum(float(self.level.reward[i]) for i in found), ended, cut
        if ended or cut:
            self.reset()
        return row


@pytest.mark.parametrize("name", ["small", "sixteen_rooms"])
def test_every_step_equals_a_slow_implementation_when_chance_is_certain(name):
    num_levels = 7
    environment = grid(name, limit=31)
    generator = np.random.default_rng(3)
    levels = jax.jit(jax.vmap(LEVELS[name].sample))(jax.random.split(jax.random.key(1), num_levels))
    shape = levels.reward.shape
    levels = levels._replace(
        termination=jnp.asarray(generator.random(shape) < 0.3, jnp.float32),
        respawn=jnp.asarray(generator.random(shape) < 0.5, jnp.float32),
    )
    actions = generator.integers(5, size=(num_levels, NUM_STEPS))
    first, timesteps, _ = jax.jit(jax.vmap(lambda params, actions: roll(environment, params, actions)))(levels, actions)
    ends, cuts, rewards = 0, 0, 0
    for index in range(num_levels):
        slow = SlowGrid(pick(levels, index), 31)
        assert first[index] == slow.reset()
        rows = [slow.step(action) for action in actions[index]]
        observation, reward, terminated, truncated = (np.array(column) for column in zip(*rows))
        np.testing.assert_array_equal(timesteps.terminated[index], terminated)
        np.testing.assert_array_equal(timesteps.truncated[index], truncated)
        np.testing.assert_array_equal(timesteps.observation[index], observation)
        np.testing.assert_allclose(timesteps.reward[index, :, 0], reward, atol=1e-6)
        ends, cuts, rewards = ends + terminated.sum(), cuts + truncated.sum(), rewards + (reward != 0).sum()
    assert cuts > 10
    assert rewards > 20 and ends > 5 if name == "small" else rewards > 0


def test_an_object_reappears_after_its_collection_and_is_collected_a_step_later():
    params = level([[0, 1]], [2.0], [0.0], [1.0])
    _, timesteps, states = roll(grid("tiny"), params, [RIGHT, STAY, STAY, STAY, LEFT, STAY, RIGHT])
    assert timesteps.reward[:, 0].tolist() == [2.0, 0.0, 2.0, 0.0, 0.0, 0.0, 2.0]
    assert states.exists[:, 0].tolist() == [False, True, False, True, True, True, False]


def test_objects_in_one_cell_add_their_rewards_and_their_chances_of_the_end():
    params = level([[0, 1], [0, 1]], [1.0, -0.25], [0.6, 0.6], [0.0, 0.0])
    environment = grid("tiny")
    _, timesteps, _ = jax.vmap(lambda seed: roll(environment, params, [RIGHT], seed))(jnp.arange(41))
    assert (timesteps.reward == 0.75).all() and timesteps.terminated.all()


def test_walls_and_borders_of_a_smaller_level_stop_the_agent():
    params = level([[2, 2]], [1.0], [0.0], [0.0], start=(1, 1), size=3, max_size=5, walls=[(0, 1), (1, 0)])
    actions = [UP, LEFT, STAY, RIGHT, RIGHT, UP, UP, LEFT, DOWN, DOWN, DOWN]
    _, timesteps, _ = roll(grid("tiny"), params, actions)
    cells = [divmod(int(observation) % 25, 5) for observation in timesteps.observation]
    assert cells == [(1, 1)] * 3 + [(1, 2), (1, 2), (0, 2), (0, 2), (0, 2), (1, 2), (2, 2), (2, 2)]
    assert timesteps.reward[:, 0].tolist() == [0.0] * 9 + [1.0, 0.0]
    assert timesteps.observation[8] >= 25 > timesteps.observation[9]


def test_the_end_of_the_task_is_no_truncation_and_the_limit_bounds_every_level():
    params = level([[0, 1]], [1.0], [1.0], [0.0], max_steps=3)
    _, timesteps, _ = roll(grid("tiny"), params, [STAY, STAY, RIGHT], restart=False)
    assert timesteps.terminated.tolist() == [False, False, True] and not timesteps.truncated.any()
    for limit, end in ((2, 2), (50, 3)):
        _, timesteps, _ = roll(grid("tiny", limit=limit), params, [STAY] * 3)
        assert np.flatnonzero(timesteps.truncated)[0] + 1 == end
    assert grid("tiny", limit=2).spec.time_limit == 2 and grid("tiny").spec.time_limit == 50


def test_chances_have_their_frequencies_and_are_independent():
    environment = grid("tiny")
    params = level([[0, 1], [3, 3], [3, 2]], [1.0, 0.0, 0.0], [0.3, 1.0, 1.0], [1.0, 0.2, 0.6])
    state, _ = environment.reset(jax.random.key(0), params)
    state = state._replace(exists=jnp.array([True, False, False]))
    step = jax.jit(jax.vmap(lambda key: environment.step(key, state, jnp.int32(RIGHT), params)))
    after, timestep = step(jax.random.split(jax.random.key(1), 20011))
    happened = np.stack([timestep.terminated, *after.exists.T[1:]]).astype(float)
    np.testing.assert_allclose(happened.mean(axis=1), [0.3, 0.2, 0.6], atol=0.015)
    assert np.abs(np.corrcoef(happened) - np.eye(3)).max() < 0.03
    assert not after.exists[:, 0].any()


def test_planes_show_what_the_index_says():
    params = jax.jit(LEVELS["small"].sample)(jax.random.key(5))
    actions = np.random.default_rng(0).integers(5, size=NUM_STEPS)
    _, indices, _ = roll(grid("small"), params, actions)
    first, timesteps, _ = roll(grid("small", "planes"), params, actions)
    planes = np.asarray(timesteps.observation)
    assert first.shape == planes.shape[1:] == (6, 6, 5)
    cells, bits = np.asarray(indices.observation) % 36, np.asarray(indices.observation) // 36
    np.testing.assert_array_equal(planes[..., 0].reshape(-1, 36).argmax(axis=1), cells)
    np.testing.assert_array_equal(planes[..., 0].sum(axis=(1, 2)), 1.0)
    for index, (row, column) in enumerate(np.asarray(params.objects)):
        expected = np.zeros((NUM_STEPS, 6, 6))
        expected[:, row, column] = (bits >> index) & 1
        np.testing.assert_array_equal(planes[..., 2 + index], expected)
    blocked = np.ones((6, 6))
    blocked[: params.size, : params.size] = params.walls[: params.size, : params.size]
    np.testing.assert_array_equal(planes[..., 1], np.broadcast_to(blocked, planes.shape[:-1]))
    np.testing.assert_array_equal(indices.reward, timesteps.reward)


def test_relocated_objects_lie_in_free_cells_and_move_only_while_absent():
    environment = grid("small", "planes", relocate=True)
    params = (
        LEVELS["small"]
        .sample(jax.random.key(2))
        ._replace(
            active=jnp.ones(3, bool), respawn=jnp.full(3, 0.3), termination=jnp.zeros(3), max_steps=jnp.int32(100)
        )
    )
    keys = jax.random.split(jax.random.key(4), 41)
    starts = jax.jit(jax.vmap(environment.reset, (0, None)))(keys, params)[0]
    cells = np.asarray(starts.objects @ jnp.array([6, 1]))
    free = np.flatnonzero(~np.asarray(params.walls)[: params.size, : params.size].ravel())
    assert starts.exists.all() and len(np.unique(cells)) > len(free) // 2
    actions = np.random.default_rng(0).integers(5, size=733)
    _, timesteps, states = roll(environment, params, actions, restart=False)
    blocked = np.asarray(timesteps.observation[..., 1])
    exists, objects, position = (np.asarray(leaf) for leaf in (states.exists, states.objects, states.position))
    reappeared = 0
    for t in range(1, len(actions)):
        present = [tuple(cell) for cell in objects[t][exists[t]]]
        assert len(set(present)) == len(present)
        assert not any(blocked[t][cell] for cell in present)
        for index in range(3):
            if exists[t - 1, index] or not exists[t, index]:
                np.testing.assert_array_equal(objects[t, index], objects[t - 1, index])
            else:
                reappeared += 1
                assert tuple(objects[t, index]) != tuple(position[t])
    assert reappeared > 5 and (timesteps.reward != 0).sum() > 5


def test_a_full_level_leaves_objects_without_a_free_cell_absent():
    walls = [(row, column) for row in range(4) for column in range(4) if (row, column) not in ((0, 0), (0, 1))]
    params = level([[0, 1], [0, 1]], [1.0, 1.0], [0.0, 0.0], [1.0, 1.0], walls=walls)
    environment = grid("tiny", "planes", relocate=True)
    state, _ = environment.reset(jax.random.key(0), params)
    assert state.exists.tolist() == [True, False] and state.objects[0].tolist() == [0, 1]
    _, timesteps, states = roll(environment, params, [STAY, RIGHT, STAY, LEFT, LEFT])
    assert states.exists.sum(axis=1).tolist() == [1, 0, 1, 0, 1]
    assert timesteps.reward[:, 0].tolist() == [0.0, 1.0, 0.0, 1.0, 0.0]


def test_levels_side_by_side_equal_one_by_one():
    environment = grid("medium")
    levels = jax.jit(jax.vmap(environment.sample_params))(jax.random.split(jax.random.key(8), 3))
    actions = np.random.default_rng(1).integers(5, size=NUM_STEPS)
    together = jax.vmap(lambda params: roll(environment, params, actions))(levels)
    for index in range(3):
        alone = roll(environment, pick(levels, index), actions)
        jax.tree.map(np.testing.assert_array_equal, pick(together, index), pick(alone, ...))


QUICK = jaxrl.list_environments("grid")[::4]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in jaxrl.list_environments("grid")],
)
def test_every_id_keeps_the_contract(name):
    environment = jaxrl.make(name)
    check(environment)
    assert environment.spec.name == name and environment.spec.num_objectives == 1


@pytest.mark.parametrize("relocate", [False, True])
def test_planes_keep_the_contract(relocate):
    environment = jaxrl.make("grid/small", observation="planes", relocate=relocate, limit=37)
    check(environment)
    assert environment.spec.observation.shape == (6, 6, 5) and environment.spec.time_limit == 37


def test_bad_options_are_named():
    with pytest.raises(UnknownNameError, match="Did you mean 'small_corridor'"):
        grid("small_corridors")
    with pytest.raises(UnknownNameError, match="grid observation 'plane'"):
        grid("tiny", "plane")
    with pytest.raises(ValueError, match="got observation='index'"):
        grid("tiny", relocate=True)
    with pytest.raises(ValueError, match="got 0"):
        grid("tiny", limit=0)
