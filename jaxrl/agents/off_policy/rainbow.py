"""Rainbow (Hessel et al., 2018): the sum of six settings."""

from jaxrl.agents.base import Agent
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.off_policy.value_learning import value_learning
from jaxrl.agents.off_policy.value_settings import ValueConfig, ValueHyperparameters
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "RAINBOW", "rainbow"]

CONFIG = ValueConfig(head="categorical", dueling=True, noisy=True, replay="prioritised", return_steps=3)
DEFAULTS: dict[str, float] = {"priority_exponent": 0.5}


def rainbow(spec: EnvironmentSpec, config: ValueConfig = CONFIG) -> Agent:
    """Rainbow: double, dueling, noisy, categorical, prioritised, over three steps."""
    return value_learning(spec, config, DEFAULTS)


RAINBOW = AgentEntry(rainbow, CONFIG, DEFAULTS, ValueHyperparameters)
