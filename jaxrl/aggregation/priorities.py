"""Objectives in order of priority: one after the other, the earlier ones held by multipliers."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.aggregation.base import RETURNS, SCALE, Aggregator, ReturnSummary, make_parameters
from jaxrl.aggregation.estimates import (
    ESTIMATE_RANGES,
    ESTIMATE_SCALARS,
    ReturnEstimate,
    init_estimate,
    update_estimate,
)
from jaxrl.ranges import NOT_NEGATIVE
from jaxrl.types import Array, Bool, Float

__all__ = ["PriorityState", "lexicographic"]


class PriorityState(NamedTuple):
    """How far each objective has come; all but the estimate in units of `scale`.

    Attributes:
        estimate: running return estimate.
        multipliers: λ ≥ 0, the price of falling below the goal.
        plateau: the return to improve on in the objective's present turn, -inf outside it.
        waited: updates since `plateau` rose.
        settled: the best return of an objective that could not be improved on, inf before that.
        met: whether the objective has ever been at its goal.
    """

    estimate: ReturnEstimate
    multipliers: Float[Array, " objective"]
    plateau: Float[Array, " objective"]
    waited: Float[Array, " objective"]
    settled: Float[Array, " objective"]
    met: Bool[Array, " objective"]


class _Standing(NamedTuple):
    """Where the objectives stand under one estimate."""

    returns: Float[Array, " objective"]
    thresholds: Float[Array, " objective"]
    goals: Float[Array, " objective"]
    active: Float[Array, ""]


def lexicographic() -> Aggregator:
    """Objectives in order of priority, each up to its threshold, the earlier ones held by multipliers.

    Policies are ordered by min(J₍₁₎, b₍₁₎), ties by min(J₍₂₎, b₍₂₎) and so on (thresholded lexicographic
    order; Skalse et al., 2022). The first priority with an objective below its goal gᵢ
    is active and pushed; with a the active priority,

        c = ([p ≤ a, J < b] w + [p < a] λ)/(1 + Σ [p < a] λ)/s,    λ ← [λ + η (g - J)/s]₊ once met.

    This is the sequential variant of LPPO and its multipliers. The goal is the threshold; where an
    active objective has not improved by `tolerance` for `patience` updates, it is as good as it gets:
    its goal becomes min(b, best - `tolerance`), and the next priority's turn has come. If everything
    is at its threshold, the last priority is pushed.

    Traced leaves: `priorities` p (smaller first; equal ones share a turn and its weights, which makes
    the order a preorder; default 0, 1, …), `thresholds` b (inf: the more the better, the default;
    -inf: never pushed for itself), `scale` s, `tolerance` in units of s (larger than the noise of
    the estimate), `patience`, `multiplier_rate` η, `estimate_rate`, `discounted`. Weights must be
    positive.
    """
    scalars = {**ESTIMATE_SCALARS, "tolerance": 0.02, "patience": 20.0, "multiplier_rate": 0.1}
    vectors = partial(make_parameters, scalars, {"thresholds": jnp.inf, "scale": 1.0})

    def parameters(num_objectives: int) -> dict[str, Array]:
        return {**vectors(num_objectives), "priorities": jnp.arange(num_objectives, dtype=jnp.float32)}

    own = {"thresholds": RETURNS, "scale": SCALE, "tolerance": NOT_NEGATIVE, "patience": NOT_NEGATIVE}
    ranges = {**ESTIMATE_RANGES, **own, "multiplier_rate": NOT_NEGATIVE}
    return Aggregator(parameters, _init, _coefficients, _update, needs_estimate=True, ranges=ranges)


def _init(num_objectives: int, parameters: Mapping[str, Array]) -> PriorityState:
    zeros = jnp.zeros(num_objectives)
    return PriorityState(
        estimate=init_estimate(num_objectives, parameters),
        multipliers=zeros,
        plateau=zeros - jnp.inf,
        waited=zeros,
        settled=zeros + jnp.inf,
        met=jnp.zeros(num_objectives, bool),
    )


def _standing(state: PriorityState, parameters: Mapping[str, Array]) -> _Standing:
    scale, priorities = parameters["scale"], parameters["priorities"]
    thresholds = parameters["thresholds"] / scale
    returns = jnp.where(state.estimate.seen, state.estimate.mean / scale, -jnp.inf)
    goals = jnp.minimum(thresholds, state.settled - parameters["tolerance"])
    first = jnp.min(jnp.where(returns < goals, priorities, jnp.inf))
    return _Standing(returns, thresholds, goals, jnp.minimum(first, jnp.max(priorities)))


def _coefficients(state: PriorityState, weights: Array, parameters: Mapping[str, Array]) -> Array:
    now, priorities = _standing(state, parameters), parameters["priorities"]
    wanting = (priorities <= now.active) & (now.returns < now.thresholds)
    pushed = jnp.where(jnp.any(wanting), wanting, priorities == now.active)
    holding = jnp.where(priorities < now.active, state.multipliers, 0.0)
    return (pushed * weights + holding) / (1.0 + holding.sum()) / parameters["scale"]


def _update(
    state: PriorityState, summary: ReturnSummary, weights: Array, parameters: Mapping[str, Array]
) -> PriorityState:
    state = state._replace(estimate=update_estimate(state.estimate, summary, weights, parameters))
    now, tolerance = _standing(state, parameters), parameters["tolerance"]
    # Patience runs only in an objective's own turn, from where the turn found it.
    tried = (parameters["priorities"] == now.active) & (now.returns < now.goals)
    improved = now.returns > state.plateau + tolerance
    waited = jnp.where(tried & ~improved, state.waited + 1.0, 0.0)
    stuck = tried & (waited >= parameters["patience"])
    settled = jnp.where(state.settled < jnp.inf, jnp.maximum(state.settled, now.returns), jnp.inf)
    shortfall = jnp.where(state.met & jnp.isfinite(now.goals), now.goals - now.returns, 0.0)
    fresh = PriorityState(
        estimate=state.estimate,
        multipliers=jnp.maximum(0.0, state.multipliers + parameters["multiplier_rate"] * shortfall),
        plateau=jnp.where(tried, jnp.where(improved | stuck, now.returns, state.plateau), -jnp.inf),
        waited=jnp.where(stuck, 0.0, waited),
        settled=jnp.where(stuck, now.returns, settled),
        met=state.met | stuck | (now.returns >= now.goals),
    )
    return jax.tree.map(lambda new, old: jnp.where(summary.count > 0, new, old), fresh, state)
