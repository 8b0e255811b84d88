"""Collecting shapes in a maze: exact planning over subsets of shapes instead of over all states."""

from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.multi_objective.four_room import FourRoomParams
from jaxrl.environments.multi_objective.fronts.value_sets import FrontTooLargeError, capacities, union
from jaxrl.types import Array, Bool, Float, Int

__all__ = ["CollectingModel", "collecting_front", "tabulate_maze"]

_MOVES = ((0, -1), (-1, 0), (0, 1), (1, 0))
# Longer than any path, so that γ to its power is never used.
_UNREACHABLE = 2**15


class CollectingModel(NamedTuple):
    """Steps between the places that matter, places being the start and then every shape.

    Attributes:
        steps: of a shortest path from a place to each shape and last to the goal, which no path
            crosses; `_UNREACHABLE` where there is none.
        rewards: of each shape and last of the goal.
    """

    steps: Int[np.ndarray, "place target"]
    rewards: Float[np.ndarray, "target objective"]


def tabulate_maze(params: FourRoomParams) -> CollectingModel:
    """Shortest paths by breadth-first search.

    Raises:
        ValueError: for negative rewards: then passing over a shape could be worth avoiding, and a
            shortest path would not be best.
    """
    rewards = np.concatenate([params.rewards, params.goal_reward[None]]).astype(np.float64)
    if np.any(rewards < 0.0):
        raise ValueError(f"planning over subsets needs rewards of at least 0, got {rewards.min()}")
    targets = [tuple(cell) for cell in np.concatenate([params.shapes, params.goal[None]]).tolist()]
    places = [tuple(np.asarray(params.start).tolist()), *targets[:-1]]
    steps = [[distances.get(target, _UNREACHABLE) for target in targets] for distances in map(_search(params), places)]
    return CollectingModel(np.array(steps, np.int32), rewards)


def _search(params: FourRoomParams) -> Callable[[tuple[int, int]], dict[tuple[int, int], int]]:
    walls, goal = np.asarray(params.walls), tuple(np.asarray(params.goal).tolist())

    def distances(source: tuple[int, int]) -> dict[tuple[int, int], int]:
        found, queue = {source: 0}, deque([source])
        while queue:
            row, column = queue.popleft()
            if (row, column) == goal:
                continue
            for down, right in _MOVES:
                cell = (row + down, column + right)
                inside = 0 <= cell[0] < walls.shape[0] and 0 <= cell[1] < walls.shape[1]
                if inside and not walls[cell] and cell not in found:
                    found[cell] = found[row, column] + 1
                    queue.append(cell)
        return found

    return distances


def collecting_front(model: CollectingModel, discount: float, horizon: int, capacity: int = 1024) -> np.ndarray:
    """The Pareto front from the start.

    V(S, i) = ND of 0, γ^(d(i, goal) − 1) r_goal, and over the shapes j left in S:
              γ^(d(i, j) − 1) (rⱼ + γ V(S \\ {j}, j))

    over the sets S of shapes left and the places i, one size of S after another. Exact, since rewards
    are not negative: collecting a shape that lies on the way is never worse than passing it, and a
    path between two collections is best when shortest. The time limit is no part of the
    recursion: every plan is checked against it, and where all keep to it, it changes nothing.

    Args:
        model: see `tabulate_maze`.
        discount: γ in [0, 1].
        horizon: the time limit.
        capacity: see `pareto_set`.

    Returns:
        `[point, objective]`, float64, sorted by the first objective.

    Raises:
        FrontTooLargeError: if a set outgrew the capacity.
        ValueError: if a plan on the front takes longer than the horizon.
    """
    num_shapes, num_objectives = model.steps.shape[1] - 1, model.rewards.shape[1]
    points, mask, rows = np.zeros((1, 1, num_objectives + 1)), np.zeros((1, 1), bool), {}
    largest = 4
    for left in range(num_shapes + 1):
        layer, rows = _layer(model, discount, left, rows)
        for size in capacities(_power_of_two(2 * int(largest)), capacity):
            with jax.enable_x64(True):
                points_here, mask_here, largest = jax.device_get(_fill(size, points, mask, layer))
            if largest <= size:
                break
        else:
            raise FrontTooLargeError(
                f"at least {largest} non-dominated returns with {left} shapes left at discount {discount}: more than "
                f"the capacity of {capacity}"
            )
        # Sets are compact: the columns beyond the longest are empty.
        width = mask_here.sum(axis=1).max()
        points, mask = points_here[:, :width], mask_here[:, :width]
    front = points[0][mask[0]]
    if -front[:, -1].min() > horizon:
        raise ValueError(f"a plan on the front takes {-front[:, -1].min():.0f} steps, the time limit is {horizon}")
    return np.unique(front[:, :-1], axis=0)


class _Layer(NamedTuple):
    """What can be done in each (S, i) with a given number of shapes left.

    Attributes:
        gains: γ^(d − 1) r of each option, and last minus its steps.
        factors: what the following value is multiplied with, γ^d, and 1 for the steps; 0 for an
            option after which nothing follows.
        successors: row of (S \\ {j}, j) in the layer before.
    """

    gains: Float[np.ndarray, "state option entry"]
    factors: Float[np.ndarray, "state option entry"]
    successors: Int[np.ndarray, "state option"]


def _layer(
    model: CollectingModel, discount: float, left: int, before: dict[tuple[frozenset[int], int], int]
) -> tuple[_Layer, dict[tuple[frozenset[int], int], int]]:
    """The options of every (S, i) with |S| = `left`, and their numbers; only the start has all left."""
    num_shapes, num_objectives = model.steps.shape[1] - 1, model.rewards.shape[1]
    states = [
        (frozenset(subset), place)
        for subset in combinations(range(num_shapes), left)
        for place in ([0] if left == num_shapes else [j + 1 for j in range(num_shapes) if j not in subset])
    ]
    shape = (len(states), left + 2)
    gains, factors = np.zeros((*shape, num_objectives + 1)), np.zeros((*shape, num_objectives + 1))
    successors = np.zeros(shape, np.int32)
    for row, (subset, place) in enumerate(states):
        for option, target in enumerate([*sorted(subset), num_shapes]):
            steps = model.steps[place, target]
            if steps < _UNREACHABLE:
                gains[row, option] = np.append(discount ** (steps - 1.0) * model.rewards[target], -steps)
                if target < num_shapes:
                    factors[row, option] = np.append(np.full(num_objectives, discount**steps), 1.0)
                    successors[row, option] = before[subset - {target}, target + 1]
    return _Layer(gains, factors, successors), {state: row for row, state in enumerate(states)}


def _power_of_two(size: int) -> int:
    return 1 << (size - 1).bit_length()


@partial(jax.jit, static_argnums=0)
def _fill(
    capacity: int,
    points: Float[Array | np.ndarray, "before width entry"],
    mask: Bool[Array | np.ndarray, "before width"],
    layer: _Layer,
) -> tuple[Array, Array, Array]:
    """The sets of a layer from those of the layer before, their masks, and the largest size met."""
    num_options, num_entries = layer.gains.shape[1:]
    padding = capacity - points.shape[1]
    points = jnp.pad(points, ((0, 0), (0, padding), (0, 0)))
    mask = jnp.pad(mask, ((0, 0), (0, padding)))

    def fill(row: _Layer) -> tuple[Array, Array, Array]:
        def add(option: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            kept, kept_mask, size = carry
            ends = row.factors[option, -1] == 0.0
            there = jnp.where(ends, jnp.arange(capacity) == 0, mask[row.successors[option]])
            shifted = row.gains[option] + row.factors[option] * points[row.successors[option]]
            kept, kept_mask, count = union(kept, kept_mask, shifted, there, num_entries - 1)
            return kept, kept_mask, jnp.maximum(size, count)

        empty = jnp.zeros((capacity, num_entries)), jnp.zeros(capacity, bool), jnp.array(0)
        return jax.lax.fori_loop(0, num_options, add, empty)

    filled, kept, sizes = jax.lax.map(fill, jax.tree.map(jnp.asarray, layer))
    return filled, kept, jnp.max(sizes)
