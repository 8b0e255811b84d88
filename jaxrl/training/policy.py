"""A trained policy as a callable: `policy(key, observation) -> action`."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.agents.base import Actor, Agent
from jaxrl.environments.base import Environment
from jaxrl.environments.parts import parts_of, shapes
from jaxrl.environments.registry import make
from jaxrl.environments.spaces import Space
from jaxrl.training.evaluation import Evaluation
from jaxrl.training.transfer import transferred
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

    def __call__(self, key: PRNGKeyArray, observation: PyTree) -> Array:
        """The action for an observation, or for a batch of them on leading axes.

        An observation is as the environment gives it: an array, or a dict or tuple of arrays, with its mask of legal
        actions if there is one.

        Raises:
            ValueError: for a recurrent policy, which needs `act` and its memory.
        """
        if jax.tree.leaves(self.initial_memory()):
            raise ValueError("this policy is recurrent: use action, memory = policy.act(key, observation, memory)")
        return self.act(key, observation, ())[0]

    def initial_memory(self, batch_shape: tuple[int, ...] = ()) -> PyTree:
        """Memory at the start of an episode."""
        return self.agent.memory(batch_shape)

    def act(self, key: PRNGKeyArray, observation: PyTree, memory: PyTree) -> tuple[Array, PyTree]:
        """Action and next memory.

        Raises:
            ValueError: for observations of another form or shape than those of training.
        """
        observation = _as_trained(self.agent.spec.observation, observation)
        return self._act(key, self.state, observation, memory, self.hyperparameters, explore=self.explore)

    def evaluate(
        self, environment: str | Environment, num_episodes: int = 128, seed: int = 1, max_steps: int = 1000
    ) -> Evaluation:
        """Fresh episodes in any environment whose observations and actions are those of its training.

        Args:
            environment: or its name, such as `gymnasium/CartPole-v1`; under its default parameters.
            num_episodes: played side by side.
            seed: of the episodes.
            max_steps: steps after which an episode without a time limit is cut.

        Raises:
            ValueError: for an environment whose observations or actions are others.
        """
        environment = make(environment) if isinstance(environment, str) else environment
        play = transferred(environment, self.agent, num_episodes, max_steps, self.explore)
        return jax.jit(play)(jax.random.key(seed), self.state, self.hyperparameters)

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


def _as_trained(space: Space, observation: PyTree) -> PyTree:
    """An observation's arrays, of the form that the space describes and with the same leading axes."""
    expected = shapes(space)
    try:
        given = jax.tree.map(lambda _, leaf: jnp.asarray(leaf), expected, observation)
    except (TypeError, ValueError) as error:
        raise ValueError(f"observation has another form than this policy was trained on, {space}") from error
    batches = set()
    for (path, part), leaf in zip(parts_of(space).items(), jax.tree.leaves(given), strict=True):
        batch = leaf.ndim - len(part.shape)
        if batch < 0 or leaf.shape[batch:] != part.shape:
            name = f"observation's {path!r}" if path else "observation"
            raise ValueError(f"{name} has shape {leaf.shape}, this policy was trained on [..., *{part.shape}]")
        batches.add(leaf.shape[:batch])
    if len(batches) > 1:
        raise ValueError(f"parts of an observation have different batch axes: {sorted(batches)}")
    return given
