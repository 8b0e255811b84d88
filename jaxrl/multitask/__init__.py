"""Many tasks at once: families of tasks as one environment, and which tasks belong together."""

import sys

from jaxrl.environments.family import MergedParams, TaskFamily, make_family, merge, mixture, objectives_as_tasks, select
from jaxrl.environments.suite import suite
from jaxrl.multitask.maml import maml
from jaxrl.multitask.trials import adaptation_curve, trials

# Policies that adapt to a task.
ADAPTATION = {"maml": maml, "trials": trials}

__all__ = [
    "ADAPTATION",
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

# The function `suite` has taken this name from the module; the former path of the module stays importable.
sys.modules["jaxrl.multitask.suite"] = sys.modules[suite.__module__]
