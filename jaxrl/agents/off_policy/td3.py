"""Twin delayed deterministic policy gradients (Fujimoto et al., 2018)."""

from jaxrl.agents.base import Agent
from jaxrl.agents.off_policy.actor_critic import actor_critic, entry
from jaxrl.agents.off_policy.continuous import ActorCriticConfig
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "TD3", "td3"]

CONFIG = ActorCriticConfig(
    policy="deterministic", smooth_targets=True, policy_critics="first", policy_delay=2, target_period=2
)
DEFAULTS = {"max_gradient_norm": float("inf")}


def td3(spec: EnvironmentSpec, config: ActorCriticConfig = CONFIG) -> Agent:
    """TD3: DDPG with twin critics, noise on the action of a target, and a policy that moves every second step."""
    return actor_critic(spec, config, DEFAULTS)


TD3 = entry(td3, CONFIG, DEFAULTS)
