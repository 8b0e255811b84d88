"""Fitness shaping: from raw fitness of a population to weights of its noise.

Populations are antithetic: member i and member i + n/2 have opposite noise.
"""

from collections.abc import Callable

import jax.numpy as jnp

from jaxrl.errors import require_name
from jaxrl.numerics.finite import worst_for_non_finite
from jaxrl.types import Array, Float

__all__ = ["SHAPING", "make_shaping"]


def centred_rank(fitness: Float[Array, " member"]) -> Float[Array, " member"]:
    """rank/(n - 1) - 1/2, ties share their mean rank (Salimans et al., 2017, arXiv 1703.03864, section 2.1)."""
    below = jnp.sum(fitness[:, None] > fitness, axis=1)
    equal = jnp.sum(fitness[:, None] == fitness, axis=1)
    return (below + 0.5 * (equal - 1)) / (fitness.size - 1) - 0.5


def pairwise_rank(fitness: Float[Array, " member"]) -> Float[Array, " member"]:
    """+1/2 to the better of each antithetic pair, -1/2 to the worse, 0 to both if they are equal.

    Needs no common scale, so that pairs may face tasks of their own (TA-LPG, Jackson et al., 2024, arXiv
    2402.05828, section 4).
    """
    first, second = jnp.split(fitness, 2)
    half = 0.5 * jnp.sign(first - second)
    return jnp.concatenate([half, -half])


def z_score(fitness: Float[Array, " member"]) -> Float[Array, " member"]:
    """(f - mean) / (deviation + 1e-8) over the population."""
    return (fitness - fitness.mean()) / (fitness.std() + 1e-8)


def raw(fitness: Float[Array, " member"]) -> Float[Array, " member"]:
    """The fitness itself: the search gradient is then an unbiased one of the smoothed fitness."""
    return fitness


SHAPING: dict[str, Callable[[Array], Array]] = {
    "centred_rank": centred_rank,
    "pairwise_rank": pairwise_rank,
    "z_score": z_score,
    "raw": raw,
}


def make_shaping(name: str) -> Callable[[Array], Array]:
    """The shaping called `name`; members without finite fitness count as the worst of the others."""
    shape = SHAPING[require_name("fitness shaping", name, SHAPING)]
    return lambda fitness: shape(worst_for_non_finite(fitness))
