"""Agents in progress under a curriculum: levels are scored as they are learnt, antagonists beside them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.meta.curriculum import Curriculum, score_metrics
from jaxrl.meta.lifetimes import Life, begin, grow, next_task, restart_finished
from jaxrl.meta.study import MetaHyperparameters
from jaxrl.meta.tasks import Task, Tasks
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Float, Int, PRNGKeyArray

__all__ = ["Replay", "ReplayState", "make_replay"]


class ReplayState(NamedTuple):
    """What a curriculum knows.

    Attributes:
        levels: to be learnt again.
        antagonists: agents in progress on the same tasks, leading axis `agent`; `()` without regret.
        total: sum of the scores of each agent's rollouts in this life.
        count: rollouts that were scored.
    """

    levels: Any
    antagonists: Life | tuple[()]
    total: Float[Array, " agent"]
    count: Int[Array, " agent"]


class Replay(NamedTuple):
    """A curriculum over agents in progress, as pure functions.

    Attributes:
        init: `(key, lives, hyperparameters) -> ReplayState`.
        observe: `(state, rewards [agent, time, env], advantages, hyperparameters) -> state`: scores rollouts, and
            antagonists learn for as long as the agents did.
        restart: `(key, state, lives, agents' hyperparameters, hyperparameters) -> (lives, state, metrics)`: records
            the lives that are over and begins others in their places.
    """

    init: Callable[[PRNGKeyArray, Life, MetaHyperparameters], Any]
    observe: Callable[..., Any]
    restart: Callable[..., tuple[Life, Any, dict[str, Array]]]


class Parts(NamedTuple):
    """What it is put together of; static."""

    curriculum: Curriculum
    trainer: Trainer
    tasks: Tasks
    unroll: int


def make_replay(curriculum: Curriculum, trainer: Trainer, tasks: Tasks, unroll: int) -> Replay:
    """A curriculum over agents that learn `unroll` iterations at a time."""
    parts = Parts(curriculum, trainer, tasks, unroll)
    return Replay(partial(_init, parts), partial(_observe, parts), partial(_restart, parts))


def _antagonist(parts: Parts, hp: MetaHyperparameters) -> Any:
    return parts.curriculum.antagonist_hyperparameters(hp.weights, hp.outer.curriculum)


def _only(parts: Parts, task: Task) -> Tasks:
    """A distribution of one task."""
    return parts.tasks._replace(sample=lambda key: task)


def _init(parts: Parts, key: PRNGKeyArray, lives: Life, hp: MetaHyperparameters) -> ReplayState:
    count, antagonists, levels = lives.age.size, (), parts.curriculum.init(key)
    if parts.curriculum.antagonist is not None:
        rival, inner = parts.curriculum.antagonist, _antagonist(parts, hp)
        antagonists = jax.vmap(lambda life: begin(rival, _only(parts, life.task), life.key, inner, parts.unroll))(lives)
    return ReplayState(levels, antagonists, jnp.zeros(count), jnp.zeros(count, jnp.int32))


def _observe(
    parts: Parts,
    state: ReplayState,
    reward: Float[Array, "agent time env"],
    advantage: Float[Array, "agent time env"],
    hp: MetaHyperparameters,
) -> ReplayState:
    if parts.curriculum.antagonist is not None:
        inner, rival = _antagonist(parts, hp), parts.curriculum.antagonist
        grown = jax.vmap(lambda life: grow(rival, life, inner, parts.unroll)[0])(state.antagonists)
        return state._replace(antagonists=grown)
    if parts.curriculum.score is None:
        return state
    scores = jax.vmap(parts.curriculum.score.of_rollout)(reward, advantage)
    return state._replace(total=state.total + scores, count=state.count + 1)


def _restart(
    parts: Parts, key: PRNGKeyArray, state: ReplayState, lives: Life, inner: Any, hp: MetaHyperparameters
) -> tuple[Life, ReplayState, dict[str, Array]]:
    curriculum, over = parts.curriculum, lives.age >= lives.task.horizon
    levels, metrics = state.levels, {}
    if curriculum.score is not None:
        score = state.total / jnp.maximum(state.count, 1)
        if curriculum.antagonist is not None:
            score = (state.antagonists.latest - lives.latest) @ hp.weights
        # First lives were cut short.
        ended = over & (lives.births > 1)
        levels, metrics = curriculum.record(levels, lives.task, score, ended), score_metrics(score, ended, lives.task)
    fresh = jax.vmap(partial(next_task, parts.tasks))(lives)
    learning = jnp.where(over, -1, lives.task.identity)
    following = curriculum.allot(key, levels, fresh, learning, over, hp.outer.curriculum)
    lives = jax.vmap(lambda life, task: restart_finished(parts.trainer, _only(parts, task), life, inner, parts.unroll))(
        lives, following
    )
    antagonists = state.antagonists
    if curriculum.antagonist is not None:
        rival = _antagonist(parts, hp)
        antagonists = jax.vmap(
            lambda life, other: restart_finished(
                curriculum.antagonist, _only(parts, life.task), other, rival, parts.unroll
            )
        )(lives, antagonists)
    reset = lambda leaf: jnp.where(over, 0, leaf)  # noqa: E731
    return lives, ReplayState(levels, antagonists, reset(state.total), reset(state.count)), metrics
