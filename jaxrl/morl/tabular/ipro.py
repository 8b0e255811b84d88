"""Iterated Pareto referent optimisation for two objectives: divide and conquer with a guaranteed gap."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.configs import check_config
from jaxrl.environments.base import Environment
from jaxrl.morl.tabular.acting import Tracked, by_tracking
from jaxrl.morl.tabular.base import Found, Tabular, as_arrays, at_most_once, reference_point
from jaxrl.morl.tabular.model import Model, require_objectives, require_sizes, require_steps, tabulate
from jaxrl.morl.tabular.return_sets import Plan, plan
from jaxrl.ranges import COUNT, NOT_NEGATIVE, POSITIVE, PROBABILITY
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["IPROConfig", "IPROHyperparameters", "Search", "achievement", "divide_and_conquer", "ipro_2d"]


@dataclass(frozen=True)
class IPROConfig:
    """Static settings."""

    max_queries: Annotated[int, COUNT] = 64
    """Calls of the oracle, the two for the extremes included."""
    capacity: Annotated[int, COUNT] = 32
    """Return vectors that the oracle keeps in every state."""
    total_steps: Annotated[int, COUNT] | None = None
    """Environment steps that filling the tables may take. Default: as many as it needs."""
    max_states: Annotated[int, COUNT] = 20_000
    """More observations than this are an error."""

    __post_init__ = check_config


class IPROHyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
        reference: lower corner for hypervolumes; the environment's by default.
        scale: unit of every objective, in which gaps and achievements are measured.
        tolerance: stop as soon as the gap is no larger, in units of `scale`.
        discount: γ in [0, 1].
    """

    reference: Float[Array, " objective"] | None = None
    scale: Annotated[Float[Array, " objective"] | None, POSITIVE] = None
    tolerance: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.0
    discount: Annotated[Float[Array, ""] | float, PROBABILITY] = 1.0


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
    """

    points: Float[Array, "query 2"]
    found: Bool[Array, " query"]
    lower: Float[Array, "box 2"]
    upper: Float[Array, "box 2"]
    open: Bool[Array, " box"]
    queries: Int[Array, ""]
    gap: Float[Array, ""]


class _Run(NamedTuple):
    planned: Plan
    search: Search


def ipro_2d(environment: Environment, config: IPROConfig = IPROConfig()) -> Tabular:
    """Finds the Pareto front of two objectives, non-convex parts included, with a bound on what is missing.

    Between neighbours a and b on the front found lies a box, from the referent l = (a₁, b₂) up to
    (b₁, a₂), that holds every Pareto optimal point between them. The oracle answers a referent with
    the return vector of argmax_π minᵢ (vᵢ − lᵢ)/scaleᵢ (ties by the sum): if it is above l, it is
    Pareto optimal and splits the box in two, else the box is empty. The box with the largest area
    is asked first. Röpke et al., 2025 (arXiv 2402.07182), IPRO-2D.

    The gap is the largest shorter side of an open box; every Pareto optimal p has a found v with
    p ≤ v + gap · scale. The search ends with gap ≤ `tolerance` (0: the whole front), or at
    `max_queries` with the gap that is left. Every query but those for the two extremes is an iteration.

    The oracle here is exact: dynamic programming over the return sets of the tabulated environment,
    run once at the start; `diagnostics["evicted"]` must be 0 for its exactness. `steps` is constant:
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
    require_steps("ipro_2d", model.num_steps, config.total_steps, "to fill its tables")
    defaults = IPROHyperparameters(reference_point(environment.spec), jnp.ones(2))
    return Tabular(
        init=partial(_init, environment, model, config),
        step=partial(_iterate, config),
        steps=lambda _: jnp.int32(model.num_steps),
        front=lambda run, _: _found(run.search),
        policy=lambda run, hp, index: Tracked(run.planned.sets, run.search.points[index], hp.discount),
        agent=by_tracking(environment.spec),
        environment=environment,
        hyperparameters=as_arrays(defaults),
        config=config,
        iteration_steps=np.append(model.num_steps, np.zeros(config.max_queries - 3, int)),
        diagnostics=("gap", "queries", "evicted", "converged"),
    )


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
    return jax.lax.while_loop(
        partial(_unfinished, max_queries, tolerance),
        partial(_ask, oracle, scale),
        _begin(first, second, scale, max_queries),
    )


def _begin(first: Float[Array, "2"], second: Float[Array, "2"], scale: Float[Array, "2"], max_queries: int) -> Search:
    """The search that knows the extremes."""
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
    )
    return _noted(scale, search)


def _unfinished(max_queries: int, tolerance: Float[Array, ""], search: Search) -> Bool[Array, ""]:
    return (search.queries < max_queries) & (search.gap > tolerance)


def _ask(oracle: Callable[[Array], Array], scale: Float[Array, "2"], search: Search) -> Search:
    """Asks about the largest box, and splits it at the answer or closes it."""
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
    asked = search._replace(
        points=search.points.at[search.queries].set(jnp.where(found, point, 0.0)),
        found=search.found.at[search.queries].set(found),
        lower=search.lower.at[slots].set(jnp.stack([left[0], right[0]])),
        upper=search.upper.at[slots].set(jnp.stack([left[1], right[1]])),
        open=search.open.at[slots].set(found & sides).at[box].set(False),
        queries=search.queries + 1,
    )
    return _noted(scale, asked)


def _noted(scale: Float[Array, "2"], search: Search) -> Search:
    """Brings the gap up to date."""
    sides = jnp.min((search.upper - search.lower) / scale, axis=-1)
    return search._replace(gap=jnp.max(jnp.where(search.open, sides, 0.0)))


def _init(
    environment: Environment, model: Model, config: IPROConfig, key: PRNGKeyArray, hyperparameters: IPROHyperparameters
) -> _Run:
    del key  # Nothing here is random.
    planned = plan(model, hyperparameters.discount, config.capacity, environment.spec.time_limit)

    def extreme(objective: int) -> Array:
        values = jnp.where(planned.mask, planned.points[:, objective], -jnp.inf)
        return planned.points[jnp.argmax(values)]

    return _Run(planned, _begin(extreme(0), extreme(1), hyperparameters.scale, config.max_queries))


def _iterate(
    config: IPROConfig, run: _Run, hyperparameters: IPROHyperparameters, index: Int[Array, ""]
) -> tuple[_Run, dict[str, Array]]:
    """One query, where any box is open."""
    scale, planned = hyperparameters.scale, run.planned
    oracle = lambda referent: achievement(planned.points, planned.mask, referent, scale)  # noqa: E731
    unfinished = partial(_unfinished, config.max_queries, hyperparameters.tolerance)
    search = at_most_once(unfinished, partial(_ask, oracle, scale), run.search)
    diagnostics = {
        "gap": search.gap,
        "queries": search.queries,
        "evicted": planned.evicted,
        "converged": planned.converged,
    }
    return _Run(planned, search), diagnostics


def _found(search: Search) -> Found:
    # The two extremes are one point where a single policy is best in both objectives.
    one = (jnp.arange(search.found.size) == 1) & jnp.all(search.points[0] == search.points[1])
    return Found(search.points, search.found & ~one, None)
