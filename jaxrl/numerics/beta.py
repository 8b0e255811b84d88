"""Beta policies: densities on bounded actions that put no mass beyond the bounds."""

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import betaln, digamma

from jaxrl.environments.spaces import Box
from jaxrl.numerics.distributions import Distribution, FamilyOptions, flat_size
from jaxrl.types import Array, Float, PRNGKeyArray

__all__ = ["beta", "gamma_of_proposals"]

# Each is accepted with a probability of at least 0.95: all are refused once in 10⁸ draws, less than float32 resolves.
_PROPOSALS = 6
# Samples keep this distance from the bounds, where log-densities may be infinite.
_EDGE = 1e-6
_LOG_TWO = math.log(2.0)


def beta(space: Box, options: FamilyOptions | None = None) -> Distribution:
    """Independent Beta(α, β) of every action, mapped linearly onto the bounds of `space` (Chou et al., 2017).

    Parameters are [a, b], with α = 1 + softplus(a) and β = 1 + softplus(b), so that the density has one top and is
    finite at the bounds. Raw samples lie in (0, 1); log-probability and entropy are in units where the space is
    [-1, 1], as those of Gaussians; entropy and KL are exact.

    Both gamma variates of a sample are the first of six proposals that is accepted (Marsaglia and Tsang, 2000), all of
    whose normal and uniform numbers are drawn before: no loop, and no random number, is left inside. Their slopes with
    respect to the parameters are implicit (Figurnov et al., 2018).

    Args:
        space: with finite bounds.
        options: of other families.

    Raises:
        ValueError: if `space` is unbounded.
    """
    if not space.bounded:
        raise ValueError(f"beta needs a bounded Box, got {space}; use 'gaussian'")
    size = flat_size(space)
    low, high = jnp.asarray(space.low), jnp.asarray(space.high)

    def noise(key: PRNGKeyArray, shape: tuple[int, ...]) -> Array:
        keys, shape = jax.random.split(key), (*shape, size, 2, _PROPOSALS)
        return jnp.stack([jax.random.normal(keys[0], shape), jax.random.uniform(keys[1], shape)], axis=-1)

    def concentrations(parameters: Float[Array, "*batch parameter"]) -> tuple[Array, Array]:
        found = 1.0 + jax.nn.softplus(parameters)
        return found[..., :size], found[..., size:]

    def sample(parameters: Array, noise: Array) -> Float[Array, "*batch action"]:
        first, second = (gamma_of_proposals(c, noise[..., i, :, :]) for i, c in enumerate(concentrations(parameters)))
        return jnp.clip(first / (first + second), _EDGE, 1.0 - _EDGE)

    def mode(parameters: Array) -> Float[Array, "*batch action"]:
        alpha, beta = (c - 1.0 for c in concentrations(parameters))
        # Of a uniform density every point is a mode.
        return (alpha + _EDGE) / (alpha + beta + 2.0 * _EDGE)

    def log_prob(parameters: Array, raw: Array) -> Float[Array, "*batch"]:
        alpha, beta = concentrations(parameters)
        density = (alpha - 1.0) * jnp.log(raw) + (beta - 1.0) * jnp.log1p(-raw) - betaln(alpha, beta)
        return jnp.sum(density - _LOG_TWO, axis=-1)

    def entropy(parameters: Array) -> Float[Array, "*batch"]:
        alpha, beta = concentrations(parameters)
        slope = (alpha - 1.0) * digamma(alpha) + (beta - 1.0) * digamma(beta)
        whole = (alpha + beta - 2.0) * digamma(alpha + beta)
        return jnp.sum(betaln(alpha, beta) - slope + whole + _LOG_TWO, axis=-1)

    def kl(p: Array, q: Array) -> Float[Array, "*batch"]:
        (a, b), (c, d) = concentrations(p), concentrations(q)
        slope = (a - c) * digamma(a) + (b - d) * digamma(b) + (c - a + d - b) * digamma(a + b)
        return jnp.sum(betaln(c, d) - betaln(a, b) + slope, axis=-1)

    return Distribution(
        num_parameters=2 * size,
        noise=noise,
        sample=sample,
        mode=mode,
        log_prob=log_prob,
        entropy=entropy,
        kl=kl,
        action=lambda raw: (low + raw * (high - low)).astype(space.dtype),
    )


@jax.custom_jvp
def gamma_of_proposals(
    concentration: Float[Array, "*batch"], noise: Float[Array, "*batch proposal 2"]
) -> Float[Array, "*batch"]:
    """A Gamma(concentration, 1) variate from normal and uniform numbers, for concentrations of at least 1.

    With d = concentration - 1/3 and x normal, v = (1 + x/√(9d))³ is accepted where log u < x²/2 + d - d v + d log v;
    then d v is the variate (Marsaglia and Tsang, 2000, "A simple method for generating gamma variables").
    """
    x, uniform = noise[..., 0], noise[..., 1]
    d = concentration[..., None] - 1.0 / 3.0
    v = (1.0 + x / jnp.sqrt(9.0 * d)) ** 3
    log_v = jnp.log(jnp.maximum(v, 1e-20))
    accepted = (v > 0.0) & (jnp.log(uniform) < 0.5 * x**2 + d - d * v + d * log_v)
    first = jnp.argmax(accepted, axis=-1, keepdims=True)
    return jnp.maximum(jnp.take_along_axis(d * v, first, axis=-1)[..., 0], 1e-20)


@gamma_of_proposals.defjvp
def _implicit_slope(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    """dz/dα = -(∂F/∂α)/(∂F/∂z), with F the cumulative distribution; no slope with respect to the numbers drawn."""
    concentration, noise = primals
    variate = gamma_of_proposals(concentration, noise)
    return variate, jax.lax.random_gamma_grad(concentration, variate) * tangents[0]
