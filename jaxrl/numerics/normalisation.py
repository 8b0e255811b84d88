"""Running statistics: mean and variance of a stream, merged batch by batch."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Bool, Float, PyTree
from jaxrl.validity import inverse_share, kept

__all__ = [
    "RewardScale",
    "RunningStatistics",
    "clip_parts",
    "init_parts",
    "init_statistics",
    "normalise",
    "normalise_parts",
    "scale_rewards",
    "standard_deviation",
    "update_parts",
    "update_statistics",
]


class RunningStatistics(NamedTuple):
    """Mean, sum of squared deviations and count of everything seen.

    Attributes:
        mean: running mean, the shape of one sample.
        squares: Σ (x - mean)², the shape of one sample.
        count: number of samples, or one number per entry where they differ.
    """

    mean: Array
    squares: Array
    count: Float[Array, "..."]


def init_statistics(shape: tuple[int, ...], count_each: bool = False) -> RunningStatistics:
    """Statistics of nothing: `normalise` with them is the identity.

    Args:
        shape: of one sample.
        count_each: whether entries are counted apart, for `update_statistics` with `where`.
    """
    return RunningStatistics(jnp.zeros(shape), jnp.zeros(shape), jnp.zeros(shape if count_each else ()))


def update_statistics(
    statistics: RunningStatistics, batch: Array, where: Array | None = None, valid: Bool[Array, "..."] | None = None
) -> RunningStatistics:
    """Merges `batch`, whose leading axes are samples (Chan et al., 1979, pairwise update).

    With batch mean m, squares S and count n, and δ = m - mean:
    mean ← mean + δ n/(N + n);  squares ← squares + S + δ² N n/(N + n).
    Last entries of the batch that the statistics leave out are passed over, and so are those that `where`, of the
    batch's shape, is 0 for, and samples that are not `valid`.
    """
    batch, _ = _split(statistics, batch)
    axes = tuple(range(batch.ndim - statistics.mean.ndim))
    batch = jax.lax.stop_gradient(batch.astype(jnp.float32))
    if where is None:
        count = jnp.asarray(float(batch.size // max(1, statistics.mean.size)))
        count = count if valid is None else valid.sum(dtype=jnp.float32)
        mean = kept(valid, batch).mean(axis=axes) * inverse_share(valid)
        squares = jnp.square(kept(valid, batch - mean)).sum(axis=axes)
        total = jnp.maximum(statistics.count + count, 1.0)
    else:
        where = kept(valid, where)
        count = where.sum(axis=axes)
        mean = jnp.sum(where * batch, axis=axes) / jnp.maximum(count, 1.0)
        squares = jnp.sum(where * jnp.square(batch - mean), axis=axes)
        total = jnp.maximum(statistics.count + count, 1.0)
    delta = mean - statistics.mean
    return RunningStatistics(
        statistics.mean + delta * (count / total),
        statistics.squares + squares + delta**2 * (statistics.count * count / total),
        statistics.count + count,
    )


def standard_deviation(statistics: RunningStatistics) -> Array:
    """Population standard deviation; 1 before anything was seen and where nothing varies."""
    variance = statistics.squares / jnp.maximum(statistics.count, 1.0)
    return jnp.where(variance > 1e-8, jnp.sqrt(jnp.maximum(variance, 1e-8)), 1.0)


def normalise(statistics: RunningStatistics, value: Array, limit: Float[Array, ""] | float = 10.0) -> Array:
    """(value - mean)/std, clipped to ±`limit`; last entries that the statistics leave out, as they are."""
    known, rest = _split(statistics, value)
    scaled = jnp.clip((known - statistics.mean) / standard_deviation(statistics), -limit, limit)
    return scaled if rest is None else jnp.concatenate([scaled, rest], axis=-1)


def init_parts(measured: PyTree) -> PyTree:
    """Statistics of nothing for every part of an observation that has a shape; None for those that are None."""
    return jax.tree.map(lambda part: init_statistics(part.shape), measured)


def update_parts(statistics: PyTree, batch: PyTree, valid: Bool[Array, "..."] | None = None) -> PyTree:
    """As `update_statistics`, for every part that there are statistics of."""
    return _each_part(lambda own, part: update_statistics(own, part, valid=valid), statistics, batch, lambda _: None)


def normalise_parts(statistics: PyTree, value: PyTree, limit: Float[Array, ""] | float = 10.0) -> PyTree:
    """As `normalise`, for every part that there are statistics of; the others as they are."""
    return _each_part(lambda own, part: normalise(own, part, limit), statistics, value, lambda part: part)


def clip_parts(value: PyTree, limit: Float[Array, ""] | float) -> PyTree:
    """Every part that is numbers, within ±`limit`."""
    is_number = lambda part: jnp.issubdtype(part.dtype, jnp.floating)  # noqa: E731
    return jax.tree.map(lambda part: jnp.clip(part, -limit, limit) if is_number(part) else part, value)


def _each_part(
    function: Callable[..., PyTree], statistics: PyTree, value: PyTree, otherwise: Callable[[PyTree], PyTree]
) -> PyTree:
    if statistics is None:
        return otherwise(value)
    if isinstance(statistics, RunningStatistics):
        return function(statistics, value)
    if isinstance(statistics, dict):
        return {name: _each_part(function, statistics[name], part, otherwise) for name, part in value.items()}
    return tuple(_each_part(function, *pair, otherwise) for pair in zip(statistics, value, strict=True))


def _split(statistics: RunningStatistics, value: Array) -> tuple[Array, Array | None]:
    """The entries that statistics are kept of, and those after them, such as the name of a task."""
    if not statistics.mean.ndim or statistics.mean.shape[-1] == value.shape[-1]:
        return value, None
    size = statistics.mean.shape[-1]
    return value[..., :size], value[..., size:]


class RewardScale(NamedTuple):
    """Running scale of rewards, per objective: the deviation of discounted sums of rewards.

    Attributes:
        sums: Σ γᵏ rₜ₋ₖ of each environment's current episode, `[env, objective]`.
        statistics: of those sums.
    """

    sums: Float[Array, "env objective"]
    statistics: RunningStatistics


def scale_rewards(
    scale: RewardScale | None,
    rewards: Float[Array, "time env objective"],
    done: Bool[Array, "time env"],
    discount: Float[Array, "..."],
    paying: Float[Array, "time env objective"] | None = None,
    valid: Bool[Array, "time env"] | None = None,
) -> tuple[Float[Array, "time env objective"], RewardScale | None]:
    """Rewards over the deviation seen before this rollout, and the scale after it.

    `paying` is 1 where a sample belongs to an objective, where not all belong to all (see `environments.tasks`);
    samples that are not `valid` leave the scale as it is.
    """
    if scale is None:
        return rewards, None

    def body(sums: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        reward, done = inputs
        sums = discount * sums + reward
        return jnp.where(done[..., None], 0.0, sums), sums

    sums, seen = jax.lax.scan(body, scale.sums, (rewards, done))
    statistics = update_statistics(scale.statistics, seen, paying, valid)
    return rewards / standard_deviation(scale.statistics), RewardScale(sums, statistics)
