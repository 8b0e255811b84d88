"""Meta-World's tasks."""

from jaxrl.environments.metaworld.tasks.loose import LOOSE
from jaxrl.environments.metaworld.tasks.mechanisms import MECHANISMS
from jaxrl.environments.metaworld.tasks.task import Task
from jaxrl.environments.metaworld.tasks.tools import TOOLS

__all__ = ["TASKS", "Task"]

TASKS: dict[str, Task] = {**LOOSE, **MECHANISMS, **TOOLS}
