"""What an action distribution is, and those of discrete actions.

A family is pure functions over an array of parameters. It never draws random numbers by itself: `noise` draws them, for
a whole rollout in one call, and `sample` turns them into actions. Samples are `raw` (unbounded for Gaussians); `action`
maps a raw sample to what the environment takes.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.types import Array, Float, Int, PRNGKeyArray

__all__ = ["Distribution", "categorical", "multi_categorical"]


class Distribution(NamedTuple):
    """One family of distributions.

    Attributes:
        num_parameters: length of the last axis of `parameters`.
        noise: `(key, batch_shape) -> noise`.
        sample: `(parameters, noise) -> raw`.
        mode: `parameters -> raw`, the most likely raw sample.
        log_prob: `(parameters, raw) -> [*batch]`, log density of `action(raw)` up to the
            constant of a fixed affine scaling (see each family).
        entropy: `parameters -> [*batch]`, in nats, of the same density.
        kl: `(p, q) -> [*batch]`, KL(p ‖ q) = E_p[log p - log q].
        action: `raw -> action` for the environment.
        shared_parameters: how many trailing parameters are free of the observation.
        initial_shared: their initial value.
    """

    num_parameters: int
    noise: Callable[[PRNGKeyArray, tuple[int, ...]], Array]
    sample: Callable[[Array, Array], Array]
    mode: Callable[[Array], Array]
    log_prob: Callable[[Array, Array], Array]
    entropy: Callable[[Array], Array]
    kl: Callable[[Array, Array], Array]
    action: Callable[[Array], Array]
    shared_parameters: int = 0
    initial_shared: float = 0.0


def categorical(n: int, masked: bool = False) -> Distribution:
    """Categorical over 0 .. n - 1 with logits x: p = softmax(x).

    Samples by inverse CDF from one uniform number, so events rarer than 2⁻²³ are not resolved. A logit of -∞ is a
    probability of exactly 0, under which log-probability, entropy, divergence and their derivatives hold; at least one
    must be finite.

    Args:
        n: how many.
        masked: whether logits may be -∞. Without it such an event may be drawn where sums of the others are rounded.
    """

    def sample(logits: Float[Array, "*batch n"], uniform: Float[Array, "*batch"]) -> Array:
        mass = jnp.cumsum(jnp.exp(logits - logits.max(axis=-1, keepdims=True)), axis=-1)
        below = mass[..., :-1] <= (uniform[..., None] * mass[..., -1:])
        return jnp.sum(below, axis=-1, dtype=jnp.int32)

    def log_prob(logits: Float[Array, "*batch n"], raw: Array) -> Float[Array, "*batch"]:
        chosen = raw[..., None] == jnp.arange(n)
        return jnp.sum(jnp.where(chosen, jax.nn.log_softmax(logits), 0.0), axis=-1)

    def entropy(logits: Float[Array, "*batch n"]) -> Float[Array, "*batch"]:
        log_p = jax.nn.log_softmax(logits)
        return -jnp.sum(_probability_times(log_p, log_p), axis=-1)

    def kl(p: Float[Array, "*batch n"], q: Float[Array, "*batch n"]) -> Float[Array, "*batch"]:
        log_p, log_q = jax.nn.log_softmax(p), jax.nn.log_softmax(q)
        return jnp.sum(_probability_times(log_p, log_p - log_q), axis=-1)

    return Distribution(
        num_parameters=n,
        noise=jax.random.uniform,
        sample=_sample_possible if masked else sample,
        mode=lambda logits: jnp.argmax(logits, axis=-1).astype(jnp.int32),
        log_prob=log_prob,
        entropy=entropy,
        kl=kl,
        action=lambda raw: raw,
    )


def _sample_possible(logits: Float[Array, "*batch n"], uniform: Float[Array, "*batch"]) -> Int[Array, "*batch"]:
    """The first possible event at which the cumulative mass has passed its share; where rounding leaves none, the last.

    Sums in another order may differ by rounding though what they add is 0: no comparison of them alone rules an event
    out.
    """
    possible = logits > -jnp.inf
    mass = jnp.cumsum(jnp.exp(logits - logits.max(axis=-1, keepdims=True)), axis=-1)
    passed = possible & (mass > uniform[..., None] * mass[..., -1:])
    last = logits.shape[-1] - 1 - jnp.argmax(possible[..., ::-1], axis=-1)
    return jnp.where(jnp.any(passed, axis=-1), jnp.argmax(passed, axis=-1), last).astype(jnp.int32)


def _probability_times(log_p: Array, value: Array) -> Array:
    """p · value with 0 · ±inf = 0, for actions that are masked out."""
    possible = log_p > -jnp.inf
    return jnp.where(possible, jnp.exp(log_p) * jnp.where(possible, value, 0.0), 0.0)


def multi_categorical(sizes: tuple[int, ...], masked: bool = False) -> Distribution:
    """Independent categoricals; parameters are their logits one after the other."""
    parts = [categorical(n, masked) for n in sizes]
    edges = np.cumsum((0, *sizes))

    def split(logits: Array) -> list[Array]:
        return [logits[..., low:high] for low, high in pairwise(edges)]

    def stack(name: str) -> Callable[..., Array]:
        def apply(logits: Array, *rest: Array) -> Array:
            rows = [[r[..., i] for r in rest] for i in range(len(parts))]
            results = [getattr(part, name)(x, *row) for part, x, row in zip(parts, split(logits), rows)]
            return jnp.stack(results, axis=-1)

        return apply

    def summed(name: str) -> Callable[..., Array]:
        stacked = stack(name)
        return lambda logits, *rest: stacked(logits, *rest).sum(axis=-1)

    def kl(p: Array, q: Array) -> Array:
        return sum(part.kl(x, y) for part, x, y in zip(parts, split(p), split(q)))

    return Distribution(
        num_parameters=int(edges[-1]),
        noise=lambda key, shape: jax.random.uniform(key, (*shape, len(sizes))),
        sample=stack("sample"),
        mode=stack("mode"),
        log_prob=summed("log_prob"),
        entropy=summed("entropy"),
        kl=kl,
        action=lambda raw: raw,
    )
