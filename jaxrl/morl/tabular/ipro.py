"""Iterated Pareto referent optimisation for two objectives: divide and conquer with a guaranteed gap."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment
from jaxrl.morl.tabular.base import Episode, Result, Tabular, as_arrays, measured, reference_point
from jaxrl.morl.tabular.model import Model, require_objectives, require_sizes, tabulate
from jaxrl.morl.tabular.return_sets import plan, track
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["IPROConfig", "IPROHyperparameters", "Search", "achievement", "divide_and_conquer", "ipro_2d"]


@dataclass(frozen=True)
class IPROConfig:
    """Static settings."""

    max_queries: int = 64
    """Calls of the oracle, the two for the extremes included."""
    capacity: int = 32
    """Return vectors that the oracle keeps in every state."""
    max_states: int = 20_000
    """More observations than this are an error."""


class IPROHyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
        reference: lower corner for hypervolumes; the environment's by default.
        scale: unit of every objective, in which gaps and achievements are measured.
        tolerance: stop as soon as the gap is no larger, in those units.
        discount: γ in [0, 1].
    """

    reference: Float[Array, " objective"]
    scale: Float[Array, " objective"]
    tolerance: Float[Array, ""] | float = 0.0
    discount: Float[Array, ""] | float = 1.0


class Search(NamedTuple):
    """Where a search stands: slot i of each array belongs to query i.

    Attributes:
        points: Pareto optimal return vectors found.
        found: which queries found one.
        lower, upper: corners of the boxes that may hold more.
        open: which boxes may.
        queries: calls of the oracle.
        gap: the largest of the open boxes' shorter sides: for every Pareto optimal p there
            is a found v with p ≤ v + gap · scale.
        gaps: the gap after each query.
    """

    points: Float[Array, "query 2"]
    found: Bool[Array, " query"]
    lower: Float[Array, "box 2"]
    upper: Float[Array, "box 2"]
    open: Bool[Array, " box"]
    queries: Int[Array, ""]
    gap: Float[Array, ""]
    gaps: Float[Array, " query"]


def ipro_2d(environment: Environment, config: IPROConfig = IPROConfig()) -> Tabular:
    """Finds the Pareto front of two objectives, non-convex parts included, with a bound on what is missing.

    Between neighbours a and b on the front found lies a box, from the referent l = (a₁, b₂) up to
    (b₁, a₂), that holds every Pareto optimal point between them. The oracle answers a referent with
    the return vector of argmax_π minᵢ (vᵢ − lᵢ)/scaleᵢ (ties by the sum): if it is above l, it is
    Pareto optimal and splits the box in two, else the box is empty. The box with the largest area
    is asked first. Röpke et al., 2025 (arXiv 2402.07182), IPRO-2D.

    The gap is the largest shorter side of an open box; every Pareto optimal p has a found v with
    p ≤ v + gap · scale. The search ends with gap ≤ `tolerance` (0: the whole front), or at
    `max_queries` with the gap that is left.

    The oracle here is exact: dynamic programming over the return sets of the tabulated environment,
    run once per `run`; `diagnostics["evicted"]` must be 0 for its exactness. `steps` is constant:
    the transitions that were tabulated. `divide_and_conquer` takes any other oracle.

    Args:
        environment: finite, without randomness, with two objectives and a time limit.
        config: static settings.

    Raises:
        ValueError: for another kind of environment or number of objectives, or sizes out of range.
    """
    require_objectives(environment.spec, "ipro_2d", 2, 2)
    require_sizes(capacity=config.capacity)
    if config.max_queries < 3:
        raise ValueError(f"max_queries must be at least 3, two of them for the extremes, got {config.max_queries}")
    model = tabulate(environment, "ipro_2d", config.max_states)
    defaults = IPROHyperparameters(reference_point(environment.spec), jnp.ones(2))
    run = partial(_run, environment, model, config)
    return Tabular(run, partial(_execute, environment), as_arrays(defaults), config)


def achievement(
    points: Float[Array, "batch 2"], mask: Bool[Array, " batch"], referent: Array, scale: Array
) -> Float[Array, "2"]:
    """The point that rises highest above a referent: argmax minᵢ (vᵢ − lᵢ)/scaleᵢ, ties by the sum."""
    rises = (points - referent) / scale
    least = jnp.where(mask, jnp.min(rises, axis=-1), -jnp.inf)
    highest = mask & (least == jnp.max(least))
    return points[jnp.argmax(jnp.where(highest, jnp.sum(rises, axis=-1), -jnp.inf))]


def divide_and_conquer(
    oracle: Callable[[Float[Array, "2"]], Float[Array, "2"]],
    first: Float[Array, "2"],
    second: Float[Array, "2"],
    scale: Float[Array, "2"],
    tolerance: Float[Array, ""],
    max_queries: int,
) -> Search:
    """Asks a Pareto oracle until the gap is closed.

    Args:
        oracle: from a referent to a return vector: a Pareto optimal one above the referent
            in both objectives, or, if there is none, anything else.
        first, second: Pareto optimal return vectors with the most of either objective.
        scale, tolerance: as in `IPROHyperparameters`.
        max_queries: static bound, the two extremes included.
    """
    # Every query closes one box and opens at most two.
    boxes = 2 * max_queries
    lower, upper = jnp.minimum(first, second), jnp.maximum(first, second)
    search = Search(
        jnp.zeros((max_queries, 2)).at[0].set(first).at[1].set(second),
        jnp.zeros(max_queries, bool).at[:2].set(True),
        jnp.zeros((boxes, 2)).at[0].set(lower),
        jnp.zeros((boxes, 2)).at[0].set(upper),
        jnp.zeros(boxes, bool).at[0].set(jnp.all(upper > lower)),
        jnp.int32(2),
        jnp.float32(0.0),
        jnp.full(max_queries, jnp.inf),
    )

    def ask(search: Search) -> Search:
        areas = jnp.prod((search.upper - search.lower) / scale, axis=-1)
        box = jnp.argmax(jnp.where(search.open, areas, -jnp.inf))
        low, high = search.lower[box], search.upper[box]
        point = oracle(low)
        found = jnp.all(point > low)
        # The left part keeps the box's second objective's upper end, the right part the first's.
        left = jnp.stack([low[0], point[1]]), jnp.stack([point[0], high[1]])
        right = jnp.stack([point[0], low[1]]), jnp.stack([high[0], point[1]])
        slots = jnp.stack([2 * search.queries - 2, 2 * search.queries - 1])
        sides = jnp.stack([jnp.all(left[1] > left[0]), jnp.all(right[1] > right[0])])
        return _noted(
            scale,
            search._replace(
                points=search.points.at[search.queries].set(jnp.where(found, point, 0.0)),
                found=search.found.at[search.queries].set(found),
                lower=search.lower.at[slots].set(jnp.stack([left[0], right[0]])),
                upper=search.upper.at[slots].set(jnp.stack([left[1], right[1]])),
                open=search.open.at[slots].set(found & sides).at[box].set(False),
                queries=search.queries + 1,
            ),
        )

    def unfinished(search: Search) -> Array:
        return (search.queries < max_queries) & (search.gap > tolerance)

    return jax.lax.while_loop(unfinished, ask, _noted(scale, search))


def _noted(scale: Float[Array, "2"], search: Search) -> Search:
    """Brings the gap, and its record from the last query on, up to date."""
    sides = jnp.min((search.upper - search.lower) / scale, axis=-1)
    gap = jnp.max(jnp.where(search.open, sides, 0.0))
    after = jnp.arange(search.gaps.size) >= search.queries - 1
    return search._replace(gap=gap, gaps=jnp.where(after, gap, search.gaps))


def _run(
    environment: Environment, model: Model, config: IPROConfig, key: Array, hyperparameters: IPROHyperparameters
) -> Result:
    del key  # Nothing here is random.
    planned = plan(model, hyperparameters.discount, config.capacity, environment.spec.time_limit)

    def extreme(objective: int) -> Array:
        values = jnp.where(planned.mask, planned.points[:, objective], -jnp.inf)
        return planned.points[jnp.argmax(values)]

    scale = hyperparameters.scale
    search = divide_and_conquer(
        lambda referent: achievement(planned.points, planned.mask, referent, scale),
        extreme(0),
        extreme(1),
        scale,
        hyperparameters.tolerance,
        config.max_queries,
    )
    asked = jnp.arange(config.max_queries)
    curve = jax.vmap(lambda last: measured(search.points, search.found & (asked <= last), hyperparameters.reference))
    # The two extremes are one point where a single policy is best in both objectives.
    mask = search.found & ~((asked == 1) & jnp.all(search.points[0] == search.points[1]))
    diagnostics = {
        "gap": search.gap,
        "gaps": search.gaps,
        "queries": search.queries,
        "evicted": planned.evicted,
        "converged": planned.converged,
    }
    steps = jnp.full(config.max_queries, model.num_steps)
    return Result(search.points, mask, curve(asked), steps, planned.sets, diagnostics)


def _execute(
    environment: Environment,
    key: PRNGKeyArray,
    result: Result,
    index: Int[Array, ""] | int,
    hyperparameters: IPROHyperparameters,
) -> Episode:
    target = result.points[index]
    return track(environment, key, result.policy, target, hyperparameters.discount, environment.params)
