"""Mixtures of Gaussians: policies with several likely actions."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from jaxrl.environments.spaces import Box
from jaxrl.numerics.distributions import Distribution, FamilyOptions, categorical, clipped_action, flat_size
from jaxrl.types import Array, Float, PRNGKeyArray

__all__ = ["gaussian_mixture"]

_LOG_ROOT_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(32)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
# Steps from each mean to the top that is nearest to it.
_CLIMB = 16
# Means start between minus and plus this, so that components differ.
_SPREAD = 0.5


def gaussian_mixture(space: Box, options: FamilyOptions | None = None) -> Distribution:
    """Σₖ wₖ N(μₖ, σₖ²) of every action by itself, in units where a bounded space is [-1, 1].

    Parameters are [logits, means, log σ], each with `components` entries per action; log σ are free of the observation.
    Means are counted from places spread evenly over [-1/2, 1/2], so that components differ at first. As of `gaussian`,
    raw samples are clipped to the bounds, and log-probability is that of the raw sample.

    Entropy and KL have no closed form. Both are expectations under each component, by Gauss-Hermite quadrature of 32
    points: E_p[-log p] and E_p[log p - log q], to 2e-3 nats where deviations of components differ up to threefold, to
    3e-2 where up to tenfold. The mode is the highest of the tops that 16 steps of mean shift from
    each mean lead to (Carreira-Perpiñán, 2000).

    Args:
        space: bounded or not.
        options: the number of components, and log σ at first.
    """
    options = options or FamilyOptions()
    size, count = flat_size(space), options.components
    choice, places = categorical(count), np.linspace(-_SPREAD, _SPREAD, count) if count > 1 else np.zeros(1)
    places, nodes, node_weights = (np.asarray(part, np.float32) for part in (places, _NODES, _WEIGHTS))

    def split(parameters: Float[Array, "*batch parameter"]) -> tuple[Array, Array, Array]:
        """Log weights, means and log deviations, `[*batch, action, component]`."""
        parts = parameters.reshape(*parameters.shape[:-1], 3, size, count)
        return jax.nn.log_softmax(parts[..., 0, :, :]), parts[..., 1, :, :] + places, parts[..., 2, :, :]

    def joint(parts: tuple[Array, Array, Array], x: Float[Array, "*batch action"]) -> Array:
        """log wₖ N(x; μₖ, σₖ), component last."""
        log_weight, mean, log_std = parts
        standard = (x[..., None] - mean) * jnp.exp(-log_std)
        return log_weight - 0.5 * standard**2 - log_std - _LOG_ROOT_TWO_PI

    def along(function: Any, parts: tuple[Array, Array, Array], x: Float[Array, "*batch action point"]) -> Array:
        """A function of parts and x at many points of every action."""
        return jax.vmap(function, in_axes=(None, -1), out_axes=-1)(parts, x)

    def density(parts: tuple[Array, Array, Array], x: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
        return logsumexp(joint(parts, x), axis=-1)

    def expected(parts: tuple[Array, Array, Array], *others: tuple[Array, Array, Array]) -> list[Array]:
        """E[log p] of the mixture itself and of others under it, summed over actions."""
        log_weight, mean, log_std = parts
        points = mean[..., None] + jnp.exp(log_std)[..., None] * nodes
        weights = jnp.exp(log_weight)[..., None] * node_weights
        flat = points.reshape(*points.shape[:-2], -1)
        found = [along(density, each, flat).reshape(points.shape) for each in (parts, *others)]
        return [jnp.sum(weights * log_p, axis=(-3, -2, -1)) for log_p in found]

    def noise(key: PRNGKeyArray, shape: tuple[int, ...]) -> Array:
        keys, shape = jax.random.split(key), (*shape, size)
        return jnp.stack([jax.random.uniform(keys[0], shape), jax.random.normal(keys[1], shape)], axis=-1)

    def sample(parameters: Array, noise: Array) -> Float[Array, "*batch action"]:
        log_weight, mean, log_std = split(parameters)
        chosen = choice.sample(log_weight, noise[..., 0])[..., None] == jnp.arange(count)
        pick = lambda leaf: jnp.sum(jnp.where(chosen, leaf, 0.0), axis=-1)  # noqa: E731
        return pick(mean) + jnp.exp(pick(log_std)) * noise[..., 1]

    def mode(parameters: Array) -> Float[Array, "*batch action"]:
        parts = split(parameters)
        _, mean, log_std = parts
        precision = jnp.exp(-2.0 * log_std)

        def climb(_: Any, x: Float[Array, "*batch action point"]) -> Array:
            share = jax.nn.softmax(jnp.moveaxis(along(joint, parts, x), -1, -2)) * precision[..., None, :]
            return jnp.sum(share * mean[..., None, :], axis=-1) / jnp.sum(share, axis=-1)

        tops = jax.lax.fori_loop(0, _CLIMB, climb, mean)
        best = jnp.argmax(along(density, parts, tops), axis=-1, keepdims=True)
        return jnp.take_along_axis(tops, best, axis=-1)[..., 0]

    def kl(p: Array, q: Array) -> Float[Array, "*batch"]:
        own, other = expected(split(p), split(q))
        return own - other

    return Distribution(
        num_parameters=3 * size * count,
        noise=noise,
        sample=sample,
        mode=mode,
        log_prob=lambda parameters, raw: jnp.sum(density(split(parameters), raw), axis=-1),
        entropy=lambda parameters: -expected(split(parameters))[0],
        kl=kl,
        action=clipped_action(space),
        shared_parameters=size * count,
        initial_shared=options.initial_log_std,
    )
