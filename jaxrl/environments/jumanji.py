"""jumanji's environments (jumanji 1.1.2): combinatorial problems, games and teams, with masks of legal actions."""

import copy
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.spaces import Box, Dict, Discrete, MultiDiscrete, Space
from jaxrl.errors import missing_extra, require_name
from jaxrl.types import Array, Bool, Int, PRNGKeyArray, PyTree

__all__ = ["AGENTS", "make", "names"]

# Sokoban-v0 is left out: it downloads its levels when it is built.
_NAMES = (
    "BinPack-v2",
    "CVRP-v1",
    "Cleaner-v0",
    "Connector-v3",
    "FlatPack-v0",
    "Game2048-v1",
    "GraphColoring-v1",
    "JobShop-v0",
    "Knapsack-v1",
    "LevelBasedForaging-v0",
    "MMST-v0",
    "Maze-v0",
    "Minesweeper-v0",
    "MultiCVRP-v0",
    "PacMan-v1",
    "RobotWarehouse-v0",
    "RubiksCube-partly-scrambled-v0",
    "RubiksCube-v0",
    "SearchAndRescue-v0",
    "SlidingTilePuzzle-v0",
    "Snake-v1",
    "Sudoku-v0",
    "Sudoku-very-easy-v0",
    "TSP-v1",
    "Tetris-v0",
)
AGENTS = ("Connector-v3", "LevelBasedForaging-v0", "SearchAndRescue-v0")
"""Those that pay each of several agents by itself."""
_MASK = "action_mask"
_CLOCKS = ("step", "step_count")
# jumanji 1.1.2 declares this part from 0 on, and it is -1 until the first city is visited.
_UNBOUNDED = {"TSP-v1": ("position",)}
# Tasks whose rewards are scaled by their limit, which therefore stays, and when they end.
_ENDS: dict[str, Callable[[PyTree], Bool[Array, ""]]] = {
    "SearchAndRescue-v0": lambda state: jnp.all(state.targets.found)
}
# Further than any episode goes, and far from an overflow of what counts to it.
_NEVER = 2**30


def names() -> tuple[str, ...]:
    """Every id of jumanji that is built without a download, whether or not jumanji is installed."""
    return _NAMES


def make(name: str, objectives: str = "sum", **options: Any) -> Environment:
    """Builds an environment of jumanji; its state is jumanji's own, and it has no params.

    One policy acts for all agents of a team. What ends at jumanji's `time_limit` is truncated, whatever discount
    jumanji reports there, unless the task ends on the same step. Actions whose mask is over their combinations, such
    as a cell and a digit of Sudoku, are numbered in row-major order, `Discrete`; those with a mask, or none, of each
    choice are `MultiDiscrete`. Where jumanji's mask allows nothing, such as to an agent that is done, a snake that is
    stuck, or where no block fits any more, it allows everything here.

    Args:
        name: one of `names()`.
        objectives: `sum` for one reward; `agents` for one objective per agent, of those in `AGENTS`.
        options: of the constructor, such as `time_limit` or `generator`.

    Raises:
        ImportError: if the extra `jumanji` is not installed.
        UnknownNameError: for an unknown name or choice of objectives.
        ValueError: for `agents` where jumanji pays them together.
    """
    require_name("jumanji environment", name, _NAMES)
    require_name("choice of objectives", objectives, ("sum", "agents"))
    if objectives == "agents" and name not in AGENTS:
        raise ValueError(f"jumanji/{name} pays its agents together, if it has several; each alone: {', '.join(AGENTS)}")
    try:
        import jumanji
    except ImportError as error:
        raise missing_extra("jumanji", "jumanji") from error
    return _adapt(jumanji.make(name, **options), name, objectives == "agents")


def _adapt(task: Any, name: str, of_agents: bool) -> Environment:
    limit = getattr(task, "time_limit", None)
    advance = _stepper(task, name)
    first = jax.eval_shape(task.reset, jax.random.key(0))[1].observation
    observation_space = _observation_space(task.observation_spec, first, _UNBOUNDED.get(name, ()))
    mask = dict(observation_space.parts).get(_MASK)
    action_space, to_action = _actions(task.action_spec, mask)
    choices = len(action_space.sizes) if isinstance(action_space, MultiDiscrete) else 1

    def observe(observation: Any) -> PyTree:
        observation = _observation(observation_space, observation)
        return observation if mask is None else {**observation, _MASK: _allowing(observation[_MASK], choices)}

    def reset(key: PRNGKeyArray, params: tuple) -> tuple[PyTree, PyTree]:
        state, timestep = task.reset(key)
        return state, observe(timestep.observation)

    def step(key: PRNGKeyArray, state: PyTree, action: Array, params: tuple) -> tuple[PyTree, Timestep]:
        del key  # what is random after a reset draws from the state's own key
        state, timestep, terminated = advance(state, to_action(action))
        late = jnp.zeros((), bool) if limit is None else _num_steps(state) >= limit
        reward = jnp.asarray(timestep.reward, jnp.float32).reshape(-1)
        reward = reward if of_agents else jnp.sum(reward, keepdims=True)
        observation = observe(timestep.observation)
        return state, Timestep(observation, reward, terminated, late & ~terminated, dict(timestep.extras))

    agents = int(np.prod(task.reward_spec.shape)) if of_agents else 1
    spec = EnvironmentSpec(
        name=f"jumanji/{name}",
        observation=observation_space,
        action=action_space,
        num_objectives=agents,
        time_limit=None if limit is None else int(limit),
        objective_names=tuple(f"agent_{i}" for i in range(agents)) if of_agents else (),
        action_mask=None if mask is None else _MASK,
    )
    return Environment(reset, step, (), spec)


def _stepper(task: Any, name: str) -> Callable[[PyTree, Array], tuple[PyTree, Any, Array]]:
    """A step of `task`, and whether the task itself ended there: jumanji's own does not tell that from its limit."""
    if name in _ENDS:

        def step(state: PyTree, action: Array) -> tuple[PyTree, Any, Array]:
            state, timestep = task.step(state, action)
            return state, timestep, _ENDS[name](state)

        return step

    endless = copy.copy(task)
    if hasattr(task, "time_limit"):
        endless.time_limit = _NEVER

    def endless_step(state: PyTree, action: Array) -> tuple[PyTree, Any, Array]:
        state, timestep = endless.step(state, action)
        return state, timestep, timestep.last()

    return endless_step


def _num_steps(state: PyTree) -> Int[Array, ""]:
    """Steps since the reset, of a task with a limit."""
    return state.step_count if hasattr(state, "step_count") else state.step


def _actions(spec: Any, mask: Box | None) -> tuple[Space, Callable[[Array], Array]]:
    """The space of actions, and what turns one into jumanji's."""
    shape = tuple(spec.shape)
    if not np.issubdtype(spec.dtype, np.integer):
        size = int(np.prod(shape))
        low, high = (np.broadcast_to(np.asarray(bound), shape).reshape(-1) for bound in (spec.minimum, spec.maximum))
        return Box.from_arrays(low, high, (size,)), lambda action: action.reshape(shape).astype(spec.dtype)
    if not shape:
        return Discrete(int(spec.num_values)), lambda action: action.astype(spec.dtype)
    # jumanji 1.1.2 declares one node too many for each vehicle of MultiCVRP: where there is a mask it says how many.
    declared = np.broadcast_to(np.asarray(spec.maximum), shape) + 1
    sizes = tuple(int(size) for size in declared)
    if mask is not None and mask.shape == sizes:
        return Discrete(int(np.prod(sizes))), lambda action: _unravelled(action, sizes).astype(spec.dtype)
    if mask is not None:
        sizes = (mask.shape[-1],) * len(sizes)
    return MultiDiscrete(sizes), lambda action: action.astype(spec.dtype)


def _unravelled(action: Int[Array, ""], sizes: tuple[int, ...]) -> Int[Array, " choice"]:
    return jnp.stack(jnp.unravel_index(action, sizes))


def _observation_space(spec: Any, value: Any, unbounded: tuple[str, ...], name: str = "") -> Space:
    """jumanji's spec of an observation or a part, in the types that it really has."""
    if not hasattr(value, "shape"):
        inner = _parts(value).items()
        return Dict({part: _observation_space(spec[part], entry, unbounded, part) for part, entry in inner})
    if np.dtype(value.dtype).kind == "b":
        return Box(0.0, 1.0, value.shape, "bool")
    if name in unbounded or not hasattr(spec, "minimum"):
        return Box(-np.inf, np.inf, value.shape, value.dtype.name)
    values = getattr(spec, "num_values", None)
    if values is not None and not value.shape and name not in _CLOCKS:
        return Discrete(int(values))
    # A clock that is declared by its number of values lacks the count of the last step.
    high = np.asarray(spec.maximum, np.float64) + (1.0 if values is not None else 0.0)
    return Box.from_arrays(np.asarray(spec.minimum, np.float64), high, value.shape, value.dtype.name)


def _observation(space: Space, observation: Any) -> PyTree:
    """NamedTuples and dataclasses as a `dict`."""
    if isinstance(space, Dict):
        inner = _parts(observation)
        return {part: _observation(below, inner[part]) for part, below in space.parts}
    return jnp.asarray(observation, space.dtype)


def _allowing(mask: Bool[Array, "..."], choices: int) -> Bool[Array, "..."]:
    """A mask that allows everything, of any of its choices, of which it allowed nothing."""
    by_choice = mask.reshape(choices, -1)
    return jnp.where(jnp.any(by_choice, axis=1, keepdims=True), by_choice, True).reshape(mask.shape)


def _parts(observation: Any) -> dict[str, Any]:
    return observation._asdict() if hasattr(observation, "_asdict") else dict(vars(observation))
