"""Groups of tasks from their affinity: semidefinite relaxation, spectral, or the best of all partitions."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.configs import check_config
from jaxrl.errors import require_name
from jaxrl.multitask.grouping.partitions import LARGEST, all_partitions, canonical, partition_value
from jaxrl.multitask.grouping.rounding import improve, nearest_means
from jaxrl.multitask.grouping.semidefinite import relaxed_partition
from jaxrl.ranges import COUNT, NUMBER
from jaxrl.types import Array, Float, Int

__all__ = ["CLUSTERINGS", "Clustering", "ClusteringConfig", "description_length", "make_clustering"]


@dataclass(frozen=True, kw_only=True)
class ClusteringConfig:
    """Static settings."""

    clustering: str = "sdp"
    """sdp (semidefinite relaxation, rounded), spectral, or exhaustive (all partitions of at most 10 tasks)."""
    num_groups: Annotated[int, COUNT] | None = None
    """k; by default the one of least description length, 1 where no grouping pays for itself."""
    max_groups: Annotated[int, COUNT] = 8
    """Largest k considered by default, at most one less than the number of tasks."""
    trace_penalty: Annotated[float, NUMBER] | None = None
    """λ of the paper's ⟨U, X⟩ − λ tr X, in units of U, for sdp: k is then the rounded trace of the solution."""
    improve: bool = True
    """Whether sdp and spectral groups are improved by moving single tasks while that raises the objective."""
    relaxation_iterations: Annotated[int, COUNT] = 2000
    """Of the semidefinite programme, at most."""

    def __post_init__(self) -> None:
        check_config(self)
        require_name("clustering", self.clustering, ("exhaustive", "sdp", "spectral"))
        if self.trace_penalty is not None and (self.clustering != "sdp" or self.num_groups is not None):
            raise ValueError("trace_penalty chooses k in the clustering 'sdp': leave num_groups out, or leave it out")


class Clustering(NamedTuple):
    """A partition of the tasks.

    Attributes:
        labels: groups, numbered from 0 by their first task.
        num_groups: how many.
        value: `partition_value`, Σ of average intra-group affinities times group sizes.
        candidates: labels of the partition into every considered number of groups.
        candidate_groups: these numbers.
        description_lengths: of the candidates, in nats; see `description_length`.
    """

    labels: Int[Array, " task"]
    num_groups: Int[Array, ""]
    value: Float[Array, ""]
    candidates: Int[Array, "candidate task"]
    candidate_groups: Int[Array, " candidate"]
    description_lengths: Float[Array, " candidate"]


def _without_effects(pairs: Float[Array, "task task"]) -> Float[Array, "task task"]:
    """Residuals of the off-diagonal entries after the best c_i + c_j; their mean alone for fewer than 5 tasks."""
    size = pairs.shape[0]
    off = 1.0 - jnp.eye(size)
    pairs = pairs * off
    rows = pairs.sum(axis=1)
    total = rows.sum()
    if size < 5:
        return (pairs - total / (size * (size - 1))) * off
    effect = (rows - total / (2 * (size - 1))) / (size - 2)
    return (pairs - effect[:, None] - effect[None]) * off


def description_length(affinity: Float[Array, "task task"], labels: Int[Array, " task"]) -> Float[Array, ""]:
    """Nats to tell the affinities between tasks with the help of a partition into k groups; least is best.

    D(k) = (M/2) log RSS_k + [k > 1] (n log k − log k! + log n + ½ log M)

    The off-diagonal U_ij are c_i + c_j, plus one number within groups, plus noise of one variance: RSS_k is the
    residual sum of squares, M = n(n − 1)/2 − n its degrees of freedom, and the bracket names the partition, k, and the
    number. A grouping that chance explains as well costs more than it saves, which leaves k = 1. With fewer than 5
    tasks the effects c_i are one mean. Minimum description length (Rissanen, 1978) for the planted partition model.
    """
    size = affinity.shape[0]
    if size < 3:
        return jnp.log(jnp.max(labels) + 1.0)
    num_groups = canonical(labels).max() + 1.0
    pairs = _without_effects((affinity + affinity.T) / 2)
    same = _without_effects((labels[:, None] == labels[None]).astype(affinity.dtype))
    total, spread, shared = jnp.sum(pairs**2), jnp.sum(same**2), jnp.sum(pairs * same)
    explained = jnp.where(spread > 1e-6, jnp.maximum(shared, 0.0) ** 2 / jnp.maximum(spread, 1e-6), 0.0)
    # Perfect fits are told apart no further than a millionth of the variance.
    share = jnp.maximum(1.0 - explained / jnp.maximum(total, 1e-30), 1e-6)
    freedom = max(size * (size - 1) / 2 - (size if size >= 5 else 1), 1.0)
    naming = size * jnp.log(num_groups) - jax.lax.lgamma(num_groups + 1) + jnp.log(size) + jnp.log(freedom) / 2
    return freedom / 2 * jnp.log(share) + jnp.where(num_groups > 1, naming, 0.0)


def make_clustering(
    config: ClusteringConfig = ClusteringConfig(),
) -> Callable[[Float[Array, "task task"]], Clustering]:
    """Builds `affinity -> Clustering`, pure; its symmetric part counts.

    `sdp` rounds the solution of trace k by k-means of its rows; `spectral` drops X ≥ 0, which leaves the leading k − 1
    eigenvectors of U with rows and columns centred (Zha et al., 2001), and takes k-means of these; `exhaustive`
    takes the partition of largest value. Map it over affinities with `jax.lax.map`, not vmap: see `relaxed_partition`.

    Raises:
        UnknownNameError: by `ClusteringConfig`, for an unknown clustering.
        ValueError: when called: more groups than tasks, or more than 10 tasks for `exhaustive`.
    """
    return partial(_cluster, config)


def _cluster(config: ClusteringConfig, affinity: Float[Array, "task task"]) -> Clustering:
    size = affinity.shape[0]
    if config.num_groups is not None and config.num_groups > size:
        raise ValueError(f"{size} tasks make at most {size} groups, got num_groups={config.num_groups}")
    if config.clustering == "exhaustive" and size > LARGEST:
        raise ValueError(f"the clustering 'exhaustive' takes at most {LARGEST} tasks, got {size}: use 'sdp'")
    affinity = (affinity + affinity.T) / 2
    groups = _considered(config, affinity)
    largest = config.num_groups or (size if config.trace_penalty is not None else max(groups.shape[0], 1))
    candidates = CLUSTERINGS[config.clustering](config, affinity, groups, largest)
    candidates = jax.vmap(canonical)(candidates)
    lengths = jax.vmap(description_length, (None, 0))(affinity, candidates)
    labels = candidates[jnp.argmin(lengths)]
    return Clustering(labels, labels.max() + 1, partition_value(affinity, labels), candidates, groups, lengths)


def _considered(config: ClusteringConfig, affinity: Array) -> Int[Array, " candidate"]:
    if config.num_groups is not None:
        return jnp.asarray([config.num_groups], jnp.int32)
    if config.trace_penalty is not None:
        relaxed = relaxed_partition(affinity, None, config.trace_penalty, config.relaxation_iterations).x
        return jnp.clip(jnp.round(jnp.trace(relaxed)), 1, affinity.shape[0]).astype(jnp.int32)[None]
    return jnp.arange(1, max(min(config.max_groups, affinity.shape[0] - 1), 1) + 1, dtype=jnp.int32)


def _rounded(config: ClusteringConfig, affinity: Array, points: Array, count: Array, largest: int) -> Array:
    labels = nearest_means(points, count, largest)
    return improve(affinity, labels, count, largest) if config.improve else labels


def _sdp(config: ClusteringConfig, affinity: Array, groups: Array, largest: int) -> Int[Array, "candidate task"]:
    def one(count: Array) -> Array:
        relaxed = relaxed_partition(affinity, count, iterations=config.relaxation_iterations)
        return _rounded(config, affinity, relaxed.x, count, largest)

    return jax.lax.map(one, groups)


def _spectral(config: ClusteringConfig, affinity: Array, groups: Array, largest: int) -> Int[Array, "candidate task"]:
    centre = jnp.eye(affinity.shape[0]) - 1.0 / affinity.shape[0]
    vectors = jnp.linalg.eigh(centre @ affinity @ centre)[1][:, ::-1]

    def one(count: Array) -> Array:
        leading = jnp.where(jnp.arange(vectors.shape[1]) < count - 1, vectors, 0.0)
        return _rounded(config, affinity, leading, count, largest)

    return jax.lax.map(one, groups)


def _exhaustive(config: ClusteringConfig, affinity: Array, groups: Array, largest: int) -> Int[Array, "candidate task"]:
    every = all_partitions(affinity.shape[0])
    partitions, counts = jnp.asarray(every), jnp.asarray(every.max(axis=1) + 1)
    values = jax.lax.map(partial(partition_value, affinity), partitions, batch_size=min(8192, len(every)))
    best = jax.vmap(lambda count: jnp.argmax(jnp.where(counts == count, values, -jnp.inf)))(groups)
    return partitions[best]


CLUSTERINGS: dict[str, Callable[..., Array]] = {"sdp": _sdp, "spectral": _spectral, "exhaustive": _exhaustive}
