"""Sums kept while an episode runs: vector return, discounted return, length."""

from typing import NamedTuple

import jax.numpy as jnp

from jaxrl.environments.batching import select_batch
from jaxrl.types import Array, Bool, Float, PyTree

__all__ = ["EpisodeState", "EpisodeStatistics", "accumulate", "restart_where", "start_episode"]


class EpisodeStatistics(NamedTuple):
    """Sums over the episode so far.

    Attributes:
        returns: Σ rₜ, one entry per objective.
        discounted_returns: Σ γᵗ rₜ, one entry per objective.
        discount_power: γᵗ of the next reward, per objective.
        length: number of steps.
    """

    returns: Float[Array, "*batch objective"]
    discounted_returns: Float[Array, "*batch objective"]
    discount_power: Float[Array, "*batch objective"]
    length: Float[Array, "*batch"]


class EpisodeState(NamedTuple):
    """The wrapped state and the running statistics of its episode."""

    inner: PyTree
    episode: EpisodeStatistics


def start_episode(batch_shape: tuple[int, ...], num_objectives: int) -> EpisodeStatistics:
    """Statistics of an episode that has not begun."""
    zeros = jnp.zeros((*batch_shape, num_objectives))
    return EpisodeStatistics(zeros, zeros, zeros + 1.0, jnp.zeros(batch_shape))


def accumulate(
    episode: EpisodeStatistics, reward: Float[Array, "*batch objective"], discount: Float[Array, "..."]
) -> EpisodeStatistics:
    """Adds one step; `discount` is a scalar or has one entry per objective."""
    return EpisodeStatistics(
        episode.returns + reward,
        episode.discounted_returns + episode.discount_power * reward,
        episode.discount_power * discount,
        episode.length + 1.0,
    )


def restart_where(done: Bool[Array, " env"], episode: EpisodeStatistics) -> EpisodeStatistics:
    """Fresh statistics where an episode ended."""
    fresh = start_episode(episode.length.shape, episode.returns.shape[-1])
    return select_batch(done, fresh, episode)
