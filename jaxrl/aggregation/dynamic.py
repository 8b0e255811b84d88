"""Weights that move while training: with the progress of the front, or with the gradients of the objectives."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.aggregation.base import SCALE, Aggregator, ReturnSummary, make_parameters
from jaxrl.aggregation.estimates import (
    ESTIMATE_RANGES,
    ESTIMATE_SCALARS,
    ReturnEstimate,
    init_estimate,
    update_estimate,
)
from jaxrl.numerics import archive
from jaxrl.numerics.archive import Archive
from jaxrl.numerics.hypervolume import hypervolume
from jaxrl.ranges import NOT_NEGATIVE
from jaxrl.types import Array, Float

__all__ = ["FrontState", "gradient_guided", "hypervolume_guided"]


class FrontState(NamedTuple):
    """The front of return vectors that one policy has passed through, in units of `scale`.

    Attributes:
        estimate: running return estimate.
        front: what was not dominated when it was found.
        reference: the first estimate, the lower corner of hypervolumes.
        factor: what multiplies the weights.
    """

    estimate: ReturnEstimate
    front: Archive
    reference: Float[Array, " objective"]
    factor: Float[Array, ""]


def hypervolume_guided(capacity: int = 32) -> Aggregator:
    """c = f w/s with f = f₀ + f₁ tanh(ΔHV), the reward for what the front gains (arXiv 2509.11452, part A).

    ΔHV is the hypervolume that the estimated return vector adds to the front of the earlier ones,
    above the first estimate as reference; a vector that adds something joins the front. f is 1 until
    the second estimate; then f₀ (`lowest`, 0.5) says that nothing was gained, f₀ + f₁ (`gain`, 1.5)
    that much was. `scale` s per objective gives ΔHV its unit.

    f scales the whole gradient and leaves its direction alone: standardised advantages or Adam hide
    it (`standardise_advantages="none"`, and `optimiser="sgd"`, or an entropy bonus and value loss
    for it to weigh against, show it).

    Args:
        capacity: most vectors that the front holds, static; the most crowded goes first.

    Raises:
        ValueError: when built for more than three objectives, whose hypervolume is not compiled.
    """
    scalars = {**ESTIMATE_SCALARS, "lowest": 0.5, "gain": 1.5}

    def parameters(num_objectives: int) -> dict[str, Array]:
        if num_objectives > 3:
            raise ValueError(f"hypervolume_guided serves up to 3 objectives, got {num_objectives}")
        return make_parameters(scalars, {"scale": 1.0}, num_objectives)

    ranges = {**ESTIMATE_RANGES, "scale": SCALE}
    return Aggregator(parameters, partial(_init, capacity), _coefficients, _update, needs_estimate=True, ranges=ranges)


def _init(capacity: int, num_objectives: int, parameters: Mapping[str, Array]) -> FrontState:
    estimate = init_estimate(num_objectives, parameters)
    return FrontState(estimate, archive.init(capacity, num_objectives), jnp.zeros(num_objectives), jnp.ones(()))


def _coefficients(state: FrontState, weights: Array, parameters: Mapping[str, Array]) -> Array:
    return state.factor * weights / parameters["scale"]


def _update(state: FrontState, summary: ReturnSummary, weights: Array, parameters: Mapping[str, Array]) -> FrontState:
    estimate = update_estimate(state.estimate, summary, weights, parameters)
    point, first = estimate.mean / parameters["scale"], ~jnp.all(state.estimate.seen)
    reference = jnp.where(first, point, state.reference)
    front, gain = _extend(state.front, point, reference)
    factor = jnp.where(first, 1.0, parameters["lowest"] + parameters["gain"] * jnp.tanh(gain))
    fresh = FrontState(estimate, front, reference, factor)
    return jax.tree.map(lambda new, old: jnp.where(jnp.any(summary.count > 0), new, old), fresh, state)


@jax.jit
def _extend(
    front: Archive, point: Float[Array, " objective"], reference: Float[Array, " objective"]
) -> tuple[Archive, Float[Array, ""]]:
    """The front with a point that adds hypervolume, and how much it adds."""
    points, mask = jnp.concatenate([front.points, point[None]]), jnp.append(front.mask, True)
    before = hypervolume(front.points, reference, front.mask)
    gain = hypervolume(points, reference, mask) - before
    # NaN, of returns that are no numbers or infinite, is no gain.
    gain = jnp.where(gain > 0.0, gain, 0.0)
    return archive.insert(front, point[None], mask=(gain > 0.0)[None]), gain


def gradient_guided() -> Aggregator:
    """c = softmax(log w + h), h ← h + η G Gᵀ 1: weight for what the whole learns from (arXiv 2509.11452, part B).

    Row i of G is the policy gradient of objective i over one rollout, its advantages standardised. ⟨gᵢ, Σⱼ gⱼ⟩ is by
    how much a step on the sum improves objective i: objectives that still learn and pull with the others gain weight,
    finished and conflicting ones lose it. It is mirror ascent on the simplex; c of this iteration already counts its
    own gradients. A weight of 0 stays 0.

    Traced leaf: `rate` η, 0.1 (learning rate over regularisation in the authors' code).
    """

    def coefficients(offset: Array, weights: Array, parameters: Mapping[str, Array]) -> Array:
        return jax.nn.softmax(jnp.log(weights) + offset, axis=-1)

    def follow(offset: Array, gradients: Float[Array, "objective parameter"], parameters: Mapping[str, Array]) -> Array:
        return offset + parameters["rate"] * gradients @ gradients.sum(axis=0)

    return Aggregator(
        partial(make_parameters, {"rate": 0.1}, {}),
        lambda num_objectives, parameters: jnp.zeros(num_objectives),
        coefficients,
        lambda offset, *_: offset,
        standardise_each=True,
        needs_estimate=True,
        update_from_gradients=follow,
        ranges={"rate": NOT_NEGATIVE},
    )
