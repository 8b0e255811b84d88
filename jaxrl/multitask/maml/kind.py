"""The kind `maml`: a policy from which a few gradient steps on any task of a family lead far."""

from jaxrl.multitask.families import family
from jaxrl.multitask.maml.contract import Maml
from jaxrl.multitask.maml.program import maml
from jaxrl.runs.configuration import Configuration
from jaxrl.runs.kinds import Kind
from jaxrl.runs.report import draw_no_settings

__all__ = ["MAML"]


def _build(configuration: Configuration) -> Maml:
    tasks = family(configuration.environment, **configuration.environment_options)
    return maml(tasks, **configuration.settings)


MAML = Kind(
    "maml",
    "a policy from which a few gradient steps on any task of a family lead far",
    _build,
    draw=draw_no_settings,
    command="jaxrl.cli.multitask:MAML",
)
