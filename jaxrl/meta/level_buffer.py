"""A buffer of scored levels to draw again: prioritised level replay (Jiang et al., 2021, arXiv 2010.03934).

Every level in it has been learnt to the end and scored; a level that is drawn again takes its new score when that life
ends, whatever happened to the buffer meanwhile, for it is found by its identity and not by its place.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.meta.curriculum_settings import CurriculumHyperparameters
from jaxrl.meta.tasks import Task
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["PRIORITISATION", "LevelBuffer", "allot", "draw", "empty", "probabilities", "record"]


# Temperatures below it are as good as 0.
_COLDEST = 1e-6


class LevelBuffer(NamedTuple):
    """Levels and their scores, in no order.

    Attributes:
        task: leading axis `slot`; its identity is -1 where a slot is empty.
        score: of the life that learnt it last.
        scored_at: clock when that life ended.
        clock: calls of `record`.
        born: identities given so far.
    """

    task: Task
    score: Float[Array, " slot"]
    scored_at: Int[Array, " slot"]
    clock: Int[Array, ""]
    born: Int[Array, ""]


def empty(like: Task, capacity: int) -> LevelBuffer:
    """A buffer without levels, for tasks of the shapes of `like`."""
    blank = jax.tree.map(lambda leaf: jnp.zeros((capacity, *jnp.shape(leaf)), jnp.result_type(leaf)), like)
    task = blank._replace(identity=jnp.full(capacity, -1, jnp.int32))
    zero = jnp.zeros((), jnp.int32)
    return LevelBuffer(task, jnp.zeros(capacity), jnp.zeros(capacity, jnp.int32), zero, zero)


def _by_rank(
    score: Float[Array, " slot"], filled: Bool[Array, " slot"], temperature: Array | float
) -> Float[Array, " slot"]:
    order = jnp.argsort(jnp.where(filled, -score, jnp.inf))
    rank = jnp.zeros(score.size).at[order].set(jnp.arange(1.0, score.size + 1.0))
    return -jnp.log(rank) / jnp.maximum(temperature, _COLDEST)


def _in_proportion(
    score: Float[Array, " slot"], filled: Bool[Array, " slot"], temperature: Array | float
) -> Float[Array, " slot"]:
    return jnp.log(jnp.maximum(score, 1e-12)) / jnp.maximum(temperature, _COLDEST)


PRIORITISATION: dict[str, Callable[..., Array]] = {"rank": _by_rank, "proportional": _in_proportion}


def probabilities(
    buffer: LevelBuffer, hyperparameters: CurriculumHyperparameters, prioritisation: str = "rank"
) -> Float[Array, " slot"]:
    """(1 - c) P_S + c P_C of the filled slots (equations 1 to 4 of the paper); zeros while there is none.

    P_S ∝ rank^(-1/T), or score^(1/T), negative scores counting as none; P_C ∝ clock - scored_at.
    """
    filled = buffer.task.identity >= 0
    logits = PRIORITISATION[prioritisation](buffer.score, filled, hyperparameters.replay_temperature)
    by_score = jnp.where(filled, jax.nn.softmax(jnp.where(filled, logits, -1e30)), 0.0)
    age = jnp.where(filled, buffer.clock - buffer.scored_at, 0).astype(jnp.float32)
    uniform = filled / jnp.maximum(filled.sum(), 1)
    by_age = jnp.where(age.sum() > 0, age / jnp.maximum(age.sum(), 1.0), uniform)
    share = hyperparameters.replay_staleness
    return (1.0 - share) * by_score + share * by_age


def _replay_chance(buffer: LevelBuffer, hyperparameters: CurriculumHyperparameters) -> Float[Array, ""]:
    """Of learning a level again: in proportion to the buffer's filling."""
    return hyperparameters.replay_probability * jnp.mean(buffer.task.identity >= 0)


def draw(
    key: PRNGKeyArray,
    buffer: LevelBuffer,
    sample: Callable[[PRNGKeyArray], Task],
    hyperparameters: CurriculumHyperparameters,
    prioritisation: str = "rank",
) -> Task:
    """A fresh task, identity -1, or one of the buffer."""
    fresh_key, choice_key, slot_key = jax.random.split(key, 3)
    again = jax.random.uniform(choice_key) < _replay_chance(buffer, hyperparameters)
    slot = jax.random.categorical(slot_key, jnp.log(probabilities(buffer, hyperparameters, prioritisation)))
    return jax.tree.map(lambda old, new: jnp.where(again, old[slot], new), buffer.task, sample(fresh_key))


def allot(
    key: PRNGKeyArray,
    buffer: LevelBuffer,
    fresh: Task,
    learning: Int[Array, " life"],
    begins: Bool[Array, " life"],
    hyperparameters: CurriculumHyperparameters,
    prioritisation: str = "rank",
) -> Task:
    """Tasks of lives that begin beside others: no level of the buffer is learnt by two agents at once.

    Levels are drawn without replacement (the k largest of log p + Gumbel noise; Kool et al., 2019, arXiv 1903.06059,
    section 2). With replacement, sharp priorities would set half of a population to one level.

    Args:
        key: of the draws.
        buffer: to draw from.
        fresh: a fresh task for every life, leading axis `life`.
        learning: identities that lives in progress learn; negative for none.
        begins: which lives want a task.
        hyperparameters: of the curriculum.
        prioritisation: how scores become probabilities.

    Returns:
        Tasks with leading axis `life`; fresh ones where free levels do not suffice.
    """
    again_key, noise_key = jax.random.split(key)
    again = begins & (jax.random.uniform(again_key, begins.shape) < _replay_chance(buffer, hyperparameters))
    free = (buffer.task.identity >= 0) & ~jnp.isin(buffer.task.identity, learning)
    chance = probabilities(buffer, hyperparameters, prioritisation)
    # Levels without a chance come after those that have one, and before those that are not free.
    preference = jnp.log(jnp.maximum(chance, jnp.finfo(chance.dtype).tiny))
    order = jnp.argsort(jnp.where(free, -preference - jax.random.gumbel(noise_key, free.shape), jnp.inf))
    turn = jnp.cumsum(again) - 1
    slot, again = order[jnp.clip(turn, 0, order.size - 1)], again & (turn < free.sum())
    pick = lambda old, new: jnp.where(jnp.reshape(again, (-1, *[1] * (new.ndim - 1))), old[slot], new)  # noqa: E731
    return jax.tree.map(pick, buffer.task, fresh)


def record(buffer: LevelBuffer, task: Task, score: Float[Array, " life"], ended: Bool[Array, " life"]) -> LevelBuffer:
    """The buffer after some lives have ended.

    A level of the buffer takes the mean of its new scores. Others compete for places: the best `capacity` of all
    scores stay, incumbents first where scores are equal.

    Args:
        buffer: before.
        task: what was learnt, leading axis `life`.
        score: of each life; one that is not finite does not count.
        ended: which lives are over.
    """
    ended &= jnp.isfinite(score)
    score = jnp.where(ended, score, 0.0)
    known = (task.identity[:, None] == buffer.task.identity) & (task.identity >= 0)[:, None] & ended[:, None]
    scored = known.any(axis=0)
    renewed = jnp.where(scored, score @ known / jnp.maximum(known.sum(axis=0), 1), buffer.score)
    scored_at = jnp.where(scored, buffer.clock, buffer.scored_at)
    # A level that lost its place while it was learnt competes again, once.
    same = (task.identity[:, None] == task.identity) & (task.identity >= 0) & ended
    earlier = jnp.tril(same, -1).any(axis=1)
    candidate = ended & ~known.any(axis=1) & ~earlier
    identity = jnp.where(candidate, buffer.born + jnp.cumsum(candidate) - 1, -1).astype(jnp.int32)
    pool = LevelBuffer(
        task=jax.tree.map(lambda old, new: jnp.concatenate([old, new]), buffer.task, task._replace(identity=identity)),
        score=jnp.concatenate([renewed, score]),
        scored_at=jnp.concatenate([scored_at, jnp.broadcast_to(buffer.clock, score.shape)]),
        clock=buffer.clock + 1,
        born=buffer.born + candidate.sum().astype(jnp.int32),
    )
    best = jax.lax.top_k(jnp.where(pool.task.identity >= 0, pool.score, -jnp.inf), buffer.score.size)[1]
    pick = lambda leaf: leaf[best]  # noqa: E731
    return pool._replace(task=jax.tree.map(pick, pool.task), score=pick(pool.score), scored_at=pick(pool.scored_at))
