"""Maximisation of some objectives subject to bounds J ≥ b on others, or b ≤ J ≤ u.

Both aggregators have the traced leaves `thresholds` (b, one entry per objective; -inf leaves an
objective free), `scale` (what one unit of each objective's return is worth; returns, thresholds and
advantages are divided by it, so that one rate and one sharpness fit all) and `discounted` (whether J is
the mean discounted return, 1, or the plain one, 0; advantages follow the discounted return in either case).
Costs are objectives with negative rewards: cost ≤ d reads J ≥ -d. The weight of a pure constraint is 0.
"""

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
    chosen_returns,
    init_estimate,
    update_estimate,
)
from jaxrl.ranges import NOT_NEGATIVE, POSITIVE, PROBABILITY
from jaxrl.types import Array, Float

__all__ = ["Multipliers", "lagrangian", "log_barrier"]

_VECTORS = {"thresholds": -jnp.inf, "scale": 1.0}
_RANGES = {"thresholds": RETURNS, "scale": SCALE}


class Multipliers(NamedTuple):
    """Dual variables, one per objective and bound.

    Attributes:
        values: λ ≥ 0 of J ≥ b.
        shortfall: (b - J)/s of the last iteration in which an episode ended, 0 for free objectives.
        upper: ν ≥ 0 of J ≤ u.
        excess: (J - u)/s, likewise.
    """

    values: Float[Array, " objective"]
    shortfall: Float[Array, " objective"]
    upper: Float[Array, " objective"]
    excess: Float[Array, " objective"]


def lagrangian() -> Aggregator:
    """Maximise w·J subject to bᵢ ≤ Jᵢ ≤ uᵢ, by gradient ascent on A and dual ascent on λ and ν.

    c = (w + μ - ρ)/(1 + Σμ + Σρ)/s, μ = [λ + k (b - J)/s]₊ and λ ← [λ + η (b - J)/s]₊ with J the mean return of
    the episodes that ended in this iteration (Altman, 1999; Tessler et al., 2019, section 4), and ρ, ν so from
    (J - u)/s (arXiv 2405.02456, where each task has both bounds); s is `scale`, η `multiplier_rate`, u `upper`, +inf
    for objectives without such a bound. k, `proportional_gain` (0 by default), damps the oscillation of λ
    around its solution, which on a linear part of the front never dies out by itself (Stooke et
    al., 2020). Plain returns by default, as budgets are usually stated in them: `discounted`
    is 0.
    """
    scalars = {"multiplier_rate": 0.01, "proportional_gain": 0.0, "initial_multiplier": 0.0, "discounted": 0.0}
    parameters = partial(make_parameters, scalars, {**_VECTORS, "upper": jnp.inf})
    own = dict.fromkeys(("multiplier_rate", "proportional_gain", "initial_multiplier"), NOT_NEGATIVE)
    ranges = {**_RANGES, **own, "upper": RETURNS, "discounted": PROBABILITY}
    return Aggregator(
        parameters, _init_multipliers, _dual_coefficients, _dual_ascent, needs_estimate=True, ranges=ranges
    )


def _init_multipliers(num_objectives: int, parameters: Mapping[str, Array]) -> Multipliers:
    initial, zeros = parameters["initial_multiplier"], jnp.zeros(num_objectives)
    below, above = parameters["thresholds"] > -jnp.inf, parameters["upper"] < jnp.inf
    return Multipliers(jnp.where(below, initial, zeros), zeros, jnp.where(above, initial, zeros), zeros)


def _dual_coefficients(state: Multipliers, weights: Array, parameters: Mapping[str, Array]) -> Array:
    gain = parameters["proportional_gain"]
    raising = jnp.maximum(0.0, state.values + gain * state.shortfall)
    lowering = jnp.maximum(0.0, state.upper + gain * state.excess)
    total = 1.0 + raising.sum() + lowering.sum()
    return (weights + raising - lowering) / total / parameters["scale"]


def _dual_ascent(
    state: Multipliers, summary: ReturnSummary, weights: Array, parameters: Mapping[str, Array]
) -> Multipliers:
    returns, rate = chosen_returns(summary, parameters), parameters["multiplier_rate"]
    slack = _slack(returns, parameters)
    shortfall = jnp.where(slack < jnp.inf, -slack, 0.0)
    above = parameters["upper"] < jnp.inf
    excess = jnp.where(above, (returns - parameters["upper"]) / parameters["scale"], 0.0)
    values, upper = (
        jnp.maximum(0.0, old + rate * violation)
        for old, violation in ((state.values, shortfall), (state.upper, excess))
    )
    fresh = Multipliers(values, shortfall, upper, excess)
    return jax.tree.map(lambda new, old: jnp.where(summary.count > 0, new, old), fresh, state)


def log_barrier() -> Aggregator:
    """Maximise w·J + (1/t) Σⱼ log(Jⱼ - bⱼ), an interior-point method for J ≥ b (IPO, Liu et al., 2020).

    c = (w + 1/(t (J - b)/s))/s, bounded by `max_coefficient` before the division by s = `scale`; t is
    `sharpness` and J the mean discounted return (plain if `discounted` is 0) of the episodes that ended
    in this iteration, or a running one with `estimate_rate` below 1: steadier where few episodes end,
    but it lags behind the policy, which then crosses the bound before it is seen.
    The barrier keeps a distance of about μ/t from the bound, μ the constraint's multiplier: the
    price of t → ∞ is a gradient that jumps at the bound. With weights one-hot on l and
    bⱼ = β Jⱼ of an earlier policy for j ≠ l it is the Pareto extension of C-MORL (arXiv 2410.02236:
    t = 20, β = 0.9).

    Where J ≤ b the barrier is infinite and has no gradient. Then, and only then, every violated
    objective gets the coefficient `max_coefficient` and all others 0, until all bounds hold again.
    """
    scalars = {**ESTIMATE_SCALARS, "estimate_rate": 1.0, "sharpness": 20.0, "max_coefficient": 100.0}
    parameters = partial(make_parameters, scalars, _VECTORS)
    ranges = {**ESTIMATE_RANGES, **_RANGES, "sharpness": POSITIVE, "max_coefficient": POSITIVE}
    return Aggregator(
        parameters, init_estimate, _barrier_coefficients, update_estimate, needs_estimate=True, ranges=ranges
    )


def _barrier_coefficients(state: ReturnEstimate, weights: Array, parameters: Mapping[str, Array]) -> Array:
    slack = _slack(state.mean, parameters)
    violated, most = slack <= 0.0, parameters["max_coefficient"]
    inside = weights + jnp.minimum(1.0 / (parameters["sharpness"] * slack), most)
    recovering = jnp.where(violated, most, jnp.zeros_like(weights))
    pushed = jnp.where(jnp.any(violated), recovering, inside)
    return jnp.where(jnp.all(state.seen), pushed, weights) / parameters["scale"]


def _slack(returns: Float[Array, " objective"], parameters: Mapping[str, Array]) -> Float[Array, " objective"]:
    """(J - b)/s, inf for free objectives."""
    thresholds = parameters["thresholds"]
    return jnp.where(thresholds > -jnp.inf, (returns - thresholds) / parameters["scale"], jnp.inf)
