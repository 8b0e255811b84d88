"""Settings of curricula, which those of every outer loop extend."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from jaxrl.configs import check_config
from jaxrl.ranges import COUNT, NOT_NEGATIVE, PROBABILITY, Range
from jaxrl.types import Array, Float

__all__ = ["CurriculumConfig", "CurriculumHyperparameters"]


@dataclass(frozen=True, kw_only=True)
class CurriculumConfig:
    """Static settings."""

    curriculum: str = "uniform"
    """uniform (every life a fresh task), or replay of levels that scored high: algorithmic_regret, and, where the outer
    loop has critics, positive_value_loss, l1_value_loss or learnability."""
    buffer_size: Annotated[int, COUNT] = 256
    """Levels that are kept to be drawn again."""
    prioritisation: str = "rank"
    """How scores become probabilities: rank or proportional."""
    antagonist: str = "a2c"
    """Agent whose return algorithmic regret compares with: it learns the same tasks for as long."""

    __post_init__ = check_config


class CurriculumHyperparameters(NamedTuple):
    """What is traced.

    Attributes:
        replay_probability: of drawing a level again once the buffer is full; in proportion to its filling before.
            Agents beside each other learn levels of their own, fresh ones when the buffer has none left.
        replay_temperature: of the prioritisation: 0 draws the best level, infinity all alike. Of ranked levels the
            best has a chance of 87 % at 0.3 and 16 % at 1 (of 256): a population wants more variety than one learner.
        replay_staleness: share of draws in proportion to the time since a level was scored.
        antagonist_learning_rate: of the antagonists.
    """

    replay_probability: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.5
    replay_temperature: Annotated[Float[Array, ""] | float, Range(0, finite=False)] = 1.0
    replay_staleness: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.1
    antagonist_learning_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.1
