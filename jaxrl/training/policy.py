"""A trained policy as a callable: `policy(key, observation) -> action`."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.agents.base import Actor, Agent
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["Policy"]


class Policy:
    """What acts, frozen: networks, normalisation statistics and hyperparameters, nothing that only learning needs.

    Attributes:
        agent: the agent.
        state: what its `actor` keeps of its state.
        hyperparameters: what it was trained with; `weights` matter to a conditioned policy.
        explore: whether actions are sampled; else the most likely is taken.
    """

    def __init__(self, agent: Agent | Actor, state: PyTree, hyperparameters: Any, explore: bool = False) -> None:
        self.agent = agent
        self.state = jax.tree.map(jnp.asarray, agent.actor(state))
        self.hyperparameters = jax.tree.map(jnp.asarray, hyperparameters)
        self.explore = explore
        self._act = jax.jit(agent.act, static_argnames="explore")

    def __call__(self, key: PRNGKeyArray, observation: Array | np.ndarray) -> Array:
        """The action for an observation, or for a batch of them on leading axes.

        Raises:
            ValueError: for a recurrent policy, which needs `act` and its memory.
        """
        if jax.tree.leaves(self.initial_memory()):
            raise ValueError("this policy is recurrent: use action, memory = policy.act(key, observation, memory)")
        return self.act(key, observation, ())[0]

    def initial_memory(self, batch_shape: tuple[int, ...] = ()) -> PyTree:
        """Memory at the start of an episode."""
        return self.agent.memory(batch_shape)

    def act(self, key: PRNGKeyArray, observation: Array | np.ndarray, memory: PyTree) -> tuple[Array, PyTree]:
        """Action and next memory."""
        expected = self.agent.spec.observation.shape
        observation = jnp.asarray(observation)
        if observation.shape[observation.ndim - len(expected) :] != expected:
            raise ValueError(
                f"observation has shape {observation.shape}, this policy was trained on [..., *{expected}]"
            )
        return self._act(key, self.state, observation, memory, self.hyperparameters, explore=self.explore)

    @property
    def conditioned(self) -> bool:
        """Whether it acts by preference weights that may be others in every step."""
        return not isinstance(self.agent, Actor) and self.agent.collects.condition_on_weights

    def with_weights(self, weights: Array | Sequence[float]) -> "Policy":
        """The same policy under other preference weights (for policies conditioned on them)."""
        if not self.conditioned:
            raise ValueError("this policy is not conditioned on weights (train with condition_on_weights=True)")
        changed = self.hyperparameters._replace(weights=jnp.asarray(weights, jnp.float32))
        return Policy(self.agent, self.state, changed, self.explore)
