"""Soft actor-critic with twin critics and a tuned temperature (Haarnoja et al., 2018; 2018b)."""

from jaxrl.agents.base import Agent
from jaxrl.agents.off_policy.actor_critic import actor_critic, entry
from jaxrl.agents.off_policy.continuous import ActorCriticConfig
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "SAC", "sac"]

CONFIG = ActorCriticConfig()
DEFAULTS = {"max_gradient_norm": float("inf")}


def sac(spec: EnvironmentSpec, config: ActorCriticConfig = CONFIG) -> Agent:
    """SAC. Conditioned on preference weights it is CAPQL (Lu et al., 2023), whose entropy counts in every objective."""
    return actor_critic(spec, config, DEFAULTS)


SAC = entry(sac, CONFIG, DEFAULTS)
