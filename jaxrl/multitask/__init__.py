"""Many tasks at once: families of tasks as one environment, and which tasks belong together."""

from jaxrl.multitask.family import MergedParams, TaskFamily, make_family, merge, objectives_as_tasks, select

__all__ = ["MergedParams", "TaskFamily", "make_family", "merge", "objectives_as_tasks", "select"]
