"""From points or a relaxed solution to groups, with a number of groups that may be traced."""

import jax
import jax.numpy as jnp

from jaxrl.multitask.grouping.partitions import memberships
from jaxrl.types import Array, Float, Int

__all__ = ["improve", "nearest_means"]


def _distances(points: Array, means: Array) -> Float[Array, "task group"]:
    return jnp.sum((points[:, None] - means[None]) ** 2, axis=-1)


def nearest_means(
    points: Float[Array, "task coordinate"], num_groups: Int[Array, ""] | int, largest: int, iterations: int = 20
) -> Int[Array, " task"]:
    """k-means without chance: means start at the point of largest norm, then at the farthest from those before.

    Args:
        points: one a task.
        num_groups: k ≤ `largest`, traced.
        largest: static bound of k.
        iterations: of Lloyd's algorithm.
    """
    active = jnp.arange(largest) < num_groups
    first = jnp.zeros(largest, jnp.int32).at[0].set(jnp.argmax(jnp.sum(points**2, axis=1)))

    def seed(chosen: Array, group: Array) -> tuple[Array, None]:
        apart = jnp.where(jnp.arange(largest) < group, _distances(points, points[chosen]), jnp.inf).min(axis=1)
        return chosen.at[group].set(jnp.argmax(apart)), None

    chosen, _ = jax.lax.scan(seed, first, jnp.arange(1, largest))

    def assign(means: Array) -> Int[Array, " task"]:
        return jnp.argmin(jnp.where(active, _distances(points, means), jnp.inf), axis=1)

    def lloyd(means: Array, _: None) -> tuple[Array, None]:
        member = memberships(assign(means), largest)
        count = member.sum(axis=0)[:, None]
        return jnp.where(count > 0, member.T @ points / jnp.maximum(count, 1.0), means), None

    means, _ = jax.lax.scan(lloyd, points[chosen], None, iterations)
    return assign(means).astype(jnp.int32)


def improve(
    affinity: Float[Array, "task task"], labels: Int[Array, " task"], num_groups: Int[Array, ""] | int, largest: int
) -> Int[Array, " task"]:
    """Moves one task at a time to another group, the move that raises `partition_value` most, until none does.

    No group is emptied; at most 4n moves.
    """
    affinity = (affinity + affinity.T) / 2
    scale = jnp.max(jnp.abs(affinity - affinity.mean())) + 1e-30
    allowed = jnp.arange(largest) < num_groups

    def gains(labels: Array) -> Float[Array, "task group"]:
        member = memberships(labels, largest)
        count, towards = member.sum(axis=0), affinity @ member
        within = jnp.sum(member * towards, axis=0)
        average = within / jnp.maximum(count, 1.0)
        own = jnp.diag(affinity)[:, None]
        leaving = (within - 2 * towards + own) / jnp.maximum(count - 1, 1.0) - average
        joining = (within + 2 * towards + own) / (count + 1) - average
        stays = jnp.take_along_axis(leaving, labels[:, None], axis=1)
        possible = allowed & (member == 0) & (count[labels] > 1)[:, None]
        return jnp.where(possible, joining + stays, -jnp.inf)

    def body(labels: Array, _: None) -> tuple[Array, None]:
        gain = gains(labels)
        task, group = jnp.unravel_index(jnp.argmax(gain), gain.shape)
        moved = labels.at[task].set(group.astype(labels.dtype))
        return jnp.where(gain[task, group] > 1e-5 * scale, moved, labels), None

    return jax.lax.scan(body, labels, None, 4 * labels.shape[0])[0]
