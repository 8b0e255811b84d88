"""Agents in progress: each learns one task for its own number of iterations, then restarts in place on another."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.meta.tasks import Task, Tasks
from jaxrl.training.rollouts import RunState
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Bool, Float, Int, Key, PRNGKeyArray

__all__ = [
    "Life",
    "Lived",
    "Outcome",
    "begin",
    "first_task",
    "grow",
    "live",
    "lives",
    "mean_outcome",
    "next_task",
    "restart_finished",
    "shorten",
    "with_task",
]


class Life(NamedTuple):
    """One agent in progress; a population has a leading axis.

    Attributes:
        run: state of its training.
        task: what it learns.
        age: iterations done.
        latest: mean return of the episodes that finished last, per objective; until one has finished, what the running
            ones have gathered.
        episodes: episodes that have finished.
        total: sum over iterations of `latest`.
        early: `latest` when a tenth of the life was over.
        births: lives begun in this place.
        key: of the place; life i is drawn with fold_in(key, i).
    """

    run: RunState
    task: Task
    age: Int[Array, ""]
    latest: Float[Array, " objective"]
    episodes: Float[Array, ""]
    total: Float[Array, " objective"]
    early: Float[Array, " objective"]
    births: Int[Array, ""]
    key: PRNGKeyArray


class Outcome(NamedTuple):
    """What a life has come to; final where `finished`.

    Attributes:
        final: mean return of the last finished episodes, per objective.
        area: mean over iterations of the last finished episodes' mean return.
        early: return when a tenth of the life was over.
        finished: whether the life has just ended.
        horizon: its length in iterations.
    """

    final: Float[Array, " objective"]
    area: Float[Array, " objective"]
    early: Float[Array, " objective"]
    finished: Bool[Array, ""]
    horizon: Int[Array, ""]


class Lived(NamedTuple):
    """Lives one after the other in one place, leading axis `look`.

    Attributes:
        task: what was learnt before the look.
        outcome: of what was lived, final where the life ended.
    """

    task: Task
    outcome: Outcome


def with_task(hyperparameters: Any, task: Task) -> Any:
    """The hyperparameters under which a task is learnt."""
    return hyperparameters._replace(environment=task.environment)


def begin(trainer: Trainer, tasks: Tasks, key: PRNGKeyArray, hyperparameters: Any, unroll: int = 1) -> Life:
    """A new agent with a task of its own.

    Args:
        trainer: how agents learn.
        tasks: what they learn.
        key: of this place in the population.
        hyperparameters: of the trainer; its environment leaf is the task's.
        unroll: iterations per call of `live`; horizons are rounded up to multiples of it.
    """
    return _born(trainer, tasks, key, jnp.zeros((), jnp.int32), hyperparameters, unroll)


def first_task(tasks: Tasks, key: PRNGKeyArray) -> Task:
    """The first task of a place in the population."""
    return tasks.sample(_keys(key, jnp.zeros((), jnp.int32))[0])


def next_task(tasks: Tasks, life: Life) -> Task:
    """The task of the life that follows this one in its place."""
    return tasks.sample(_keys(life.key, life.births)[0])


def _keys(key: PRNGKeyArray, births: Int[Array, ""]) -> Key[Array, "2"]:
    """Of the task and of the training of a life."""
    return jax.random.split(jax.random.fold_in(key, births))


def _born(
    trainer: Trainer, tasks: Tasks, key: PRNGKeyArray, births: Int[Array, ""], hyperparameters: Any, unroll: int
) -> Life:
    task_key, run_key = _keys(key, births)
    task = tasks.sample(task_key)
    task = task._replace(horizon=-(-task.horizon // unroll) * unroll)
    run = trainer.init(run_key, with_task(hyperparameters, task))
    nothing = jnp.zeros(trainer.environment.spec.num_objectives)
    return Life(run, task, jnp.zeros((), jnp.int32), nothing, jnp.zeros(()), nothing, nothing, births + 1, key)


def shorten(key: PRNGKeyArray, lives: Life, unroll: int) -> Life:
    """First lives that end early, each at a uniform share of its horizon: agents do not all restart together."""
    share = jax.random.uniform(key, lives.age.shape)
    horizon = jnp.ceil(share * lives.task.horizon / unroll).astype(jnp.int32) * unroll
    return lives._replace(task=lives.task._replace(horizon=jnp.maximum(horizon, unroll)))


def live(
    trainer: Trainer, tasks: Tasks, life: Life, hyperparameters: Any, unroll: int
) -> tuple[Life, Outcome, dict[str, Array]]:
    """`unroll` iterations of learning; an agent at the end of its life is followed by a new one in its place.

    Returns:
        The life, the outcome of what was lived (of the old agent, where it ended), and the mean metrics of learning.
    """
    life, metrics = grow(trainer, life, hyperparameters, unroll)
    finished = life.age >= life.task.horizon
    outcome = Outcome(
        final=life.latest,
        area=life.total / jnp.maximum(life.age, 1),
        early=life.early,
        finished=finished,
        horizon=life.task.horizon,
    )
    life = restart_finished(trainer, tasks, life, hyperparameters, unroll)
    return life, outcome, jax.tree.map(jnp.mean, metrics)


def restart_finished(trainer: Trainer, tasks: Tasks, life: Life, hyperparameters: Any, unroll: int) -> Life:
    """The life, or a new one in its place where it is over."""
    following = _born(trainer, tasks, life.key, life.births, hyperparameters, unroll)
    over = life.age >= life.task.horizon
    return jax.tree.map(lambda new, old: jnp.where(over, new, old), following, life)


def grow(
    trainer: Trainer, life: Life, hyperparameters: Any, unroll: int, recompute: bool = False
) -> tuple[Life, dict[str, Array]]:
    """`unroll` iterations of learning within one life, and their metrics.

    Args:
        trainer: how the agent learns.
        life: the agent.
        hyperparameters: of the trainer; the environment leaf is the task's.
        unroll: iterations.
        recompute: keep no rollouts for a backward pass, but make each of them again there.
    """
    hyperparameters = with_task(hyperparameters, life.task)

    def body(life: Life, _: None) -> tuple[Life, dict[str, Array]]:
        run, metrics = trainer.learn(life.run, hyperparameters, life.age, life.task.horizon)
        running = jnp.mean(run.episode.returns, axis=0)
        known = jnp.where(life.episodes == 0, running, life.latest)
        latest = jnp.where(metrics["episodes"] > 0, metrics["episode_return"], known)
        age = life.age + 1
        young = age <= jnp.maximum(life.task.horizon // 10, 1)
        life = life._replace(
            run=run,
            age=age,
            latest=latest,
            episodes=life.episodes + metrics["episodes"],
            total=life.total + latest,
            early=jnp.where(young, latest, life.early),
        )
        return life, metrics

    return jax.lax.scan(jax.checkpoint(body) if recompute else body, life, None, unroll)


def lives(
    trainer: Trainer, tasks: Tasks, key: PRNGKeyArray, hyperparameters: Any, num_chunks: int, unroll: int = 1
) -> Lived:
    """Lives one after the other in one place for `num_chunks * unroll` iterations."""

    def body(life: Life, _: None) -> tuple[Life, Lived]:
        following, outcome, _ = live(trainer, tasks, life, hyperparameters, unroll)
        return following, Lived(life.task, outcome)

    return jax.lax.scan(body, begin(trainer, tasks, key, hyperparameters, unroll), None, num_chunks)[1]


def mean_outcome(outcome: Outcome) -> Outcome:
    """The mean over the lives that ended, over the axis `look` that follows all batch axes."""
    ended = outcome.finished
    count = jnp.maximum(ended.sum(axis=-1), 1)[..., None]
    mean = lambda leaf: jnp.sum(jnp.where(ended[..., None], leaf, 0.0), axis=-2) / count  # noqa: E731
    means = mean(outcome.final), mean(outcome.area), mean(outcome.early)
    return Outcome(*means, ended.any(axis=-1), outcome.horizon.max(axis=-1))
