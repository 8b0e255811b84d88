"""The agent contract and what all agents share."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxrl.environments.base import EnvironmentSpec
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, Progress, PyTree

__all__ = ["Actor", "Agent", "Progress", "Rollout"]


class Rollout(NamedTuple):
    """One iteration's experience, leading axes `[time, env]` unless said otherwise.

    Attributes:
        observation: what the agent acted on.
        raw_action: the raw sample of its distribution.
        reward: one entry per objective.
        terminated: the task ended here.
        truncated: a time limit cut the episode here.
        final_observation: what really followed, before any reset.
        start: whether `observation` is the first of an episode.
        memory: the agent's memory before the first step, `[env, ...]`.
        weights: preference weights in force, `[env, objective]`.
    """

    observation: Array
    raw_action: Array
    reward: Float[Array, "time env objective"]
    terminated: Bool[Array, "time env"]
    truncated: Bool[Array, "time env"]
    final_observation: Array
    start: Bool[Array, "time env"]
    memory: PyTree
    weights: Float[Array, "env objective"]


class Actor(NamedTuple):
    """What acts: as much of an agent as evaluation and `Policy` need, for policies that no `Agent` learns.

    Attributes:
        memory: `batch_shape -> memory` at the start of an episode.
        act: `(key, state, observation, memory, hyperparameters, explore=False) -> (action, memory)`.
        spec: the environment's spec that it was built for.
    """

    memory: Callable[[tuple[int, ...]], PyTree]
    act: Callable[..., tuple[Array, PyTree]]
    spec: EnvironmentSpec


class Agent(NamedTuple):
    """An agent as pure functions.

    Attributes:
        init: `(key, hyperparameters) -> AgentState`.
        memory: `batch_shape -> memory` at the start of an episode, `()` for agents without one.
        noise: `(key, batch_shape) -> noise` of actions, drawn for a whole rollout in one call.
        explore: `(state, observation, memory, start, weights, noise, hyperparameters) ->
            (raw action, memory)`, the inner loop's way of acting.
        action: `raw action -> action` for the environment.
        act: `(key, state, observation, memory, hyperparameters, explore=False) -> (action, memory)`;
            `observation` may have any leading batch axes, `start` of an episode is a fresh memory.
        value: `(state, observation, memory, hyperparameters) -> [*batch, objective]`, the critic's
            value of an observation that follows `memory`.
        inherit: `(fresh state, parent state) -> state`: what was learnt goes on, what belongs to the old
            objective (multipliers, return estimates) is as fresh.
        update: `(key, state, Rollout, ReturnSummary, hyperparameters, Progress) -> (state, metrics)`.
        hyperparameters: defaults of everything traced but the environment's leaf.
        config: what is static.
        spec: the environment's spec that it was built for.
        score: `(state, Rollout) -> Score`: log probabilities and entropies of its actions, differentiable.
        initialisers: by name of a leaf, `key -> value` with which learning that leaf begins.
    """

    init: Callable[[PRNGKeyArray, PyTree], PyTree]
    memory: Callable[[tuple[int, ...]], PyTree]
    noise: Callable[[PRNGKeyArray, tuple[int, ...]], Array]
    explore: Callable[..., tuple[Array, PyTree]]
    action: Callable[[Array], Array]
    act: Callable[..., tuple[Array, PyTree]]
    value: Callable[..., Array]
    inherit: Callable[[PyTree, PyTree], PyTree]
    update: Callable[..., tuple[PyTree, dict[str, Array]]]
    hyperparameters: Any
    config: Any
    spec: EnvironmentSpec
    score: Callable[..., Any] | None = None
    initialisers: Mapping[str, Callable[[PRNGKeyArray], PyTree]] = MappingProxyType({})
