"""The contract of multi-objective studies: like a trainer, but what comes out is a front.

A study is a pure function of a key and hyperparameters, so that seeds, settings and devices are its leading axes like
any run's: `jaxrl.pareto` drives one with the host loop that drives `jaxrl.sweep`.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrl.agents import Actor, Agent
from jaxrl.environments.base import Environment
from jaxrl.hyperparameters import prefixed
from jaxrl.morl.problem import Problem, measure
from jaxrl.morl.tabular.base import Tabular
from jaxrl.ranges import Range
from jaxrl.training.evaluation import Evaluation
from jaxrl.training.loop import Result
from jaxrl.training.program import complete_program
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray, PyTree

__all__ = [
    "FrontEvaluation",
    "Study",
    "StudyHyperparameters",
    "ends_with_evaluation",
    "evaluate_front",
    "no_evaluation",
]


class StudyHyperparameters(NamedTuple):
    """Everything traced in a study.

    Attributes:
        training: of the inner trainer, if there is one; its weights are set by the algorithm.
        algorithm: of the algorithm.
    """

    training: Any
    algorithm: Any

    @property
    def weights(self) -> Float[Array, "*batch objective"]:
        """The inner trainer's weights, whose length is the number of objectives."""
        return self.training.weights


class FrontEvaluation(NamedTuple):
    """Measures of the archive after an evaluation, under the study's `Problem`.

    Attributes:
        hypervolume: over the reference point; estimated for more than three objectives.
        expected_utility: mean over evenly spaced weights of the best weighted return.
        sparsity: mean squared gap between neighbours.
        cardinality: number of archived points.
    """

    hypervolume: Float[Array, "*batch"]
    expected_utility: Float[Array, "*batch"]
    sparsity: Float[Array, "*batch"]
    cardinality: Float[Array, "*batch"]


@complete_program
class Study(NamedTuple):
    """One study program.

    Attributes:
        init: `(key, hyperparameters) -> state`.
        step: `(state, hyperparameters, index) -> (state, (metrics, FrontEvaluation))`; `index` counts iterations and
            stays outside every vmap.
        run: `(key, hyperparameters) -> Result`: one program.
        evaluate: `(key, state, hyperparameters, num_episodes) -> (points [policy, objective], mask [policy],
            weights [policy, objective] or None)`: fresh episodes of every policy that the study offers.
        policy: `(state, hyperparameters, index) -> (agent state, agent hyperparameters)` of one of them.
        hyperparameters: traced defaults.
        trainer: the inner trainer, whose members the study moves about, or a tabular algorithm, which has no members.
        problem: the protocol.
        algorithm: its registered name.
        config: static settings of the algorithm.
        settings: what differs from the defaults, by name.
        rebuild: `(**settings) -> Study`, with some settings changed; None for a study of no registered algorithm.
        iteration_steps: `[iteration]`, environment steps of each iteration, all members counted; where episodes may
            end early, at most, and `metrics["environment_steps"]` counts.
        diagnostics: metrics, by name, that are reported beside the measures of the front.
    """

    init: Callable[[PRNGKeyArray, StudyHyperparameters], PyTree]
    step: Callable[[PyTree, StudyHyperparameters, Int[Array, ""]], tuple[PyTree, tuple[dict, FrontEvaluation]]]
    run: Callable[[PRNGKeyArray, StudyHyperparameters], Result]
    evaluate: Callable[..., tuple[Array, Array, Array | None]]
    policy: Callable[..., tuple[PyTree, Any]]
    hyperparameters: StudyHyperparameters
    trainer: Trainer | Tabular
    problem: Problem
    algorithm: str
    config: Any
    settings: dict[str, Any]
    rebuild: Callable[..., "Study"] | None
    iteration_steps: Int[np.ndarray, " iteration"]
    diagnostics: tuple[str, ...] = ()

    @property
    def environment(self) -> Environment:
        """The environment under the problem's protocol."""
        return self.trainer.environment

    @property
    def agent(self) -> Agent | Actor:
        """The inner agent, or what follows a tabular algorithm's policies."""
        return self.trainer.agent

    def evaluator(self, num_episodes: int, explore: bool | None = None) -> Callable[..., Evaluation]:
        """As `Trainer.evaluator`, of the policies that `policy` returns."""
        return self.trainer.evaluator(num_episodes, explore)

    @property
    def ranges(self) -> dict[str, Range]:
        """What leaves of the hyperparameters may be, where their classes do not say it."""
        return {} if isinstance(self.trainer, Tabular) else prefixed("training", self.trainer.ranges)

    @property
    def num_iterations(self) -> int:
        """Iterations of a run."""
        return self.trainer.num_iterations

    @property
    def evaluation_iterations(self) -> np.ndarray:
        """Indices of the iterations that end with an evaluation."""
        return self.trainer.evaluation_iterations

    @property
    def num_members(self) -> int:
        """Most members that learn side by side."""
        if isinstance(self.trainer, Tabular):
            return 1
        return int(self.iteration_steps.max()) // self.trainer.steps_per_iteration

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps of an iteration, on average over the phases."""
        return int(self.iteration_steps.sum()) // self.num_iterations

    @property
    def static_names(self) -> set[str]:
        """Names of static settings."""
        return self.trainer.static_names | {field.name for field in fields(self.config)}

    @property
    def evaluation_steps(self) -> Int[np.ndarray, " evaluation"]:
        """Environment steps of all members before each evaluation, counted exactly."""
        return np.cumsum(self.iteration_steps)[self.evaluation_iterations]

    curves = ()
    summary = ("hypervolume", "expected_utility", "cardinality")
    without_actor = "a study's members hold archives of policies, not one each: use jaxrl.front(sweep)"

    @property
    def source(self) -> "Trainer | Study":
        """What rolls out and saves a policy of the archive: the trainer that made it, or the study where none did."""
        return self if isinstance(self.trainer, Tabular) else self.trainer


def ends_with_evaluation(trainer: Trainer, index: Int[Array, ""]) -> Bool[Array, ""]:
    """Whether iteration `index` of a trainer does."""
    due = np.zeros(trainer.num_iterations, bool)
    due[trainer.evaluation_iterations] = True
    return jnp.asarray(due)[index]


def no_evaluation() -> FrontEvaluation:
    """What stands where no evaluation is due."""
    return FrontEvaluation(*[jnp.asarray(jnp.nan)] * len(FrontEvaluation._fields))


def evaluate_front(problem: Problem, points: Float[Array, "batch objective"], mask: Bool[Array, " batch"]) -> Any:
    """The measures of a set of returns."""
    return FrontEvaluation(**measure(problem, points, mask))
