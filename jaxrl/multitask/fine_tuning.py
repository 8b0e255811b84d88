"""Training on groups of tasks, all groups in one program."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxrl.environments.family import MergedParams
from jaxrl.training.loop import Result
from jaxrl.training.rollouts import RunState
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, PyTree

__all__ = ["FineTuned", "fine_tune", "group_masks", "own_returns"]


class FineTuned(NamedTuple):
    """Policies of groups.

    Attributes:
        result: of every group's run, leading axis `group`.
        returns: final return of every task under its own group's policy.
        success: share of successful episodes, likewise; NaN where none is reported.
    """

    result: Result
    returns: Float[Array, " task"]
    success: Float[Array, " task"]


def group_masks(labels: ArrayLike) -> Bool[Array, "group task"]:
    """Which tasks each group holds; groups need not be of one size."""
    labels = np.asarray(labels)
    return jnp.asarray(labels[None] == np.unique(labels)[:, None])


def on_subset(hyperparameters: PyTree, mask: Bool[Array, " task"]) -> PyTree:
    """Hyperparameters under which every episode is about one of the tasks of a mask, with equal chances.

    Raises:
        ValueError: for an environment whose tasks are not drawn.
    """
    environment = hyperparameters.environment
    if not isinstance(environment, MergedParams):
        raise ValueError("training on groups needs tasks that are drawn (jaxrl.multitask.merge); a suite's are fixed")
    return hyperparameters._replace(environment=environment._replace(probabilities=mask / mask.sum()))


def fine_tune(
    trainer: Trainer,
    key: PRNGKeyArray,
    state: RunState | None,
    hyperparameters: PyTree,
    masks: Bool[Array, "group task"],
) -> Result:
    """A run of `trainer` on every group of tasks, side by side, each from the same agent.

    Args:
        trainer: of the merged family; its `total_steps` is each group's budget.
        key: of the environments' starts and all that follows.
        state: of the run to go on from, its agent's statistics and optimiser included; None starts afresh.
        hyperparameters: of all groups but for the tasks that they draw.
        masks: tasks of each group.
    """

    def one(mask: Array) -> Result:
        hp = on_subset(hyperparameters, mask)
        fresh = trainer.init(key, hp)
        start = fresh if state is None else fresh._replace(agent=state.agent)
        return trainer.train_on(start, hp)

    return jax.vmap(one)(masks)


def own_returns(result: Result, masks: Bool[Array, "group task"]) -> FineTuned:
    """Every task's measures under the policy of its own group; under the best of them where several hold it."""
    evaluation = jax.tree.map(lambda leaf: leaf[:, -1], result.evaluation)
    returns = jnp.where(masks, evaluation.returns, -jnp.inf)
    group = jnp.argmax(returns, axis=0)
    success = jnp.take_along_axis(evaluation.success, group[None], axis=0)[0]
    return FineTuned(result, returns.max(axis=0), success)
