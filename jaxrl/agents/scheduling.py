"""Hyperparameters of on-policy agents that move over a run: which do, and what they are in an iteration."""

from typing import Any

import jax.numpy as jnp

from jaxrl.numerics.schedules import SCHEDULES, VALUE, Schedule
from jaxrl.ranges import NOT_NEGATIVE, NUMBER, Range
from jaxrl.types import Array, Float

__all__ = ["annealed_share", "default_schedules", "rate", "schedule_ranges", "scheduled", "scheduled_leaves"]

# By hyperparameter: the static setting that names its schedule, and what the number may be on the way.
_SCHEDULED: dict[str, tuple[str, Range]] = {
    "learning_rate": ("learning_rate_schedule", NOT_NEGATIVE),
    "entropy_coefficient": ("entropy_schedule", NUMBER),
    "clip_epsilon": ("clip_schedule", NOT_NEGATIVE),
}
AUTO = "auto"


def schedule_of(config: Any, name: str) -> Schedule | None:
    """The schedule of one hyperparameter; None where it stays as it is, or anneals as `anneal_learning_rate` says.

    Raises:
        UnknownNameError: for an unknown schedule, with the nearest match.
    """
    choice = getattr(config, _SCHEDULED[name][0], AUTO)
    return None if choice in (AUTO, "constant") else SCHEDULES.make(choice, config.schedule_pieces)


def default_schedules(config: Any) -> dict[str, Any]:
    """The leaf `hyperparameters.schedules`: parameters of all schedules, such as `learning_rate_end`."""
    found = {name: schedule_of(config, name) for name in _SCHEDULED}
    return {
        f"{name}_{parameter}": value
        for name, schedule in found.items()
        if schedule
        for parameter, value in schedule.parameters.items()
    }


def schedule_ranges(config: Any) -> dict[str, Range]:
    """What these parameters may be."""
    found = {}
    for name, (_, own) in _SCHEDULED.items():
        schedule = schedule_of(config, name)
        for parameter, within in schedule.ranges.items() if schedule else ():
            found[f"{name}_{parameter}"] = own if within == VALUE else within
    return found


def scheduled_leaves() -> dict[str, str]:
    """Every parameter that jaxrl's own schedules can bring, and the setting that would."""
    found: dict[str, str] = {}
    for name, (setting, _) in _SCHEDULED.items():
        for choice in SCHEDULES:
            for parameter in SCHEDULES.make(choice, 2).parameters:
                known = found.get(f"{name}_{parameter}")
                found[f"{name}_{parameter}"] = f"{known} or {choice}" if known else f"{setting}={choice}"
    return found


def rate(config: Any, hp: Any, fraction: Float[Array, ""] | float) -> Float[Array, ""] | float:
    """The learning rate when that share of training is over."""
    if schedule_of(config, "learning_rate"):
        return _value(config, hp, "learning_rate", hp.learning_rate, fraction)
    return hp.learning_rate * (1.0 - fraction) if _anneals(config) else hp.learning_rate


def annealed_share(config: Any, hp: Any, fraction: Float[Array, ""] | float) -> Float[Array, ""] | float:
    """The learning rate as a share of what it is at the start, for steps of another kind that anneal likewise."""
    if schedule_of(config, "learning_rate"):
        return rate(config, hp, fraction) / jnp.maximum(hp.learning_rate, 1e-30)
    return 1.0 - fraction if _anneals(config) else 1.0


def _anneals(config: Any) -> bool:
    return config.anneal_learning_rate and getattr(config, "learning_rate_schedule", AUTO) == AUTO


def scheduled(config: Any, hp: Any, fraction: Float[Array, ""]) -> Any:
    """The hyperparameters of a loss when that share of training is over."""
    if schedule_of(config, "entropy_coefficient"):
        now = _value(config, hp, "entropy_coefficient", hp.entropy_coefficient, fraction)
        hp = hp._replace(entropy_coefficient=now)
    if schedule_of(config, "clip_epsilon"):
        now = _value(config, hp, "clip_epsilon", hp.objective["clip_epsilon"], fraction)
        hp = hp._replace(objective={**hp.objective, "clip_epsilon": now})
    return hp


def _value(
    config: Any, hp: Any, name: str, start: Float[Array, ""] | float, fraction: Float[Array, ""] | float
) -> Float[Array, ""]:
    schedule = schedule_of(config, name)
    own = {parameter: hp.schedules[f"{name}_{parameter}"] for parameter in schedule.parameters}
    return schedule.apply(start, fraction, own)
