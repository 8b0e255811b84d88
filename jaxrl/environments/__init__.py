"""Environments: the contract, transforms, batching, the registry and the adapters."""

from jaxrl.environments import transforms
from jaxrl.environments.base import Environment, EnvironmentSpec, Outcomes, Timestep
from jaxrl.environments.batching import BatchedEnvironment, vectorise
from jaxrl.environments.check import EnvironmentContractError, check
from jaxrl.environments.registry import list_environments, make, register
from jaxrl.environments.spaces import Box, Discrete, MultiDiscrete, Space

__all__ = [
    "BatchedEnvironment",
    "Box",
    "Discrete",
    "Environment",
    "EnvironmentContractError",
    "EnvironmentSpec",
    "MultiDiscrete",
    "Outcomes",
    "Space",
    "Timestep",
    "check",
    "list_environments",
    "make",
    "register",
    "transforms",
    "vectorise",
]
