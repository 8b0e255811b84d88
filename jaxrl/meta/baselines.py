"""Hand-written agents beside a learner."""

from typing import Any

from jaxrl.training.trainer import Trainer, trainer

__all__ = ["baseline"]

_COMMON = ("num_envs", "num_steps", "network", "hidden_sizes")


def baseline(learner: Trainer, agent: str, horizon: int) -> Trainer:
    """A hand-written agent with the learner's copies, steps and network, for lives of `horizon` iterations.

    Args:
        learner: whose iterations the agent's are of the size of.
        agent: name of the agent.
        horizon: iterations.

    Raises:
        UnknownNameError: for an unknown agent, with the nearest match.
    """
    common: dict[str, Any] = {name: getattr(learner.agent.config, name) for name in _COMMON}
    steps = horizon * learner.steps_per_iteration
    return trainer(agent, learner.environment, total_steps=steps, num_evaluations=1, **common)
