"""Deep Q-networks (Mnih et al., 2015), with double estimates (van Hasselt et al., 2016) unless `backup` says else."""

from jaxrl.agents.base import Agent
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.off_policy.value_learning import value_learning
from jaxrl.agents.off_policy.value_settings import ValueConfig, ValueHyperparameters
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "DQN", "dqn"]

CONFIG = ValueConfig()
DEFAULTS: dict[str, float] = {}


def dqn(spec: EnvironmentSpec, config: ValueConfig = CONFIG) -> Agent:
    """DQN: the mean value of every action, fitted to r + γ q⁻(o', argmax_a q(o', a))."""
    return value_learning(spec, config, DEFAULTS)


DQN = AgentEntry(dqn, CONFIG, DEFAULTS, ValueHyperparameters)
