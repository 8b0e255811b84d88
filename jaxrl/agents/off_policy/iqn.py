"""Implicit quantile networks (Dabney et al., 2018, arXiv 1806.06923)."""

from jaxrl.agents.base import Agent
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.off_policy.value_learning import value_learning
from jaxrl.agents.off_policy.value_settings import ValueConfig, ValueHyperparameters
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "IQN", "iqn"]

CONFIG = ValueConfig(head="implicit", num_atoms=8, backup="max")
DEFAULTS: dict[str, float] = {}


def iqn(spec: EnvironmentSpec, config: ValueConfig = CONFIG) -> Agent:
    """IQN: a network that is asked for the quantiles at fractions drawn anew for every sample."""
    return value_learning(spec, config, DEFAULTS)


IQN = AgentEntry(iqn, CONFIG, DEFAULTS, ValueHyperparameters)
