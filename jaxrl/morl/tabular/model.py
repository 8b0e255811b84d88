"""Finite environments as tables: states numbered by their observation, and what each action does there."""

from collections.abc import Callable
from operator import itemgetter
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, EnvironmentSpec
from jaxrl.environments.spaces import Discrete, MultiDiscrete, Space
from jaxrl.environments.transforms import TimeLimitState
from jaxrl.types import Array, Bool, Float, Int, PyTree

__all__ = [
    "Model",
    "num_states",
    "require_finite",
    "require_objectives",
    "require_sizes",
    "require_steps",
    "state_index",
    "tabulate",
]

# Every transition is computed under this many keys; different outcomes show that it is random.
_NUM_KEYS = 32


class Model(NamedTuple):
    """What every action does in every state of a deterministic environment.

    States that no sequence of actions reaches end at once with reward 0.

    Attributes:
        successor: number of the next state.
        reward: float32, one entry per objective.
        terminated: whether the episode ends there.
        start: number of the first state.
        num_steps: calls of the environment's step that filled the tables: every reachable state
            and action, under several keys.
    """

    successor: Int[Array, "state action"]
    reward: Float[Array, "state action objective"]
    terminated: Bool[Array, "state action"]
    start: Int[Array, ""]
    num_steps: int


def num_states(space: Space) -> int:
    """How many different observations a finite space has."""
    return space.n if isinstance(space, Discrete) else int(np.prod(space.sizes))


def state_index(space: Space) -> Callable[[Array], Array]:
    """The function that numbers the observations of a finite space 0, 1, ..., the last entry running fastest."""
    if isinstance(space, Discrete):
        return lambda observation: observation
    strides = np.append(np.cumprod(space.sizes[:0:-1])[::-1], 1).astype(np.int32)
    return lambda observation: jnp.sum(observation * strides, axis=-1)


def require_finite(spec: EnvironmentSpec, algorithm: str, max_states: int) -> tuple[int, int]:
    """The numbers of states and actions.

    Raises:
        ValueError: naming the algorithm, for observations or actions that cannot be numbered, or
            more than `max_states` observations.
    """
    if not isinstance(spec.observation, Discrete | MultiDiscrete):
        raise ValueError(
            f"{algorithm} needs a finite environment, with Discrete or MultiDiscrete observations; "
            f"{spec.name} has {spec.observation}"
        )
    if not isinstance(spec.action, Discrete):
        raise ValueError(f"{algorithm} needs Discrete actions, {spec.name} has {spec.action}")
    if spec.time_limit is None:
        raise ValueError(f"{algorithm} needs a time limit, {spec.name} has none: see transforms.time_limit")
    count = num_states(spec.observation)
    if count > max_states:
        raise ValueError(f"{algorithm}: {spec.name} has {count} observations, more than max_states={max_states}")
    return count, spec.action.n


def require_objectives(spec: EnvironmentSpec, algorithm: str, least: int, most: int | None = None) -> int:
    """The number of objectives, if it lies in `least` .. `most`.

    Raises:
        ValueError: naming the algorithm, what it needs and what the environment has.
    """
    count = spec.num_objectives
    if count < least or (most is not None and count > most):
        needed = f"at least {least}" if most is None else f"{least}" if least == most else f"{least} to {most}"
        raise ValueError(f"{algorithm} needs {needed} objectives, {spec.name} has {count}")
    return count


def require_sizes(**sizes: int) -> None:
    """Refuses sizes below 1, by name."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")


def require_steps(algorithm: str, needed: int, total_steps: int | None, reason: str) -> None:
    """Refuses a budget that is too small, naming what it is needed for; None allows everything."""
    if total_steps is not None and total_steps < needed:
        raise ValueError(f"{algorithm} needs total_steps of at least {needed} {reason}, got {total_steps}")


def tabulate(environment: Environment, algorithm: str = "tabulate", max_states: int = 20_000) -> Model:
    """Tables of a finite, deterministic environment under its default parameters.

    Runs on the host: a breadth-first search from the first state. A limit set by
    `transforms.time_limit` is the horizon and no part of the state.

    Raises:
        ValueError: as `require_finite`; if resets or steps are random; or if two states look alike.
    """
    num_observations, num_actions = require_finite(environment.spec, algorithm, max_states)
    index = state_index(environment.spec.observation)
    keys = jax.random.split(jax.random.key(0), _NUM_KEYS)
    resets = jax.device_get(jax.jit(jax.vmap(environment.reset, (0, None)))(keys, environment.params))
    states, observations = _the_one_outcome(resets, environment.spec.name, algorithm)
    start = int(index(observations))
    successor = np.tile(np.arange(num_observations, dtype=np.int32)[:, None], num_actions)
    reward = np.zeros((*successor.shape, environment.spec.num_objectives), np.float32)
    terminated = np.ones(successor.shape, bool)
    step = _all_outcomes(environment, keys)
    known, frontier = {start: _without_clock(states)}, [start]
    while frontier:
        # Padding to a power of two keeps the number of compiled programs small.
        padded = frontier + frontier[:1] * ((1 << (len(frontier) - 1).bit_length()) - len(frontier))
        batch = jax.tree.map(lambda *leaves: np.stack(leaves), *(known[number] for number in padded))
        found = _the_one_outcome(jax.device_get(step(batch)), environment.spec.name, algorithm)
        states, numbers, rewards, ended = jax.tree.map(itemgetter(slice(len(frontier))), found)
        successor[frontier], reward[frontier], terminated[frontier] = numbers, rewards, ended
        frontier = []
        for place in zip(*np.nonzero(~ended), strict=True):
            number, state = int(numbers[place]), jax.tree.map(itemgetter(place), states)
            if number not in known:
                known[number] = state
                frontier.append(number)
            elif not _same(known[number], state):
                raise ValueError(f"{environment.spec.name}: two different states look alike, as observation {number}")
    tables = jnp.asarray(successor), jnp.asarray(reward), jnp.asarray(terminated)
    return Model(*tables, jnp.int32(start), len(known) * num_actions * _NUM_KEYS)


def _all_outcomes(environment: Environment, keys: Array) -> Callable[[PyTree], PyTree]:
    """Steps a batch of states with every key and action: leading axes key, state, action."""
    index = state_index(environment.spec.observation)

    def outcome(key: Array, state: PyTree, action: Array) -> PyTree:
        state, timestep = environment.step(key, state, action, environment.params)
        return _without_clock(state), index(timestep.observation), timestep.reward, timestep.terminated

    over_actions = jax.vmap(outcome, (None, None, 0))
    over_keys = jax.vmap(jax.vmap(over_actions, (None, 0, None)), (0, None, None))
    return jax.jit(lambda states: over_keys(keys, states, jnp.arange(environment.spec.action.n)))


def _the_one_outcome(outcomes: PyTree, name: str, algorithm: str) -> PyTree:
    """What happened under every key, if that is always the same."""
    first = jax.tree.map(itemgetter(0), outcomes)
    if not all(_same(first, jax.tree.map(itemgetter(key), outcomes)) for key in range(1, _NUM_KEYS)):
        raise ValueError(
            f"{algorithm} plans with tables and needs an environment without randomness; {name} is random: "
            "use an algorithm that learns from steps"
        )
    return first


def _without_clock(state: PyTree) -> PyTree:
    if not isinstance(state, TimeLimitState):
        return state
    # A shorter limit may lie around the environment's own.
    return TimeLimitState(_without_clock(state.inner), 0 * state.steps)


def _same(first: PyTree, second: PyTree) -> bool:
    leaves = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    return all(np.array_equal(left, right) for left, right in leaves)
