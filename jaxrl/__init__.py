"""jaxrl: reinforcement learning runs, sweeps and Pareto studies as one compiled program."""

from jaxrl import agents, environments, plotting, statistics
from jaxrl.designs import Integer, LogUniform, Uniform
from jaxrl.devices import use_cpu_cores
from jaxrl.environments import Environment, EnvironmentSpec, Timestep, list_environments, make, register
from jaxrl.loop import Result
from jaxrl.morl.algorithms import study
from jaxrl.morl.front import Front, choose, front
from jaxrl.policy import Policy
from jaxrl.running import RunOptions
from jaxrl.saved import load, load_sweep, save_member, save_policy
from jaxrl.sweeps import Sweep, sweep
from jaxrl.training import Trainer, trainer
from jaxrl.tuning import Tuned, tune

__version__ = "0.1.0"

__all__ = [
    "Environment",
    "EnvironmentSpec",
    "Front",
    "Integer",
    "LogUniform",
    "Policy",
    "Result",
    "RunOptions",
    "Sweep",
    "Timestep",
    "Trainer",
    "Tuned",
    "Uniform",
    "agents",
    "choose",
    "environments",
    "front",
    "list_environments",
    "load",
    "load_sweep",
    "make",
    "plotting",
    "register",
    "save_member",
    "save_policy",
    "statistics",
    "study",
    "sweep",
    "trainer",
    "tune",
    "use_cpu_cores",
]
