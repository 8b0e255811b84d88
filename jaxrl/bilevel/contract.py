"""How bilevel programs, each a `LearnedProgram` whose every outer step ends with an evaluation, are measured."""

from typing import NamedTuple

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
