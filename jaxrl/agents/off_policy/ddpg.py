"""Deep deterministic policy gradients (Lillicrap et al., 2016), with the networks and rates that became usual later."""

from jaxrl.agents.base import Agent
from jaxrl.agents.off_policy.actor_critic import actor_critic, entry
from jaxrl.agents.off_policy.continuous import ActorCriticConfig
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DDPG", "DEFAULTS", "ddpg"]

CONFIG = ActorCriticConfig(policy="deterministic", num_critics=1)
DEFAULTS = {"max_gradient_norm": float("inf")}


def ddpg(spec: EnvironmentSpec, config: ActorCriticConfig = CONFIG) -> Agent:
    """DDPG: one critic, and a deterministic policy that ascends it. With return_steps and head='categorical', D4PG."""
    return actor_critic(spec, config, DEFAULTS)


DDPG = entry(ddpg, CONFIG, DEFAULTS)
