"""Many tasks at once: families of tasks as one environment, and which tasks belong together."""

from jaxrl.multitask.family import MergedParams, TaskFamily, make_family, merge, mixture, objectives_as_tasks, select
from jaxrl.multitask.maml import maml
from jaxrl.multitask.suite import suite
from jaxrl.multitask.trials import adaptation_curve, trials

__all__ = [
    "MergedParams",
    "TaskFamily",
    "adaptation_curve",
    "make_family",
    "maml",
    "merge",
    "mixture",
    "objectives_as_tasks",
    "select",
    "suite",
    "trials",
]
