"""Episodes that Python plays on the host while a compiled program waits, under the contract of pure functions.

A state on the device is the number of an episode and how far it has come: it stands for a seed and the actions since.
Stepping a state twice is therefore allowed, as it is of any other environment: the second time, what was played up to
it is played again from the seed.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.parts import shapes
from jaxrl.types import Array, Bool, Int, PRNGKeyArray, PyTree

__all__ = ["HostedState", "Task", "hosted"]

# Episodes that are remembered at least; those not stepped for longest are forgotten first.
_REMEMBERED = 4096


@runtime_checkable
class Task(Protocol):
    """One copy of an environment in Python, in NumPy arrays of the spec's shapes and dtypes.

    An episode must be determined by its seed and its actions.
    """

    def reset(self, seed: int) -> PyTree:
        """Starts an episode and returns its first observation."""
        ...

    def step(self, action: np.ndarray | np.generic) -> tuple[PyTree, np.ndarray, bool, bool]:
        """Observation, reward vector, terminated and truncated."""
        ...


class HostedState(NamedTuple):
    """Where an episode stands.

    Attributes:
        seed: of its reset.
        number: of the episode on the host.
        steps: since the reset.
        ended: whether it has; what is stepped after that stays as it is and earns nothing.
        observation: the last one.
    """

    seed: Int[Array, ""]
    number: Int[Array, ""]
    steps: Int[Array, ""]
    ended: Bool[Array, ""]
    observation: PyTree


class _Episode:
    """What an episode was played from, and what plays it while it lasts."""

    def __init__(self, seed: int, task: Task | None) -> None:
        self.seed, self.task, self.actions = seed, task, []


class _Host:
    """Episodes by number, and tasks that are free to play another one."""

    def __init__(self, build: Callable[[], Task], first: Task, spec: EnvironmentSpec) -> None:
        self._build, self._free, self._spec = build, [first], spec
        self._seen = shapes(spec.observation)
        self._episodes: OrderedDict[int, _Episode] = OrderedDict()
        self._next = 0

    def start(self, seeds: Any) -> tuple[np.ndarray, PyTree]:
        """Numbers and first observations of new episodes."""
        seeds = np.asarray(seeds)
        numbers, seen = np.zeros(seeds.size, np.int32), self._rows(seeds.shape)
        for row, seed in enumerate(seeds.ravel().tolist()):
            numbers[row], observation = self._begin(seed)
            self._write(seen, row, observation)
        self._forget(seeds.size)
        return numbers.reshape(seeds.shape), self._batch(seen, seeds.shape)

    def step(self, numbers: Any, steps: Any, ended: Any, observation: PyTree, actions: Any) -> tuple[Any, ...]:
        """Numbers of the episodes that go on, and what `Task.step` returns, of every one."""
        batch, axes = np.shape(numbers), len(self._spec.action.shape)
        numbers, steps, ended = np.array(numbers).ravel(), np.asarray(steps).ravel(), np.asarray(ended).ravel()
        actions = np.asarray(actions)
        actions = actions.reshape(numbers.size, *actions.shape[actions.ndim - axes :])
        # What has ended stays as it is.
        seen = self._rows(batch, observation)
        rewards = np.zeros((numbers.size, self._spec.num_objectives), np.float32)
        flags = np.zeros((2, numbers.size), bool)
        for row in np.flatnonzero(~ended).tolist():
            found = self._advance(int(numbers[row]), int(steps[row]), actions[row])
            numbers[row], observation, rewards[row], terminated, truncated = found
            flags[:, row] = terminated, truncated and not terminated
            self._write(seen, row, observation)
        rewards = rewards.reshape(*batch, self._spec.num_objectives)
        return numbers.reshape(batch), self._batch(seen, batch), rewards, *(flag.reshape(batch) for flag in flags)

    def _rows(self, batch: tuple[int, ...], observation: PyTree = None) -> list[np.ndarray]:
        """Arrays of every part of observations, with one leading axis: zeros, or those of a batch."""
        parts, size = jax.tree.leaves(self._seen), int(np.prod(batch))
        if observation is None:
            return [np.zeros((size, *part.shape), part.dtype) for part in parts]
        leaves = jax.tree.leaves(observation)
        return [np.array(leaf).reshape(size, *part.shape) for leaf, part in zip(leaves, parts, strict=True)]

    @staticmethod
    def _write(rows: list[np.ndarray], row: int, observation: PyTree) -> None:
        for part, leaf in zip(rows, jax.tree.leaves(observation), strict=True):
            part[row] = leaf

    def _batch(self, rows: list[np.ndarray], batch: tuple[int, ...]) -> PyTree:
        shaped = [part.reshape((*batch, *part.shape[1:])) for part in rows]
        return jax.tree.unflatten(jax.tree.structure(self._seen), shaped)

    def _begin(self, seed: int) -> tuple[int, PyTree]:
        task = self._free.pop() if self._free else self._build()
        observation = task.reset(seed)
        number, self._next = self._next, (self._next + 1) % 2**31
        self._episodes[number] = _Episode(seed, task)
        return number, observation

    def _advance(self, number: int, count: int, action: np.ndarray | np.generic) -> tuple[Any, ...]:
        episode = self._episodes.get(number)
        if episode is None:
            raise RuntimeError(
                f"{self._spec.name}: an episode is stepped that this process has not begun, or has forgotten, being "
                f"more than {_REMEMBERED} episodes ago; reset again"
            )
        if count < len(episode.actions):
            number, episode = self._again(episode, count)
        self._episodes.move_to_end(number)
        episode.actions.append(np.array(action))
        observation, reward, terminated, truncated = episode.task.step(action)
        if terminated or truncated:
            self._release(episode)
        return number, observation, reward, terminated, truncated

    def _again(self, episode: _Episode, count: int) -> tuple[int, _Episode]:
        """A new episode that has come as far as another had after `count` steps."""
        number, _ = self._begin(episode.seed)
        again = self._episodes[number]
        for action in episode.actions[:count]:
            again.task.step(action)
            again.actions.append(action)
        return number, again

    def _release(self, episode: _Episode) -> None:
        if episode.task is not None:
            self._free.append(episode.task)
        episode.task = None

    def _forget(self, batch: int) -> None:
        while len(self._episodes) > max(_REMEMBERED, 4 * batch):
            self._release(self._episodes.popitem(last=False)[1])


def hosted(build: Callable[[], Task], spec: EnvironmentSpec, first: Task | None = None) -> Environment:
    """An environment without params whose episodes are played by `build()`, each copy by one of its own.

    All copies of a batch are stepped in one call from the program, one after another.

    Args:
        build: makes a task.
        spec: with `on_host`.
        first: a task that is made already.
    """
    host = _Host(build, first or build(), spec)
    number, flag = jax.ShapeDtypeStruct((), jnp.int32), jax.ShapeDtypeStruct((), jnp.bool_)
    seen, reward = shapes(spec.observation), jax.ShapeDtypeStruct((spec.num_objectives,), jnp.float32)

    def reset(key: PRNGKeyArray, params: tuple) -> tuple[HostedState, PyTree]:
        seed = jax.random.randint(key, (), 0, jnp.iinfo(jnp.int32).max)
        begun, observation = jax.pure_callback(host.start, (number, seen), seed, vmap_method="broadcast_all")
        return HostedState(seed, begun, jnp.zeros((), jnp.int32), jnp.zeros((), bool), observation), observation

    def step(key: PRNGKeyArray, state: HostedState, action: Array, params: tuple) -> tuple[HostedState, Timestep]:
        del key  # what is random draws from the seed of the reset
        results = (number, seen, reward, flag, flag)
        given = (state.number, state.steps, state.ended, state.observation, action)
        begun, observation, paid, terminated, truncated = jax.pure_callback(
            host.step, results, *given, vmap_method="broadcast_all"
        )
        ended = state.ended | terminated | truncated
        after = HostedState(state.seed, begun, state.steps + 1, ended, observation)
        return after, Timestep(observation, paid, terminated, truncated, {})

    return Environment(reset, step, (), spec)
