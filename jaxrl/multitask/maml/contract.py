"""The contract of a MAML run: like a trainer, but what is learnt is a policy from which to adapt."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxrl.environments.family import TaskFamily
from jaxrl.multitask.maml.settings import MamlConfig, MamlHyperparameters
from jaxrl.training.learned import learned_program
from jaxrl.training.loop import Result
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

__all__ = ["Maml", "MamlEvaluation", "MamlState"]


class MamlState(NamedTuple):
    """The complete state of a run.

    Attributes:
        params: of the meta-policy.
        optimiser: optax state.
        key: base key; iteration i uses fold_in(key, i).
    """

    params: PyTree
    optimiser: PyTree
    key: PRNGKeyArray


class MamlEvaluation(NamedTuple):
    """How a meta-policy adapts.

    Attributes:
        returns: mean return of each task before the first inner step and after each.
        steps: environment steps of training before this evaluation.
    """

    returns: Float[Array, "*batch adaptation task"]
    steps: Float[Array, "*batch"]


@learned_program
class Maml(NamedTuple):
    """One meta-training program: a `LearnedProgram` that learns a policy's parameters.

    Attributes:
        adapt: `(key, params, task, hyperparameters) -> params` after the inner steps on one task's parameters.
        evaluate: `(key, params, hyperparameters) -> MamlEvaluation`.
        hyperparameters: traced defaults; held-out tasks are those of evaluation, if there are any.
        trainer: of the agent that acts and adapts.
        family: the tasks.
    """

    init: Callable[[PRNGKeyArray, MamlHyperparameters], MamlState]
    step: Callable[[MamlState, MamlHyperparameters, Int[Array, ""]], tuple[MamlState, tuple]]
    run: Callable[[PRNGKeyArray, MamlHyperparameters], Result]
    adapt: Callable[[PRNGKeyArray, PyTree, PyTree, MamlHyperparameters], PyTree]
    evaluate: Callable[[PRNGKeyArray, PyTree, MamlHyperparameters], MamlEvaluation]
    hyperparameters: MamlHyperparameters
    trainer: Trainer
    family: TaskFamily
    config: MamlConfig
    settings: dict[str, Any]
    rebuild: Callable[..., "Maml"]
    steps_per_iteration: int

    @property
    def num_iterations(self) -> int:
        """Outer iterations of a run."""
        return self.config.num_iterations

    @staticmethod
    def value(state: MamlState) -> PyTree:
        """What a run has learned: the meta-policy's parameters."""
        return state.params

    # After adaptation; before it, a meta-policy need not be good at any task.
    score = property(lambda self: self.curves[-1])

    @property
    def curves(self) -> tuple[str, ...]:
        """Mean returns over tasks, before and after each step of adaptation."""
        return tuple(f"return_after_{i}" for i in range(self.config.evaluation_adaptations + 1))

    def columns(self, evaluation: MamlEvaluation) -> dict[str, np.ndarray]:
        """Those of `curves`."""
        means = np.asarray(evaluation.returns).mean(axis=-1)
        return {name: means[..., i] for i, name in enumerate(self.curves)}
