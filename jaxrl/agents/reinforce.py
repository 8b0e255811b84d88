"""REINFORCE with a learned baseline (Williams, 1992; Sutton and Barto, 2018, section 13.4)."""

from jaxrl.agents.base import Agent
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.fitting import fit
from jaxrl.agents.on_policy import on_policy
from jaxrl.agents.settings import OnPolicyConfig, OnPolicyHyperparameters
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "REINFORCE", "reinforce"]

CONFIG = OnPolicyConfig(
    surrogate="policy_gradient",
    num_envs=8,
    num_steps=256,
    num_epochs=1,
    num_minibatches=1,
    standardise_advantages="batch",
)
DEFAULTS = {"learning_rate": 3e-3, "gae_lambda": 1.0}


def reinforce(spec: EnvironmentSpec, config: OnPolicyConfig = CONFIG) -> Agent:
    """REINFORCE: Monte-Carlo returns minus V(o), one step per rollout.

    An episode that the rollout cuts is completed by V of its last observation; with `num_steps`
    a multiple of the time limit no episode is cut.
    """
    return on_policy(spec, config, DEFAULTS)


REINFORCE = AgentEntry(reinforce, CONFIG, DEFAULTS, OnPolicyHyperparameters, fit)
