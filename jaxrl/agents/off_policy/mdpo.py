"""Mirror descent policy optimisation from a buffer (Tomar et al., 2020, arXiv 2005.09814, section 5)."""

from jaxrl.agents.base import Agent
from jaxrl.agents.off_policy.actor_critic import actor_critic, entry
from jaxrl.agents.off_policy.continuous import ActorCriticConfig
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "OFF_POLICY_MDPO", "off_policy_mdpo"]

CONFIG = ActorCriticConfig(mirror_steps=32, tune_temperature=False)
DEFAULTS = {"max_gradient_norm": float("inf")}


def off_policy_mdpo(spec: EnvironmentSpec, config: ActorCriticConfig = CONFIG) -> Agent:
    """Off-policy MDPO: SAC whose policy stays close to that of up to 32 gradient steps ago, at a price that rises."""
    return actor_critic(spec, config, DEFAULTS)


OFF_POLICY_MDPO = entry(off_policy_mdpo, CONFIG, DEFAULTS)
