"""The loop of every population method: members that learn side by side, an archive, and a hook between.

A method says how many members each phase has, under which weights and constraints they start, and what happens after
an evaluation: which policies go on, under which weights. Everything is one pytree, one program.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.morl.population_state import Assignment, Checkpoint, PopulationState, member_hyperparameters, put_first
from jaxrl.morl.problem import Problem
from jaxrl.morl.study import (
    FrontEvaluation,
    Study,
    StudyHyperparameters,
    ends_with_evaluation,
    evaluate_front,
    no_evaluation,
)
from jaxrl.numerics import archive as archives
from jaxrl.numerics.archive import Archive
from jaxrl.numerics.tracing import traced_once
from jaxrl.training.loop import scan_steps
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray, PyTree
from jaxrl.validity import pooled

__all__ = ["Method", "Phase", "periodically", "population"]

# About how many episodes the running mean of training returns goes back.
_EPISODES_REMEMBERED = 64


class Phase(NamedTuple):
    """A stretch of a study with a fixed number of members; `num_evaluations` evaluations long."""

    num_members: int
    num_evaluations: int


class Method(NamedTuple):
    """What distinguishes one population method from another.

    Attributes:
        phases: in order; the arrays of members have room for the largest.
        assign: `(key, StudyHyperparameters) -> Assignment` at the start, for the largest phase.
        memory: `(StudyHyperparameters, example checkpoint) -> memory`.
        keep: `completed -> bool`: whether the policies of an evaluation go to the archive; None for all.
        select: `(key, PopulationState, StudyHyperparameters, completed) -> PopulationState`, called before the
            iteration that follows an evaluation; `completed` evaluations are over.
    """

    phases: tuple[Phase, ...]
    assign: Callable[[PRNGKeyArray, StudyHyperparameters], Assignment]
    select: Callable[[PRNGKeyArray, PopulationState, StudyHyperparameters, Int[Array, ""]], PopulationState]
    memory: Callable[[StudyHyperparameters, Checkpoint], PyTree] = lambda hyperparameters, checkpoint: ()
    keep: Callable[[Int[Array, ""]], Bool[Array, ""]] | None = None


def periodically(
    first: int, every: int, begin: Callable[[PRNGKeyArray, PopulationState, StudyHyperparameters], PopulationState]
) -> Callable[[PRNGKeyArray, PopulationState, StudyHyperparameters, Int[Array, ""]], PopulationState]:
    """A `Method.select` that begins something anew after `first` evaluations and then after every `every`."""

    def select(
        key: PRNGKeyArray,
        state: PopulationState,
        hyperparameters: StudyHyperparameters,
        completed: Int[Array, ""] | int,
    ) -> PopulationState:
        due = (completed >= first) & ((completed - first) % every == 0)
        return jax.lax.cond(due, partial(begin, key), lambda state, _: state, state, hyperparameters)

    return select


class Parts(NamedTuple):
    """What a population study is put together of; static."""

    trainer: Trainer
    method: Method
    problem: Problem
    capacity: int
    boundaries: tuple[int, ...]


def population(trainer: Trainer, method: Method, problem: Problem, capacity: int, algorithm: Any, config: Any) -> Study:
    """Builds a population study.

    Args:
        trainer: of one member, over as many iterations and evaluations as the phases have together.
        method: the method.
        problem: the protocol.
        capacity: most policies in the archive.
        algorithm: default traced hyperparameters of the method.
        config: static settings of the method.

    Raises:
        ValueError: if the phases' evaluations do not add up to the trainer's, or sizes are below 1.
    """
    evaluations = [phase.num_evaluations for phase in method.phases]
    if min(evaluations) < 1 or sum(evaluations) != trainer.config.num_evaluations:
        raise ValueError(
            f"phases of {evaluations} evaluations do not add up to num_evaluations={trainer.config.num_evaluations}"
        )
    if min(phase.num_members for phase in method.phases) < 1 or capacity < 1:
        raise ValueError("every phase needs at least 1 member and the archive at least 1 place")
    last = trainer.evaluation_iterations[np.cumsum(evaluations) - 1]
    parts = Parts(trainer, method, problem, capacity, tuple(int(index) + 1 for index in last))
    members = np.repeat([phase.num_members for phase in method.phases], np.diff([0, *parts.boundaries]))
    init, step = partial(_init, parts), partial(_step, parts)
    return Study(
        init=init,
        step=step,
        run=lambda key, hp: scan_steps(step, init(key, hp), hp, trainer.num_iterations, trainer.evaluation_iterations),
        evaluate=partial(_evaluate, parts),
        policy=_policy,
        hyperparameters=StudyHyperparameters(trainer.hyperparameters, algorithm),
        trainer=trainer,
        problem=problem,
        iteration_steps=members.astype(np.int64) * trainer.steps_per_iteration,
        algorithm="custom",
        config=config,
        settings={},
        rebuild=None,
    )


def _init(parts: Parts, key: PRNGKeyArray, hyperparameters: StudyHyperparameters) -> PopulationState:
    assign_key, members_key, study_key = jax.random.split(key, 3)
    assignment = parts.method.assign(assign_key, hyperparameters)
    count, num_objectives = assignment.weights.shape
    training, axes = member_hyperparameters(assignment, hyperparameters)
    members = jax.vmap(parts.trainer.init, in_axes=(0, axes))(jax.random.split(members_key, count), training)
    zeros = jnp.zeros((count, num_objectives))
    example = Checkpoint(jax.tree.map(lambda leaf: leaf[0], members.agent), zeros[0], zeros[0], jnp.zeros((), bool))
    return PopulationState(
        members=members,
        assignment=assignment,
        points=zeros,
        estimate=jnp.full_like(zeros, jnp.nan),
        archive=archives.init(parts.capacity, num_objectives, example),
        memory=parts.method.memory(hyperparameters, example),
        key=study_key,
    )


def _step(
    parts: Parts, state: PopulationState, hyperparameters: StudyHyperparameters, index: Int[Array, ""]
) -> tuple[PopulationState, tuple[dict[str, Array], FrontEvaluation]]:
    completed = _completed(parts.trainer, index)
    follows_evaluation = (index > 0) & ends_with_evaluation(parts.trainer, index - 1)
    state = jax.lax.cond(
        follows_evaluation,
        lambda state: parts.method.select(jax.random.fold_in(state.key, index), state, hyperparameters, completed),
        lambda state: state,
        state,
    )
    sizes, size_of_phase = np.unique([phase.num_members for phase in parts.method.phases], return_inverse=True)
    size = jnp.asarray(size_of_phase)[jnp.searchsorted(jnp.asarray(parts.boundaries), index, side="right")]
    branches = [partial(_learn, parts, int(count)) for count in sizes]
    state, metrics, returns = jax.lax.switch(size, branches, state, hyperparameters, index)
    active = jnp.arange(sizes[-1]) < jnp.asarray(sizes)[size]
    state, measures = _take_evaluation(parts, state, active, returns, index)
    return state, (metrics, measures)


def _completed(trainer: Trainer, index: Int[Array, ""]) -> Int[Array, ""]:
    """Evaluations before iteration `index`."""
    return index * trainer.config.num_evaluations // trainer.num_iterations


def _learn(
    parts: Parts, count: int, state: PopulationState, hyperparameters: StudyHyperparameters, index: Int[Array, ""]
) -> tuple[PopulationState, dict[str, Array], Float[Array, "member objective"]]:
    """One iteration of the first `count` members; the others wait. Metrics, and returns where they were evaluated."""
    take = partial(jax.tree.map, lambda leaf: leaf[:count])
    training, axes = member_hyperparameters(take(state.assignment), hyperparameters)
    # Phases differ in the number of members alone, which one member's equations do not know.
    step = jax.vmap(traced_once(parts.trainer.step), in_axes=(0, axes, None))
    members, (metrics, evaluation) = step(take(state.members), training, index)
    estimate = _follow(take(state.estimate), metrics["episode_discounted_return"], metrics["episodes"])
    state = state._replace(members=put_first(state.members, members), estimate=put_first(state.estimate, estimate))
    return state, _pooled(metrics), put_first(state.points, evaluation.discounted_returns)


def _take_evaluation(
    parts: Parts,
    state: PopulationState,
    active: Bool[Array, " member"],
    returns: Float[Array, "member objective"],
    index: Int[Array, ""],
) -> tuple[PopulationState, FrontEvaluation]:
    """What an evaluation adds to the archive, once for phases of any size, and how good that is; NaN without one."""
    archive, points, measures = jax.lax.cond(
        ends_with_evaluation(parts.trainer, index),
        partial(_insert, parts, index),
        lambda state, *_: (state.archive, state.points, no_evaluation()),
        state,
        active,
        returns,
    )
    return state._replace(archive=archive, points=points), measures


def _follow(
    old: Float[Array, "member objective"], returns: Float[Array, "member objective"], episodes: Float[Array, " member"]
) -> Float[Array, "member objective"]:
    """Running mean over episodes; a member whose episodes have not ended keeps its old one, or NaN."""
    rate = 1.0 - (1.0 - 1.0 / _EPISODES_REMEMBERED) ** episodes[:, None]
    followed = jnp.where(jnp.isnan(old), returns, old + rate * (returns - old))
    return jnp.where(jnp.isnan(returns), old, followed)


def _insert(
    parts: Parts,
    index: Int[Array, ""],
    state: PopulationState,
    active: Bool[Array, " member"],
    returns: Float[Array, "member objective"],
) -> tuple[Archive, Float[Array, "member objective"], FrontEvaluation]:
    extended = jnp.zeros(active.shape, bool)
    payload = Checkpoint(state.members.agent, state.assignment.weights, state.estimate, extended)
    mask = active & jnp.all(jnp.isfinite(returns), axis=-1)
    if parts.method.keep is not None:
        mask &= parts.method.keep(_completed(parts.trainer, index + 1))
    archive = archives.insert(state.archive, returns, payload, mask)
    return archive, returns, evaluate_front(parts.problem, archive.points, archive.mask)


def _pooled(metrics: dict[str, Array]) -> dict[str, Array]:
    """Means over members; episodes are counted over all. A study is lost only where no member's loss is finite."""
    means = pooled(metrics, partial(jnp.nanmean, axis=0))
    return {**means, "episodes": metrics["episodes"].sum(axis=0), "non_finite": metrics["non_finite"].min(axis=0)}


def _evaluate(
    parts: Parts, key: PRNGKeyArray, state: PopulationState, hyperparameters: StudyHyperparameters, num_episodes: int
) -> tuple[Float[Array, "policy objective"], Bool[Array, " policy"], Float[Array, "policy objective"]]:
    evaluate = parts.trainer.evaluator(num_episodes)

    def one(checkpoint: Checkpoint) -> Array:
        training = hyperparameters.training._replace(weights=checkpoint.weights)
        return evaluate(key, checkpoint.agent, training).discounted_returns

    # Empty places hold zeros, which act as well as any policy and are masked.
    return jax.vmap(one)(state.archive.payload), state.archive.mask, state.archive.payload.weights


def _policy(state: PopulationState, hyperparameters: StudyHyperparameters, index: int) -> tuple[PyTree, Any]:
    checkpoint = jax.tree.map(lambda leaf: leaf[index], state.archive.payload)
    return checkpoint.agent, hyperparameters.training._replace(weights=checkpoint.weights)
