"""What bilevel programs have in common with trainers, so that sweeps, checkpoints and tables take them."""

from dataclasses import fields
from typing import NamedTuple

from jaxrl.training.loop import count_evaluations
from jaxrl.types import Array, Float

__all__ = ["BilevelEvaluation", "bilevel_program"]


class BilevelEvaluation(NamedTuple):
    """How the policy does after an outer step.

    Attributes:
        returns: mean undiscounted returns in the environment's own rewards.
        length: mean steps of an episode.
    """

    returns: Float[Array, "*batch objective"]
    length: Float[Array, "*batch"]


def bilevel_program(program: type) -> type:
    """Gives a program's class what follows from its schedule: every outer step ends with an evaluation.

    Args:
        program: has `config`, `num_iterations`, `steps_per_iteration`, at most, and `value(state)`.

    Returns:
        The class with `static_names` and what `jaxrl.training.loop.count_evaluations` gives.
    """
    program.static_names = property(lambda self: {field.name for field in fields(self.config)})
    return count_evaluations(program)
