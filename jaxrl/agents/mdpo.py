"""Mirror descent policy optimisation (Tomar et al., 2020, arXiv 2005.09814)."""

from jaxrl.agents.base import Agent
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.fitting import fit
from jaxrl.agents.on_policy import on_policy
from jaxrl.agents.settings import OnPolicyConfig, OnPolicyHyperparameters
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "MDPO", "mdpo"]

CONFIG = OnPolicyConfig(surrogate="mirror_descent", num_epochs=8)
DEFAULTS: dict[str, float] = {}


def mdpo(spec: EnvironmentSpec, config: OnPolicyConfig = CONFIG) -> Agent:
    """MDPO: several epochs on r A - KL(π ‖ π_old)/tₖ, the step size tₖ annealed to zero."""
    return on_policy(spec, config, DEFAULTS)


MDPO = AgentEntry(mdpo, CONFIG, DEFAULTS, OnPolicyHyperparameters, fit)
