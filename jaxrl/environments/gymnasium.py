"""gymnasium's environments, and MO-Gymnasium's, stepped in Python on the CPU: to evaluate on, not to train on."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from jaxrl.environments.base import Environment, EnvironmentSpec
from jaxrl.environments.hosted import hosted
from jaxrl.environments.spaces import Box, Dict, Discrete, MultiDiscrete, Space, Tuple
from jaxrl.errors import missing_extra, require_name
from jaxrl.types import PyTree

__all__ = ["make", "names", "reads"]

# gymnasium 1.3.0's own; those that are left out are written in JAX already, or have been removed.
_SINGLE = (
    "CartPole-v0",
    "CartPole-v1",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Pendulum-v1",
    "Acrobot-v1",
    "LunarLander-v3",
    "LunarLanderContinuous-v3",
    "BipedalWalker-v3",
    "BipedalWalkerHardcore-v3",
    "CarRacing-v3",
    "Blackjack-v1",
    "FrozenLake-v1",
    "FrozenLake8x8-v1",
    "CliffWalking-v1",
    "CliffWalkingSlippery-v1",
    "Taxi-v4",
    "Reacher-v4",
    "Reacher-v5",
    "Pusher-v4",
    "Pusher-v5",
    "InvertedPendulum-v4",
    "InvertedPendulum-v5",
    "InvertedDoublePendulum-v4",
    "InvertedDoublePendulum-v5",
    "HalfCheetah-v4",
    "HalfCheetah-v5",
    "Hopper-v4",
    "Hopper-v5",
    "Swimmer-v4",
    "Swimmer-v5",
    "Walker2d-v4",
    "Walker2d-v5",
    "Ant-v4",
    "Ant-v5",
    "Humanoid-v4",
    "Humanoid-v5",
    "HumanoidStandup-v4",
    "HumanoidStandup-v5",
)
# MO-Gymnasium 1.3.2's.
_MULTI = (
    "breakable-bottles-v0",
    "deep-sea-treasure-v0",
    "deep-sea-treasure-concave-v0",
    "deep-sea-treasure-mirrored-v0",
    "fishwood-v0",
    "four-room-v0",
    "fruit-tree-v0",
    "minecart-v0",
    "minecart-deterministic-v0",
    "minecart-rgb-v0",
    "mo-ant-v4",
    "mo-ant-v5",
    "mo-ant-2d-v4",
    "mo-ant-2obj-v5",
    "mo-halfcheetah-v4",
    "mo-halfcheetah-v5",
    "mo-highway-v0",
    "mo-highway-fast-v0",
    "mo-hopper-v4",
    "mo-hopper-v5",
    "mo-hopper-2d-v4",
    "mo-hopper-2obj-v5",
    "mo-humanoid-v4",
    "mo-humanoid-v5",
    "mo-lunar-lander-v3",
    "mo-lunar-lander-continuous-v3",
    "mo-mountaincar-v0",
    "mo-mountaincar-3d-v0",
    "mo-mountaincar-timemove-v0",
    "mo-mountaincar-timespeed-v0",
    "mo-mountaincarcontinuous-v0",
    "mo-reacher-v4",
    "mo-reacher-v5",
    "mo-swimmer-v4",
    "mo-swimmer-v5",
    "mo-walker2d-v4",
    "mo-walker2d-v5",
    "resource-gathering-v0",
    "water-reservoir-v0",
)
_NAMES = (*_SINGLE, *_MULTI)
# MO-Gymnasium draws their ores and starts from the random numbers of the whole process, which no reset seeds.
_DRAWN_GLOBALLY = ("four-room-v0", "minecart-v0", "minecart-deterministic-v0", "minecart-rgb-v0")


def names() -> tuple[str, ...]:
    """Ids of gymnasium and MO-Gymnasium, whether or not they, or what else a task needs, are installed."""
    return _NAMES


def reads(name: str) -> bool:
    """Whether `make` takes a name besides `names()`: gymnasium's `module:id`, which imports the module that has it."""
    module, colon, task = name.partition(":")
    return bool(module and colon and task)


def make(name: str, **options: Any) -> Environment:
    """Builds an environment of gymnasium that policies are evaluated on; training on it is refused. It has no params.

    Every step is a call from the compiled program back to Python, which steps the copies one after another on one core:
    what gymnasium takes for them, and some tens of microseconds each, whatever the device. An episode is seeded by an
    integer that is drawn from the key of its reset, so that evaluations under one seed are the same. Environments that
    draw from anything else than their seed are not reproducible, except for MO-Gymnasium's `minecart` and `four-room`:
    what they draw from the process's random numbers is kept apart and seeded here. Rewards of MO-Gymnasium are vectors.

    What gymnasium calls terminated is terminated; what it calls truncated is, unless it is both. Observations and
    actions are converted to jaxrl's spaces: floats are float32, a `Discrete` counts from 0 and a `MultiBinary` is a
    `Box` of flags as an observation and choices of two as an action. `info` is left out.

    Args:
        name: one of `names()`, or `module:id`, such as `ale_py:ALE/Pong-v5`, of a module that registers the id.
        options: of `gymnasium.make`, such as `max_episode_steps`, or of the environment's constructor.

    Raises:
        ImportError: if the extra `gymnasium`, or what the environment needs besides, is not installed.
        UnknownNameError: for an unknown name.
        ValueError: for spaces that jaxrl does not have.
    """
    if not reads(name):
        require_name("gymnasium environment", name, _NAMES)
    try:
        import gymnasium
    except ImportError as error:
        raise missing_extra("gymnasium", "gymnasium") from error
    if name in _MULTI:
        try:
            import mo_gymnasium  # noqa: F401  registers them
        except ImportError as error:
            raise missing_extra("mo_gymnasium", "gymnasium") from error

    def build() -> _Copy:
        # gymnasium's checker expects rewards that are numbers.
        task = gymnasium.make(name, disable_env_checker=True, **options)
        return (_SeededCopy if name in _DRAWN_GLOBALLY else _Copy)(task)

    try:
        first = build()
    except gymnasium.error.DependencyNotInstalled as error:
        raise ImportError(f"gymnasium/{name} needs another package: {error}") from error
    except (gymnasium.error.UnregisteredEnv, ModuleNotFoundError) as error:
        raise ImportError(f"gymnasium/{name} is not there: {error}") from error
    task = first.task
    space = getattr(task.unwrapped, "reward_space", None)
    spec = EnvironmentSpec(
        name=f"gymnasium/{name}",
        observation=_space(task.observation_space, name),
        action=_action_space(task.action_space, name),
        num_objectives=1 if space is None else int(space.shape[0]),
        time_limit=task.spec.max_episode_steps,
        on_host=True,
    )
    return hosted(build, spec, first)


class _Copy:
    """One environment of gymnasium in NumPy arrays of jaxrl's spaces."""

    def __init__(self, task: Any) -> None:
        self.task = task

    def reset(self, seed: int) -> PyTree:
        return _observation(self.task.observation_space, self.task.reset(seed=seed)[0])

    def step(self, action: np.ndarray | np.generic) -> tuple[PyTree, np.ndarray, bool, bool]:
        observation, reward, terminated, truncated, _ = self.task.step(_action(self.task.action_space, action))
        seen = _observation(self.task.observation_space, observation)
        return seen, np.asarray(reward, np.float32).reshape(-1), bool(terminated), bool(truncated)


class _SeededCopy(_Copy):
    """A copy that draws from the random numbers of the process, which here are its own while it does."""

    def reset(self, seed: int) -> PyTree:
        self._python, self._numpy = random.Random(seed).getstate(), np.random.RandomState(seed).get_state()
        with self._drawing():
            return super().reset(seed)

    def step(self, action: np.ndarray | np.generic) -> tuple[PyTree, np.ndarray, bool, bool]:
        with self._drawing():
            return super().step(action)

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        before = random.getstate(), np.random.get_state()
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        try:
            yield
        finally:
            self._python, self._numpy = random.getstate(), np.random.get_state()
            random.setstate(before[0])
            np.random.set_state(before[1])


def _kind(space: Any) -> str:
    """The class of gymnasium's that a space is of."""
    return next((kind.__name__ for kind in type(space).__mro__ if kind.__module__.startswith("gymnasium.")), "unknown")


def _space(space: Any, name: str) -> Space:
    kind = _kind(space)
    if kind == "Discrete":
        return Discrete(int(space.n))
    if kind == "MultiDiscrete" and space.nvec.ndim == 1:
        return MultiDiscrete(tuple(space.nvec.tolist()))
    if kind == "MultiBinary":
        return Box(0.0, 1.0, tuple(space.shape), "bool")
    if kind == "Box":
        return Box.from_arrays(
            space.low.astype(np.float64), space.high.astype(np.float64), space.shape, _dtype(space.dtype)
        )
    if kind == "Dict":
        return Dict({part: _space(inner, name) for part, inner in space.spaces.items()})
    if kind == "Tuple":
        return Tuple(_space(inner, name) for inner in space.spaces)
    raise ValueError(f"gymnasium/{name} has a space of observations that jaxrl does not have: {space}")


def _dtype(dtype: Any) -> str:
    """The type of a box that a program without 64-bit numbers has."""
    dtype = np.dtype(dtype)
    return {"float64": "float32", "int64": "int32", "uint64": "uint32"}.get(dtype.name, dtype.name)


def _observation(space: Any, value: Any) -> PyTree:
    kind = _kind(space)
    if kind == "Dict":
        return {part: _observation(inner, value[part]) for part, inner in space.spaces.items()}
    if kind == "Tuple":
        return tuple(_observation(inner, part) for inner, part in zip(space.spaces, value, strict=True))
    if kind == "Box":
        return np.asarray(value, _dtype(space.dtype))
    if kind == "MultiBinary":
        return np.asarray(value, bool)
    return np.asarray(value - space.start, np.int32)


def _action_space(space: Any, name: str) -> Space:
    kind = _kind(space)
    if kind == "Discrete":
        return Discrete(int(space.n))
    if kind == "MultiDiscrete":
        return MultiDiscrete(tuple(space.nvec.ravel().tolist()))
    if kind == "MultiBinary":
        return MultiDiscrete((2,) * int(np.prod(space.shape)))
    if kind == "Box" and np.issubdtype(space.dtype, np.floating):
        return Box.from_arrays(space.low.ravel(), space.high.ravel(), (int(np.prod(space.shape)),))
    raise ValueError(f"gymnasium/{name} has a space of actions that jaxrl does not have: {space}")


def _action(space: Any, action: np.ndarray | np.generic) -> Any:
    """An action of jaxrl's as gymnasium's."""
    kind = _kind(space)
    if kind == "Discrete":
        return int(action) + int(space.start)
    action = action.reshape(space.shape).astype(space.dtype)
    return action + space.start if kind == "MultiDiscrete" else action
