"""Agents: the contract, those that come with jaxrl by name, and a check of one's own."""

from jaxrl.agents.base import (
    TRANSITION,
    Act,
    Actor,
    Agent,
    Collection,
    Explore,
    Init,
    Progress,
    Rollout,
    Update,
)
from jaxrl.agents.check import AgentContractError, check
from jaxrl.agents.entries import AGENTS, AgentEntry, agent_entry, register_agent
from jaxrl.agents.settings import OnPolicyConfig, OnPolicyHyperparameters

__all__ = [
    "AGENTS",
    "TRANSITION",
    "Act",
    "Actor",
    "Agent",
    "AgentContractError",
    "AgentEntry",
    "Collection",
    "Explore",
    "Init",
    "OnPolicyConfig",
    "OnPolicyHyperparameters",
    "Progress",
    "Rollout",
    "Update",
    "agent_entry",
    "check",
    "register_agent",
]
