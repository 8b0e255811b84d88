"""CrossQ (Bhatt et al., 2024): batch normalisation in place of target networks."""

from jaxrl.agents.base import Agent
from jaxrl.agents.off_policy.actor_critic import actor_critic, entry
from jaxrl.agents.off_policy.continuous import ActorCriticConfig
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "CROSSQ", "DEFAULTS", "crossq"]

# The paper's critics are 2048 wide, which takes an accelerator. Adam is the optimiser without decay, with a β₁.
CONFIG = ActorCriticConfig(
    critic_sizes=(512, 512), batch_norm="renorm", target_network=False, policy_delay=3, optimiser="adamw"
)
DEFAULTS = {
    "learning_rate": 1e-3,
    "target_rate": None,
    "beta_1": 0.5,
    "weight_decay": 0.0,
    "max_gradient_norm": float("inf"),
}


def crossq(spec: EnvironmentSpec, config: ActorCriticConfig = CONFIG) -> Agent:
    """CrossQ: SAC without target networks, whose wide critics see both steps of a transition in one batch."""
    return actor_critic(spec, config, DEFAULTS)


CROSSQ = entry(crossq, CONFIG, DEFAULTS)
