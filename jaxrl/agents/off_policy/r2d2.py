"""Recurrent replay (R2D2, Kapturowski et al., 2019), on one machine and without rescaled values."""

from jaxrl.agents.base import Agent
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.off_policy.value_learning import value_learning
from jaxrl.agents.off_policy.value_settings import ValueConfig, ValueHyperparameters
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "R2D2", "r2d2"]

CONFIG = ValueConfig(
    network="lstm", dueling=True, replay="prioritised", return_steps=5, batch_size=32, num_updates=4, num_steps=16
)
DEFAULTS: dict[str, float] = {"priority_exponent": 0.9, "importance_exponent": 0.6}


def r2d2(spec: EnvironmentSpec, config: ValueConfig = CONFIG) -> Agent:
    """R2D2: a network with a memory, which learns from sequences that begin with what it remembered then."""
    return value_learning(spec, config, DEFAULTS)


R2D2 = AgentEntry(r2d2, CONFIG, DEFAULTS, ValueHyperparameters)
