"""The contract of meta-training: like a trainer, but what is learnt is a leaf of an agent's hyperparameters.

A meta-study is a pure function of a key and hyperparameters: seeds, outer settings and devices are its leading axes
like any run's, and `jaxrl.sweep` drives it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents import Agent
from jaxrl.environments.base import Environment
from jaxrl.errors import require_name
from jaxrl.hyperparameters import prefixed
from jaxrl.meta.held_out import held_out_key, learn_tasks
from jaxrl.meta.lifetimes import Outcome
from jaxrl.meta.tasks import Tasks
from jaxrl.ranges import Range
from jaxrl.training.loop import Result, evaluate_where, evaluation_due, evaluation_iterations, scan_steps
from jaxrl.training.program import complete_program
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

__all__ = [
    "MetaEvaluation",
    "MetaHyperparameters",
    "MetaStudy",
    "default_initial",
    "meta_study",
    "validate_meta",
]


class MetaHyperparameters(NamedTuple):
    """Everything traced in meta-training.

    Attributes:
        training: of the agents; the learned leaf is replaced.
        outer: of the outer loop.
    """

    training: Any
    outer: Any

    @property
    def weights(self) -> Float[Array, "*batch objective"]:
        """The agents' weights, whose length is the number of objectives."""
        return self.training.weights


class MetaEvaluation(NamedTuple):
    """Means over held-out tasks of what agents come to that learn with the meta-learned value; rewards are weighted.

    Attributes:
        final_return: mean return of the episodes that finished last in a life.
        return_deviation: its standard deviation over tasks.
        lifetime_return: mean return over the life.
        worst_quarter: mean final return of the worst quarter of tasks.
        early_return: mean return when a tenth of the life was over.
    """

    final_return: Float[Array, "*batch"]
    return_deviation: Float[Array, "*batch"]
    lifetime_return: Float[Array, "*batch"]
    worst_quarter: Float[Array, "*batch"]
    early_return: Float[Array, "*batch"]


@complete_program
class MetaStudy(NamedTuple):
    """One meta-training program.

    Attributes:
        init: `(key, hyperparameters) -> state`.
        step: `(state, hyperparameters, index) -> (state, (metrics, MetaEvaluation))`.
        run: `(key, hyperparameters) -> Result`: one program.
        value: `state -> value of the learned leaf`.
        test: `(key, value, hyperparameters, num_tasks, tasks=None) -> Outcome [task, ...]`: agents that learn with it,
            each a task of its own (of other tasks than in training, if given).
        hyperparameters: traced defaults.
        trainer: how the agents learn.
        tasks: what they learn.
        leaf: the field of their hyperparameters that is meta-learned.
        config: static settings of the outer loop.
        settings: what differs from the defaults, by name.
        rebuild: `(**settings) -> MetaStudy`, with some settings changed.
        num_iterations: steps of the outer loop.
        steps_per_iteration: environment steps of one of them, all agents counted.
        num_members: agents that learn side by side.
    """

    init: Callable[[PRNGKeyArray, MetaHyperparameters], PyTree]
    step: Callable[
        [PyTree, MetaHyperparameters, Int[Array, ""]], tuple[PyTree, tuple[dict[str, Array], MetaEvaluation]]
    ]
    run: Callable[[PRNGKeyArray, MetaHyperparameters], Result]
    value: Callable[[PyTree], PyTree]
    test: Callable[..., Outcome]
    hyperparameters: MetaHyperparameters
    trainer: Trainer
    tasks: Tasks
    leaf: str
    config: Any
    settings: dict[str, Any]
    rebuild: Callable[..., "MetaStudy"]
    num_iterations: int
    steps_per_iteration: int
    num_members: int

    @property
    def environment(self) -> Environment:
        """The environment that tasks are parameters of."""
        return self.trainer.environment

    @property
    def agent(self) -> Agent:
        """The agent that learns."""
        return self.trainer.agent

    name = property(lambda self: f"held out: {self.environment.spec.name}")
    curves = ("final_return",)
    summary = MetaEvaluation._fields
    without_actor = "members hold what was learned, not an agent for a task each: use sweep.learned(member)"

    def learned(self, state: PyTree) -> PyTree:
        """The value of the learned leaf."""
        return self.value(state)

    def experience_bytes(self) -> int:
        """Bytes of a rollout of every agent that learns."""
        return self.num_members * self.trainer.experience_bytes()

    @property
    def ranges(self) -> dict[str, Range]:
        """What leaves of the hyperparameters may be, where their classes do not say it."""
        return prefixed("training", self.trainer.ranges)


def meta_study(
    init: Callable,
    learn: Callable,
    value: Callable,
    trainer: Trainer,
    tasks: Tasks,
    leaf: str,
    config: Any,
    **rest: Any,
) -> MetaStudy:
    """A meta-study around `learn: (state, hyperparameters, index) -> (state, metrics)`."""

    def test(
        key: PRNGKeyArray,
        value: PyTree,
        hyperparameters: MetaHyperparameters,
        num_tasks: int,
        other_tasks: Tasks | None = None,
    ) -> Outcome:
        inner = hyperparameters.training._replace(**{leaf: value})
        return learn_tasks(trainer, other_tasks or tasks, key, inner, num_tasks)

    total = rest["num_iterations"]

    def evaluate(key: PRNGKeyArray, state: PyTree, hyperparameters: MetaHyperparameters) -> MetaEvaluation:
        outcome = test(key, value(state), hyperparameters, config.evaluation_tasks)
        final, area, early = (leaf @ hyperparameters.weights for leaf in outcome[:3])
        worst = jnp.sort(final)[: max(1, config.evaluation_tasks // 4)]
        return MetaEvaluation(final.mean(), final.std(), area.mean(), worst.mean(), early.mean())

    def step(state: PyTree, hyperparameters: MetaHyperparameters, index: Array) -> tuple:
        state, metrics = learn(state, hyperparameters, index)
        due = evaluation_due(index, config.num_evaluations, total)
        evaluation = evaluate_where(due, evaluate, held_out_key(), state, hyperparameters)
        return state, (metrics, evaluation)

    def run(key: PRNGKeyArray, hyperparameters: MetaHyperparameters) -> Result:
        rows = evaluation_iterations(config.num_evaluations, total)
        return scan_steps(step, init(key, hyperparameters), hyperparameters, total, rows)

    return MetaStudy(
        init=init,
        step=step,
        run=run,
        value=value,
        test=test,
        trainer=trainer,
        tasks=tasks,
        leaf=leaf,
        config=config,
        **rest,
    )


def validate_meta(trainer: Trainer, tasks: Tasks, leaf: str, config: Any, num_iterations: int) -> None:
    """Raises UnknownNameError or ValueError for what no outer loop can do."""
    require_name("leaf", leaf, trainer.hyperparameters._fields)
    if leaf == "environment":
        raise ValueError("the environment leaf is what tasks are; learn another leaf")
    if not jax.tree.leaves(getattr(trainer.hyperparameters, leaf)):
        raise ValueError(f"this agent's {leaf!r} has no parameters to learn; build the trainer with a learned one")
    if not 1 <= config.num_evaluations <= num_iterations:
        raise ValueError(
            f"num_evaluations={config.num_evaluations} must lie between 1 and the {num_iterations} outer steps"
        )
    if trainer.environment.spec != tasks.environment.spec:
        raise ValueError(
            f"the trainer learns {trainer.environment.spec.name}, the tasks are of {tasks.environment.spec.name}"
        )


def default_initial(trainer: Trainer, leaf: str) -> Callable[[PRNGKeyArray], PyTree]:
    """`key -> value` of a leaf: as the agent draws it, if it does, else as the trainer has it."""
    return trainer.agent.initialisers.get(leaf) or (lambda key: getattr(trainer.hyperparameters, leaf))
