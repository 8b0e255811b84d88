"""Agents: the contract, the on-policy loop and its settings."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxrl.agents import a2c, disco, dpo, grpo, lpg, mdpo, npg, ppo, reinforce, stac
from jaxrl.agents.base import Actor, Agent, Collection, Progress, Rollout
from jaxrl.agents.settings import OnPolicyConfig, OnPolicyHyperparameters
from jaxrl.agents.trajectory import TrajectoryHyperparameters
from jaxrl.errors import require_name

__all__ = [
    "AGENTS",
    "Actor",
    "Agent",
    "AgentEntry",
    "Collection",
    "OnPolicyConfig",
    "OnPolicyHyperparameters",
    "Progress",
    "Rollout",
    "agent_entry",
]


class AgentEntry(NamedTuple):
    """How an agent is built.

    Attributes:
        build: `(spec, config) -> Agent`.
        config: its default config.
        defaults: hyperparameters that differ from those of `hyperparameters`.
        hyperparameters: what is traced, a NamedTuple class.
    """

    build: Callable[..., Agent]
    config: Any
    defaults: dict[str, float]
    hyperparameters: type = OnPolicyHyperparameters


AGENTS: dict[str, AgentEntry] = {
    "ppo": AgentEntry(ppo.ppo, ppo.CONFIG, ppo.DEFAULTS),
    "a2c": AgentEntry(a2c.a2c, a2c.CONFIG, a2c.DEFAULTS),
    "reinforce": AgentEntry(reinforce.reinforce, reinforce.CONFIG, reinforce.DEFAULTS),
    "mdpo": AgentEntry(mdpo.mdpo, mdpo.CONFIG, mdpo.DEFAULTS),
    "npg": AgentEntry(npg.npg, npg.CONFIG, npg.DEFAULTS),
    "grpo": AgentEntry(grpo.grpo, grpo.CONFIG, grpo.DEFAULTS),
    "gdpo": AgentEntry(grpo.gdpo, grpo.GDPO_CONFIG, grpo.DEFAULTS),
    "lpg": AgentEntry(lpg.lpg, lpg.CONFIG, lpg.DEFAULTS, TrajectoryHyperparameters),
    "ta_lpg": AgentEntry(lpg.lpg, lpg.TIME_AWARE_CONFIG, lpg.DEFAULTS, TrajectoryHyperparameters),
    "stac": AgentEntry(stac.stac, stac.CONFIG, stac.DEFAULTS),
    "stacx": AgentEntry(stac.stacx, stac.X_CONFIG, stac.DEFAULTS),
    "disco": AgentEntry(disco.disco, disco.CONFIG, disco.DEFAULTS, disco.DiscoHyperparameters),
    "dpo": AgentEntry(dpo.dpo, dpo.CONFIG, dpo.DEFAULTS),
}


def agent_entry(name: str) -> AgentEntry:
    """The agent called `name`."""
    return AGENTS[require_name("agent", name, AGENTS)]
