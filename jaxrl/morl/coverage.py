"""Which points of a set some linear preference strictly prefers: its convex coverage set, in compiled code."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.numerics.dominance import Mask, Points, as_set, non_dominated
from jaxrl.numerics.one_program import one_program
from jaxrl.types import Array, Bool, Float, Int

__all__ = ["convex_coverage"]

# Linear programs solved side by side, and rivals priced at a time.
_BLOCK = 256
# Exchanges before ties are broken by index, which rules out cycles, and before a program is given up.
_GREEDY_EXCHANGES = 20
_EXCHANGES_PER_OBJECTIVE = 20
# What counts as zero for numbers of unit size that were computed in float32.
_ROUNDING = 5e-7
_SMALLEST_PIVOT = 1e-5


@one_program()
def convex_coverage(
    points: Points, mask: Mask | None = None, tolerance: float | Float[Array, ""] = 1e-6
) -> Bool[Array, " batch"]:
    """Which points some weights on the simplex strictly prefer to all others: {p : ∃w ∀q ≠ p: w·p > w·q}.

    Source: Roijers et al., 2013. Objectives are scaled to the unit range of the non-dominated points. A point stays
    if max_w min_q w·(p − q) / ‖p − q‖_∞ > `tolerance`, which asks by what angle it stands out and so judges dense
    fronts as it judges sparse ones; a point on the segment between two others does not stand out.

    Two objectives: the upper hull, O(n log n). More: a linear program for each of the f non-dominated points, solved
    by exchanging active constraints (the simplex method on its dual); what is kept has been checked with the
    weights found. O(f² d) time per exchange, of which a program needs a few per objective, and O(n d) memory.

    Of equal points the first is judged; points with NaN or infinite entries are never kept.

    Args:
        points: return vectors; dominated points and duplicates may be among them.
        mask: which points count; default all.
        tolerance: what counts as a tie; below about 1e-6 float32 arithmetic decides.

    Raises:
        ValueError: if shapes do not fit.
    """
    points, mask = as_set(points, mask)
    mask = non_dominated(points, mask & jnp.all(jnp.isfinite(points), axis=-1))
    num_points, num_objectives = points.shape
    if num_points == 0 or num_objectives == 1:
        return mask
    inside = mask[:, None]
    low = jnp.min(points, axis=0, where=inside, initial=jnp.inf)
    spread = jnp.max(points, axis=0, where=inside, initial=-jnp.inf) - low
    # Offsets go first, so that scaling rounds small differences no more than they already are.
    scaled = jnp.where(inside, (points - low) / jnp.where(spread > 0.0, spread, 1.0), 0.0)
    order = jnp.argsort(jnp.where(mask, scaled[:, 0], jnp.inf))
    prefers = _on_hull if num_objectives == 2 else _preferred
    return jnp.zeros_like(mask).at[order].set(prefers(scaled[order], jnp.sum(mask), tolerance))


def _on_hull(front: Array, count: Array, tolerance: Array | float) -> Bool[Array, " batch"]:
    """Which of the first `count` points, in rising order of the first objective, are vertices (Andrew, 1979)."""

    def between(left: Array, middle: Array, right: Array) -> tuple[Array, Array]:
        return front[middle] - front[left], front[middle] - front[right]

    def advance(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        hull, size, index = carry
        to_left, to_right = between(hull[size - 2], hull[size - 1], index)
        drop = (size >= 2) & (to_left[0] * to_right[1] <= to_left[1] * to_right[0])
        place = jnp.where(drop, size - 1, size)
        # Dropping writes nothing that is read: the slot is beyond the end.
        hull = hull.at[place].set(jnp.where(drop, hull[place], index))
        return hull, jnp.where(drop, place, size + 1), jnp.where(drop, index, index + 1)

    rank = jnp.arange(front.shape[0], dtype=jnp.int32)
    start = (jnp.zeros_like(rank), jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))
    hull, size, _ = jax.lax.while_loop(lambda carry: carry[2] < count, advance, start)
    left, right = (_normalised(side) for side in between(hull[rank - 1], hull, jnp.roll(hull, -1)))
    # The best weights are those for which both neighbours are equally far behind; an end has one neighbour, and
    # stands out by the objective in which it is best.
    margin = (left[:, 0] * right[:, 1] - left[:, 1] * right[:, 0]) / jnp.sum(jnp.abs(left) + jnp.abs(right), axis=-1)
    margin = jnp.where(rank == 0, right[:, 1], jnp.where(rank == size - 1, left[:, 0], margin))
    vertex = (rank < size) & ((size == 1) | (margin > tolerance))
    return jnp.zeros(len(rank), bool).at[hull].max(vertex)


def _normalised(gaps: Array) -> Array:
    """Each gap divided by its largest entry in size; zeros stay."""
    size = jnp.max(jnp.abs(gaps), axis=-1, keepdims=True)
    return gaps / jnp.where(size > 0.0, size, 1.0)


def _preferred(front: Array, count: Array, tolerance: Array | float) -> Bool[Array, " batch"]:
    """Which of the first `count` points have a margin, by one linear program each, in blocks."""
    num_points, num_objectives = front.shape
    block = min(num_points, _BLOCK)
    num_blocks = -(-num_points // block)
    front = jnp.zeros((num_blocks * block, num_objectives), front.dtype).at[:num_points].set(front)

    def solve(index: Array, found: Array) -> Array:
        own = index * block + jnp.arange(block, dtype=jnp.int32)
        has_margin = jax.vmap(_has_margin, in_axes=(0, None, None, None, None))
        return jax.lax.dynamic_update_slice(found, has_margin(own, front, count, block, tolerance), (index * block,))

    found = jax.lax.fori_loop(0, (count + block - 1) // block, solve, jnp.zeros(num_blocks * block, bool))
    return found[:num_points]


class _Program(NamedTuple):
    """The state of max_w min_q w·gap(q): as many constraints hold with equality as there are objectives.

    Attributes:
        active: indices of rivals, or n + i for the constraint wᵢ ≥ 0.
        inverse: of the matrix with a column for v and one for each active constraint.
        num_exchanges: of active constraints so far.
        done: whether the sign of the optimum is known.
        preferred: whether weights with a margin above the tolerance were found.
    """

    active: Int[Array, " objective"]
    inverse: Float[Array, "row row"]
    num_exchanges: Int[Array, ""]
    done: Bool[Array, ""]
    preferred: Bool[Array, ""]


def _has_margin(own: Array, front: Array, count: Array, block: int, tolerance: Array | float) -> Bool[Array, ""]:
    """Whether max_w min_q w·gap(q) > tolerance, for point number `own` and weights on the simplex.

    The dual, a mixture λ of rivals that reaches the point in every objective up to v, bounds the margin from above:
    the search ends as soon as either side decides.
    """
    num_points, num_objectives = front.shape
    objectives = jnp.arange(num_objectives)
    even = jnp.full(num_objectives, 1.0 / num_objectives, front.dtype)
    strongest = _price(even, own, front, count, block)[1]
    # At the corner where the strongest rival for even weights is beaten by the most, or loses by the least.
    gap = _normalised(front[own] - front[strongest])
    favourite = objectives == jnp.argmax(gap)
    unit = jnp.eye(num_objectives, dtype=front.dtype)
    value_row = jnp.append(-favourite.astype(front.dtype), jnp.max(gap))
    sign_rows = jnp.column_stack([unit - favourite, jnp.max(gap) - gap])
    mixture_row = jnp.zeros_like(value_row).at[-1].set(1.0)
    start = _Program(
        active=jnp.where(favourite, strongest, num_points + objectives).astype(jnp.int32),
        inverse=jnp.vstack([value_row, jnp.where(favourite[:, None], mixture_row, sign_rows)]),
        num_exchanges=jnp.zeros((), jnp.int32),
        done=(own >= count) | (count == 1),
        preferred=(own == 0) & (count == 1),
    )

    def exchange(program: _Program) -> _Program:
        return _exchange(program, own, front, count, block, tolerance)

    return jax.lax.while_loop(lambda program: ~program.done, exchange, start).preferred


def _price(
    weights: Array, own: Array, front: Array, count: Array, block: int, level: Array | float = 0.0
) -> tuple[Array, Array, Array]:
    """The least w·gap over rivals, whose it is, and the first rival below `level`, the number of points if none."""

    def price_block(index: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        least, where, first = carry
        gaps = _normalised(front[own] - jax.lax.dynamic_slice_in_dim(front, index * block, block))
        numbers = index * block + jnp.arange(block, dtype=jnp.int32)
        rivals = (numbers < count) & (numbers != own)
        # A sum and no matrix product, which some devices round to fewer digits.
        margins = jnp.where(rivals, jnp.sum(gaps * weights, axis=-1), jnp.inf)
        best = jnp.argmin(margins)
        first = jnp.minimum(first, jnp.min(jnp.where(margins < level, numbers, len(front))))
        return jnp.minimum(least, margins[best]), jnp.where(margins[best] < least, numbers[best], where), first

    start = (jnp.array(jnp.inf, front.dtype), jnp.zeros((), jnp.int32), jnp.array(len(front), jnp.int32))
    return jax.lax.fori_loop(0, (count + block - 1) // block, price_block, start)


def _exchange(
    program: _Program, own: Array, front: Array, count: Array, block: int, tolerance: Array | float
) -> _Program:
    """One step of the revised simplex method on min v subject to Σ λ gap ≤ v, Σ λ = 1, λ ≥ 0."""
    num_points, num_objectives = front.shape
    inverse = program.inverse
    mixture, level = inverse[:, -1], inverse[0, -1]
    weights = -inverse[0, :-1]
    weights = jnp.where(jnp.abs(weights) < _ROUNDING, 0.0, weights)
    least, rival, first = _price(weights, own, front, count, block, level - _ROUNDING)
    # Weights on the simplex prove their margin, optimal or not.
    preferred = jnp.all(weights >= 0.0) & (least > tolerance)
    greedy = program.num_exchanges < _GREEDY_EXCHANGES
    entering_sign = num_points + jnp.where(greedy, jnp.argmin(weights), jnp.argmax(weights < 0.0))
    rival_enters = jnp.where(greedy, least - level < jnp.min(weights), first < num_points)
    entering = jnp.where(rival_enters, jnp.where(greedy, rival, first), entering_sign).astype(jnp.int32)
    optimal = jnp.all(weights >= 0.0) & (first == num_points)
    direction = jnp.matmul(inverse, _column(entering, own, front), precision="highest")
    usable = direction[1:] > _SMALLEST_PIVOT
    ratio = jnp.where(usable, jnp.maximum(mixture[1:], 0.0) / jnp.where(usable, direction[1:], 1.0), jnp.inf)
    tied = usable & (ratio <= jnp.min(ratio) + _ROUNDING)
    # Among ties the largest pivot is the most accurate; the smallest index (Bland, 1977) never cycles.
    leaving = jnp.where(
        greedy,
        jnp.argmax(jnp.where(tied, direction[1:], -jnp.inf)),
        jnp.argmin(jnp.where(tied, program.active, jnp.iinfo(jnp.int32).max)),
    )
    late = program.num_exchanges >= _EXCHANGES_PER_OBJECTIVE * num_objectives + _GREEDY_EXCHANGES
    active = program.active.at[leaving].set(entering)
    return _Program(
        active=active,
        inverse=_exchanged(inverse, direction, leaving + 1, active, own, front),
        num_exchanges=program.num_exchanges + 1,
        # The mixture's value bounds every margin from above.
        done=preferred | (mixture[0] <= tolerance) | optimal | ~jnp.any(usable) | late,
        preferred=preferred,
    )


def _column(index: Array, own: Array, front: Array) -> Float[Array, " row"]:
    """Of a rival, its gap and a 1 for the sum; of a sign constraint, its unit vector."""
    num_points, num_objectives = front.shape
    rival = jnp.append(_normalised(front[own] - front[jnp.minimum(index, num_points - 1)]), 1.0)
    return jnp.where(index < num_points, rival, (jnp.arange(num_objectives + 1) == index - num_points) * 1.0)


def _exchanged(
    inverse: Array, direction: Array, row: Array, active: Array, own: Array, front: Array
) -> Float[Array, "row row"]:
    """The inverse after one column was replaced: by elimination, and a Newton step against what that rounds off.

    Not LAPACK's inverse: under vmap that call holds every thread of a CPU while it waits for one.
    """
    pivot = inverse[row] / direction[row]
    inverse = (inverse - direction[:, None] * pivot).at[row].set(pivot)
    value_column = jnp.append(-jnp.ones(front.shape[1], front.dtype), 0.0)
    columns = jax.vmap(_column, in_axes=(0, None, None))(active, own, front)
    basis = jnp.vstack([value_column, columns]).T
    residual = jnp.eye(len(basis), dtype=front.dtype) - jnp.matmul(basis, inverse, precision="highest")
    return inverse + jnp.matmul(inverse, residual, precision="highest")
