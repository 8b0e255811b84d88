"""Action distributions of continuous actions, and the one that fits an action space."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.spaces import Box, Discrete, MultiDiscrete, Space
from jaxrl.errors import require_name
from jaxrl.numerics.categorical import Distribution, categorical, multi_categorical
from jaxrl.registry import Registry
from jaxrl.types import Array

__all__ = [
    "FAMILIES",
    "Distribution",
    "FamilyOptions",
    "categorical",
    "clipped_action",
    "diagonal_gaussian",
    "flat_size",
    "for_space",
    "multi_categorical",
    "tanh_gaussian",
]

_LOG_TWO_PI = math.log(2.0 * math.pi)


def _gaussian_parts(size: int) -> dict:
    """Noise, sample, mode, log-probability, entropy and divergence of N(μ, diag σ²)."""

    def split(parameters: Array) -> tuple[Array, Array]:
        return parameters[..., :size], parameters[..., size:]

    def sample(parameters: Array, noise: Array) -> Array:
        mean, log_std = split(parameters)
        return mean + jnp.exp(log_std) * noise

    def log_prob(parameters: Array, raw: Array) -> Array:
        mean, log_std = split(parameters)
        standard = (raw - mean) * jnp.exp(-log_std)
        return -jnp.sum(0.5 * standard**2 + log_std + 0.5 * _LOG_TWO_PI, axis=-1)

    def entropy(parameters: Array) -> Array:
        return jnp.sum(split(parameters)[1] + 0.5 * (1.0 + _LOG_TWO_PI), axis=-1)

    def kl(p: Array, q: Array) -> Array:
        (p_mean, p_log), (q_mean, q_log) = split(p), split(q)
        squares = jnp.exp(2.0 * (p_log - q_log)) + ((p_mean - q_mean) * jnp.exp(-q_log)) ** 2
        return jnp.sum(q_log - p_log + 0.5 * (squares - 1.0), axis=-1)

    return {
        "num_parameters": 2 * size,
        "noise": lambda key, shape: jax.random.normal(key, (*shape, size)),
        "sample": sample,
        "mode": lambda parameters: split(parameters)[0],
        "log_prob": log_prob,
        "entropy": entropy,
        "kl": kl,
        "shared_parameters": size,
    }


def diagonal_gaussian(space: Box, initial_log_std: float = 0.0) -> Distribution:
    """N(μ, diag σ²) with parameters [μ, log σ], in units where a bounded space is [-1, 1].

    A bounded space's raw samples are clipped to [-1, 1] and mapped linearly onto its bounds; the
    log-probability is that of the raw sample before clipping, as is usual for PPO.
    """
    parts = _gaussian_parts(flat_size(space))
    return Distribution(**parts, action=clipped_action(space), initial_shared=initial_log_std)


def clipped_action(space: Box) -> Callable[[Array], Array]:
    """Raw samples clipped to [-1, 1] and mapped onto the bounds of a space, if it has any."""
    return _onto_bounds(space, lambda raw: jnp.clip(raw, -1.0, 1.0))


# 32 points integrate the log-Jacobian to 1e-5 for σ ≤ 1.5, to 2e-4 at σ = 2 and 3e-3 at σ = 3.
_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(32)


def tanh_gaussian(space: Box, initial_log_std: float = 0.0) -> Distribution:
    """tanh(X) with X ~ N(μ, diag σ²), mapped linearly onto the bounds of `space`.

    log p(tanh x) = log N(x) - Σ log(1 - tanh²x) (Haarnoja et al., 2018, appendix C), in units where
    the space is [-1, 1]. The entropy H(X) + E[Σ log(1 - tanh²X)] uses Gauss-Hermite quadrature;
    KL is that of the Gaussians, because a bijection leaves it unchanged.

    Raises:
        ValueError: if `space` is unbounded.
    """
    if not space.bounded:
        raise ValueError(f"tanh_gaussian needs a bounded Box, got {space}; use 'gaussian'")
    size = flat_size(space)
    gaussian = _gaussian_parts(size)

    def log_jacobian(raw: Array) -> Array:
        return 2.0 * (math.log(2.0) - raw - jax.nn.softplus(-2.0 * raw))

    def entropy(parameters: Array) -> Array:
        mean, log_std = parameters[..., :size], parameters[..., size:]
        points = mean[..., None] + jnp.exp(log_std)[..., None] * _NODES.astype(np.float32)
        weights = (_NODE_WEIGHTS / _NODE_WEIGHTS.sum()).astype(np.float32)
        return gaussian["entropy"](parameters) + jnp.sum(log_jacobian(points) * weights, axis=(-2, -1))

    def log_prob(parameters: Array, raw: Array) -> Array:
        return gaussian["log_prob"](parameters, raw) - jnp.sum(log_jacobian(raw), axis=-1)

    parts = {**gaussian, "entropy": entropy, "log_prob": log_prob}
    return Distribution(**parts, action=_onto_bounds(space, jnp.tanh), initial_shared=initial_log_std)


def flat_size(space: Box) -> int:
    """How many numbers an action has.

    Raises:
        ValueError: for actions that are no vectors.
    """
    if len(space.shape) != 1:
        raise ValueError(f"continuous actions must be vectors, got a Box of shape {space.shape}")
    return space.shape[0]


def _onto_bounds(space: Box, squash: Callable[[Array], Array]) -> Callable[[Array], Array]:
    if not space.bounded:
        return lambda raw: raw.astype(space.dtype)
    low, high = jnp.asarray(space.low), jnp.asarray(space.high)
    return lambda raw: (low + (squash(raw) + 1.0) * 0.5 * (high - low)).astype(space.dtype)


class FamilyOptions(NamedTuple):
    """What families for boxes are built with, each of which reads what it needs.

    Attributes:
        initial_log_std: initial log standard deviation of Gaussians.
        components: of mixtures.
    """

    initial_log_std: float = 0.0
    components: int = 3


# Families for boxes: `(space, FamilyOptions) -> Distribution`.
FAMILIES = Registry(
    "distribution",
    {
        "gaussian": lambda space, options: diagonal_gaussian(space, options.initial_log_std),
        "tanh_gaussian": lambda space, options: tanh_gaussian(space, options.initial_log_std),
        "beta": "jaxrl.numerics.beta:beta",
        "gaussian_mixture": "jaxrl.numerics.mixture:gaussian_mixture",
    },
)


def for_space(
    space: Space,
    kind: str = "auto",
    initial_log_std: float = 0.0,
    components: int = FamilyOptions().components,
    masked: bool = False,
) -> Distribution:
    """The distribution for an action space.

    Args:
        space: the action space.
        kind: `auto` picks `categorical`, `multi_categorical` or `gaussian`; the `FAMILIES` need a Box, `categorical` a
            Discrete or MultiDiscrete space.
        initial_log_std: initial log standard deviation of Gaussians.
        components: of `gaussian_mixture`.
        masked: whether logits may be -∞, of actions that are not legal.

    Raises:
        ValueError: if the kind does not fit the space, naming those that do.
    """
    require_name("distribution", kind, ("auto", "categorical", *FAMILIES))
    continuous = isinstance(space, Box)
    fitting = ("auto", *FAMILIES) if continuous else ("auto", "categorical")
    if kind not in fitting:
        raise ValueError(f"distribution {kind!r} cannot act in {space}; allowed: {', '.join(fitting)}")
    if isinstance(space, Discrete):
        return categorical(space.n, masked)
    if isinstance(space, MultiDiscrete):
        return multi_categorical(space.sizes, masked)
    return FAMILIES["gaussian" if kind == "auto" else kind](space, FamilyOptions(initial_log_std, components))
