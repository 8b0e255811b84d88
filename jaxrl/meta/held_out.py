"""How well an agent learns tasks that were held out."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.meta.lifetimes import Outcome, begin, first_task, grow
from jaxrl.meta.tasks import Task, Tasks
from jaxrl.training.trainer import Trainer
from jaxrl.types import PRNGKeyArray

__all__ = ["held_out_key", "held_out_tasks", "learn_tasks"]


def held_out_key() -> PRNGKeyArray:
    """The key of the tasks on which meta-training is evaluated; no seed of a run leads to it."""
    return jax.random.fold_in(jax.random.key(2**31), 0)


def held_out_tasks(tasks: Tasks, num_tasks: int, key: PRNGKeyArray | None = None) -> Task:
    """The tasks that `learn_tasks` gives its agents, leading axis `task`."""
    key = held_out_key() if key is None else key
    return jax.vmap(lambda key: first_task(tasks, key))(jax.random.split(key, num_tasks))


def learn_tasks(trainer: Trainer, tasks: Tasks, key: PRNGKeyArray, hyperparameters: Any, num_tasks: int) -> Outcome:
    """What becomes of one agent per task, each learning for its task's whole horizon; leading axis `task`.

    Args:
        trainer: how agents learn; its environment must be the tasks'.
        tasks: the distribution.
        key: tasks and random numbers; equal keys are equal tasks for every trainer.
        hyperparameters: of the trainer; the environment leaf is the task's.
        num_tasks: how many.
    """

    def one(key: PRNGKeyArray) -> Outcome:
        def body(life: Any, _: None) -> tuple[Any, None]:
            grown, _ = grow(trainer, life, hyperparameters, 1)
            over = life.age >= life.task.horizon
            return jax.tree.map(lambda old, new: jnp.where(over, old, new), life, grown), None

        life, _ = jax.lax.scan(body, begin(trainer, tasks, key, hyperparameters), None, tasks.max_horizon)
        return Outcome(life.latest, life.total / life.task.horizon, life.early, jnp.array(True), life.task.horizon)

    return jax.vmap(one)(jax.random.split(key, num_tasks))
