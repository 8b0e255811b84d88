"""Settings that would have no effect, which are refused: what a user writes changes the run."""

from typing import Any

from jaxrl.agents.scheduling import scheduled_leaves
from jaxrl.numerics.schedules import SCHEDULES
from jaxrl.objectives.surrogate import make_surrogate

__all__ = ["BROUGHT_BY", "require_effect"]

# Traced leaves that exist under some static settings alone, and which.
BROUGHT_BY: dict[str, str] = {"target_kl": "stop_at_kl=True", **scheduled_leaves()}


def require_effect(config: Any) -> None:
    """Refuses static settings of the on-policy loop that change nothing beside the others.

    Args:
        config: of an on-policy agent.

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
    default = type(config).__dataclass_fields__["schedule_pieces"].default
    if config.schedule_pieces != default and not any("piecewise" in str(choice) for choice in chosen):
        raise ValueError(f"schedule_pieces={config.schedule_pieces} needs a piecewise schedule, got {chosen}")
