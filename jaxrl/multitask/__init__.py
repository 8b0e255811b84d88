"""Many tasks at once: families of tasks as one environment, and which tasks belong together."""

import sys

from jaxrl.environments import family, goals
from jaxrl.environments.family import MergedParams, TaskFamily, make_family, merge, mixture, objectives_as_tasks, select
from jaxrl.environments.suite import suite
from jaxrl.multitask.maml import maml
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

# What suites of environments use as well lives in `environments`; the former paths stay importable.
for _module in (family, goals, sys.modules[suite.__module__]):
    sys.modules[_module.__name__.replace("environments", "multitask")] = _module
