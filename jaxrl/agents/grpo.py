"""Group-relative policy optimisation (Shao et al., 2024)."""

from dataclasses import replace

from jaxrl.agents.base import Agent
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.fitting import fit
from jaxrl.agents.on_policy import on_policy
from jaxrl.agents.settings import OnPolicyConfig, OnPolicyHyperparameters
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "GDPO", "GDPO_CONFIG", "GRPO", "gdpo", "grpo"]

CONFIG = OnPolicyConfig(
    num_envs=64,
    group_size=8,
    num_epochs=1,
    scalarise="before_estimation",
    standardise_advantages="none",
)
# Returns take the place of values, so that the critic learns nothing.
DEFAULTS = {"value_coefficient": 0.0}
GDPO_CONFIG = replace(CONFIG, scalarise="after_estimation", standardise_advantages="batch")


def grpo(spec: EnvironmentSpec, config: OnPolicyConfig = CONFIG) -> Agent:
    """GRPO: weighted returns compared within groups of episodes from the same start, without a critic.

    A = (w·R − mean_g)/(std_g + ε): different combinations of rewards with equal sums get equal advantages, and where
    the sums of a group agree nothing is learnt from what they are made of.
    """
    return on_policy(spec, config, DEFAULTS)


def gdpo(spec: EnvironmentSpec, config: OnPolicyConfig = GDPO_CONFIG) -> Agent:
    """GDPO: as GRPO, every reward compared within its group by itself, then weighted (arXiv 2601.05242, section 3).

    A = Σᵢ wᵢ (Rᵢ − mean_g Rᵢ)/(std_g Rᵢ + ε), standardised over the batch.
    """
    return on_policy(spec, config, DEFAULTS)


GRPO = AgentEntry(grpo, CONFIG, DEFAULTS, OnPolicyHyperparameters, fit)
GDPO = AgentEntry(gdpo, GDPO_CONFIG, DEFAULTS, OnPolicyHyperparameters, fit)
