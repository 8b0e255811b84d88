"""A finite environment as tables: its reachable states, and where every action leads from each."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, Outcomes
from jaxrl.environments.spaces import Discrete
from jaxrl.environments.transforms import TimeLimitState
from jaxrl.types import Array, Bool, Float, Int, PyTree

__all__ = ["FiniteModel", "tabulate"]

# States whose outcomes are computed in one call: one size, one program.
_BATCH = 256
# Keys under which an environment without `outcomes` must do the same.
_NUM_KEYS = 3


class FiniteModel(NamedTuple):
    """A finite multi-objective decision process that starts in state 0.

    Q(s, a) = rewards[s, a] + γ Σₖ probabilities[s, a, k] V(successors[s, a, k])

    Attributes:
        rewards: expected reward of each action, what terminating outcomes pay included.
        probabilities: of the distinct states that may follow, likely ones first; they sum to less
            than one where an outcome terminates, and are zero for entries that are not needed.
        successors: those states.
    """

    rewards: Float[Array | np.ndarray, "state action objective"]
    probabilities: Float[Array | np.ndarray, "state action outcome"]
    successors: Int[Array | np.ndarray, "state action outcome"]


def tabulate(environment: Environment, max_states: int = 100_000) -> FiniteModel:
    """Enumerates the reachable states of a finite environment, and its transitions.

    Outcomes that lead to the same state are merged into their mean: a policy sees states, not
    rewards. The clock of `transforms.time_limit` is no part of the state.

    Args:
        environment: with `outcomes`, or with a `step` that draws no random numbers; a `reset` that
            draws none either.
        max_states: more reachable states than this are an error.

    Raises:
        ValueError: for an action space that is not `Discrete`, too many states, randomness without
            `outcomes`, or probabilities that do not sum to one.
    """
    spec = environment.spec
    if not isinstance(spec.action, Discrete):
        raise ValueError(f"{spec.name} has the action space {spec.action}: a finite model needs a Discrete one")
    batched = _batched_outcomes(environment)
    template, states = _start(environment)
    index, batches = {states[0].tobytes(): 0}, []
    visited = 0
    while visited < len(states):
        batch = states[visited : visited + _BATCH]
        visited += len(batch)
        padded = np.concatenate([batch, np.repeat(batch[-1:], _BATCH - len(batch), axis=0)])
        drawn = jax.device_get(batched(_unpack(template, padded), environment.params))
        drawn = _first(drawn, len(batch))
        live = (drawn.probabilities > 0.0) & ~drawn.timesteps.terminated
        successors, new = _number(_pack(drawn.states, live.shape), live, index)
        states = np.concatenate([states, new])
        if len(states) > max_states:
            raise ValueError(f"{spec.name} has more than max_states={max_states} reachable states")
        batches.append(_merge(drawn, live, successors))
    rewards, probabilities, successors = (np.concatenate(part) for part in zip(*batches, strict=True))
    width = max(1, int((probabilities > 0.0).sum(axis=-1).max()))
    return FiniteModel(rewards, probabilities[..., :width], successors[..., :width])


def _batched_outcomes(environment: Environment) -> Callable[[PyTree, PyTree], Outcomes]:
    """Compiled `(states, params) -> Outcomes` with axes [state, action, outcome]."""

    def single(state: PyTree, action: Array, params: PyTree) -> Outcomes:
        if environment.outcomes is not None:
            return environment.outcomes(state, action, params)
        keys = jax.random.split(jax.random.key(0), _NUM_KEYS)
        states, timesteps = jax.vmap(environment.step, in_axes=(0, None, None, None))(keys, state, action, params)
        return Outcomes(jnp.ones(_NUM_KEYS), states, timesteps)

    actions = jnp.arange(environment.spec.action.n)
    over_actions = jax.vmap(single, in_axes=(None, 0, None))
    compiled = jax.jit(lambda states, params: jax.vmap(over_actions, in_axes=(0, None, None))(states, actions, params))

    def checked(states: PyTree, params: PyTree) -> Outcomes:
        drawn = compiled(states, params)
        name = environment.spec.name
        if environment.outcomes is None:
            if not _all_equal((drawn.states, drawn.timesteps), axis=2):
                raise ValueError(f"{name} draws random numbers in step and offers no `outcomes` to enumerate")
            drawn = jax.tree.map(lambda leaf: leaf[:, :, :1], drawn)
        if not np.allclose(drawn.probabilities.sum(axis=-1), 1.0, atol=1e-5):
            raise ValueError(f"{name} has outcomes whose probabilities do not sum to one")
        return drawn

    return checked


def _first(tree: PyTree, count: int) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[:count], tree)


def _all_equal(tree: PyTree, axis: int) -> bool:
    return all(bool(jnp.all(leaf == jnp.take(leaf, jnp.array([0]), axis=axis))) for leaf in jax.tree.leaves(tree))


def _start(environment: Environment) -> tuple[PyTree, np.ndarray]:
    """A state, and the only first state as one row of bytes."""
    keys = jax.random.split(jax.random.key(0), _NUM_KEYS)
    states, _ = jax.vmap(environment.reset, in_axes=(0, None))(keys, environment.params)
    if not _all_equal(states, axis=0):
        raise ValueError(f"{environment.spec.name} starts at random: a front belongs to one first state")
    states = jax.device_get(states)
    return jax.tree.map(lambda leaf: leaf[0], states), _pack(states, (_NUM_KEYS,))[:1]


def _pack(states: PyTree, shape: tuple[int, ...]) -> np.ndarray:
    """States with leading axes `shape` as rows of bytes, one row each."""
    if isinstance(states, TimeLimitState):
        states = states.inner
    count = int(np.prod(shape))
    rows = [np.ascontiguousarray(leaf).reshape(count, -1).view(np.uint8) for leaf in jax.tree.leaves(states)]
    return np.concatenate(rows, axis=1)


def _unpack(template: PyTree, rows: np.ndarray) -> PyTree:
    """The inverse of `_pack`; a clock stands at zero."""
    if isinstance(template, TimeLimitState):
        return TimeLimitState(_unpack(template.inner, rows), np.zeros(len(rows), np.int32))
    leaves, structure = jax.tree.flatten(template)
    ends = np.cumsum([leaf.nbytes for leaf in leaves])
    parts = np.split(rows, ends[:-1], axis=1)
    return structure.unflatten(
        np.ascontiguousarray(part).view(leaf.dtype).reshape(len(rows), *leaf.shape)
        for part, leaf in zip(parts, leaves, strict=True)
    )


def _number(rows: np.ndarray, live: Bool[np.ndarray, "state action outcome"], index: dict[bytes, int]):
    """Numbers of the rows, 0 where not `live`, and the rows that `index` did not hold yet."""
    distinct, inverse = np.unique(rows[live.ravel()], axis=0, return_inverse=True)
    fresh = [row for row in distinct if row.tobytes() not in index]
    index.update({row.tobytes(): number for number, row in enumerate(fresh, start=len(index))})
    numbers = np.zeros(live.size, np.int32)
    numbers[live.ravel()] = np.array([index[row.tobytes()] for row in distinct], np.int32)[inverse.ravel()]
    return numbers.reshape(live.shape), np.array(fresh, np.uint8).reshape(-1, rows.shape[1])


def _merge(drawn: Outcomes, live: np.ndarray, successors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Expected rewards, and the probabilities of distinct successors, likely ones first."""
    chances = np.asarray(drawn.probabilities, np.float64)
    # In float32 they sum to one only nearly, which would leak a little at every step.
    chances = chances / chances.sum(axis=-1, keepdims=True)
    rewards = np.sum(chances[..., None] * drawn.timesteps.reward, axis=-2)
    chances = np.where(live, chances, 0.0)
    for first in range(chances.shape[-1]):
        for later in range(first + 1, chances.shape[-1]):
            same = live[..., first] & live[..., later] & (successors[..., first] == successors[..., later])
            chances[..., first] += np.where(same, chances[..., later], 0.0)
            chances[..., later] = np.where(same, 0.0, chances[..., later])
    order = np.argsort(-chances, axis=-1, kind="stable")
    return rewards, np.take_along_axis(chances, order, -1), np.take_along_axis(successors, order, -1)
