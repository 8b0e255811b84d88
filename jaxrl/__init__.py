"""jaxrl: reinforcement learning runs, sweeps and Pareto studies as one compiled program."""

import importlib
from typing import TYPE_CHECKING, Any

from jaxrl import moved

if TYPE_CHECKING:
    from jaxrl import agents, environments
    from jaxrl.agents.entries import register_agent
    from jaxrl.environments import Environment, EnvironmentSpec, Timestep, list_environments, make, register
    from jaxrl.errors import StopRun
    from jaxrl.figures import plotting
    from jaxrl.morl.algorithms import study
    from jaxrl.morl.front import Front, choose, front
    from jaxrl.morl.kind import save_policy
    from jaxrl.networks.custom import register_network
    from jaxrl.numerics import statistics
    from jaxrl.numerics.schedules import register_schedule
    from jaxrl.objectives.registration import register_objective
    from jaxrl.rendering.base import register_renderer
    from jaxrl.runs.exporting import export
    from jaxrl.runs.finished_comparison import compare_runs
    from jaxrl.runs.kinds import Kind, register_kind
    from jaxrl.runs.page import report
    from jaxrl.runs.saved import evaluate, load, load_sweep, save_member
    from jaxrl.runs.watching import watch
    from jaxrl.sweeps.designs import Integer, LogUniform, Uniform
    from jaxrl.sweeps.devices import use_cpu_cores
    from jaxrl.sweeps.running import RunOptions
    from jaxrl.sweeps.sweep import Sweep, sweep
    from jaxrl.sweeps.tuning import Tuned, tune
    from jaxrl.tracking.base import register_logger
    from jaxrl.training.loop import Result
    from jaxrl.training.policy import Policy
    from jaxrl.training.program import Program, complete_program
    from jaxrl.training.trainer import Trainer, trainer

__version__ = "0.1.0"

# Where each public name lives; it is imported when it is first asked for, so that `import jaxrl` is quick.
_HOMES = {
    "jaxrl.agents.entries": ("register_agent",),
    "jaxrl.environments": (
        "Environment",
        "EnvironmentSpec",
        "Timestep",
        "list_environments",
        "make",
        "register",
    ),
    "jaxrl.errors": ("StopRun",),
    "jaxrl.morl.algorithms": ("study",),
    "jaxrl.morl.front": ("Front", "choose", "front"),
    "jaxrl.morl.kind": ("save_policy",),
    "jaxrl.runs.exporting": ("export",),
    "jaxrl.runs.finished_comparison": ("compare_runs",),
    "jaxrl.runs.kinds": ("Kind", "register_kind"),
    "jaxrl.rendering.base": ("register_renderer",),
    "jaxrl.runs.page": ("report",),
    "jaxrl.runs.saved": ("evaluate", "load", "load_sweep", "save_member"),
    "jaxrl.runs.watching": ("watch",),
    "jaxrl.networks.custom": ("register_network",),
    "jaxrl.numerics.schedules": ("register_schedule",),
    "jaxrl.objectives.registration": ("register_objective",),
    "jaxrl.sweeps.designs": ("Integer", "LogUniform", "Uniform"),
    "jaxrl.sweeps.devices": ("use_cpu_cores",),
    "jaxrl.sweeps.running": ("RunOptions",),
    "jaxrl.sweeps.sweep": ("Sweep", "sweep"),
    "jaxrl.sweeps.tuning": ("Tuned", "tune"),
    "jaxrl.tracking.base": ("register_logger",),
    "jaxrl.training.loop": ("Result",),
    "jaxrl.training.policy": ("Policy",),
    "jaxrl.training.program": ("Program", "complete_program"),
    "jaxrl.training.trainer": ("Trainer", "trainer"),
}
_MODULES = {
    "agents": "jaxrl.agents",
    "environments": "jaxrl.environments",
    "plotting": "jaxrl.figures.plotting",
    "statistics": "jaxrl.numerics.statistics",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Environment",
    "EnvironmentSpec",
    "Front",
    "Integer",
    "Kind",
    "LogUniform",
    "Policy",
    "Program",
    "Result",
    "RunOptions",
    "StopRun",
    "Sweep",
    "Timestep",
    "Trainer",
    "Tuned",
    "Uniform",
    "agents",
    "choose",
    "compare_runs",
    "complete_program",
    "environments",
    "evaluate",
    "export",
    "front",
    "list_environments",
    "load",
    "load_sweep",
    "make",
    "plotting",
    "register",
    "register_agent",
    "register_kind",
    "register_logger",
    "register_network",
    "register_objective",
    "register_renderer",
    "register_schedule",
    "report",
    "save_member",
    "save_policy",
    "statistics",
    "study",
    "sweep",
    "trainer",
    "tune",
    "use_cpu_cores",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        value = getattr(importlib.import_module(_HOME_OF[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(_MODULES[name])
    elif f"jaxrl.{name}" in moved.MODULES:
        return importlib.import_module(f"jaxrl.{name}")
    else:
        raise AttributeError(f"module 'jaxrl' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


moved.install()
