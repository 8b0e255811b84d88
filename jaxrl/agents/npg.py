"""Natural policy gradient actor-critic (Kakade, 2001), with bounds on returns."""

from jaxrl.agents.base import Agent
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.fitting import fit
from jaxrl.agents.on_policy import on_policy
from jaxrl.agents.settings import OnPolicyConfig, OnPolicyHyperparameters
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "NPG", "npg"]

CONFIG = OnPolicyConfig(
    surrogate="policy_gradient",
    aggregator="lagrangian",
    optimiser="natural",
    num_envs=16,
    num_epochs=2,
    standardise_advantages="batch",
)
DEFAULTS = {"learning_rate": 1e-3}


def npg(spec: EnvironmentSpec, config: OnPolicyConfig = CONFIG) -> Agent:
    """Natural policy gradient with a critic and generalised advantages.

    With bounds it is the primal-dual natural actor-critic for multi-task learning (arXiv 2405.02456): on a merged
    family, `thresholds` ≤ J ≤ `upper` holds for every task, and the average return is maximised subject to that. The
    paper's step is `trust_region=inf` with a finite `step_size`; the default is a step of given divergence.
    """
    return on_policy(spec, config, DEFAULTS)


NPG = AgentEntry(npg, CONFIG, DEFAULTS, OnPolicyHyperparameters, fit)
