"""Probabilistic mixture of experts (PMOE, Ren et al., 2021, arXiv 2104.09122) on top of SAC."""

from jaxrl.agents.base import Agent
from jaxrl.agents.off_policy.actor_critic import actor_critic, entry
from jaxrl.agents.off_policy.continuous import ActorCriticConfig
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "PMOE", "pmoe"]

CONFIG = ActorCriticConfig(num_experts=4)
DEFAULTS = {"max_gradient_norm": float("inf")}


def pmoe(spec: EnvironmentSpec, config: ActorCriticConfig = CONFIG) -> Agent:
    """PMOE: SAC whose policy is a mixture of four, which can hold several ways to act that are equally good."""
    return actor_critic(spec, config, DEFAULTS)


PMOE = entry(pmoe, CONFIG, DEFAULTS)
