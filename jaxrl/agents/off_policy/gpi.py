"""Generalised policy improvement over a set of preferences (Alegre et al., 2023, GPI-LS without its linear support)."""

from jaxrl.agents.base import Agent
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.off_policy.value_learning import value_learning
from jaxrl.agents.off_policy.value_settings import ValueConfig, ValueHyperparameters
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "GPI", "gpi"]

CONFIG = ValueConfig(
    policies="support",
    condition_on_weights=True,
    num_critics=2,
    replay="prioritised",
    layer_norm=True,
    hidden_sizes=(256, 256),
)
DEFAULTS: dict[str, float] = {}


def gpi(spec: EnvironmentSpec, config: ValueConfig = CONFIG) -> Agent:
    """Acts, and backs up, by the best of the policies of all supporting preferences: argmax_a max_w' w·q(o, a, w')."""
    return value_learning(spec, config, DEFAULTS)


GPI = AgentEntry(gpi, CONFIG, DEFAULTS, ValueHyperparameters)
