"""Policies in another environment than that of their training."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.agents.base import Actor, Agent
from jaxrl.environments.base import Environment
from jaxrl.environments.parts import parts_of
from jaxrl.environments.spaces import Box, Space
from jaxrl.training.evaluation import Evaluation, evaluator
from jaxrl.types import PRNGKeyArray, PyTree

__all__ = ["transferred"]


def transferred(
    environment: Environment, agent: Agent | Actor, num_episodes: int, max_steps: int, explore: bool = False
) -> Callable[[PRNGKeyArray, PyTree, PyTree], Evaluation]:
    """As `evaluator`, in another environment than that of training, under its own default parameters.

    Raises:
        ValueError: for an environment whose observations or actions are others than those of training.
    """
    for what in ("observation", "action"):
        known, given = getattr(agent.spec, what), getattr(environment.spec, what)
        if not _alike(known, given, bounds=what == "action"):
            raise ValueError(
                f"this policy was trained on {agent.spec.name}, whose {what} is {known}, and {environment.spec.name}'s "
                f"is {given}"
            )
    if agent.spec.action_mask != environment.spec.action_mask:
        raise ValueError(
            f"this policy was trained with the mask {agent.spec.action_mask!r} of {agent.spec.name}, and "
            f"{environment.spec.name} has {environment.spec.action_mask!r}"
        )
    play = evaluator(environment, agent, num_episodes, max_steps, explore)

    def evaluate(key: PRNGKeyArray, agent_state: PyTree, hyperparameters: PyTree) -> Evaluation:
        params = jax.tree.map(jnp.asarray, environment.params)
        return play(key, agent_state, hyperparameters._replace(environment=params))

    return evaluate


def _alike(known: Space, given: Space, bounds: bool) -> bool:
    """Whether a policy made for one space can act in the other.

    Of observations, bounds of boxes do not matter, and choices may be a box of as many integers.
    """
    if bounds and isinstance(known, Box) and isinstance(given, Box):
        near = all(np.allclose(getattr(known, bound), getattr(given, bound)) for bound in ("low", "high"))
        return known.shape == given.shape and near
    if bounds or parts_of(known).keys() != parts_of(given).keys():
        return known == given
    pairs = zip(parts_of(known).values(), parts_of(given).values(), strict=True)
    return all(
        (one.shape, one.dtype) == (other.shape, other.dtype) if isinstance(other, Box) else one == other
        for one, other in pairs
    )
