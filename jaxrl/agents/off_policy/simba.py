"""SAC with SimBa's networks (Lee et al., 2025)."""

from jaxrl.agents.base import Agent
from jaxrl.agents.off_policy.actor_critic import actor_critic, entry
from jaxrl.agents.off_policy.continuous import ActorCriticConfig
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "SIMBA", "simba"]

# The paper's critics are 512 wide.
CONFIG = ActorCriticConfig(
    num_updates=64,
    hidden_sizes=(128,),
    critic_sizes=(256, 256),
    residual=True,
    normalise_observations=True,
    optimiser="adamw",
)
DEFAULTS = {
    "learning_rate": 1e-4,
    "weight_decay": 1e-2,
    "initial_temperature": 1e-2,
    "max_gradient_norm": float("inf"),
}


def simba(spec: EnvironmentSpec, config: ActorCriticConfig = CONFIG) -> Agent:
    """SAC of residual blocks with LayerNorm, on observations that are standardised, two gradient steps for each."""
    return actor_critic(spec, config, DEFAULTS)


SIMBA = entry(simba, CONFIG, DEFAULTS)
