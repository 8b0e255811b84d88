"""What a population study carries along, and how its members take up new assignments."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.morl.study import StudyHyperparameters
from jaxrl.numerics.archive import Archive
from jaxrl.training.rollouts import RunState
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, PyTree

__all__ = ["Assignment", "Checkpoint", "PopulationState", "assign_members", "member_hyperparameters", "put_first"]


class Assignment(NamedTuple):
    """What each member is to do; it overrides the trainer's hyperparameters.

    Attributes:
        weights: preference weights.
        aggregator: leaves of `hyperparameters.aggregator` that differ between members.
    """

    weights: Float[Array, "member objective"]
    aggregator: dict[str, Array]


class Checkpoint(NamedTuple):
    """A policy in the archive.

    Attributes:
        agent: the agent's state.
        weights: preference weights that it was trained under.
        estimate: running mean of its discounted training returns.
        extended: whether the method has gone on from it already.
    """

    agent: PyTree
    weights: Float[Array, "*batch objective"]
    estimate: Float[Array, "*batch objective"]
    extended: Bool[Array, "*batch"]


class PopulationState(NamedTuple):
    """The complete state of a population study.

    Attributes:
        members: run states, `[member, ...]`.
        assignment: what each member is doing.
        points: returns of each member's last evaluation, under the problem's protocol.
        estimate: running mean of each member's discounted training returns.
        archive: non-dominated returns and their policies.
        memory: what the method remembers.
        key: base key; the hook before iteration i uses fold_in(key, i).
    """

    members: RunState
    assignment: Assignment
    points: Float[Array, "member objective"]
    estimate: Float[Array, "member objective"]
    archive: Archive
    memory: PyTree
    key: PRNGKeyArray


def assign_members(
    trainer: Trainer,
    key: PRNGKeyArray,
    state: PopulationState,
    parents: PyTree,
    assignment: Assignment,
    hyperparameters: StudyHyperparameters,
) -> PopulationState:
    """The first members begin a new assignment, each from its parent policy; what depends on the old one is reset.

    Args:
        trainer: of one member.
        key: for fresh episodes.
        state: of the population.
        parents: agent states, `[assigned, ...]`.
        assignment: of the first `assigned` members.
        hyperparameters: of the study.
    """
    count = assignment.weights.shape[0]
    training, axes = member_hyperparameters(assignment, hyperparameters)
    fresh = jax.vmap(trainer.init, in_axes=(0, axes))(jax.random.split(key, count), training)
    fresh = fresh._replace(agent=jax.vmap(trainer.agent.inherit)(fresh.agent, parents))
    return state._replace(
        members=put_first(state.members, fresh),
        assignment=put_first(state.assignment, assignment),
        estimate=put_first(state.estimate, jnp.full_like(assignment.weights, jnp.nan)),
    )


def put_first(old: PyTree, new: PyTree) -> PyTree:
    """`old` with its first rows replaced by `new`."""
    return jax.tree.map(lambda a, b: b if a.shape == b.shape else a.at[: b.shape[0]].set(b), old, new)


def member_hyperparameters(assignment: Assignment, hyperparameters: StudyHyperparameters) -> tuple[Any, Any]:
    """The trainer's hyperparameters with the members' own leaves, and 0 at those leaves, None elsewhere."""
    training = hyperparameters.training
    aggregator = {**training.aggregator, **assignment.aggregator}
    axes = jax.tree.map(lambda _: None, training)._replace(
        weights=0, aggregator={name: 0 if name in assignment.aggregator else None for name in aggregator}
    )
    return training._replace(weights=assignment.weights, aggregator=aggregator), axes
