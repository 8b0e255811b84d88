"""The kind `align`: a reward learnt for what is wanted."""

from jaxrl.bilevel import BILEVEL, BarfiStudy, ParlStudy
from jaxrl.environments.registry import make
from jaxrl.runs.configuration import Configuration
from jaxrl.runs.kinds import Kind
from jaxrl.runs.report import draw_no_settings

__all__ = ["ALIGN"]


def _build(configuration: Configuration) -> BarfiStudy | ParlStudy:
    environment = make(configuration.environment, **configuration.environment_options)
    return BILEVEL[configuration.agent](environment, **configuration.settings)


ALIGN = Kind(
    "align",
    "a reward learnt for what is wanted: from auxiliary rewards or from preferences",
    _build,
    tuple(BILEVEL),
    draw=draw_no_settings,
    command="jaxrl.cli.align:ALIGN",
)
