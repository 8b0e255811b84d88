"""Advantage actor-critic (Mnih et al., 2016)."""

from jaxrl.agents.base import Agent
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.fitting import fit
from jaxrl.agents.on_policy import on_policy
from jaxrl.agents.settings import OnPolicyConfig, OnPolicyHyperparameters
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["A2C", "CONFIG", "DEFAULTS", "a2c"]

CONFIG = OnPolicyConfig(
    surrogate="policy_gradient",
    num_envs=16,
    num_steps=8,
    num_epochs=1,
    num_minibatches=1,
    standardise_advantages="none",
    optimiser="rmsprop",
)
DEFAULTS = {"learning_rate": 7e-4, "gae_lambda": 1.0}


def a2c(spec: EnvironmentSpec, config: OnPolicyConfig = CONFIG) -> Agent:
    """A2C: one step per short rollout on the policy gradient with n-step advantages (λ = 1)."""
    return on_policy(spec, config, DEFAULTS)


A2C = AgentEntry(a2c, CONFIG, DEFAULTS, OnPolicyHyperparameters, fit)
