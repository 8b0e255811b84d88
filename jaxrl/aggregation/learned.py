"""An aggregator to meta-learn: coefficients that a small network reads off advantages, weights and progress."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jaxrl.aggregation.base import Aggregator
from jaxrl.aggregation.fixed import linear
from jaxrl.types import Array, Float, PyTree

__all__ = ["learned"]

_HIDDEN = 16
# Of each objective: its advantage and weight; of all: Σ wⱼ Aⱼ, maxⱼ Aⱼ, minⱼ Aⱼ; and progress.
_FEATURES = 6


def learned() -> Aggregator:
    """cᵢ = wᵢ + W₂ tanh(W₁ xᵢ + b), xᵢ = (Aᵢ, wᵢ, Σ wⱼ Aⱼ, max A, min A, t/T): one network for all objectives.

    Advantages are standardised per objective first. W₂ is zero at first, where this is `decoupled_normalisation`;
    `jaxrl.meta.evolve(..., leaf="aggregator")` learns it, for any number of objectives.
    """
    return linear()._replace(
        parameters=_parameters, standardise_each=True, coefficients_of=_coefficients, init_parameters=_draw
    )


def _draw(key: Array) -> dict[str, Array]:
    hidden = jax.random.normal(key, (_FEATURES, _HIDDEN)) / _FEATURES**0.5
    return {"hidden": hidden, "bias": jnp.zeros(_HIDDEN), "output": jnp.zeros(_HIDDEN)}


def _parameters(num_objectives: int) -> dict[str, Array]:
    return _draw(jax.random.key(0))


def _coefficients(
    state: PyTree,
    advantages: Float[Array, "*batch objective"],
    weights: Float[Array, "*batch objective"],
    parameters: Mapping[str, Array],
    progress: Float[Array, ""],
) -> Float[Array, "*batch objective"]:
    spread = lambda leaf: jnp.broadcast_to(leaf, advantages.shape)  # noqa: E731
    features = jnp.stack(
        [
            advantages,
            weights,
            spread(jnp.sum(weights * advantages, axis=-1, keepdims=True)),
            spread(jnp.max(advantages, axis=-1, keepdims=True)),
            spread(jnp.min(advantages, axis=-1, keepdims=True)),
            spread(progress),
        ],
        axis=-1,
    )
    return weights + jnp.tanh(features @ parameters["hidden"] + parameters["bias"]) @ parameters["output"]
