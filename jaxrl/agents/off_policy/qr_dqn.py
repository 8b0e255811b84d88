"""Quantile regression Q-learning (Dabney et al., 2018, arXiv 1710.10044)."""

from jaxrl.agents.base import Agent
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.off_policy.value_learning import value_learning
from jaxrl.agents.off_policy.value_settings import ValueConfig, ValueHyperparameters
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "QR_DQN", "qr_dqn"]

CONFIG = ValueConfig(head="quantile", backup="max")
DEFAULTS: dict[str, float] = {}


def qr_dqn(spec: EnvironmentSpec, config: ValueConfig = CONFIG) -> Agent:
    """QR-DQN: quantiles of every action's return at even shares."""
    return value_learning(spec, config, DEFAULTS)


QR_DQN = AgentEntry(qr_dqn, CONFIG, DEFAULTS, ValueHyperparameters)
