"""The kind `meta`: what an agent learns by is learnt over whole lives."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from jaxrl.runs.configuration import Configuration, read_configuration
from jaxrl.runs.kinds import Kind
from jaxrl.runs.report import draw_no_settings

if TYPE_CHECKING:
    from jaxrl.meta.study import MetaStudy
    from jaxrl.sweeps.sweep import Sweep

__all__ = ["META", "load_meta_training"]

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


def load_meta_training(directory: str | Path) -> "Sweep":
    """What `jaxrl meta-train` left in a run directory.

    Raises:
        ValueError: for a run of another kind.
    """
    from jaxrl.runs.saved import load_sweep

    kind = read_configuration(directory).kind
    if kind != META.name:
        raise ValueError(
            f"{directory} holds a run of the kind {kind!r}, not meta-training: nothing was meta-learned there"
        )
    return load_sweep(directory)


def _names() -> Iterable[str]:
    from jaxrl.meta.methods import METHODS

    return METHODS


META = Kind(
    "meta",
    "what an agent learns by, meta-learned over whole lives",
    _build,
    _names,
    options=_OPTIONS,
    draw=draw_no_settings,
    command="jaxrl.cli.meta:META",
)
