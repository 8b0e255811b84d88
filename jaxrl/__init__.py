"""jaxrl: reinforcement learning runs, sweeps and Pareto studies as one compiled program."""

from jaxrl import environments
from jaxrl.environments import Environment, EnvironmentSpec, Timestep, list_environments, make, register
from jaxrl.training import Result, Trainer, trainer

__version__ = "0.1.0"

__all__ = [
    "Environment",
    "EnvironmentSpec",
    "Result",
    "Timestep",
    "Trainer",
    "environments",
    "list_environments",
    "make",
    "register",
    "trainer",
]
