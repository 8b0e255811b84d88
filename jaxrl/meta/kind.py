"""The kind `meta`: what an agent learns by is learnt over whole lives."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from jaxrl.runs.configuration import Configuration
from jaxrl.runs.kinds import Kind
from jaxrl.runs.report import finish_with_curves

if TYPE_CHECKING:
    from jaxrl.meta.study import MetaStudy

__all__ = ["META"]

# Iterations of a life, or bounds between which they are drawn; the outer loop, None for the method's own; its settings
# that differ from the method's.
_OPTIONS = {"horizon": 50, "outer": None, "outer_settings": {}}


def _build(configuration: Configuration) -> "MetaStudy":
    from jaxrl.environments.registry import make
    from jaxrl.meta.methods import meta_learner

    environment = make(configuration.environment, **configuration.environment_options)
    horizon, outer, settings = (configuration.option(name) for name in _OPTIONS)
    horizon = horizon if isinstance(horizon, int) else tuple(horizon)
    return meta_learner(configuration.agent, environment, horizon, outer, settings, **configuration.settings)


def _names() -> Iterable[str]:
    from jaxrl.meta.methods import METHODS

    return METHODS


META = Kind(
    "meta",
    "what an agent learns by, meta-learned over whole lives",
    _build,
    _names,
    options=_OPTIONS,
    finish=finish_with_curves,
    command="jaxrl.cli.meta:meta_train",
)
