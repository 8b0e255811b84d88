"""Randomised ensembled double Q-learning (Chen et al., 2021): many gradient steps for each step of the environment."""

from jaxrl.agents.base import Agent
from jaxrl.agents.off_policy.actor_critic import actor_critic, entry
from jaxrl.agents.off_policy.continuous import ActorCriticConfig
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "REDQ", "redq"]

CONFIG = ActorCriticConfig(
    num_steps=2,
    num_updates=160,
    policy_delay=20,
    num_critics=10,
    target_critics="subset_minimum",
    policy_critics="mean",
)
DEFAULTS = {"max_gradient_norm": float("inf")}


def redq(spec: EnvironmentSpec, config: ActorCriticConfig = CONFIG) -> Agent:
    """REDQ: SAC with ten critics, in targets the smaller of a random two, and twenty gradient steps for each step."""
    return actor_critic(spec, config, DEFAULTS)


REDQ = entry(redq, CONFIG, DEFAULTS)
