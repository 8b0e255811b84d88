"""Truncated quantile critics (Kuznetsov et al., 2020)."""

from jaxrl.agents.base import Agent
from jaxrl.agents.off_policy.actor_critic import actor_critic, entry
from jaxrl.agents.off_policy.continuous import ActorCriticConfig
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "TQC", "tqc"]

CONFIG = ActorCriticConfig(num_critics=5, target_critics="truncation", policy_critics="mean", head="quantile")
DEFAULTS = {"max_gradient_norm": float("inf")}


def tqc(spec: EnvironmentSpec, config: ActorCriticConfig = CONFIG) -> Agent:
    """TQC: SAC with five critics of 25 quantiles, whose largest ten of all 125 are left out of targets."""
    return actor_critic(spec, config, DEFAULTS)


TQC = entry(tqc, CONFIG, DEFAULTS)
