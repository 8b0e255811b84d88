"""Level distributions: no two things share a cell, and every property has its range and its distribution."""

from functools import lru_cache

import jax
import numpy as np
import pytest

from jaxrl.environments.grid import LEVELS, drawn_levels, layouts, random_levels
from tests.grids import pick

pytestmark = pytest.mark.quick_compilation

NUM_LEVELS = 2003
RANDOM = {
    "tiny": ((5, 5), (2, 2), (20, 50), 0),
    "small": ((4, 6), (1, 3), (20, 100), 7),
    "medium": ((6, 8), (2, 4), (100, 250), 10),
    "large": ((8, 10), (2, 5), (250, 750), 15),
    "all": ((4, 10), (1, 5), (20, 750), 15),
}
MAZES = ("sixteen_rooms", "labyrinth", "standard_maze", "small_corridor")
TABLES = {
    "dense": (11, 500, [(1, 0, 0.05), (1, 0, 0.05), (-1, 0.5, 0.1), (-1, 0, 0.5)]),
    "sparse": (13, 50, [(1, 1, 0), (-1, 1, 0)]),
    "long": (11, 1000, [(1, 0, 0.01)] * 2 + [(-1, 0.5, 1)] * 2),
    "longer": (9, 2000, [(1, 0.1, 0.01)] * 2 + [(-1, 0.8, 1)] * 3),
    "long_dense": (11, 2000, [(1, 0, 0.005)] * 4),
}


@lru_cache
def draw(name):
    sample = jax.jit(jax.vmap(LEVELS[name].sample))
    return pick(sample(jax.random.split(jax.random.key(0), NUM_LEVELS)), ...)


def reachable(free, start):
    """Cells connected to `start`."""
    seen, frontier = {start}, [start]
    while frontier:
        row, column = frontier.pop()
        for cell in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = all(0 <= entry < len(free) for entry in cell)
            if inside and free[cell] and cell not in seen:
                seen.add(cell)
                frontier.append(cell)
    return seen


def test_every_distribution_is_known_here():
    assert set(LEVELS) == {*RANDOM, *TABLES, *MAZES}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if i % 3 else ()) for i, name in enumerate(LEVELS)]
)
def test_start_walls_and_objects_share_no_cell(name):
    distribution, levels = LEVELS[name], draw(name)
    size, count = distribution.max_size, distribution.num_objects
    assert levels.walls.shape == (NUM_LEVELS, size, size) and levels.objects.shape == (NUM_LEVELS, count, 2)
    for index in range(0, NUM_LEVELS, 10):
        active = levels.active[index]
        cells = [tuple(levels.start[index]), *map(tuple, levels.objects[index][active])]
        assert len(set(cells)) == len(cells) == 1 + active.sum()
        assert all(0 <= entry < levels.size[index] for cell in cells for entry in cell)
        assert not any(levels.walls[index][cell] for cell in cells)
    assert levels.max_steps.max() <= distribution.limit
    assert (levels.max_steps >= 1).all()
    for chance in (levels.termination, levels.respawn):
        assert chance.min() >= 0.0 and chance.max() <= 1.0
    # Of a hundred cells in `all`, the outer ones are part of few levels.
    expected = size**2 if name in RANDOM else (~levels.walls[0]).sum()
    assert len(np.unique(levels.start, axis=0)) >= expected - 5 * (name == "all")


@pytest.mark.parametrize("name", RANDOM)
def test_random_properties_fill_their_ranges(name):
    sizes, counts, steps, num_wall_draws = RANDOM[name]
    levels = draw(name)
    assert set(levels.size.tolist()) == set(range(sizes[0], sizes[1] + 1))
    active = levels.active.sum(axis=1)
    assert set(active.tolist()) == set(range(counts[0], counts[1] + 1))
    # The objects of a level are the first ones.
    assert (np.diff(levels.active.astype(int), axis=1) <= 0).all()
    num_walls = levels.walls.sum(axis=(1, 2))
    cells = sizes[1] ** 2
    expected_walls = cells * (1 - (1 - 1 / cells) ** num_wall_draws)
    assert num_walls.max() <= num_wall_draws
    np.testing.assert_allclose(num_walls.mean(), expected_walls, atol=0.1)
    assert levels.max_steps.min() >= steps[0] and levels.max_steps.max() <= steps[1]
    np.testing.assert_allclose(np.median(levels.max_steps), np.sqrt(steps[0] * (steps[1] + 1)), rtol=0.08)
    np.testing.assert_allclose(np.median(levels.termination), np.sqrt(1e-2), rtol=0.15)
    np.testing.assert_allclose(np.median(levels.respawn), np.sqrt(1e-4), rtol=0.15)
    assert levels.termination.min() >= 1e-2 * (1 - 1e-6) and levels.respawn.max() <= 0.1 * (1 + 1e-6)
    assert levels.reward[:, 0].min() >= 0.0
    np.testing.assert_allclose(levels.reward[:, 0].mean(), 0.5, atol=0.03)
    if counts[1] > 1:
        np.testing.assert_allclose(levels.reward[:, 1:].mean(), 0.0, atol=0.05)
        assert levels.reward[:, 1:].min() < -0.99


def test_positions_are_uniform_over_free_cells():
    levels = draw("tiny")
    for cells in (levels.start, levels.objects[:, 0], levels.objects[:, 1]):
        frequencies = np.bincount(cells @ np.array([5, 1]), minlength=25) / NUM_LEVELS
        np.testing.assert_allclose(frequencies, 1 / 25, atol=4 * np.sqrt(1 / 25 / NUM_LEVELS))


@pytest.mark.parametrize("name", TABLES)
def test_hand_made_levels_have_their_objects(name):
    size, max_steps, table = TABLES[name]
    levels = draw(name)
    assert (levels.size == size).all() and (levels.max_steps == max_steps).all() and levels.active.all()
    for column, values in enumerate((levels.reward, levels.termination, levels.respawn)):
        np.testing.assert_allclose(values, np.broadcast_to([row[column] for row in table], values.shape))
    assert len(np.unique(levels.objects.reshape(NUM_LEVELS, -1), axis=0)) > NUM_LEVELS // 2


@pytest.mark.parametrize("name", [*TABLES, *MAZES])
def test_fixed_walls_leave_every_free_cell_connected(name):
    levels = draw(name)
    assert (levels.walls == levels.walls[0]).all()
    free = ~levels.walls[0]
    assert len(reachable(free, tuple(levels.start[0]))) == free.sum()
    if name in MAZES:
        assert free.shape == (13, 13) and levels.walls[0].any()
        assert levels.max_steps.min() == 25 and levels.max_steps.max() == 50 and levels.active.all()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_carved_maze_has_exactly_one_way_between_two_cells(seed):
    drawing = layouts.carved_maze(9, seed)
    free = np.array([[cell != "X" for cell in row] for row in drawing])
    edges = (free[1:] & free[:-1]).sum() + (free[:, 1:] & free[:, :-1]).sum()
    assert len(reachable(free, (0, 0))) == free.sum() == edges + 1 == 2 * 25 - 1
    assert drawing != layouts.carved_maze(9, seed + 2)


def test_rooms_have_one_door_to_each_neighbour():
    rows = layouts.SIXTEEN_ROOMS
    bands = [range(0, 3), range(4, 6), range(7, 9), range(10, 13)]
    for line in (3, 6, 9):
        assert all(rows[line][other] == "X" for other in (3, 6, 9))
        for band in bands:
            assert sum(rows[line][cell] == " " for cell in band) == 1
            assert sum(rows[cell][line] == " " for cell in band) == 1


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match=r"sizes must be .* got \(5, 4\)"):
        random_levels("mine", (5, 4), (1, 2), (10, 20))
    with pytest.raises(ValueError, match=r"counts must be .* got \(0, 2\)"):
        random_levels("mine", (4, 4), (0, 2), (10, 20))
    for counts, num_wall_draws in (((1, 2), 16), ((1, 16), 0)):
        with pytest.raises(ValueError, match="leave no free cell"):
            random_levels("mine", (4, 4), counts, (10, 20), num_wall_draws)
    with pytest.raises(ValueError, match="4 free cells, the drawing has 3"):
        drawn_levels("mine", ("  ", "X "), 3, (5, 5))
    with pytest.raises(ValueError, match="2 rows of"):
        drawn_levels("mine", ("   ", " X "), 1, (5, 5))
    with pytest.raises(ValueError, match="got 8"):
        layouts.carved_maze(8, 0)
