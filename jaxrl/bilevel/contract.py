"""What bilevel programs, each a `LearnedProgram` whose every outer step ends with an evaluation, have in common."""

from typing import Any, NamedTuple

import numpy as np

from jaxrl.training.evaluation import return_columns
from jaxrl.training.learned import learned_program
from jaxrl.types import Array, Float

__all__ = ["BilevelEvaluation"]


class BilevelEvaluation(NamedTuple):
    """How the policy does after an outer step.

    Attributes:
        returns: mean undiscounted returns in the environment's own rewards.
        length: mean steps of an episode.
    """

    returns: Float[Array, "*batch objective"]
    length: Float[Array, "*batch"]


def bilevel_program(program: type) -> type:
    """A class of bilevel programs: `learned_program`, and what their evaluations show.

    Args:
        program: has `config`, `num_iterations`, `steps_per_iteration`, at most, and `value(state)`.
    """

    def columns(self: Any, evaluation: BilevelEvaluation) -> dict[str, np.ndarray]:
        flat = np.asarray(evaluation.returns).reshape(-1, self.environment.spec.num_objectives)
        returns = {name: flat[:, i] for i, name in enumerate(self.curves)}
        return {**returns, "length": np.asarray(evaluation.length).ravel()}

    program.curves = property(lambda self: tuple(return_columns(self.environment.spec)))
    program.columns = columns
    return learned_program(program)
