"""Envelope Q-learning (Yang et al., 2019): one network for all preferences, whose best actions help each other."""

from jaxrl.agents.base import Agent
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.off_policy.value_learning import value_learning
from jaxrl.agents.off_policy.value_settings import ValueConfig, ValueHyperparameters
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "ENVELOPE", "envelope"]

CONFIG = ValueConfig(
    policies="sampled", condition_on_weights=True, homotopy=True, hidden_sizes=(256, 256), batch_size=64
)
DEFAULTS: dict[str, float] = {}


def envelope(spec: EnvironmentSpec, config: ValueConfig = CONFIG) -> Agent:
    """Envelope Q-learning: r + γ q⁻(o', a', w'), the best action and preference of argmax w·q(o', a', w')."""
    return value_learning(spec, config, DEFAULTS)


ENVELOPE = AgentEntry(envelope, CONFIG, DEFAULTS, ValueHyperparameters)
