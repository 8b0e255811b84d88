"""Learned policy gradient (Oh et al., 2020, arXiv 2007.08794) and its time-aware form."""

from dataclasses import replace

from jaxrl.agents.base import Agent
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.trajectory import TrajectoryConfig, TrajectoryHyperparameters, trajectory_agent
from jaxrl.environments.base import EnvironmentSpec

__all__ = ["CONFIG", "DEFAULTS", "LPG", "TA_LPG", "TIME_AWARE_CONFIG", "lpg"]

CONFIG = TrajectoryConfig()
TIME_AWARE_CONFIG = replace(CONFIG, trajectory_objective="time_aware_lpg")
DEFAULTS: dict[str, float] = {}


def lpg(spec: EnvironmentSpec, config: TrajectoryConfig = CONFIG) -> Agent:
    """LPG: an agent without a critic of its own design, whose update rule is the leaf `objective`.

    Untrained, the rule is random; `jaxrl.meta` learns it.
    """
    return trajectory_agent(spec, config, DEFAULTS)


LPG = AgentEntry(lpg, CONFIG, DEFAULTS, TrajectoryHyperparameters)
TA_LPG = AgentEntry(lpg, TIME_AWARE_CONFIG, DEFAULTS, TrajectoryHyperparameters)
