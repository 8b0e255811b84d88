"""Categorical distributional Q-learning (Bellemare et al., 2017)."""

from jaxrl.agents.base import Agent
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.off_policy.value_learning import value_learning
from jaxrl.agents.off_policy.value_settings import ValueConfig, ValueHyperparameters
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "C51", "c51"]

CONFIG = ValueConfig(head="categorical", backup="max")
DEFAULTS: dict[str, float] = {}


def c51(spec: EnvironmentSpec, config: ValueConfig = CONFIG) -> Agent:
    """C51: a distribution of every action's return over 51 even values from v_min to v_max."""
    return value_learning(spec, config, DEFAULTS)


C51 = AgentEntry(c51, CONFIG, DEFAULTS, ValueHyperparameters)
