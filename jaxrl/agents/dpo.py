"""Discovered policy optimisation (Lu et al., 2022, arXiv 2210.05639)."""

from jaxrl.agents.base import Agent
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.fitting import fit
from jaxrl.agents.on_policy import on_policy
from jaxrl.agents.settings import OnPolicyConfig, OnPolicyHyperparameters
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "DPO", "dpo"]

CONFIG = OnPolicyConfig(surrogate="drift")
DEFAULTS: dict[str, float] = {}


def dpo(spec: EnvironmentSpec, config: OnPolicyConfig = CONFIG) -> Agent:
    """DPO: PPO whose clip is replaced by the closed-form drift that meta-learning found."""
    return on_policy(spec, config, DEFAULTS)


DPO = AgentEntry(dpo, CONFIG, DEFAULTS, OnPolicyHyperparameters, fit)
