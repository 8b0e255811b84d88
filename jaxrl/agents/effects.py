"""Settings that would have no effect, which are refused: what a user writes changes the run."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxrl.agents.limits import LIMITS
from jaxrl.agents.scheduling import scheduled_leaves
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.spaces import Box
from jaxrl.networks import is_custom
from jaxrl.numerics.schedules import SCHEDULES
from jaxrl.objectives.surrogate import make_surrogate
from jaxrl.optimisers.plain import PLAIN

__all__ = ["BROUGHT_BY", "require_effect"]


def _has_pieces(config: Any) -> bool:
    chosen = (config.learning_rate_schedule, config.entropy_schedule, config.clip_schedule)
    return any("piecewise" in str(choice) for choice in chosen)


# Static settings, whether others let them have an effect, and what they need.
_ONLY_WITH: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (("schedule_pieces",), _has_pieces, "a piecewise schedule"),
    (("mixture_components",), lambda c: c.distribution == "gaussian_mixture", "distribution='gaussian_mixture'"),
    (("policy_scale", "value_scale"), lambda c: c.network != "table", "another network than 'table'"),
    (
        ("hidden_scale",),
        lambda c: c.network != "table" and not is_custom(c.network),
        "a network of jaxrl's with hidden layers",
    ),
    (("initial_log_std",), lambda c: c.distribution != "beta", "another distribution than 'beta'"),
    (
        ("attention_layers", "attention_heads", "context_length", "attention_sinks", "gated_residuals"),
        lambda config: config.network == "attention",
        "network='attention'",
    ),
)

# Traced leaves that exist under some static settings alone, and which.
BROUGHT_BY: dict[str, str] = {
    **{leaf: f"{setting}=True" for setting, (leaf, _) in LIMITS.items()},
    **scheduled_leaves(),
    **{
        leaf: f"optimiser={' or '.join(name for name, plain in PLAIN.items() if leaf in plain.settings)}"
        for leaf in ("weight_decay", "beta_1", "beta_2", "momentum")
    },
}


def require_effect(config: Any, spec: EnvironmentSpec) -> None:
    """Refuses static settings of the on-policy loop that change nothing beside the others.

    Args:
        config: of an on-policy agent.
        spec: of its environment.

    Raises:
        UnknownNameError: for an unknown schedule, with the nearest match.
        ValueError: naming the setting and what it needs.
    """
    if config.stop_at_kl and config.num_epochs * config.num_minibatches == 1:
        raise ValueError(
            "stop_at_kl=True leaves out minibatches after the first of an iteration: it needs num_epochs or "
            "num_minibatches above 1"
        )
    _require_schedules(config)
    if config.clip_observations:
        _require_floats(config, spec)
    for names, fits, needed in _ONLY_WITH:
        if not fits(config):
            _require_defaults(config, names, needed)


def _require_floats(config: Any, spec: EnvironmentSpec) -> None:
    space = spec.observation
    if not isinstance(space, Box) or not np.issubdtype(np.dtype(space.dtype), np.floating):
        raise ValueError(f"clip_observations=True needs a Box observation of floats, {spec.name} has {space}")
    if spec.num_tasks and not config.normalise_observations:
        raise ValueError(
            f"clip_observations=True would clip the name of the task in observations of {spec.name}: it needs "
            "normalise_observations=True, which leaves that out"
        )


def _require_defaults(config: Any, names: tuple[str, ...], needed: str) -> None:
    """Refuses a setting that differs from its default where it would change nothing."""
    for name in names:
        value, default = getattr(config, name), type(config).__dataclass_fields__[name].default
        if value != default:
            raise ValueError(f"{name}={value!r} would have no effect here: it needs {needed}")


def _require_schedules(config: Any) -> None:
    chosen = [config.learning_rate_schedule, config.entropy_schedule, config.clip_schedule]
    for choice in chosen[chosen[0] == "auto" :]:
        SCHEDULES.make(choice, config.schedule_pieces)
    if chosen[0] not in ("auto", "constant") and not config.anneal_learning_rate:
        raise ValueError(f"anneal_learning_rate=False contradicts learning_rate_schedule={chosen[0]!r}")
    if config.clip_schedule != "constant" and "clip_epsilon" not in make_surrogate(config.surrogate).init(None):
        raise ValueError(
            f"clip_schedule={config.clip_schedule!r} moves clip_epsilon, which surrogate={config.surrogate!r} does not "
            "have: it needs surrogate='clip'"
        )
