"""Dropout Q-functions (Hiraoka et al., 2022): REDQ's many gradient steps with two critics, not ten."""

from jaxrl.agents.base import Agent
from jaxrl.agents.off_policy.actor_critic import actor_critic, entry
from jaxrl.agents.off_policy.continuous import ActorCriticConfig
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "DROQ", "droq"]

CONFIG = ActorCriticConfig(
    num_steps=2, num_updates=160, policy_delay=20, policy_critics="mean", layer_norm=True, dropout=0.01
)
DEFAULTS = {"max_gradient_norm": float("inf")}


def droq(spec: EnvironmentSpec, config: ActorCriticConfig = CONFIG) -> Agent:
    """DroQ: SAC whose critics have dropout and LayerNorm, and learn in twenty steps for one of acting."""
    return actor_critic(spec, config, DEFAULTS)


DROQ = entry(droq, CONFIG, DEFAULTS)
