"""The contract of meta-training: like a trainer, but what is learnt is a leaf of an agent's hyperparameters.

A meta-study is a pure function of a key and hyperparameters: seeds, outer settings and devices are its leading axes
like any run's, and `jaxrl.sweep` drives it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents import Agent
from jaxrl.errors import require_name
from jaxrl.hyperparameters import prefixed
from jaxrl.meta.held_out import held_out_key, learn_tasks
from jaxrl.meta.lifetimes import Outcome
from jaxrl.meta.tasks import Tasks
from jaxrl.training.learned import learned_program
from jaxrl.training.loop import Result, evaluate_where, evaluation_due, evaluation_iterations, scan_steps
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

__all__ = [
    "MetaEvaluation",
    "MetaHyperparameters",
    "MetaStudy",
    "Subject",
    "make_subject",
    "meta_study",
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


@learned_program
class MetaStudy(NamedTuple):
    """One meta-training program: a `LearnedProgram` that learns a leaf of an agent's hyperparameters.

    Attributes:
        value: `state -> value of the learned leaf`.
        test: `(key, value, hyperparameters, num_tasks, tasks=None) -> Outcome [task, ...]`: agents that learn with it,
            each a task of its own (of other tasks than in training, if given).
        trainer: how the agents learn.
        tasks: what they learn.
        leaf: the field of their hyperparameters that is meta-learned.
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

    @property
    def agent(self) -> Agent:
        """The agent that learns."""
        return self.trainer.agent

    name = property(lambda self: f"held out: {self.environment.spec.name}")
    curves = ("final_return",)
    summary = MetaEvaluation._fields
    ranges = property(lambda self: prefixed("training", self.trainer.ranges))


class Subject(NamedTuple):
    """What is meta-learned; static.

    Attributes:
        trainer: how agents learn.
        tasks: what they learn.
        leaf: the field of their hyperparameters that is meta-learned.
        initial: `key -> value` with which it begins.
    """

    trainer: Trainer
    tasks: Tasks
    leaf: str
    initial: Callable[[PRNGKeyArray], PyTree]

    def begin(self, key: PRNGKeyArray) -> PyTree:
        """The first value."""
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), self.initial(key))

    def inner(self, hyperparameters: MetaHyperparameters, value: PyTree, **changes: Any) -> Any:
        """The agents' hyperparameters with a value of the leaf."""
        return hyperparameters.training._replace(**{self.leaf: value}, **changes)


def make_subject(
    trainer: Trainer,
    tasks: Tasks,
    leaf: str,
    initial: Callable[[PRNGKeyArray], PyTree] | None,
    config: Any,
    num_iterations: int,
) -> Subject:
    """What an outer loop learns; by default from the value that the agent draws, if it does, or that the trainer has.

    Raises:
        UnknownNameError: for an unknown leaf, with the nearest match.
        ValueError: for what no outer loop can do.
    """
    _validate(trainer, tasks, leaf, config, num_iterations)
    default = trainer.agent.initialisers.get(leaf) or (lambda key: getattr(trainer.hyperparameters, leaf))
    return Subject(trainer, tasks, leaf, initial or default)


def meta_study(
    build: Callable[..., MetaStudy],
    subject: Subject,
    config: Any,
    outer: Any,
    settings: dict[str, Any],
    init: Callable,
    learn: Callable,
    value: Callable,
    **sizes: int,
) -> MetaStudy:
    """A meta-study around `learn: (state, hyperparameters, index) -> (state, metrics)`.

    Args:
        build: `(trainer, tasks, leaf, initial, **settings) -> MetaStudy`, which builds this one.
        subject: what is learned.
        config: static settings of the outer loop.
        outer: its traced defaults.
        settings: what differs from the defaults, by name.
        init: `(key, hyperparameters) -> state`.
        learn: one iteration.
        value: `state -> value of the learned leaf`.
        sizes: `num_iterations` and `steps_per_iteration`.
    """

    def test(
        key: PRNGKeyArray,
        value: PyTree,
        hyperparameters: MetaHyperparameters,
        num_tasks: int,
        other_tasks: Tasks | None = None,
    ) -> Outcome:
        inner = subject.inner(hyperparameters, value)
        return learn_tasks(subject.trainer, other_tasks or subject.tasks, key, inner, num_tasks)

    total = sizes["num_iterations"]

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
        hyperparameters=MetaHyperparameters(subject.trainer.hyperparameters, outer),
        trainer=subject.trainer,
        tasks=subject.tasks,
        leaf=subject.leaf,
        config=config,
        settings=settings,
        rebuild=lambda **changes: build(*subject, **{**settings, **changes}),
        **sizes,
    )


def _validate(trainer: Trainer, tasks: Tasks, leaf: str, config: Any, num_iterations: int) -> None:
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
