"""Environments: the contract, transforms, batching, the registry and the adapters."""

from jaxrl.environments import transforms
from jaxrl.environments.base import Environment, EnvironmentSpec, Outcomes, Timestep
from jaxrl.environments.batching import BatchedEnvironment, vectorise
from jaxrl.environments.check import EnvironmentContractError, check
from jaxrl.environments.masks import legal_actions, mask_space
from jaxrl.environments.registry import list_environments, make, register
from jaxrl.environments.spaces import Box, Dict, Discrete, MultiDiscrete, Space, Tuple

__all__ = [
    "BatchedEnvironment",
    "Box",
    "Dict",
    "Discrete",
    "Environment",
    "EnvironmentContractError",
    "EnvironmentSpec",
    "MultiDiscrete",
    "Outcomes",
    "Space",
    "Timestep",
    "Tuple",
    "check",
    "legal_actions",
    "list_environments",
    "make",
    "mask_space",
    "register",
    "transforms",
    "vectorise",
]
