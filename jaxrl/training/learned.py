"""What programs have in common that learn something other than one policy, so that the host loop takes them."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from jaxrl.environments.base import Environment
from jaxrl.training.loop import Result
from jaxrl.training.program import complete_program
from jaxrl.types import Array, Int, PRNGKeyArray, PyTree

__all__ = ["LearnedProgram", "learned_program"]


class LearnedProgram(Protocol):
    """One program; `jaxrl.sweep` runs it, over seeds and settings, from checkpoints.

    Attributes:
        init: `(key, hyperparameters) -> state`.
        step: `(state, hyperparameters, index) -> (state, (metrics, evaluation))`, one iteration of the outer loop.
        run: `(key, hyperparameters) -> Result`: a scan of `step`, one program.
        value: `state -> ` what has been learned.
        hyperparameters: traced defaults.
        config: static settings.
        settings: what differs from the defaults, by name.
        rebuild: `(**settings) -> ` the program with some settings changed.
        num_iterations: iterations of the outer loop.
        steps_per_iteration: environment steps of one iteration, those of all that learn inside counted.
        environment: that it learns in.
        static_names: names of static settings.
        evaluation_iterations: indices of the iterations that end with an evaluation.
        evaluation_steps: environment steps before each evaluation.
    """

    init: Callable[[PRNGKeyArray, Any], PyTree]
    step: Callable[[PyTree, Any, Int[Array, ""]], tuple[PyTree, tuple[dict[str, Array], Any]]]
    run: Callable[[PRNGKeyArray, Any], Result]
    value: Callable[[PyTree], PyTree]
    hyperparameters: Any
    config: Any
    settings: dict[str, Any]
    rebuild: Callable[..., "LearnedProgram"]
    num_iterations: int
    steps_per_iteration: int
    environment: Environment
    static_names: set[str]
    evaluation_iterations: Int[np.ndarray, " evaluation"]
    evaluation_steps: Int[np.ndarray, " evaluation"]


def learned_program(program: type) -> type:
    """A class of programs with all that `jaxrl.training.program.Program` asks for.

    Args:
        program: has `init`, `step`, `config`, `num_iterations`, `steps_per_iteration`, `value`, and `environment` or
            the `trainer` of the agents that learn inside.
    """
    if not hasattr(program, "environment"):
        program.environment = property(lambda self: self.trainer.environment)
    program.learned = lambda self, state: self.value(state)
    program.without_actor = "members hold what was learned, not an agent for a task each: use sweep.learned(member)"
    return complete_program(program)
