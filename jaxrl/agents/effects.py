"""Settings that would have no effect, which are refused: what a user writes changes the run."""

from typing import Any

__all__ = ["BROUGHT_BY", "require_effect"]

# Traced leaves that exist under some static settings alone, and which.
BROUGHT_BY: dict[str, str] = {"target_kl": "stop_at_kl=True"}


def require_effect(config: Any) -> None:
    """Refuses static settings of the on-policy loop that change nothing beside the others.

    Args:
        config: of an on-policy agent.

    Raises:
        ValueError: naming the setting and what it needs.
    """
    if config.stop_at_kl and config.num_epochs * config.num_minibatches == 1:
        raise ValueError(
            "stop_at_kl=True leaves out minibatches after the first of an iteration: it needs num_epochs or "
            "num_minibatches above 1"
        )
