"""Distributions over grid-world levels: pure functions `key -> GridParams`, to vmap and to compile."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.grid import layouts
from jaxrl.environments.grid.dynamics import GridParams, draw_free_cells, passable
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["LEVELS", "LevelDistribution", "drawn_levels", "random_levels"]

_Layout = Callable[[PRNGKeyArray], tuple[Array, Array]]
_Properties = Callable[[PRNGKeyArray], dict[str, Array]]
_Range = tuple[int, int]
_ObjectTable = tuple[tuple[float, float, float], ...]


class LevelDistribution(NamedTuple):
    """A named distribution over levels of equal array shapes.

    Attributes:
        name: its key in `LEVELS`.
        sample: `key -> GridParams`.
        max_size: rows and columns of the largest level.
        num_objects: objects of the richest level.
        limit: `max_steps` of the longest level.
    """

    name: str
    sample: Callable[[PRNGKeyArray], GridParams]
    max_size: int
    num_objects: int
    limit: int


def random_levels(
    name: str, sizes: _Range, counts: _Range, steps: _Range, num_wall_draws: int = 0
) -> LevelDistribution:
    """Levels whose every property is random.

    Size and number of objects are uniform integers, `max_steps` a log-uniform integer; walls are
    uniform draws with replacement over the maximal grid. The first object's reward is U(0, 1), the
    others' U(−1, 1); termination is log-U(10⁻², 1), respawn log-U(10⁻³, 10⁻¹). Start and objects lie in
    distinct free cells, uniformly; an object that no free cell is left for is inactive. Walls may
    cut objects off.

    Source: the procedural families of GROOVE (Jackson et al., 2023, arXiv 2310.02782, appendix).

    Args:
        name: of the distribution.
        sizes: least and largest number of rows and columns.
        counts: least and largest number of active objects.
        steps: least and largest `max_steps`.
        num_wall_draws: draws of walls.

    Raises:
        ValueError: for an empty range or one that starts below 1, or where the walls could fill the smallest
            level or the objects never fit the largest.
    """
    for what, (low, high) in (("sizes", sizes), ("counts", counts), ("steps", steps)):
        if not 1 <= low <= high:
            raise ValueError(f"{what} must be (low, high) with 1 <= low <= high, got {(low, high)}")
    if num_wall_draws >= sizes[0] ** 2 or counts[1] >= sizes[1] ** 2:
        raise ValueError(f"{num_wall_draws} wall draws and {counts[1]} objects leave no free cell in levels of {sizes}")
    layout = partial(_random_layout, sizes, num_wall_draws)
    sample = partial(_sample, layout, partial(_random_properties, counts[1]), counts, steps)
    return LevelDistribution(name, sample, sizes[1], counts[1], steps[1])


def drawn_levels(name: str, drawing: tuple[str, ...], objects: int | _ObjectTable, steps: _Range) -> LevelDistribution:
    """Levels with fixed walls, and start and objects in random distinct free cells.

    Args:
        name: of the distribution.
        drawing: as many rows as columns; `X` is a wall.
        objects: (reward, termination, respawn) of each object, or the number of objects with
            random ones as in `random_levels`.
        steps: least and largest `max_steps`, a log-uniform integer.

    Raises:
        ValueError: for a drawing that is not square, or has too few free cells for start and objects.
    """
    if any(len(row) != len(drawing) for row in drawing):
        raise ValueError(
            f"a drawing needs as many columns as rows, got {len(drawing)} rows of {set(map(len, drawing))}"
        )
    count = objects if isinstance(objects, int) else len(objects)
    free = sum(cell != "X" for row in drawing for cell in row)
    if free <= count:
        raise ValueError(f"a start and {count} objects need {count + 1} free cells, the drawing has {free}")
    properties = partial(_random_properties if isinstance(objects, int) else _fixed_properties, objects)
    sample = partial(_sample, partial(_drawn_layout, drawing), properties, (count, count), steps)
    return LevelDistribution(name, sample, len(drawing), count, steps[1])


def _sample(layout: _Layout, properties: _Properties, counts: _Range, steps: _Range, key: PRNGKeyArray) -> GridParams:
    layout_key, place_key, numbers_key, properties_key = jax.random.split(key, 4)
    size, walls = layout(layout_key)
    cells, found = draw_free_cells(place_key, passable(size, walls), 1 + counts[1])
    count, length = jax.random.uniform(numbers_key, (2,))
    return GridParams(
        size=size,
        walls=walls,
        start=cells[0],
        objects=cells[1:],
        active=(jnp.arange(counts[1]) < _integer(count, counts)) & found[1:],
        **properties(properties_key),
        max_steps=_log_integer(length, steps),
    )


def _random_layout(
    sizes: _Range, num_wall_draws: int, key: PRNGKeyArray
) -> tuple[Int[Array, ""], Bool[Array, "row column"]]:
    uniform, cells = jax.random.uniform(key, (1 + num_wall_draws,)), sizes[1] ** 2
    walls = jnp.zeros(cells, bool).at[_integer(uniform[1:], (0, cells - 1))].set(True)
    return _integer(uniform[0], sizes), walls.reshape(sizes[1], sizes[1])


def _drawn_layout(drawing: tuple[str, ...], key: PRNGKeyArray) -> tuple[Int[Array, ""], Bool[Array, "row column"]]:
    return jnp.int32(len(drawing)), jnp.array([[cell == "X" for cell in row] for row in drawing])


def _random_properties(count: int, key: PRNGKeyArray) -> dict[str, Float[Array, "object"]]:
    reward, termination, respawn = jax.random.uniform(key, (3, count))
    first = jnp.arange(count) == 0
    return {
        "reward": jnp.where(first, reward, 2.0 * reward - 1.0),
        "termination": _log_real(termination, (1e-2, 1.0)),
        "respawn": _log_real(respawn, (1e-3, 1e-1)),
    }


def _fixed_properties(table: _ObjectTable, key: PRNGKeyArray) -> dict[str, Float[Array, "object"]]:
    return dict(zip(("reward", "termination", "respawn"), jnp.array(table, jnp.float32).T))


def _integer(uniform: Float[Array, "*n"], bounds: _Range) -> Int[Array, "*n"]:
    """Uniform on low .. high where `uniform` is on [0, 1)."""
    low, high = bounds
    return jnp.minimum(low + jnp.floor(uniform * (high - low + 1)).astype(jnp.int32), high)


def _log_real(uniform: Float[Array, "*n"], bounds: tuple[float, float]) -> Float[Array, "*n"]:
    """Log-uniform on [low, high) where `uniform` is uniform on [0, 1)."""
    low, high = bounds
    return jnp.clip(low * (high / low) ** uniform, low, high)


def _log_integer(uniform: Float[Array, ""], bounds: _Range) -> Int[Array, ""]:
    """⌊x⌋ with x log-uniform on [low, high + 1): every integer of the range can be drawn."""
    low, high = bounds
    return jnp.clip(_log_real(uniform, (float(low), high + 1.0)).astype(jnp.int32), low, high)


def _blank(size: int) -> tuple[str, ...]:
    return (" " * size,) * size


_MAZE_STEPS = (25, 50)

# Object tables and episode lengths of the five are those of Oh et al., 2020 (arXiv 2007.08794), with three
# harmful objects in `longer` instead of five, as GROOVE has them; all walls are our own.
LEVELS: dict[str, LevelDistribution] = {
    levels.name: levels
    for levels in (
        random_levels("tiny", (5, 5), (2, 2), (20, 50)),
        random_levels("small", (4, 6), (1, 3), (20, 100), num_wall_draws=7),
        random_levels("medium", (6, 8), (2, 4), (100, 250), num_wall_draws=10),
        random_levels("large", (8, 10), (2, 5), (250, 750), num_wall_draws=15),
        random_levels("all", (4, 10), (1, 5), (20, 750), num_wall_draws=15),
        drawn_levels(
            "dense",
            _blank(11),
            ((1.0, 0.0, 0.05), (1.0, 0.0, 0.05), (-1.0, 0.5, 0.1), (-1.0, 0.0, 0.5)),
            (500, 500),
        ),
        drawn_levels("sparse", _blank(13), ((1.0, 1.0, 0.0), (-1.0, 1.0, 0.0)), (50, 50)),
        drawn_levels("long", _blank(11), ((1.0, 0.0, 0.01),) * 2 + ((-1.0, 0.5, 1.0),) * 2, (1000, 1000)),
        drawn_levels("longer", layouts.ONE_WALL, ((1.0, 0.1, 0.01),) * 2 + ((-1.0, 0.8, 1.0),) * 3, (2000, 2000)),
        drawn_levels("long_dense", layouts.TWO_WALLS, ((1.0, 0.0, 0.005),) * 4, (2000, 2000)),
        drawn_levels("sixteen_rooms", layouts.SIXTEEN_ROOMS, 3, _MAZE_STEPS),
        drawn_levels("labyrinth", layouts.LABYRINTH, 3, _MAZE_STEPS),
        drawn_levels("standard_maze", layouts.carved_maze(13, seed=0), 3, _MAZE_STEPS),
        drawn_levels("small_corridor", layouts.SMALL_CORRIDOR, 3, _MAZE_STEPS),
    )
}
