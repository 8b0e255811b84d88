"""The aggregator contract, and what all aggregators share."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.ranges import POSITIVE, UNBOUNDED, Range
from jaxrl.types import Array, Bool, Float, PyTree
from jaxrl.validity import inverse_share, kept

__all__ = ["RETURNS", "SCALE", "Aggregator", "ReturnSummary", "aggregate", "make_parameters", "standardise"]


class ReturnSummary(NamedTuple):
    """Mean returns of the episodes that ended during one iteration.

    Attributes:
        returns: mean undiscounted return, zeros if none ended.
        discounted_returns: mean of Σ γᵗ rₜ.
        length: mean length in steps.
        count: how many of them paid each objective: all of them, unless objectives are tasks.
    """

    returns: Float[Array, " objective"]
    discounted_returns: Float[Array, " objective"]
    length: Float[Array, ""]
    count: Float[Array, " objective"]


class Aggregator(NamedTuple):
    """One aggregator.

    Attributes:
        parameters: `num_objectives -> dict`, defaults of the traced leaf `hyperparameters.aggregator`.
        init: `(num_objectives, parameters) -> state`.
        coefficients: `(state, weights [*batch, objective], parameters) -> [*batch, objective]`.
        update: `(state, ReturnSummary, weights, parameters) -> state`, once per iteration.
        standardise_each: whether each objective's advantages are standardised before the sum.
        needs_estimate: whether the state depends on one policy's returns, so that one network
            cannot serve many weights at once.
        update_from_gradients: `(state, policy gradients [objective, parameter], parameters) -> state`, once per
            iteration, before its rollout is learned from; None for aggregators that do not look at them.
        coefficients_of: `(state, advantages, weights, parameters, progress []) -> [*batch, objective]`, in place of
            `coefficients` where they depend on each sample's advantages; None elsewhere.
        init_parameters: `key -> parameters`, drawn anew where they are meta-learned; None if they have no such draw.
        ranges: of parameters, by name; others are any finite numbers.
    """

    parameters: Callable[[int], dict[str, Array]]
    init: Callable[[int, Mapping[str, Array]], PyTree]
    coefficients: Callable[[PyTree, Array, Mapping[str, Array]], Array]
    update: Callable[[PyTree, ReturnSummary, Array, Mapping[str, Array]], PyTree]
    standardise_each: bool = False
    needs_estimate: bool = False
    update_from_gradients: Callable[[PyTree, Array, Mapping[str, Array]], PyTree] | None = None
    coefficients_of: Callable[..., Array] | None = None
    init_parameters: Callable[[Array], dict[str, Array]] | None = None
    ranges: Mapping[str, Range] = MappingProxyType({})

    def __hash__(self) -> int:
        # Of all but the ranges: a mapping has no hash, and a static argument needs one.
        return hash(self[:-1])


# Of thresholds and other returns, which may be infinite for none; and of what a unit of return is worth.
RETURNS, SCALE = UNBOUNDED, POSITIVE


def make_parameters(
    scalars: Mapping[str, float], vectors: Mapping[str, float], num_objectives: int
) -> dict[str, Array]:
    """Traced leaves from defaults: `scalars` as they are, `vectors` with one entry per objective."""
    repeated = {name: jnp.full(num_objectives, value) for name, value in vectors.items()}
    return {**{name: jnp.asarray(value) for name, value in scalars.items()}, **repeated}


def standardise(
    advantages: Float[Array, "*batch"],
    axes: tuple[int, ...] | None = None,
    epsilon: float = 1e-8,
    where: Float[Array, "*batch"] | None = None,
    valid: Bool[Array, "..."] | None = None,
) -> Float[Array, "*batch"]:
    """(A - mean)/(std + ε) over `axes` (all axes by default), or over the entries `where` 1; the others become 0.

    So do those of samples that are not `valid` (see `Rollout.valid`), whose axes lead those of the advantages.
    """
    if where is None:
        factor = inverse_share(valid)
        mean = kept(valid, advantages).mean(axis=axes, keepdims=True) * factor
        deviation = kept(valid, advantages - mean)
        variance = jnp.mean(deviation**2, axis=axes, keepdims=True) * factor
    else:
        where = kept(valid, where)
        count = jnp.maximum(where.sum(axis=axes, keepdims=True), 1.0)
        mean = jnp.sum(where * advantages, axis=axes, keepdims=True) / count
        deviation = where * (advantages - mean)
        variance = jnp.sum(deviation**2, axis=axes, keepdims=True) / count
    # Kept off zero, where a root has no slope.
    return deviation / (jnp.sqrt(jnp.maximum(variance, 1e-20)) + epsilon)


def aggregate(
    aggregator: Aggregator,
    state: PyTree,
    advantages: Float[Array, "*batch objective"],
    weights: Float[Array, "*batch objective"],
    parameters: Any,
    progress: Float[Array, ""] | float = 0.0,
    paying: Float[Array, "*batch objective"] | None = None,
    valid: Bool[Array, "*batch"] | None = None,
) -> Float[Array, "*batch"]:
    """A = Σᵢ cᵢ Aᵢ with the aggregator's coefficients, gradients stopped through c.

    `paying` is 1 where a sample belongs to an objective, where not all belong to all (see `environments.tasks`);
    samples that are not `valid` count for nothing.
    """
    if aggregator.standardise_each:
        advantages = standardise(advantages, tuple(range(advantages.ndim - 1)), where=paying, valid=valid)
    if aggregator.coefficients_of is None:
        coefficients = jax.lax.stop_gradient(aggregator.coefficients(state, weights, parameters))
    else:
        coefficients = aggregator.coefficients_of(state, advantages, weights, parameters, jnp.asarray(progress))
    return jnp.sum(coefficients * advantages, axis=-1)
