"""Agents: the contract, the on-policy loop and its settings."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxrl.agents import a2c, dpo, grpo, mdpo, ppo, reinforce
from jaxrl.agents.base import Agent, Rollout
from jaxrl.agents.settings import OnPolicyConfig, OnPolicyHyperparameters
from jaxrl.errors import require_name

__all__ = ["AGENTS", "Agent", "AgentEntry", "OnPolicyConfig", "OnPolicyHyperparameters", "Rollout", "agent_entry"]


class AgentEntry(NamedTuple):
    """How an agent is built: `build(spec, config)`, its default config, and its default hyperparameters."""

    build: Callable[..., Agent]
    config: Any
    defaults: dict[str, float]


AGENTS: dict[str, AgentEntry] = {
    "ppo": AgentEntry(ppo.ppo, ppo.CONFIG, ppo.DEFAULTS),
    "a2c": AgentEntry(a2c.a2c, a2c.CONFIG, a2c.DEFAULTS),
    "reinforce": AgentEntry(reinforce.reinforce, reinforce.CONFIG, reinforce.DEFAULTS),
    "mdpo": AgentEntry(mdpo.mdpo, mdpo.CONFIG, mdpo.DEFAULTS),
    "grpo": AgentEntry(grpo.grpo, grpo.CONFIG, grpo.DEFAULTS),
    "gdpo": AgentEntry(grpo.gdpo, grpo.GDPO_CONFIG, grpo.DEFAULTS),
    "dpo": AgentEntry(dpo.dpo, dpo.CONFIG, dpo.DEFAULTS),
}


def agent_entry(name: str) -> AgentEntry:
    """The agent called `name`."""
    return AGENTS[require_name("agent", name, AGENTS)]
