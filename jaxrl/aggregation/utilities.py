"""Utilities of the expected return vector (SER), ascended by their gradient."""

from collections.abc import Callable, Mapping

from jaxrl.aggregation import welfare
from jaxrl.aggregation.base import SCALE, Aggregator
from jaxrl.aggregation.estimates import ReturnEstimate, estimating
from jaxrl.ranges import NOT_NEGATIVE, POSITIVE, Range
from jaxrl.types import Array

__all__ = ["gini", "lorenz", "max_min", "owa", "utility_gradient"]


def utility_gradient(
    utility: Callable[..., Array] | None = None,
    scalars: Mapping[str, float] | None = None,
    vectors: Mapping[str, float] | None = None,
    ranges: Mapping[str, Range] | None = None,
) -> Aggregator:
    """c = ∇u(J) for a concave utility of the expected return vector (Agarwal et al., 2022, section 4).

    u is taken of (J - `offset`)/`scale`, two traced leaves with one entry per objective, because a
    utility that compares objectives needs them in common units.

    Args:
        utility: `(returns [objective], weights [objective], **parameters) -> scalar`, see
            `aggregation.welfare`; default the α-fair welfare, with the traced leaves `fairness`
            (0 linear, 1 Nash welfare, large max-min) and `floor`.
        scalars: names and defaults of the utility's scalar parameters, traced leaves.
        vectors: names and defaults of those with one entry per objective.
        ranges: of both, by name.
    """
    if utility is None:
        utility, scalars = welfare.alpha_fair, {"fairness": 1.0, "floor": 0.01}
        ranges = {"fairness": NOT_NEGATIVE, "floor": POSITIVE}
    own = (*(scalars or {}), *(vectors or {}))

    def scaled(returns: Array, state: ReturnEstimate, weights: Array, parameters: Mapping[str, Array]) -> Array:
        comparable = (returns - parameters["offset"]) / parameters["scale"]
        return utility(comparable, weights, **{name: parameters[name] for name in own})

    ranges = {"scale": SCALE, **(ranges or {})}
    return estimating(scaled, scalars, {"offset": 0.0, "scale": 1.0, **(vectors or {})}, ranges)


def max_min() -> Aggregator:
    """Ascends the smooth minimum -τ log Σᵢ wᵢ exp(-Jᵢ/τ): c = softmax(log w - J/τ), τ is `temperature`.

    τ → 0 puts everything on the objective that is worst off (Rawls, 1971); τ → ∞ gives `linear`.
    Leaves `offset` and `scale` put returns in common units: see `utility_gradient`.
    """
    return utility_gradient(welfare.soft_minimum, {"temperature": 0.1}, ranges={"temperature": POSITIVE})


def gini() -> Aggregator:
    """Ascends generalised Gini welfare Σᵢ ωᵢ J₍ᵢ₎, worst first, ωᵢ ∝ ρ^i (Siddique et al., 2020).

    ρ is `rank_ratio` in (0, 1]; unequal weights as in `welfare.generalised_gini`. The gradient gives
    each objective the weight of its rank, hence its policy chatters where two returns are level: that
    is the optimum, and a smaller `estimate_rate` or learning rate narrows the band.
    """
    return utility_gradient(
        welfare.generalised_gini, {"rank_ratio": 0.5}, ranges={"rank_ratio": Range(0, 1, low_open=True)}
    )


def owa() -> Aggregator:
    """Ascends the ordered weighted average Σᵢ wᵢ J₍ᵢ₎ (Yager, 1988): weights by rank, the worst first.

    Give decreasing weights: with increasing ones the utility is not concave, and its ascent ends in
    a local optimum.
    """
    return utility_gradient(welfare.ordered_sum)


def lorenz() -> Aggregator:
    """Ascends Σₖ wₖ Lₖ of the Lorenz vector Lₖ = J₍₁₎ + … + J₍ₖ₎ (Perny et al., 2013).

    A sweep over weights traces the convex part of the Lorenz-optimal (equitable) front.
    """
    return utility_gradient(welfare.lorenz_sum)
