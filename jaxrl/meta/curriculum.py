"""Curricula over tasks: what agents whose life is over learn next, by how a level scored when it was learnt before."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.errors import require_name
from jaxrl.meta.baselines import baseline
from jaxrl.meta.curriculum_settings import CurriculumConfig, CurriculumHyperparameters
from jaxrl.meta.level_buffer import PRIORITISATION, LevelBuffer, allot, draw, empty, record
from jaxrl.meta.lifetimes import first_task
from jaxrl.meta.tasks import Task, Tasks
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Bool, Float, PRNGKeyArray

__all__ = ["SCORES", "Curriculum", "Score", "make_curriculum", "score_metrics"]


class Score(NamedTuple):
    """How hard and useful a level is to the learner.

    Attributes:
        of_rollout: `(rewards [time, env], advantages [time, env]) -> []`, averaged over a life; None for regret.
    """

    of_rollout: Callable[[Float[Array, "time env"], Float[Array, "time env"]], Float[Array, ""]] | None


SCORES: dict[str, Score] = {
    # Return of the antagonist minus the learner's, both at the end of a life (GROOVE, arXiv 2310.02782, section 3.2).
    "algorithmic_regret": Score(None),
    # Mean of the positive parts of generalised advantages (Jiang et al., 2021, arXiv 2110.02439, section 5).
    "positive_value_loss": Score(lambda reward, advantage: jnp.maximum(advantage, 0.0).mean()),
    # Mean of their sizes (Jiang et al., 2021, arXiv 2010.03934, table 1).
    "l1_value_loss": Score(lambda reward, advantage: jnp.abs(advantage).mean()),
    # Variance of the copies' returns: p (1 - p) where a return is success or not (Rutherford et al., 2024,
    # arXiv 2408.15099, section 4).
    "learnability": Score(lambda reward, advantage: reward.sum(axis=0).var()),
}


class Curriculum(NamedTuple):
    """A curriculum as pure functions.

    Attributes:
        score: what levels are replayed by; None if they are not.
        antagonist: trainer of the agents that regret compares with; None if there are none.
        init: `key -> LevelBuffer`, or `()`.
        tasks: `(LevelBuffer, hyperparameters) -> Tasks`: what to draw next, every draw by itself.
        allot: `(key, LevelBuffer, fresh tasks, identities in progress, begins, hyperparameters) -> Task`, leading axis
            `life`: what agents beside each other learn next.
        record: `(LevelBuffer, Task, score, ended) -> LevelBuffer`, leading axis `life`.
        antagonist_hyperparameters: `(weights, hyperparameters) -> hyperparameters` of the antagonists.
    """

    score: Score | None
    antagonist: Trainer | None
    init: Callable[[PRNGKeyArray], Any]
    tasks: Callable[[Any, CurriculumHyperparameters], Tasks]
    allot: Callable[..., Task]
    record: Callable[..., Any]
    antagonist_hyperparameters: Callable[[Array, CurriculumHyperparameters], Any]


def make_curriculum(config: CurriculumConfig, trainer: Trainer, tasks: Tasks, has_critics: bool) -> Curriculum:
    """Builds the curriculum of an outer loop.

    Args:
        config: settings.
        trainer: the learner's; the antagonist has its copies, steps and network.
        tasks: where fresh tasks come from.
        has_critics: whether scores of rollouts can be had.

    Raises:
        UnknownNameError: for an unknown curriculum, prioritisation or antagonist, with the nearest match.
        ValueError: for a buffer without room, or a score that the outer loop cannot tell.
    """
    require_name("curriculum", config.curriculum, {"uniform", *SCORES})
    require_name("prioritisation", config.prioritisation, PRIORITISATION)
    if config.buffer_size < 1:
        raise ValueError(f"buffer_size must be at least 1, got {config.buffer_size}")
    if config.curriculum == "uniform":
        return Curriculum(None, None, lambda key: (), lambda *_: tasks, _fresh, lambda buffer, *_: buffer, _no_agent)
    score = SCORES[config.curriculum]
    if score.of_rollout is not None and not has_critics:
        raise ValueError(
            f"curriculum={config.curriculum!r} needs the critics of outer='gradient'; evolution has "
            "algorithmic_regret and uniform"
        )
    antagonist = None if score.of_rollout else baseline(trainer, config.antagonist, tasks.max_horizon)
    return Curriculum(
        score=score,
        antagonist=antagonist,
        init=lambda key: empty(jax.eval_shape(lambda key: first_task(tasks, key), key), config.buffer_size),
        tasks=partial(_replayed, tasks, config.prioritisation),
        allot=partial(allot, prioritisation=config.prioritisation),
        record=record,
        antagonist_hyperparameters=partial(_of_antagonist, antagonist),
    )


def _no_agent(weights: Array, hyperparameters: CurriculumHyperparameters) -> None:
    return None


def _fresh(key: PRNGKeyArray, buffer: Any, fresh: Task, *_: Any) -> Task:
    return fresh


def _replayed(
    tasks: Tasks, prioritisation: str, buffer: LevelBuffer, hyperparameters: CurriculumHyperparameters
) -> Tasks:
    def sample(key: PRNGKeyArray) -> Task:
        return draw(key, buffer, tasks.sample, hyperparameters, prioritisation)

    return tasks._replace(sample=sample)


def _of_antagonist(antagonist: Trainer, weights: Array, hyperparameters: CurriculumHyperparameters) -> Any:
    rate = hyperparameters.antagonist_learning_rate
    return antagonist.hyperparameters._replace(learning_rate=rate, weights=weights)


def score_metrics(score: Float[Array, " life"], ended: Bool[Array, " life"], task: Task) -> dict[str, Float[Array, ""]]:
    """Mean score of the lives that ended, and the share of them that learnt a level of the buffer; NaN if none did.

    Lives with a score that is not finite are left out, as by `level_buffer.record`.
    """
    ended = ended & jnp.isfinite(score)
    mean = lambda leaf: jnp.sum(jnp.where(ended, leaf, 0.0)) / ended.sum()  # noqa: E731
    return {"level_score": mean(score), "replayed": mean((task.identity >= 0).astype(jnp.float32))}
