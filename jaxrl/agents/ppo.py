"""Proximal policy optimisation (Schulman et al., 2017)."""

from jaxrl.agents.base import Agent
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.fitting import fit
from jaxrl.agents.on_policy import on_policy
from jaxrl.agents.settings import OnPolicyConfig, OnPolicyHyperparameters
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "PPO", "ppo"]

CONFIG = OnPolicyConfig(surrogate="clip")
DEFAULTS: dict[str, float] = {}


def ppo(spec: EnvironmentSpec, config: OnPolicyConfig = CONFIG) -> Agent:
    """PPO: several epochs of minibatches on the clipped surrogate with generalised advantages."""
    return on_policy(spec, config, DEFAULTS)


PPO = AgentEntry(ppo, CONFIG, DEFAULTS, OnPolicyHyperparameters, fit)
