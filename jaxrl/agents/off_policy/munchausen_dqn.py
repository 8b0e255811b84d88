"""Munchausen reinforcement learning (Vieillard et al., 2020)."""

from jaxrl.agents.base import Agent
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.off_policy.value_learning import value_learning
from jaxrl.agents.off_policy.value_settings import ValueConfig, ValueHyperparameters
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "MUNCHAUSEN_DQN", "munchausen_dqn"]

CONFIG = ValueConfig(backup="munchausen")
DEFAULTS: dict[str, float] = {}


def munchausen_dqn(spec: EnvironmentSpec, config: ValueConfig = CONFIG) -> Agent:
    """M-DQN: soft values, and the scaled log-policy of the action taken joins the reward."""
    return value_learning(spec, config, DEFAULTS)


MUNCHAUSEN_DQN = AgentEntry(munchausen_dqn, CONFIG, DEFAULTS, ValueHyperparameters)
